//! librdkafka's long-lived objects, each freed by the Rust value that owns it.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;

use crate::NewClientError;
use crate::error::ErrorCode;
use crate::sys::{self, ErrorText, rd};

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
        // SAFETY: the configuration is ours, both strings are NUL-terminated and copied, the buffer has that length.
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

    fn into_client(self) -> Result<Native, NewClientError> {
        // SAFETY: the configuration is ours.
        unsafe {
            rd::rd_kafka_conf_set_events(self.0.as_ptr(), rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_DR)
        };
        let mut text = ErrorText::new();
        // SAFETY: the configuration is ours, the buffer has that length. Only on success does the client own the
        // configuration, which is then not freed here.
        let client = unsafe {
            rd::rd_kafka_new(
                rd::rd_kafka_type_t::RD_KAFKA_PRODUCER,
                self.0.as_ptr(),
                text.as_mut_ptr(),
                text.len(),
            )
        };
        match NonNull::new(client) {
            Some(client) => {
                std::mem::forget(self);
                Ok(Native(client))
            }
            None => Err(NewClientError::Create(text.to_string())),
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: ours, and not handed to a client, which forgets this value.
        unsafe { rd::rd_kafka_conf_destroy(self.0.as_ptr()) }
    }
}

/// The client instance. Dropping it waits for librdkafka's threads.
struct Native(NonNull<rd::rd_kafka_t>);

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: ours; the queue was destroyed before (field order in `Link`), and no librdkafka callback runs Rust
        // code, so this is not called from one.
        unsafe { rd::rd_kafka_destroy(self.0.as_ptr()) }
    }
}

/// The queue on which results, errors and logs arrive.
struct Queue(NonNull<rd::rd_kafka_queue_t>);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once. Operations that still refer to it hold their own reference.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// A client and its one queue.
pub(crate) struct Link {
    // Declared, and so dropped, before the client: librdkafka wants its queues destroyed first.
    queue: Queue,
    native: Native,
}

// SAFETY: a librdkafka client and its queues may be used from any thread at the same time.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Link {
    /// Makes a producer-type client, which connects on its own threads, and directs all of its events to one queue.
    pub(crate) fn new(properties: &[(String, String)]) -> Result<Self, NewClientError> {
        let mut conf = Conf::new()?;
        // Every topic described or listed is kept in librdkafka's cache until this age, and every refresh (every 5 min)
        // asks for what is kept. Answers never come from the cache, so it might as well be short. A caller may overrule.
        conf.set("metadata.max.age.ms", "60000")?;
        // Otherwise librdkafka connects anew without any pause, 20,000 times a second, as long as a request waits for a
        // controller that is known but refuses connections: each failure wakes the request, and with sparse connections a
        // woken request asks for a connection at once. The price is one idle connection to each broker.
        conf.set("enable.sparse.connections", "false")?;
        // At most this long after a broker is back there is a connection again; the default, 10 s, is longer than a request
        // may want to wait.
        conf.set("reconnect.backoff.max.ms", "3000")?;
        // Who hands in a message waits for it, and hands in another one if it is not delivered.
        conf.set("message.timeout.ms", "20000")?;
        for (name, value) in properties {
            conf.set(name, value)?;
        }
        // Looking at a missing topic must never create it.
        conf.set("allow.auto.create.topics", "false")?;
        conf.set("log.queue", "true")?;
        let native = conf.into_client()?;

        // SAFETY: the client is alive.
        let queue = unsafe { rd::rd_kafka_queue_new(native.0.as_ptr()) };
        let queue =
            NonNull::new(queue).map(Queue).ok_or_else(|| NewClientError::Create("no queue".into()))?;
        let link = Self { queue, native };

        // SAFETY: client and queue are alive; logs are forwarded from now on.
        unsafe { rd::rd_kafka_set_log_queue(link.client(), link.queue()) };
        // SAFETY: the client is alive; the result is a counted reference to its main queue.
        let main = unsafe { rd::rd_kafka_queue_get_main(link.client()) };
        if let Some(main) = NonNull::new(main).map(Queue) {
            // SAFETY: both queues are alive; the forwarding holds its own references.
            unsafe { rd::rd_kafka_queue_forward(main.0.as_ptr(), link.queue()) };
        }
        Ok(link)
    }

    /// For calls into librdkafka, valid as long as the link.
    pub(crate) fn client(&self) -> *mut rd::rd_kafka_t {
        self.native.0.as_ptr()
    }

    /// For calls into librdkafka, valid as long as the link.
    pub(crate) fn queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.0.as_ptr()
    }

    /// Waits for the next event. `None` after the timeout or [`Link::wake`].
    pub(crate) fn poll(&self, timeout_ms: c_int) -> Option<Event> {
        // SAFETY: the queue is alive; the event is ours until destroyed.
        let event = unsafe { rd::rd_kafka_queue_poll(self.queue(), timeout_ms) };
        NonNull::new(event).map(Event)
    }

    /// Makes the current or the next [`Link::poll`] return at once.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.queue()) }
    }
}

