//! The client: its life, and the way of a request from call to answer.
//!
//! A request is numbered and noted in `Shared::waiting` with a closure that decodes its answer; the number travels through
//! librdkafka as the "opaque" pointer and is never followed. The polling thread takes the closure out when the answer
//! comes. So nothing is freed by an event: a caller who went away, a client that closes, an answer that comes twice or
//! never can neither crash nor leak more than one entry until the client closes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{oneshot, watch};

use crate::error::ErrorCode;
use crate::handle::{Event, EventKind, Link};
use crate::options::{AdminOptions, Request};
use crate::{NewClientError, RequestError};

/// The polling thread looks up this often at the latest; it is woken for anything there is to do.
const POLL_MS: i32 = 1_000;

/// What librdkafka reports beside the answers to requests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A log line.
    Log {
        /// The severity as in syslog: 0 emergency … 3 error, 4 warning, 5 notice, 6 information, 7 debugging.
        level: i32,
        /// librdkafka's word for the kind of event, for example `FAIL` or `CONFWARN`.
        facility: String,
        /// The text.
        message: String,
    },
    /// A problem with a connection: authentication, name resolution, TLS, all brokers down. librdkafka goes on trying.
    Error {
        /// For example [`ErrorCode::AUTHENTICATION`].
        code: ErrorCode,
        /// The text, with the broker's reason where it gave one.
        message: String,
    },
}

type Complete = Box<dyn FnOnce(Result<&Event, RequestError>) + Send>;

/// A request whose answer has not come.
struct Waiting {
    request: Request,
    complete: Complete,
}

/// What the client and its polling thread share.
struct Shared {
    waiting: Mutex<HashMap<usize, Waiting>>,
    next: AtomicUsize,
    /// The polling thread ends when the link lies here. It is given over so that the thread is the one who frees it.
    stop: Mutex<Option<Arc<Link>>>,
    /// The last connection error since a request was last answered.
    last_error: Mutex<Option<String>>,
}

/// A Kafka admin client. Share it by reference or `Arc`; every method may be called from many tasks at once.
///
/// It owns a librdkafka client with its threads and connections, and one thread that collects answers.
///
/// **Cancellation.** Any future may be dropped at any time: the answer is then discarded when it comes. A change that was
/// asked for may still be made.
///
/// **End.** Dropping the client returns at once; connections and threads end in the background, usually in less than a
/// second. [`AdminClient::close`] waits for that, which a process should do before it exits.
pub struct AdminClient {
    shared: Arc<Shared>,
    link: RwLock<Option<Arc<Link>>>,
    closed: watch::Receiver<()>,
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminClient").finish_non_exhaustive()
    }
}

