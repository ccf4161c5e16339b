//! Helpers that write and verify logs.

use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use eventcenter::domain::audit::verify::{Finding, TrustedCheckpoints, Verified};
use eventcenter::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Target, Via};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{
    Audit, Journal, Metrics, Options, Policy, Recorder, Store, StoredCheckpoint, StoredRecord, WriteOutcome,
};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::MAX_WAIT;

/// A running journal.
pub(crate) struct TestJournal {
    pub(crate) recorder: Recorder,
    /// A recorder like that of the controllers.
    pub(crate) spooling: Recorder,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Default options.
pub(crate) fn options(instance: &str) -> Options {
    Options { policy: Policy::Required, timeout: MAX_WAIT, instance: instance.to_owned(), spool: None }
}

#[allow(clippy::disallowed_methods, reason = "the journal is given a clock, as by the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

impl TestJournal {
    /// Starts a journal.
    pub(crate) fn start(store: &Store, options: Options) -> Result<Self> {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (journal, work) = Journal::start(store.clone(), options, metrics, now, stop.clone())?;
        let task = tokio::spawn(work);
        let (recorder, spooling) = (journal.recorder("webhook"), journal.spooling_recorder("controllers"));
        Ok(Self { recorder, spooling, stop, task })
    }

    /// Records an event, which has to be durable.
    pub(crate) async fn record(&self, event: Event) -> Result<Uuid> {
        match self.recorder.record(event).await? {
            WriteOutcome::Durable(id) => Ok(id),
            other => anyhow::bail!("the record is not durable: {other:?}"),
        }
    }

    /// Records a number of events concurrently.
    pub(crate) async fn record_many(&self, log: &LogName, count: usize) -> Result<Vec<Uuid>> {
        use futures::{StreamExt, TryStreamExt};
        let all = futures::stream::iter(0..count).map(|number| self.record(event(log, number)));
        all.buffered(64).try_collect().await
    }

    /// Writes all records and stops.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        tokio::time::timeout(MAX_WAIT, self.task).await.context("stopping the journal")??;
        Ok(())
    }
}

/// Parses the name of a log.
pub(crate) fn log(name: &str) -> LogName {
    name.parse().expect("a log")
}

/// Creates an event. Different numbers give different values of the filtered columns.
pub(crate) fn event(log: &LogName, number: usize) -> Event {
    let pick = |values: &[&str]| values[number % values.len()].to_owned();
    let actor = Actor {
        user: pick(&["alice@example.com", "bob@example.com", "carol", "system:serviceaccount:ci:deployer"]),
        groups: vec!["developers".to_owned()],
        via: Via::Admission,
    };
    let action = [Action::Create, Action::Update, Action::Delete][number % 3];
    let outcome = if number % 50 == 7 { Outcome::Denied } else { Outcome::Allowed };
    let mut event = Event::new(log.clone(), actor, action, outcome);
    event.target = Some(Target {
        kind: if number % 10 == 3 { "EventSubscription" } else { "EventTopic" }.to_owned(),
        namespace: Some(pick(&["orders", "payments", "shipping"])),
        name: format!("topic-{}", number % 20),
        uid: Some(format!("uid-{}", number % 20)),
    });
    event.message = Some(format!("it is „100%_sure“ and number {number}"));
    event.request = Some(format!("request-{number}"));
    event
}

/// Lists all records that match a filter, newest first, with a page size.
pub(crate) async fn all(
    audit: &Audit,
    log: &LogName,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<StoredRecord>> {
    let (mut records, mut before) = (Vec::new(), None);
    loop {
        let page = audit.list_backward(log, filter, before, limit).await?;
        assert!(page.records.len() <= limit, "{} records on a page of {limit}", page.records.len());
        if let (Some(before), Some(next)) = (before, page.next) {
            assert!(next < before, "no progress: {next} after {before}");
        }
        records.extend(page.records);
        before = page.next;
        if before.is_none() {
            return Ok(records);
        }
    }
}

/// The signing key, and its public key.
pub(crate) fn key() -> (SigningKey, TrustedKeys) {
    let key = SigningKey::from_seed(&"5a".repeat(32)).expect("a seed");
    let trusted = TrustedKeys::parse(&key.public_key());
    (key, trusted)
}

/// A signed checkpoint of the current end of a log.
pub(crate) async fn signed(audit: &Audit, log: &LogName) -> Result<StoredCheckpoint> {
    let head = audit.read_head(log).await?;
    let root = head.range.root().context("the range begins at 0")?;
    let checkpoint = Checkpoint { origin: origin("test", log), size: head.size, root };
    Ok(StoredCheckpoint { size: head.size, note: checkpoint.sign(&key().0), time: now() })
}

/// Verifies a log with the checkpoints in the database and further ones.
pub(crate) async fn verify(
    audit: &Audit,
    log: &LogName,
    published: &[StoredCheckpoint],
) -> Result<Result<Verified, Finding>> {
    let (origin, keys) = (origin("test", log), key().1);
    let in_database = audit.list_checkpoints(log, 1000).await?;
    let in_database =
        in_database.iter().map(|stored| (stored, format!("checkpoint {} of the database", stored.size)));
    let published = published.iter().map(|stored| (stored, format!("published checkpoint {}", stored.size)));
    let mut checkpoints = Vec::new();
    for (stored, source) in in_database.chain(published) {
        match Checkpoint::verify(&stored.note, &origin, &keys) {
            Ok(checkpoint) => checkpoints.push((checkpoint, source)),
            Err(error) => {
                return Ok(Err(Finding::UntrustedCheckpoint { source, problem: error.to_string() }));
            }
        }
    }
    let result = audit.verify(log, &TrustedCheckpoints { checkpoints }, |_, _| {}).await?;
    Ok(result.map_err(|mismatch| mismatch.finding))
}

/// Waits with a timeout.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    const LIMIT: Duration = Duration::from_secs(120);
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {} s", LIMIT.as_secs()),
    }
}
