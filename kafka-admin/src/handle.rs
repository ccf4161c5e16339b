//! Owned librdkafka objects: each is freed by the Rust value that owns it.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;

use crate::error::{ErrorCode, NewClientError};
use crate::sys::{self, ErrorText, rd};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// Requests, and producing.
    Producer,
    /// Consuming.
    Consumer,
}

impl ClientKind {
    fn native(self) -> rd::rd_kafka_type_t {
        match self {
            Self::Producer => rd::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Self::Consumer => rd::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        }
    }

    fn events(self) -> c_int {
        match self {
            Self::Producer => rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_DR,
            Self::Consumer => rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_FETCH,
        }
    }
}

/// A configuration under construction.
struct Conf(NonNull<rd::rd_kafka_conf_t>);

impl Conf {
    fn new() -> Result<Self, NewClientError> {
        // SAFETY: no precondition.
        let conf = unsafe { rd::rd_kafka_conf_new() };
        NonNull::new(conf).map(Self).ok_or_else(|| NewClientError::Create("out of memory".into()))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), NewClientError> {
        let refused = |message: String| NewClientError::Property { name: name.to_owned(), message };
        let c_name = CString::new(name).map_err(|_| refused("the name contains a NUL byte".into()))?;
        let c_value = CString::new(value).map_err(|_| refused("the value contains a NUL byte".into()))?;
        let mut text = ErrorText::new();
        // SAFETY: `self` owns the configuration, both strings are NUL-terminated and copied, and the buffer has the passed
        // length.
        let result = unsafe {
            rd::rd_kafka_conf_set(
                self.0.as_ptr(),
                c_name.as_ptr(),
                c_value.as_ptr(),
                text.as_mut_ptr(),
                text.len(),
            )
        };
        match result {
            rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            _ => Err(refused(text.to_string())),
        }
    }