/// What an event is about.
pub(crate) enum EventKind {
    Error,
    Log,
    /// Messages that were delivered, or never will be.
    Delivery,
    Other,
}

/// One event from the queue. Everything read from it is borrowed from it.
pub(crate) struct Event(NonNull<rd::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; what was borrowed from it cannot outlive it.
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
            _ => EventKind::Other,
        }
    }

    /// The number given to the request that this event answers; 0 for an event that answers none.
    pub(crate) fn request(&self) -> usize {
        // SAFETY: the event is alive. The pointer is a number in disguise and never followed.
        unsafe { rd::rd_kafka_event_opaque(self.as_ptr()) }.addr()
    }

    /// The messages of a delivery report: the number each was given, and why it was not delivered. Can be asked once.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (usize, Option<(ErrorCode, String)>)> {
        std::iter::from_fn(|| {
            // SAFETY: the event is alive; the messages belong to it.
            let message = NonNull::new(unsafe { rd::rd_kafka_event_message_next(self.as_ptr()) }.cast_mut())?;
            let message = message.as_ptr();
            // SAFETY: the message is alive. The pointer is a number in disguise and never followed.
            let number = unsafe { (*message)._private }.addr();
            // SAFETY: the message is alive.
            let code = unsafe { &raw const (*message).err }.cast::<c_int>();
            // SAFETY: the message is alive. Read as the integer it is, because the broker may send any.
            let code = unsafe { code.read() };
            if code == 0 {
                return Some((number, None));
            }
            // The message's own text of its error is no choice: of a message that was to be sent it is its content.
            let code = ErrorCode::from_c(code);
            Some((number, Some((code, code.description()))))
        })
    }

    /// The error of the event as a whole.
    pub(crate) fn error(&self) -> Option<(ErrorCode, String)> {
        // SAFETY: the event is alive.
        let code = unsafe { sys::rd_kafka_event_error(self.as_ptr()) };
        if code == 0 {
            return None;
        }
        // SAFETY: the event is alive.
        let message = unsafe { rd::rd_kafka_event_error_string(self.as_ptr()) };
        // SAFETY: the text belongs to the event, or is static.
        let message = unsafe { sys::text(message) };
        Some((ErrorCode::from_c(code), message.unwrap_or_default().into_owned()))
    }

    /// Level, facility and message of a log event.
    pub(crate) fn log(&self) -> Option<(i32, String, String)> {
        let (mut facility, mut message, mut level) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the event is alive; it writes three values, or nothing when it is not a log event.
        let result =
            unsafe { rd::rd_kafka_event_log(self.as_ptr(), &mut facility, &mut message, &mut level) };
        if result != 0 {
            return None;
        }
        // SAFETY: belongs to the event.
        let facility = unsafe { sys::text(facility) };
        // SAFETY: belongs to the event.
        let message = unsafe { sys::text(message) };
        Some((level, facility.unwrap_or_default().into_owned(), message.unwrap_or_default().into_owned()))
    }

    /// The elements of the result that this event carries. `None` when it is another operation's.
    ///
    /// # Safety
    /// Both functions belong to the same operation: the first tells whether the event is that operation's result, the
    /// second lists its elements, which live as long as the event.
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
        // SAFETY: the result is of the operation of `elements`, by the caller's promise.
        let elements = unsafe { elements(result, &mut count) };
        // SAFETY: an array of `count` elements that lives as long as the event.
        Some(unsafe { sys::slice(elements, count) })
    }
}
