//! Writing the audit log: many records in one transaction.
//!
//! One task takes what has arrived, gives each record its place in its log, and commits. Who asked for durability waits for
//! that commit. While the database is away, records of the controllers are kept in a file and follow later.

mod id;
mod indexing;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::audit::append::Entry;
use super::spool::Spool;
use super::{Error, Metrics, Store};
use crate::domain::audit::{Event, Target};
use id::Ids;
use writer::{Waiting, Writer};

/// What happens to a change whose record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is refused.
    Required,
    /// It goes on, and says so.
    BestEffort,
}

/// How records are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// What happens without the database.
    pub policy: Policy,
    /// How long a record is waited for.
    pub patience: Duration,
    /// Which replica this is.
    pub instance: String,
    /// Where records of the controllers are kept while the database is away, and how many bytes at most.
    pub spool: Option<(PathBuf, u64)>,
}

/// Records that wait for the one who writes; more wait with those who hand them in.
const QUEUE: usize = 1024;
/// How long a record that nobody waits for may wait for the database.
const NOTED: Duration = Duration::from_secs(30);
/// How much later than it should an answer may come.
const GRACE: Duration = Duration::from_millis(500);

const RECORDING: &str = "recording";

/// Where records are handed in, for a whole process.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Waiting>,
    policy: Policy,
    patience: Duration,
    instance: String,
    clock: fn() -> Timestamp,
    ids: Ids,
    metrics: Metrics,
}

/// The same for one role of the process.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    component: &'static str,
    spools: bool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the database, and stays there if the machine fails.
    Durable(Uuid),
    /// It is in the spool, and stays there if the machine fails.
    Spooled(Uuid),
    /// It is nowhere, and the policy lets things go on.
    Lost,
}

/// A record was not written, and the policy demands that it is.
#[derive(Debug, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unrecorded(#[source] pub Error);

impl Journal {
    /// A journal, and what has to run for it: it ends when it is told to and all that was handed in is written, or after
    /// the patience.
    ///
    /// # Errors
    /// The spool cannot be opened, or another process has it.
    pub fn start(
        store: Store,
        options: Options,
        metrics: Metrics,
        clock: fn() -> Timestamp,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send), Error> {
        let spool = options.spool.as_ref().map(|(path, limit)| Spool::open(path, *limit)).transpose()?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let Options { policy, patience, instance, .. } = options;
        let (completed, to_be_indexed) = mpsc::channel(indexing::QUEUE);
        let indexing = indexing::run(store.audit(), to_be_indexed, stop.clone());
        let writer = Writer::new(store, waiting, spool, policy, patience, metrics.clone(), completed);
        let shared = Shared { queue, policy, patience, instance, clock, ids: Ids::default(), metrics };
        let running = async move {
            tokio::join!(writer.run(stop), indexing);
        };
        Ok((Self { shared: Arc::new(shared) }, running))
    }

    /// For a role: `webhook`, `controllers` or `api`. `spools` says whether its records may wait in the spool.
    #[must_use]
    pub fn recorder(&self, component: &'static str, spools: bool) -> Recorder {
        Recorder { shared: Arc::clone(&self.shared), component, spools }
    }
}

impl Recorder {
    /// Records what happened; it is durable when this returns.
    ///
    /// # Errors
    /// It could not be written in time and the policy demands it.
    pub async fn record(&self, event: Event) -> Result<Written, Unrecorded> {
        let (answer, answered) = oneshot::channel();
        let patience = self.shared.patience;
        let waiting = self.waiting(event, patience, Some(answer));
        let written = tokio::time::timeout(patience + GRACE, async {
            self.shared.queue.send(waiting).await.ok()?;
            answered.await.ok()
        });
        match written.await {
            Ok(Some(written)) => written,
            Ok(None) => self.given_up(Error::away(RECORDING, "the journal has been closed")),
            Err(late) => self.given_up(Error::away(RECORDING, late)),
        }
    }

    /// Hands over what is to be recorded soon; waits only if too much waits already. What cannot be written is logged and
    /// counted.
    pub async fn note(&self, event: Event) {
        let waiting = self.waiting(event, NOTED, None);
        let sending = self.shared.queue.send(waiting);
        if !matches!(tokio::time::timeout(NOTED, sending).await, Ok(Ok(()))) {
            self.shared.metrics.count(self.component, "lost", 1);
            tracing::error!(component = self.component, "a record is lost: nobody took it");
        }
    }

    /// The clock of the journal, for those who make records of the time before.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn waiting(
        &self,
        event: Event,
        patience: Duration,
        answer: Option<oneshot::Sender<Result<Written, Unrecorded>>>,
    ) -> Waiting {
        let time = self.now();
        let draft =
            storable(event).draft(self.shared.ids.next(time), time, self.component, &self.shared.instance);
        let since = Instant::now();
        let entry = Arc::new(Entry::of(draft));
        Waiting::new(entry, self.component, self.spools, since, since + patience, answer)
    }

    /// Nobody has answered.
    fn given_up(&self, error: Error) -> Result<Written, Unrecorded> {
        let outcome = if self.shared.policy == Policy::Required { "refused" } else { "lost" };
        self.shared.metrics.count(self.component, outcome, 1);
        match self.shared.policy {
            Policy::Required => Err(Unrecorded(error)),
            Policy::BestEffort => {
                tracing::warn!(error = error.chain(), component = self.component, "a record is lost");
                Ok(Written::Lost)
            }
        }
    }
}

/// Bytes of a value that is searched by: what is longer no index can keep.
const LONGEST_VALUE: usize = 1024;

/// Values that are searched by have to fit into an index, and no database keeps the character 0 in a text.
fn storable(mut event: Event) -> Event {
    fit(&mut event.actor.user);
    if let Some(Target { kind, namespace, name, .. }) = &mut event.target {
        [Some(kind), namespace.as_mut(), Some(name)].into_iter().flatten().for_each(fit);
    }
    event
}

fn fit(value: &mut String) {
    if value.contains('\0') {
        *value = value.replace('\0', "\u{fffd}");
    }
    if value.len() > LONGEST_VALUE {
        value.truncate(value.floor_char_boundary(LONGEST_VALUE));
        value.push('…');
    }
}
