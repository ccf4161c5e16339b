//! Behaviour that both kinds of databases have to show. Each function uses its own logs, so that they can share a database.
//!
//! `tests/real/store` has further tests, also with PostgreSQL.

mod outage;
mod proof;
mod reading;
mod writing;

pub(crate) use outage::*;
pub(crate) use proof::*;
pub(crate) use reading::*;
pub(crate) use writing::*;

use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::audit::verify::{TrustedCheckpoints, Verified};
use crate::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Record, Target, Via};
use crate::store::{Journal, Metrics, Options, Policy, Store, WriteOutcome};

/// A running journal.
pub(crate) struct RunningJournal {
    pub(crate) journal: Journal,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningJournal {
    pub(crate) fn start(store: &Store, options: Options, clock: fn() -> Timestamp) -> Self {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut Registry::default());
        let (journal, run) =
            Journal::start(store.clone(), options, metrics, clock, stop.clone()).expect("a journal");
        Self { journal, stop, task: tokio::spawn(run) }
    }

    /// Writes all records and stops.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the journal ends");
    }
}

pub(crate) fn required() -> Options {
    Options {
        policy: Policy::Required,
        timeout: Duration::from_secs(60),
        instance: "test".to_owned(),
        spool: None,
    }
}

/// A clock that does not advance.
pub(crate) fn noon() -> Timestamp {
    at(0)
}

/// A number of seconds after noon.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_268_800 + second).expect("a time")
}

pub(crate) fn log(name: &str) -> LogName {
    name.parse().expect("a log")
}

pub(crate) fn event(log: &LogName, user: &str, name: &str) -> Event {
    let actor = Actor { user: user.to_owned(), groups: vec!["team".to_owned()], via: Via::Admission };
    let mut event = Event::new(log.clone(), actor, Action::Update, Outcome::Allowed);
    event.target = Some(Target {
        kind: "EventTopic".to_owned(),
        namespace: Some("orders".to_owned()),
        name: name.to_owned(),
        uid: None,
    });
    event
}

/// Writes records.
pub(crate) async fn write(store: &Store, log: &LogName, records: usize) {
    let running = RunningJournal::start(store, required(), noon);
    let recorder = running.journal.recorder("webhook");
    let outcomes =
        (0..records).map(|number| recorder.record(event(log, "alice", &format!("topic-{number}"))));
    for outcome in futures::future::join_all(outcomes).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Durable(_))));
    }
    running.stop().await;
}

/// All records, oldest first.
pub(crate) async fn all(store: &Store, log: &LogName) -> Vec<Record> {
    let (mut records, mut from) = (Vec::new(), Some(0));
    while let Some(place) = from {
        let page =
            store.audit().list_forward(log, &Filter::default(), place, u64::MAX, 100).await.expect("a page");
        records.extend(page.records.into_iter().map(|stored| stored.record));
        from = page.next;
    }
    records
}

/// Verifies a log, which must not have findings.
pub(crate) async fn verify(store: &Store, log: &LogName) -> Verified {
    let result =
        store.audit().verify(log, &TrustedCheckpoints::default(), |_, _| {}).await.expect("readable");
    result.expect("no finding")
}

/// Writes various records. The clock advances by a second for each, and is sometimes set back by ten minutes.
async fn varied(store: &Store, log: &LogName, records: i64) {
    use std::sync::atomic::{AtomicI64, Ordering};
    static SECOND: AtomicI64 = AtomicI64::new(0);
    let running = RunningJournal::start(store, required(), || at(SECOND.load(Ordering::SeqCst)));
    let recorder = running.journal.recorder("controllers");
    let mut open = None;
    for number in 0..records {
        let second = if number % 300 == 299 { number - 600 } else { number };
        SECOND.store(second, Ordering::SeqCst);
        let mut event =
            event(log, ["alice", "bob", "carol"][number as usize % 3], &format!("t{}", number % 17));
        let target = event.target.as_mut().expect("a target");
        match number % 7 {
            0 => event.outcome = Outcome::Denied,
            1 => event.action = Action::Delete,
            2 => target.kind = "Tenant".to_owned(),
            3 => target.namespace = Some("payments".to_owned()),
            4 => event.target = None,
            5 => event.message = Some(format!("50% of \"{number}\"\\_ is ÄPFEL Done\n")),
            _ => event.outcome = Outcome::Started,
        }
        if let Some(start) = open.take_if(|_| number % 2 == 0) {
            event = event.completion(start, Outcome::Failed, None);
        }
        if event.outcome != Outcome::Started {
            recorder.enqueue(event).await;
            continue;
        }
        let outcome = recorder.record(event).await;
        let Ok(WriteOutcome::Durable(id)) = outcome else { panic!("not durable: {outcome:?}") };
        open = Some(id);
    }
    running.stop().await;
}
