//! Writing logs and verifying them, with few words.

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

use crate::support::PATIENCE;

/// A journal that runs.
pub(crate) struct Keeper {
    pub(crate) recorder: Recorder,
    /// As the controllers have it: its records may wait in the spool.
    pub(crate) spooling: Recorder,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Options that no test has reason to change.
pub(crate) fn options(instance: &str) -> Options {
    Options { policy: Policy::Required, timeout: PATIENCE, instance: instance.to_owned(), spool: None }
}

#[allow(clippy::disallowed_methods, reason = "the journal is given a clock, as by the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

impl Keeper {
    /// Begins to write.
    pub(crate) fn start(store: &Store, options: Options) -> Result<Self> {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (journal, work) = Journal::start(store.clone(), options, metrics, now, stop.clone())?;
        let task = tokio::spawn(work);
        let (recorder, spooling) = (journal.recorder("webhook"), journal.spooling_recorder("controllers"));
        Ok(Self { recorder, spooling, stop, task })
    }

    /// Records and waits until it is durable.
    pub(crate) async fn record(&self, event: Event) -> Result<Uuid> {
        match self.recorder.record(event).await? {
            WriteOutcome::Durable(id) => Ok(id),
            other => anyhow::bail!("it is not in the database: {other:?}"),
        }
    }

    /// Records so many, some at a time, in any order.
    pub(crate) async fn record_many(&self, log: &LogName, count: usize) -> Result<Vec<Uuid>> {
        use futures::{StreamExt, TryStreamExt};
        let all = futures::stream::iter(0..count).map(|number| self.record(event(log, number)));
        all.buffered(64).try_collect().await
    }

    /// Writes what was handed in and ends.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.context("the journal ends")??;
        Ok(())
    }
}

/// A log.
pub(crate) fn log(name: &str) -> LogName {
    name.parse().expect("the test names a log")
}

/// Something that happened. Each number gives another one; they cover what can be filtered for.
pub(crate) fn event(log: &LogName, number: usize) -> Event {
    let pick = |words: &[&str]| words[number % words.len()].to_owned();
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

/// All records of a log that pass a filter, the newest first, in pages of that size.
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
            assert!(next < before, "a search goes on: {next} after {before}");
        }
        records.extend(page.records);
        before = page.next;
        if before.is_none() {
            return Ok(records);
        }
    }
}

/// The key that signs, and who believes it.
pub(crate) fn key() -> (SigningKey, TrustedKeys) {
    let key = SigningKey::from_seed(&"5a".repeat(32)).expect("it is a seed");
    let trusted = TrustedKeys::parse(&key.public_key());
    (key, trusted)
}

/// The present end of a log, signed by our key.
pub(crate) async fn signed(audit: &Audit, log: &LogName) -> Result<StoredCheckpoint> {
    let head = audit.read_head(log).await?;
    let root = head.range.root().context("it begins at 0")?;
    let checkpoint = Checkpoint { origin: origin("test", log), size: head.size, root };
    Ok(StoredCheckpoint { size: head.size, note: checkpoint.sign(&key().0), time: now() })
}

/// What is found in a log, by the checkpoints that are kept in the database and these.
pub(crate) async fn verify(
    audit: &Audit,
    log: &LogName,
    published: &[StoredCheckpoint],
) -> Result<Result<Verified, Finding>> {
    let (origin, keys) = (origin("test", log), key().1);
    let kept = audit.list_checkpoints(log, 1000).await?;
    let kept = kept.iter().map(|noted| (noted, format!("checkpoint {} of the database", noted.size)));
    let published = published.iter().map(|noted| (noted, format!("published checkpoint {}", noted.size)));
    let mut checkpoints = Vec::new();
    for (noted, witness) in kept.chain(published) {
        match Checkpoint::verify(&noted.note, &origin, &keys) {
            Ok(checkpoint) => checkpoints.push((checkpoint, witness)),
            Err(why) => {
                return Ok(Err(Finding::UntrustedCheckpoint { source: witness, problem: why.to_string() }));
            }
        }
    }
    let verdict = audit.verify(log, &TrustedCheckpoints { checkpoints }, |_, _| {}).await?;
    Ok(verdict.map_err(|found| found.finding))
}

/// Waits, but not for ever.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    const LIMIT: Duration = Duration::from_secs(120);
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {} s", LIMIT.as_secs()),
    }
}