impl AdminClient {
    /// Makes a client from [librdkafka's properties](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md),
    /// of which `bootstrap.servers` is the one to give. It does not wait for a connection; a broker that cannot be
    /// reached shows in `observer` and in the first request.
    ///
    /// `allow.auto.create.topics` is always false and `log.queue` always true. Three properties have other defaults than
    /// librdkafka's: `enable.sparse.connections=false` (see the crate's notes), `reconnect.backoff.max.ms=3000`, and
    /// `metadata.max.age.ms=60000`, because nothing here is answered from librdkafka's cache.
    ///
    /// `observer` is called on the client's polling thread, so it must be quick; a panic in it is caught and logged.
    ///
    /// # Errors
    /// A property that librdkafka refuses, or a thread that cannot be started.
    pub fn new(
        properties: &[(String, String)],
        observer: impl Fn(ClientEvent) + Send + Sync + 'static,
    ) -> Result<Self, NewClientError> {
        let link = Arc::new(Link::new(properties)?);
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            next: AtomicUsize::new(1),
            stop: Mutex::default(),
            last_error: Mutex::default(),
        });
        let (done, closed) = watch::channel(());
        let thread = std::thread::Builder::new().name("kafka-admin".into());
        let (polled, polling) = (Arc::clone(&link), Arc::clone(&shared));
        thread
            .spawn(move || {
                polling.poll_until_stopped(polled, &observer);
                drop(done);
            })
            .map_err(NewClientError::Thread)?;
        Ok(Self { shared, link: RwLock::new(Some(link)), closed })
    }

    /// Ends the client: requests in flight resolve to [`RequestError::Closed`], later ones too, and connections and
    /// threads are gone when this returns (except for a [`AdminClient::list_topics`] in flight, which holds them until its
    /// own timeout). Closing twice is fine.
    pub async fn close(&self) {
        self.stop();
        let mut closed = self.closed.clone();
        // Only ever ends with the error that the sender is gone: nothing is sent.
        while closed.changed().await.is_ok() {}
    }

    fn stop(&self) {
        let link = self.link.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(link) = link {
            let mut stop = lock(&self.shared.stop);
            // The thread takes the link out only after this lock is released, so the link is not freed here.
            stop.insert(link).wake();
        }
    }

    /// Sends a request. `send` gives it to librdkafka; `decode` runs on the polling thread, and not at all if the receiver
    /// is gone by then.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        request: Request,
        send: impl FnOnce(&Link, &AdminOptions),
        decode: impl FnOnce(&Event) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<Reply<T>, RequestError> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = link.as_ref() else {
            return Err(request.closed());
        };
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let options = AdminOptions::new(link, &request, number)?;
        let reply = self.expect(request, number, decode);
        send(link, &options);
        Ok(reply)
    }

    /// Hands a message to librdkafka, which is answered when it is delivered or never will be. `send` gets the number to
    /// pass on as the message's opaque pointer.
    pub(crate) fn deliver(
        &self,
        request: Request,
        send: impl FnOnce(&Link, usize) -> Result<(), ErrorCode>,
    ) -> Result<Reply<()>, RequestError> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = link.as_ref() else {
            return Err(request.closed());
        };
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let reply = self.expect(request, number, |_| Ok(()));
        if let Err(code) = send(link, number) {
            lock(&self.shared.waiting).remove(&number);
            return self.shared.note(&request, Err((code, code.description())));
        }
        Ok(reply)
    }

    /// Notes that an answer is waited for.
    fn expect<T: Send + 'static>(
        &self,
        request: Request,
        number: usize,
        decode: impl FnOnce(&Event) -> Result<T, RequestError> + Send + 'static,
    ) -> Reply<T> {
        let (sender, receiver) = oneshot::channel();
        let complete: Complete = Box::new(move |answer: Result<&Event, RequestError>| {
            if !sender.is_closed() {
                // An error means that the caller went away just now.
                let _ = sender.send(answer.and_then(decode));
            }
        });
        lock(&self.shared.waiting).insert(number, Waiting { request, complete });
        Reply { request, receiver }
    }

    /// Runs `call`, which blocks, on a thread of its own.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        request: Request,
        call: impl FnOnce(&Link) -> Result<T, (ErrorCode, String)> + Send + 'static,
    ) -> Result<T, RequestError> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(link) = link else {
            return Err(request.closed());
        };
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("kafka-admin-list".into()).spawn(move || {
            let result = call(&link);
            drop(link);
            // An error means that the caller went away.
            let _ = sender.send(shared.note(&request, result));
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

/// The answer to come.
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
    fn poll_until_stopped(&self, link: Arc<Link>, observer: &dyn Fn(ClientEvent)) {
        let given_over = loop {
            if let Some(link) = lock(&self.stop).take() {
                break link;
            }
            let Some(event) = link.poll(POLL_MS) else { continue };
            if catch_unwind(AssertUnwindSafe(|| self.handle(&event, observer))).is_err() {
                tracing::error!("a panic while handling an event of the Kafka admin client");
            }
        };
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for (_, Waiting { request, complete }) in waiting {
            complete(Err(request.closed()));
        }
        drop(given_over);
        // The last owner, unless a thread of `on_thread` is still at it: here librdkafka ends its threads.
        drop(link);
    }

    fn handle(&self, event: &Event, observer: &dyn Fn(ClientEvent)) {
        match event.kind() {
            EventKind::Error => {
                if let Some((code, message)) = event.error() {
                    self.remember(code, &message);
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
                    let waiting = lock(&self.waiting).remove(&number);
                    if let Some(Waiting { request, complete }) = waiting {
                        complete(self.note(&request, failure.map_or(Ok(event), Err)));
                    }
                }
            }
            EventKind::Other => {
                let waiting = lock(&self.waiting).remove(&event.request());
                if let Some(Waiting { request, complete }) = waiting {
                    let answer = event.error().map_or(Ok(event), Err);
                    complete(self.note(&request, answer));
                }
            }
        }
    }

    /// Keeps the error to explain the timeouts that follow from it. "All brokers are down" comes after what brought them
    /// down, and says less.
    fn remember(&self, code: ErrorCode, message: &str) {
        let mut last_error = lock(&self.last_error);
        if code != ErrorCode::ALL_BROKERS_DOWN || last_error.is_none() {
            *last_error = Some(message.to_owned());
        }
    }

    /// An answer proves that the connection works; a failure may be due to the last connection error.
    fn note<T>(&self, request: &Request, answer: Result<T, (ErrorCode, String)>) -> Result<T, RequestError> {
        match answer {
            Ok(answer) => {
                *lock(&self.last_error) = None;
                Ok(answer)
            }
            Err((code, message)) => {
                let cause = lock(&self.last_error).clone();
                Err(request.failed(code, message, cause))
            }
        }
    }
}

/// No state guarded here can be left half changed, so a panic elsewhere does not make it unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::rd;

    /// Processor time of this process's threads that serve connections to brokers, in clock ticks of 10 ms.
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

    /// librdkafka's own broker, which can be shut, stands in for a cluster that goes down after the client knew it. Without
    /// `enable.sparse.connections=false` the waiting request makes librdkafka connect 20,000 times a second.
    #[tokio::test]
    async fn a_request_that_waits_for_a_known_broker_does_not_spin() {
        let properties = [("test.mock.num.brokers".to_owned(), "1".to_owned())];
        let client = AdminClient::new(&properties, |_| {}).expect("a client");
        client.list_topics(Duration::from_secs(10)).await.expect("an answer of the mock broker");
        {
            let link = client.link.read().expect("no panic before");
            let link = link.as_ref().expect("an open client");
            // SAFETY: the client is alive.
            let mock = unsafe { rd::rd_kafka_handle_mock_cluster(link.client()) };
            // SAFETY: the mock cluster lives as long as the client.
            unsafe { rd::rd_kafka_mock_broker_set_down(mock, 1) };
        }
        // Until the client has noticed, a request may still be sent and be refused.
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
