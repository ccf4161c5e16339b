//! The client: creation, closing, and the path of a request from call to response.
//!
//! A request gets a number and is stored in `Shared::pending` with a closure that decodes its response. The number travels
//! through librdkafka as the "opaque" pointer and is never dereferenced. The polling thread takes the closure out when the
//! response arrives. So no event frees anything: a dropped future, a closed client, and a response that arrives twice or
//! never cannot crash, and leak at most one entry until the client closes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use crate::error::{ErrorCode, NewClientError, RequestError};
use crate::handle::{ClientHandle, ClientKind, Event, EventKind};
use crate::options::{AdminOptions, Request};

/// The longest wait of one poll, in milliseconds. The thread is also woken for every event and when the client closes.
const POLL_TIMEOUT_MS: i32 = 1_000;

/// What librdkafka reports apart from the responses to requests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A log line.
    Log {
        /// The severity as in syslog: 0 emergency … 3 error, 4 warning, 5 notice, 6 information, 7 debug.
        level: i32,
        /// librdkafka's category of the event, for example `FAIL` or `CONFWARN`.
        facility: String,
        /// The text.
        message: String,
    },
    /// A problem with a connection: authentication, name resolution, TLS, all brokers down. librdkafka keeps retrying.
    Error {
        /// For example [`ErrorCode::AUTHENTICATION`].
        code: ErrorCode,
        /// The text, with the broker's reason if it sent one.
        message: String,
    },
}

type Completion = Box<dyn FnOnce(Result<&Event, RequestError>) + Send>;

/// A request without a response yet.
struct PendingRequest {
    request: Request,
    complete: Completion,
}

/// The state that the client shares with its polling thread.
struct Shared {
    pending: Mutex<HashMap<usize, PendingRequest>>,
    next_number: AtomicUsize,
    /// Once this holds the handle, the polling thread ends. The handle is moved here so that the polling thread frees it.
    stop: Mutex<Option<Arc<ClientHandle>>>,
    /// The last connection error since the last successful response.
    last_error: Mutex<Option<String>>,
}

/// A Kafka admin client. Share it by reference or `Arc`; many tasks may call every method concurrently.
///
/// It owns a librdkafka client with its threads and connections, and one thread that collects the responses.
///
/// **Cancellation.** Any future may be dropped at any time; the response is then discarded. The cluster may still make the
/// requested change.
///
/// **Closing.** Dropping the client returns at once; connections and threads end in the background, usually in less than a
/// second. [`AdminClient::close`] waits for them, which a process should do before it exits.
pub struct AdminClient {
    shared: Arc<Shared>,
    handle: RwLock<Option<Arc<ClientHandle>>>,
    closed: watch::Receiver<()>,
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminClient").finish_non_exhaustive()
    }
}

