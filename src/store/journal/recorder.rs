//! The journal of a process, and the recorder of each role.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::id::IdGenerator;
use super::indexing;
use super::outcome::{Policy, RECORDING, RecordError, WriteOutcome};
use super::pending::PendingRecord;
use super::writer::Writer;
use crate::domain::audit::{Event, Target};
use crate::store::audit::append::Entry;
use crate::store::spool::Spool;
use crate::store::{Error, Metrics, Store};

/// Options of a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether changes require a durable record.
    pub policy: Policy,
    /// Maximum time to wait for a durable record.
    pub timeout: Duration,
    /// The name of the replica.
    pub instance: String,
    /// Path and maximum size in bytes of the spool file.
    pub spool: Option<(PathBuf, u64)>,
}

/// Capacity of the queue to the writer. Further records wait in their callers.
const QUEUE_CAPACITY: usize = 1024;
/// Maximum time that an enqueued record, for which no caller waits, may wait for the database.
const ENQUEUED_TIMEOUT: Duration = Duration::from_secs(30);
/// Additional time for the answer of the writer after the timeout of a record.
const ANSWER_GRACE: Duration = Duration::from_millis(500);

/// The journal of a process. Creates recorders.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<PendingRecord>,
    policy: Policy,
    timeout: Duration,
    instance: String,
    clock: fn() -> Timestamp,
    ids: IdGenerator,
    metrics: Metrics,
}

/// Records events for one role of the process.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    component: &'static str,
    may_spool: bool,
}

impl Journal {
    /// Opens the spool. Returns the journal and a future that has to be polled for it to work. The future ends after `stop` is
    /// cancelled and all records are written, or after the timeout.
    ///
    /// # Errors
    /// The spool file cannot be opened, or another process holds its lock.
    pub fn start(
        store: Store,
        options: Options,
        metrics: Metrics,
        clock: fn() -> Timestamp,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send), Error> {
        let spool = options.spool.as_ref().map(|(path, limit)| Spool::open(path, *limit)).transpose()?;
        let (queue, records) = mpsc::channel(QUEUE_CAPACITY);
        let Options { policy, timeout, instance, .. } = options;
        let (completed, to_index) = mpsc::channel(indexing::QUEUE_CAPACITY);
        let indexing = indexing::run(store.audit(), to_index, stop.clone());
        let writer = Writer::new(store, records, spool, policy, timeout, metrics.clone(), completed);
        let shared = Shared { queue, policy, timeout, instance, clock, ids: IdGenerator::default(), metrics };
        let running = async move {
            tokio::join!(writer.run(stop), indexing);
        };
        Ok((Self { shared: Arc::new(shared) }, running))
    }

    /// A recorder for a role: `webhook`, `controllers` or `api`.
    #[must_use]
    pub fn recorder(&self, component: &'static str) -> Recorder {
        Recorder { shared: Arc::clone(&self.shared), component, may_spool: false }
    }

    /// A recorder whose records wait in the spool file while the database is unavailable.
    #[must_use]
    pub fn spooling_recorder(&self, component: &'static str) -> Recorder {
        Recorder { may_spool: true, ..self.recorder(component) }
    }
}

impl Recorder {
    /// Records an event. The record is durable when this returns.
    ///
    /// # Errors
    /// The record could not be written in time, and the policy requires it.
    pub async fn record(&self, event: Event) -> Result<WriteOutcome, RecordError> {
        let (answer, answered) = oneshot::channel();
        let timeout = self.shared.timeout;
        let pending = self.create_pending(event, timeout, Some(answer));
        let outcome = tokio::time::timeout(timeout + ANSWER_GRACE, async {
            self.shared.queue.send(pending).await.ok()?;
            answered.await.ok()
        });
        match outcome.await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => self.give_up(Error::unavailable(RECORDING, "the journal is closed")),
            Err(elapsed) => self.give_up(Error::unavailable(RECORDING, elapsed)),
        }
    }

    /// Enqueues an event without waiting for its record. Waits only while the queue is full. A lost record is logged and
    /// counted.
    pub async fn enqueue(&self, event: Event) {
        let pending = self.create_pending(event, ENQUEUED_TIMEOUT, None);
        let sent = self.shared.queue.send(pending);
        if !matches!(tokio::time::timeout(ENQUEUED_TIMEOUT, sent).await, Ok(Ok(()))) {
            self.shared.metrics.count(self.component, "lost", 1);
            tracing::error!(
                component = self.component,
                "lost a record: the queue of the journal is full or closed"
            );
        }
    }

    /// The current time of the journal's clock, for events that happened earlier.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn create_pending(
        &self,
        event: Event,
        timeout: Duration,
        answer: Option<oneshot::Sender<Result<WriteOutcome, RecordError>>>,
    ) -> PendingRecord {
        let time = self.now();
        let id = self.shared.ids.next(time);
        let draft = sanitize(event).into_draft(id, time, self.component, &self.shared.instance);
        let entry = Arc::new(Entry::new(draft));
        let now = Instant::now();
        PendingRecord::new(entry, self.component, self.may_spool, now, now + timeout, answer)
    }

    /// Applies the policy when the writer does not answer.
    fn give_up(&self, error: Error) -> Result<WriteOutcome, RecordError> {
        let outcome = if self.shared.policy == Policy::Required { "refused" } else { "lost" };
        self.shared.metrics.count(self.component, outcome, 1);
        match self.shared.policy {
            Policy::Required => Err(RecordError(error)),
            Policy::BestEffort => {
                tracing::warn!(error = error.chain(), component = self.component, "lost a record");
                Ok(WriteOutcome::Lost)
            }
        }
    }
}

/// Maximum length of an indexed value, in bytes. Indexes reject longer values.
const MAX_INDEXED_VALUE_BYTES: usize = 1024;

/// Replaces values that databases reject: indexed values that are too long, and NUL characters in them.
fn sanitize(mut event: Event) -> Event {
    sanitize_value(&mut event.actor.user);
    if let Some(Target { kind, namespace, name, .. }) = &mut event.target {
        [Some(kind), namespace.as_mut(), Some(name)].into_iter().flatten().for_each(sanitize_value);
    }
    event
}

fn sanitize_value(value: &mut String) {
    if value.contains('\0') {
        *value = value.replace('\0', "\u{fffd}");
    }
    if value.len() > MAX_INDEXED_VALUE_BYTES {
        value.truncate(value.floor_char_boundary(MAX_INDEXED_VALUE_BYTES));
        value.push('…');
    }
}