    fn into_client(self, kind: ClientKind) -> Result<NativeClient, NewClientError> {
        // SAFETY: `self` owns the configuration.
        unsafe { rd::rd_kafka_conf_set_events(self.0.as_ptr(), kind.events()) };
        let mut text = ErrorText::new();
        // SAFETY: `self` owns the configuration, and the buffer has the passed length. On success the client takes ownership
        // of the configuration, and `self` is forgotten below.
        let client =
            unsafe { rd::rd_kafka_new(kind.native(), self.0.as_ptr(), text.as_mut_ptr(), text.len()) };
        match NonNull::new(client) {
            Some(client) => {
                std::mem::forget(self);
                Ok(NativeClient(client))
            }
            None => Err(NewClientError::Create(text.to_string())),
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: this value owns the configuration; `into_client` forgets it when a client takes the ownership.
        unsafe { rd::rd_kafka_conf_destroy(self.0.as_ptr()) }
    }
}

/// The client instance. Dropping it waits for librdkafka's threads.
struct NativeClient(NonNull<rd::rd_kafka_t>);

impl Drop for NativeClient {
    fn drop(&mut self) {
        // SAFETY: this value owns the client. Its queue is already destroyed (field order in `ClientHandle`), and no
        // librdkafka callback runs Rust code, so none can call this.
        unsafe { rd::rd_kafka_destroy(self.0.as_ptr()) }
    }
}

/// The queue that receives results, errors and logs.
struct Queue(NonNull<rd::rd_kafka_queue_t>);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference and releases it once. Operations in flight hold their own references.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// A client and its one queue.
pub(crate) struct ClientHandle {
    // Declared, and so dropped, before the client: librdkafka requires that its queues are destroyed first.
    queue: Queue,
    client: NativeClient,
}

// SAFETY: a librdkafka client and its queues may be used from several threads concurrently.
unsafe impl Send for ClientHandle {}
// SAFETY: a librdkafka client and its queues may be used from several threads concurrently.
unsafe impl Sync for ClientHandle {}

impl ClientHandle {
    /// Creates a client, which connects on its own threads, and forwards all of its events to one queue.
    pub(crate) fn new(kind: ClientKind, properties: &[(String, String)]) -> Result<Self, NewClientError> {
        let mut conf = Conf::new()?;
        // librdkafka caches every described or listed topic for this long, and each refresh (every 5 min) requests all
        // cached topics. No response here comes from the cache, so a short age is enough. The caller may override it.
        conf.set("metadata.max.age.ms", "60000")?;
        // With sparse connections librdkafka reconnects without a pause, 20,000 times a second, while a request waits for a
        // known controller that refuses connections: each failure wakes the request, which asks for a connection at once.
        // The cost is one idle connection to each broker.
        conf.set("enable.sparse.connections", "false")?;
        // The longest time until the client reconnects to a broker that is back; the default of 10 s exceeds the timeout of
        // some requests.
        conf.set("reconnect.backoff.max.ms", "3000")?;
        if kind == ClientKind::Producer {
            // The caller waits for the delivery of a message and retries it.
            conf.set("message.timeout.ms", "20000")?;
        }
        for (name, value) in properties {
            conf.set(name, value)?;
        }
        // Describing a missing topic must never create it.
        conf.set("allow.auto.create.topics", "false")?;
        conf.set("log.queue", "true")?;
        let client = conf.into_client(kind)?;

        // SAFETY: the client is alive.
        let queue = unsafe { rd::rd_kafka_queue_new(client.0.as_ptr()) };
        let queue =
            NonNull::new(queue).map(Queue).ok_or_else(|| NewClientError::Create("no queue".into()))?;
        let handle = Self { queue, client };

        // SAFETY: client and queue are alive; librdkafka forwards logs from now on.
        unsafe { rd::rd_kafka_set_log_queue(handle.client(), handle.queue()) };
        // SAFETY: the client is alive; the result is a counted reference to its main queue, which the caller owns.
        let main = unsafe { rd::rd_kafka_queue_get_main(handle.client()) };
        if let Some(main) = NonNull::new(main).map(Queue) {
            // SAFETY: both queues are alive; librdkafka holds its own references for the forwarding.
            unsafe { rd::rd_kafka_queue_forward(main.0.as_ptr(), handle.queue()) };
        }
        Ok(handle)
    }

    /// The client pointer, valid for the lifetime of the handle.
    pub(crate) fn client(&self) -> *mut rd::rd_kafka_t {
        self.client.0.as_ptr()
    }

    /// The queue pointer, valid for the lifetime of the handle.
    pub(crate) fn queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.0.as_ptr()
    }

    /// Waits for the next event. `None` after the timeout or [`ClientHandle::wake`].
    pub(crate) fn poll(&self, timeout_ms: c_int) -> Option<Event> {
        // SAFETY: the queue is alive; the caller owns the event until it destroys it.
        let event = unsafe { rd::rd_kafka_queue_poll(self.queue(), timeout_ms) };
        NonNull::new(event).map(Event)
    }

    /// Makes the current or the next [`ClientHandle::poll`] return immediately.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.queue()) }
    }
}

/// The type of an event.
pub(crate) enum EventKind {
    Error,
    Log,
    /// Delivery reports: messages that were delivered or have failed for good.
    Delivery,
    /// A consumed message.
    Fetch,
    Other,
}