impl AdminClient {
    /// Creates a client from [librdkafka's properties](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md);
    /// `bootstrap.servers` is required. It does not wait for a connection: `observer` and the first request report a broker
    /// that cannot be reached.
    ///
    /// `allow.auto.create.topics` is always false and `log.queue` always true. Three properties have other defaults than
    /// librdkafka's: `enable.sparse.connections=false` (see the crate's documentation), `reconnect.backoff.max.ms=3000`, and
    /// `metadata.max.age.ms=60000`, because no response here comes from librdkafka's cache.
    ///
    /// `observer` runs on the client's polling thread, so it must not block. A panic in it is caught and logged.
    ///
    /// # Errors
    /// librdkafka refuses a property, or the thread cannot be started.
    pub fn new(
        properties: &[(String, String)],
        observer: impl Fn(ClientEvent) + Send + Sync + 'static,
    ) -> Result<Self, NewClientError> {
        let handle = Arc::new(ClientHandle::new(ClientKind::Producer, properties)?);
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            next_number: AtomicUsize::new(1),
            stop: Mutex::default(),
            last_error: Mutex::default(),
        });
        let (done, closed) = watch::channel(());
        let thread = std::thread::Builder::new().name("kafka-admin".into());
        let (thread_handle, thread_shared) = (Arc::clone(&handle), Arc::clone(&shared));
        thread
            .spawn(move || {
                thread_shared.poll_until_stopped(thread_handle, &observer);
                drop(done);
            })
            .map_err(NewClientError::Thread)?;
        Ok(Self { shared, handle: RwLock::new(Some(handle)), closed })
    }

    /// Closes the client: requests in flight and later ones resolve to [`RequestError::Closed`]. All connections and threads
    /// have ended when this returns, except for an [`AdminClient::list_topics`] in flight, which keeps them until its own
    /// timeout. Closing twice is allowed.
    pub async fn close(&self) {
        self.stop();
        let mut closed = self.closed.clone();
        // The sender never sends; `changed` fails once the polling thread has dropped it.
        while closed.changed().await.is_ok() {}
    }

    fn stop(&self) {
        let handle = self.handle.write().take();
        if let Some(handle) = handle {
            let mut stop = self.shared.stop.lock();
            // The thread can take the handle only after this lock is released, so the handle is not freed here.
            stop.insert(handle).wake();
        }
    }

    /// Sends a request. `send` passes it to librdkafka. `decode` runs on the polling thread, unless the receiver is gone by
    /// then.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        request: Request,
        send: impl FnOnce(&ClientHandle, &AdminOptions),
        decode: impl FnOnce(&Event) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<Reply<T>, RequestError> {
        let handle = self.handle.read();
        let Some(handle) = handle.as_ref() else {
            return Err(request.closed());
        };
        let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
        let options = AdminOptions::new(handle, &request, number)?;
        let reply = self.register(request, number, decode);
        send(handle, &options);
        Ok(reply)
    }

    /// Passes a message to librdkafka. The reply arrives once the message is delivered or has failed for good. `send` gets
    /// the number to pass as the message's opaque pointer.
    pub(crate) fn start_produce(
        &self,
        request: Request,
        send: impl FnOnce(&ClientHandle, usize) -> Result<(), ErrorCode>,
    ) -> Result<Reply<()>, RequestError> {
        let handle = self.handle.read();
        let Some(handle) = handle.as_ref() else {
            return Err(request.closed());
        };
        let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
        let reply = self.register(request, number, |_| Ok(()));
        if let Err(code) = send(handle, number) {
            self.shared.pending.lock().remove(&number);
            return self.shared.request_result(&request, Err((code, code.description())));
        }
        Ok(reply)
    }

    /// Stores a pending request.
    fn register<T: Send + 'static>(
        &self,
        request: Request,
        number: usize,
        decode: impl FnOnce(&Event) -> Result<T, RequestError> + Send + 'static,
    ) -> Reply<T> {
        let (sender, receiver) = oneshot::channel();
        let complete: Completion = Box::new(move |response: Result<&Event, RequestError>| {
            if !sender.is_closed() {
                // An error means that the caller has just dropped its future.
                let _ = sender.send(response.and_then(decode));
            }
        });
        self.shared.pending.lock().insert(number, PendingRequest { request, complete });
        Reply { request, receiver }
    }

    /// Runs the blocking `call` on a thread of its own.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        request: Request,
        call: impl FnOnce(&ClientHandle) -> Result<T, (ErrorCode, String)> + Send + 'static,
    ) -> Result<T, RequestError> {
        let handle = self.handle.read().clone();
        let Some(handle) = handle else {
            return Err(request.closed());
        };
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("kafka-admin-list".into()).spawn(move || {
            let result = call(&handle);
            drop(handle);
            // An error means that the caller has dropped its future.
            let _ = sender.send(shared.request_result(&request, result));
        });
        if let Err(error) = thread {
            let message = format!("starting a thread: {error}");
            return Err(request.failed(ErrorCode::SYSTEM_RESOURCE, message, None));
        }
        let mut closed = self.closed.clone();
        tokio::select! {
            result = receiver => result.unwrap_or_else(|_| Err(request.closed())),
            _ = closed.changed() => Err(request.closed()),
        }
    }
}

impl Drop for AdminClient {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The future response of a request.
pub(crate) struct Reply<T> {
    request: Request,
    receiver: oneshot::Receiver<Result<T, RequestError>>,
}

impl<T> Reply<T> {
    pub(crate) async fn wait(self) -> Result<T, RequestError> {
        self.receiver.await.unwrap_or_else(|_| Err(self.request.closed()))
    }
}

impl Shared {
    fn poll_until_stopped(&self, handle: Arc<ClientHandle>, observer: &dyn Fn(ClientEvent)) {
        let stopped = loop {
            if let Some(stopped) = self.stop.lock().take() {
                break stopped;
            }
            let Some(event) = handle.poll(POLL_TIMEOUT_MS) else { continue };
            if catch_unwind(AssertUnwindSafe(|| self.handle_event(&event, observer))).is_err() {
                tracing::error!("panic while handling an event of the Kafka admin client");
            }
        };
        let pending = std::mem::take(&mut *self.pending.lock());
        for (_, PendingRequest { request, complete }) in pending {
            complete(Err(request.closed()));
        }
        drop(stopped);
        // The last owner, unless a thread of `run_blocking` still runs. librdkafka ends its threads here.
        drop(handle);
    }

    fn handle_event(&self, event: &Event, observer: &dyn Fn(ClientEvent)) {
        match event.kind() {
            EventKind::Error => {
                if let Some((code, message)) = event.error() {
                    self.record_connection_error(code, &message);
                    observer(ClientEvent::Error { code, message });
                }
            }
            EventKind::Log => {
                if let Some((level, facility, message)) = event.log() {
                    observer(ClientEvent::Log { level, facility, message });
                }
            }
            EventKind::Delivery => {
                for (number, failure) in event.deliveries() {
                    let pending = self.pending.lock().remove(&number);
                    if let Some(PendingRequest { request, complete }) = pending {
                        complete(self.request_result(&request, failure.map_or(Ok(event), Err)));
                    }
                }
            }
            EventKind::Fetch | EventKind::Other => {
                let pending = self.pending.lock().remove(&event.request_number());
                if let Some(PendingRequest { request, complete }) = pending {
                    let response = event.error().map_or(Ok(event), Err);
                    complete(self.request_result(&request, response));
                }
            }
        }
    }

    /// Stores the error to explain later timeouts. "All brokers are down" follows the error that caused it and is less
    /// specific, so it does not replace one.
    fn record_connection_error(&self, code: ErrorCode, message: &str) {
        let mut last_error = self.last_error.lock();
        if code != ErrorCode::ALL_BROKERS_DOWN || last_error.is_none() {
            *last_error = Some(message.to_owned());
        }
    }

    /// Converts a response into the request's result. A success proves that the connection works and clears the last
    /// connection error; a failure gets it as its cause.
    fn request_result<T>(
        &self,
        request: &Request,
        response: Result<T, (ErrorCode, String)>,
    ) -> Result<T, RequestError> {
        match response {
            Ok(response) => {
                *self.last_error.lock() = None;
                Ok(response)
            }
            Err((code, message)) => {
                let cause = self.last_error.lock().clone();
                Err(request.failed(code, message, cause))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::rd;

    /// CPU time of this process's broker threads, in clock ticks of 10 ms.
    fn broker_ticks() -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        stats
            .filter_map(|stat| {
                let (name, numbers) = stat.rsplit_once(')')?;
                let mut times =
                    numbers.split_whitespace().skip(11).map_while(|number| number.parse::<u64>().ok());
                name.contains("(rdk:broker").then(|| times.next().unwrap_or(0) + times.next().unwrap_or(0))
            })
            .sum()
    }

    /// librdkafka's mock broker stands in for a cluster that goes down after the client has discovered it. Without
    /// `enable.sparse.connections=false` the waiting request makes librdkafka connect 20,000 times a second.
    #[tokio::test]
    async fn a_request_waiting_for_a_known_broker_does_not_busy_loop() {
        let properties = [("test.mock.num.brokers".to_owned(), "1".to_owned())];
        let client = AdminClient::new(&properties, |_| {}).expect("a client");
        client.list_topics(Duration::from_secs(10)).await.expect("a response of the mock broker");
        {
            let handle = client.handle.read();
            let handle = handle.as_ref().expect("an open client");
            // SAFETY: the client is alive.
            let mock = unsafe { rd::rd_kafka_handle_mock_cluster(handle.client()) };
            // SAFETY: the mock cluster lives as long as the client.
            unsafe { rd::rd_kafka_mock_broker_set_down(mock, 1) };
        }
        // Until the client has noticed the failure, a request may still be sent and be refused.
        for attempt in 0.. {
            let before = broker_ticks();
            let error =
                client.describe_broker_configs(1, Duration::from_secs(2)).await.expect_err("no broker");
            if matches!(error, RequestError::Timeout { .. }) {
                let spent = broker_ticks() - before;
                assert!(spent < 40, "{spent} ticks of 10 ms in 2 s");
                break;
            }
            assert!(attempt < 100, "the mock broker does not go down: {error}");
        }
        client.close().await;
    }
}