/// One event from the queue. Everything read from it borrows from it.
pub(crate) struct Event(NonNull<rd::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: this value owns the event and destroys it once; borrows of its content cannot outlive it.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Event {
    pub(crate) fn as_ptr(&self) -> *mut rd::rd_kafka_event_t {
        self.0.as_ptr()
    }

    pub(crate) fn kind(&self) -> EventKind {
        // SAFETY: the event is alive.
        match unsafe { rd::rd_kafka_event_type(self.as_ptr()) } {
            rd::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            rd::RD_KAFKA_EVENT_LOG => EventKind::Log,
            rd::RD_KAFKA_EVENT_DR => EventKind::Delivery,
            rd::RD_KAFKA_EVENT_FETCH => EventKind::Fetch,
            _ => EventKind::Other,
        }
    }

    /// The number of the request that this event responds to; 0 if it responds to none.
    pub(crate) fn request_number(&self) -> usize {
        // SAFETY: the event is alive. The opaque pointer carries a number and is never dereferenced.
        unsafe { rd::rd_kafka_event_opaque(self.as_ptr()) }.addr()
    }

    /// The messages of a delivery report: the number of each, and the error if it was not delivered. librdkafka yields each
    /// message only once.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (usize, Option<(ErrorCode, String)>)> {
        std::iter::from_fn(|| {
            // SAFETY: the event is alive and owns the messages.
            let message = NonNull::new(unsafe { rd::rd_kafka_event_message_next(self.as_ptr()) }.cast_mut())?;
            let message = message.as_ptr();
            // SAFETY: the message is alive. The opaque pointer carries a number and is never dereferenced.
            let number = unsafe { (*message)._private }.addr();
            // SAFETY: the message is alive.
            let code = unsafe { &raw const (*message).err }.cast::<c_int>();
            // SAFETY: the message is alive. The code is read as an integer because the broker may send a value that the Rust
            // enum lacks.
            let code = unsafe { code.read() };
            if code == 0 {
                return Some((number, None));
            }
            // `rd_kafka_message_errstr` is no alternative: for a produced message it can return the payload.
            let code = ErrorCode::from_c(code);
            Some((number, Some((code, code.description()))))
        })
    }

    /// The error of the whole event.
    pub(crate) fn error(&self) -> Option<(ErrorCode, String)> {
        // SAFETY: the event is alive.
        let code = unsafe { sys::rd_kafka_event_error(self.as_ptr()) };
        if code == 0 {
            return None;
        }
        // SAFETY: the event is alive.
        let message = unsafe { rd::rd_kafka_event_error_string(self.as_ptr()) };
        // SAFETY: the text is static or owned by the event.
        let message = unsafe { sys::text(message) };
        Some((ErrorCode::from_c(code), message.unwrap_or_default().into_owned()))
    }

    /// Level, facility and message of a log event.
    pub(crate) fn log(&self) -> Option<(i32, String, String)> {
        let (mut facility, mut message, mut level) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the event is alive; librdkafka writes all three values, or none if it is not a log event.
        let result =
            unsafe { rd::rd_kafka_event_log(self.as_ptr(), &mut facility, &mut message, &mut level) };
        if result != 0 {
            return None;
        }
        // SAFETY: the event owns the text.
        let facility = unsafe { sys::text(facility) };
        // SAFETY: the event owns the text.
        let message = unsafe { sys::text(message) };
        Some((level, facility.unwrap_or_default().into_owned(), message.unwrap_or_default().into_owned()))
    }

    /// The elements of this event's result. `None` if it is the result of another operation.
    ///
    /// # Safety
    /// Both functions belong to the same operation: the first returns null unless the event is that operation's result, the
    /// second lists the elements, which live as long as the event.
    pub(crate) unsafe fn results<T>(
        &self,
        as_result: unsafe extern "C" fn(*mut rd::rd_kafka_event_t) -> *const rd::rd_kafka_event_t,
        elements: unsafe extern "C" fn(*const rd::rd_kafka_event_t, *mut usize) -> *mut *const T,
    ) -> Option<&[*const T]> {
        // SAFETY: the event is alive.
        let result = unsafe { as_result(self.as_ptr()) };
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        // SAFETY: the caller guarantees that the result is of the operation of `elements`.
        let elements = unsafe { elements(result, &mut count) };
        // SAFETY: an array of `count` elements that lives as long as the event.
        Some(unsafe { sys::slice(elements, count) })
    }
}
