//! What is promised of every database. Each function has logs of its own, so that all can use one database.
//!
//! Only what is public is used: `tests/real` runs the same on PostgreSQL. The parent module says what `eventcenter` is.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::eventcenter;
use eventcenter::domain::audit::merkle::{Hash, Range};
use eventcenter::domain::audit::verify::{Verified, Verifier, Witnesses};
use eventcenter::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Record, Target, Via};
use eventcenter::store::{Error, Journal, Metrics, Noted, Options, Policy, Store, Written};

/// A journal that runs.
pub(crate) struct Writing {
    pub(crate) journal: Journal,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Writing {
    pub(crate) fn start(store: &Store, options: Options, clock: fn() -> Timestamp) -> Self {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut Registry::default());
        let (journal, run) =
            Journal::start(store.clone(), options, metrics, clock, stop.clone()).expect("a journal");
        Self { journal, stop, task: tokio::spawn(run) }
    }

    /// Until all that was handed in is written.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("the journal ends");
    }
}

pub(crate) fn required() -> Options {
    Options {
        policy: Policy::Required,
        patience: Duration::from_secs(60),
        instance: "test".to_owned(),
        spool: None,
    }
}

/// A clock that stands still.
pub(crate) fn noon() -> Timestamp {
    at(0)
}

/// So many seconds after noon.
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

/// Writes so many plain records.
pub(crate) async fn write(store: &Store, log: &LogName, records: usize) {
    let writing = Writing::start(store, required(), noon);
    let recorder = writing.journal.recorder("webhook", false);
    let written = (0..records).map(|number| recorder.record(event(log, "alice", &format!("topic-{number}"))));
    for written in futures::future::join_all(written).await {
        assert!(matches!(written, Ok(Written::Durable(_))));
    }
    writing.end().await;
}

/// All records, oldest first.
pub(crate) async fn all(store: &Store, log: &LogName) -> Vec<Record> {
    let (mut records, mut from) = (Vec::new(), Some(0));
    while let Some(place) = from {
        let page =
            store.audit().following(log, &Filter::default(), place, u64::MAX, 100).await.expect("a page");
        records.extend(page.records.into_iter().map(|stored| stored.record));
        from = page.next;
    }
    records
}

/// Reads a log as it is kept and compares everything that is said twice.
pub(crate) async fn verify(store: &Store, log: &LogName) -> Verified {
    let audit = store.audit();
    let head = audit.head(log).await.expect("a head");
    let dropped = audit.range(log, 0, head.first).await.expect("what was dropped");
    let chain = audit.chain_before(log).await.expect("the chain");
    let mut verifier = Verifier::new(log.clone(), dropped, chain, Witnesses { checkpoints: Vec::new() });
    let mut from = head.first;
    loop {
        let rows = audit.rows(log, from, 100).await.expect("rows");
        let Some(last) = rows.last() else { break };
        let until = last.seq + 1;
        for row in &rows {
            verifier.row(row).expect("nothing was done to the log");
        }
        for (node, hash) in audit.nodes(log, from, until).await.expect("nodes") {
            verifier.node(node, &hash).expect("nothing was done to the nodes");
        }
        from = until;
    }
    verifier.end(Some(head.size)).expect("nothing was done to the log")
}

pub(crate) async fn many_write_one_log(store: &Store) {
    let (one, other) = (log("many-one"), log("many-other"));
    let writing = Writing::start(store, required(), noon);
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let recorder = writing.journal.recorder("webhook", false);
            let (one, other) = (one.clone(), other.clone());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..20 {
                    let log = if number % 4 == 3 { &other } else { &one };
                    let written =
                        recorder.record(event(log, &format!("user-{task}"), &number.to_string())).await;
                    let Ok(Written::Durable(id)) = written else { panic!("not durable: {written:?}") };
                    ids.push((log.clone(), id));
                }
                ids
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.expect("the task ends"));
    }
    for (log, id) in &acknowledged {
        let found = store.audit().get(log, *id).await.expect("an answer");
        assert_eq!(found.expect("what was acknowledged is there").record.id, *id);
    }
    writing.end().await;
    for (log, size) in [(&one, 480), (&other, 160)] {
        let records = all(store, log).await;
        assert!(records.iter().map(|record| record.seq).eq(0..size));
        for task in 0..32 {
            let user = format!("user-{task}");
            let numbers = records.iter().filter(|record| record.actor.user == user);
            let numbers: Vec<u32> =
                numbers.filter_map(|record| record.target.as_ref()?.name.parse().ok()).collect();
            assert!(numbers.is_sorted(), "what one writes after the other stays in that order: {numbers:?}");
        }
        assert_eq!(verify(store, log).await.records, size);
    }
    let logs = store.audit().logs().await.expect("logs");
    assert!(logs.contains(&one) && logs.contains(&other));
}

pub(crate) async fn two_journals_write_one_log(store: &Store, same: &Store) {
    let log = log("two-journals");
    let journals = [Writing::start(store, required(), noon), Writing::start(same, required(), noon)];
    let tasks: Vec<_> = (0..40)
        .map(|task| {
            let recorder = journals[task % 2].journal.recorder("webhook", false);
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..10 {
                    let written =
                        recorder.record(event(&log, &format!("user-{task}"), &number.to_string())).await;
                    assert!(matches!(written, Ok(Written::Durable(_))), "{written:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    for journal in journals {
        journal.end().await;
    }
    let ids: BTreeSet<Uuid> = all(store, &log).await.into_iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 400);
    assert_eq!(verify(same, &log).await.size, 400);
}

/// Records of all kinds; the clock goes on by a second for each, and once back by ten minutes.
async fn varied(store: &Store, log: &LogName, records: i64) {
    use std::sync::atomic::{AtomicI64, Ordering};
    static SECOND: AtomicI64 = AtomicI64::new(0);
    let writing = Writing::start(store, required(), || at(SECOND.load(Ordering::SeqCst)));
    let recorder = writing.journal.recorder("controllers", false);
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
            event = event.ended(start, Outcome::Failed, None);
        }
        if event.outcome != Outcome::Started {
            recorder.note(event).await;
            continue;
        }
        let written = recorder.record(event).await;
        let Ok(Written::Durable(id)) = written else { panic!("not durable: {written:?}") };
        open = Some(id);
    }
    writing.end().await;
}

pub(crate) async fn filters_find_exactly_what_passes(store: &Store) {
    let log = log("filters");
    varied(store, &log, 1200).await;
    let records = all(store, &log).await;
    assert_eq!(records.len(), 1200);
    let completed: BTreeSet<Uuid> = records.iter().filter_map(|record| record.completes).collect();
    let none = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        none(),
        Filter { actor: text("bob"), ..none() },
        Filter { actor: text("nobody"), ..none() },
        Filter { action: text("Delete"), ..none() },
        Filter { kind: text("Tenant"), ..none() },
        Filter { kind: text("EventTopic"), ..none() },
        Filter { namespace: text("payments"), ..none() },
        Filter { name: text("t3"), ..none() },
        Filter { outcome: Some(Outcome::Denied), ..none() },
        Filter { outcome: Some(Outcome::Failed), actor: text("alice"), ..none() },
        Filter { outcome: Some(Outcome::Allowed), ..none() },
        Filter { open: true, ..none() },
        Filter { open: true, actor: text("carol"), ..none() },
        Filter { since: Some(at(700)), ..none() },
        Filter { until: Some(at(300)), ..none() },
        Filter { since: Some(at(250)), until: Some(at(260)), ..none() },
        Filter { since: Some(at(-301)), until: Some(at(-300)), ..none() },
        Filter { since: Some(at(900)), until: Some(at(500)), ..none() },
        Filter { until: Some(at(-1000)), ..none() },
        Filter { since: Some(at(600)), actor: text("bob"), kind: text("EventTopic"), ..none() },
        Filter { text: text("DONE"), ..none() },
        Filter { text: text("50% of \""), ..none() },
        Filter { text: text("\\_ is"), ..none() },
        Filter { text: text("Äpfel"), ..none() },
        Filter { text: text("ÄPFEL"), ..none() },
        Filter { text: text("apfel"), ..none() },
        Filter { text: text("canonical"), ..none() },
        Filter { text: text("5_"), ..none() },
        Filter { text: text("payments"), actor: text("alice"), ..none() },
        Filter { text: text(""), name: text("t5"), namespace: text("orders"), ..none() },
    ];
    for filter in filters {
        let passes = |record: &&Record| filter.passes(record, completed.contains(&record.id));
        let expected: Vec<u64> = records.iter().filter(passes).map(|record| record.seq).collect();
        for limit in [1, 7, 500] {
            // One at a time takes long where there are many.
            if limit > 1 || expected.len() < 20 {
                let newest: Vec<u64> = newest_first(store, &log, &filter, limit).await;
                assert!(newest.iter().rev().eq(&expected), "{filter:?}: {newest:?} are not {expected:?}");
                let oldest = oldest_first(store, &log, &filter, limit).await;
                assert_eq!(oldest, expected, "{filter:?}");
            }
        }
    }
}

async fn newest_first(store: &Store, log: &LogName, filter: &Filter, limit: usize) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = store.audit().page(log, filter, before, limit).await.expect("a page");
        assert!(page.records.len() <= limit);
        found.extend(page.records.iter().map(|stored| stored.record.seq));
        match page.next {
            Some(next) => assert!(before.replace(next).is_none_or(|before| next < before)),
            None => return found,
        }
    }
}

async fn oldest_first(store: &Store, log: &LogName, filter: &Filter, limit: usize) -> Vec<u64> {
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let page = store.audit().following(log, filter, from, u64::MAX, limit).await.expect("a page");
        assert!(page.records.len() <= limit);
        found.extend(page.records.iter().map(|stored| stored.record.seq));
        match page.next {
            Some(next) => assert!(std::mem::replace(&mut from, next) < next),
            None => return found,
        }
    }
}

/// A search that finds nothing near says how far it has come, and goes on from there.
pub(crate) async fn a_long_search_goes_on_page_by_page(store: &Store) {
    let log = log("long-search");
    let writing = Writing::start(store, required(), noon);
    let recorder = writing.journal.recorder("webhook", false);
    recorder.record(event(&log, "alice", "needle")).await.expect("written");
    for _ in 0..9 {
        let others =
            (0..1000).map(|number| recorder.record(event(&log, "alice", &format!("hay-{}", number % 5))));
        futures::future::join_all(others).await;
    }
    writing.end().await;
    let filter = Filter { text: Some("needle".to_owned()), ..Filter::default() };
    let page = store.audit().page(&log, &filter, None, 10).await.expect("a page");
    assert!(page.records.is_empty(), "it is too far away for the first page");
    assert!(page.next.is_some_and(|next| next > 1));
    assert_eq!(newest_first(store, &log, &filter, 10).await, [0]);
    // What an index or the time tells is found at once, however far away it is.
    let audit = store.audit();
    let named = Filter { name: Some("needle".to_owned()), ..Filter::default() };
    let page = audit.page(&log, &named, None, 10).await.expect("a page");
    assert_eq!((page.records.len(), page.next), (1, None));
    let page =
        audit.page(&log, &Filter { until: Some(noon()), ..filter.clone() }, None, 10).await.expect("a page");
    assert_eq!((page.records.len(), page.next), (0, None), "nothing is that old");
    assert_eq!(oldest_first(store, &log, &filter, 10).await, [0]);
}

pub(crate) async fn logs_are_apart(store: &Store) {
    let (one, other) = (log("apart-one"), log("apart-other"));
    write(store, &one, 3).await;
    write(store, &other, 2).await;
    let audit = store.audit();
    for record in all(store, &one).await {
        assert_eq!(record.tenant, one);
        assert_eq!(audit.get(&other, record.id).await.expect("an answer"), None);
    }
    assert_eq!(audit.head(&other).await.expect("a head").size, 2);
    assert_eq!(audit.head(&log("apart-empty")).await.expect("a head").size, 0);
    assert_eq!(audit.chain_before(&log("apart-empty")).await.expect("a chain"), Hash([0; 32]));
    assert!(all(store, &log("apart-empty")).await.is_empty());
}

pub(crate) async fn the_end_of_an_effect_is_found(store: &Store) {
    let log = log("effects");
    let writing = Writing::start(store, required(), noon);
    let recorder = writing.journal.recorder("controllers", false);
    let start = Event { outcome: Outcome::Started, ..event(&log, "operator", "one") };
    let Ok(Written::Durable(id)) = recorder.record(start.clone()).await else { panic!("not durable") };
    assert_eq!(store.audit().completion(&log, id).await.expect("an answer"), None);
    recorder.note(start.ended(id, Outcome::Succeeded, None)).await;
    writing.end().await;
    let end = store.audit().completion(&log, id).await.expect("an answer").expect("the end was noted");
    assert_eq!((end.record.outcome, end.record.completes), (Outcome::Succeeded, Some(id)));
}

pub(crate) async fn proofs_hold(store: &Store) {
    let log = log("proofs");
    write(store, &log, 1100).await;
    let audit = store.audit();
    let head = audit.head(&log).await.expect("a head");
    let hashes: Vec<Hash> = audit
        .rows(&log, 0, 2000)
        .await
        .expect("rows")
        .into_iter()
        .map(|row| row.kept.expect("a database keeps it").hash)
        .collect();
    let root = |size: usize| {
        let mut range = Range::empty(0);
        hashes[..size].iter().for_each(|hash| range.push(*hash, |_, _| {}));
        range.root().expect("it begins at 0")
    };
    assert_eq!(head.range.root(), Some(root(1100)));
    let sizes = [1, 2, 255, 256, 257, 512, 700, 1024, 1099, 1100];
    for size in sizes {
        for seq in [0, 1, 254, 255, 256, 300, 511, 699, 1023, 1098, 1099] {
            let proof = audit.inclusion(&log, seq, size).await;
            match seq < size {
                true => assert!(proof.expect("a proof").holds(&hashes[seq as usize], &root(size as usize))),
                false => assert!(matches!(proof, Err(Error::Damaged { .. }))),
            }
        }
        for from in sizes.into_iter().filter(|from| *from <= size) {
            let proof = audit.consistency(&log, from, size).await.expect("a proof");
            assert!(proof.holds(&root(from as usize), &root(size as usize)), "{from} {size}");
        }
        let mut range = audit.range(&log, 0, size).await.expect("a range");
        range.append(&audit.range(&log, size, 1100).await.expect("a range")).expect("it follows");
        assert_eq!(range, head.range);
    }
    assert!(audit.inclusion(&log, 0, 1101).await.is_err(), "there are fewer");
    assert!(audit.consistency(&log, 1, 1101).await.is_err(), "there are fewer");
    assert!(audit.range(&log, 0, 1101).await.is_err(), "there are fewer");
}

pub(crate) async fn retention_leaves_what_can_be_verified(store: &Store) {
    let log = log("retention");
    varied(store, &log, 1200).await;
    let audit = store.audit();
    let before = audit.head(&log).await.expect("a head");
    let root_of =
        async |size: u64| audit.range(&log, 0, size).await.expect("a range").root().expect("from 0");
    let (root_300, root_900) = (root_of(300).await, root_of(900).await);
    let leaf_700 = audit.rows(&log, 700, 1).await.expect("a row")[0].kept.clone().expect("kept").hash;

    // The first that is not older comes at second 0; and of those until second 600 none but the first 600 count.
    assert_eq!(audit.older_than(&log, at(-2000)).await.expect("a number"), 0);
    assert_eq!(audit.older_than(&log, at(600)).await.expect("a number"), 600);
    assert_eq!(audit.older_than(&log, at(5000)).await.expect("a number"), 1200);
    assert_eq!(audit.drop_before(&log, 600).await.expect("it begins later"), 512);
    assert_eq!(audit.drop_before(&log, 600).await.expect("nothing more"), 512);
    assert_eq!(audit.drop_before(&log, 100).await.expect("nothing comes back"), 512);
    assert_eq!(audit.older_than(&log, at(600)).await.expect("a number"), 600);

    let head = audit.head(&log).await.expect("a head");
    assert_eq!((head.first, head.size, head.range), (512, 1200, before.range));
    let verified = verify(store, &log).await;
    assert_eq!((verified.first, verified.records, verified.size), (512, 688, 1200));
    assert_eq!(all(store, &log).await.first().map(|record| record.seq), Some(512));
    let proof = audit.inclusion(&log, 700, 900).await.expect("a proof");
    assert!(proof.holds(&leaf_700, &root_900));
    let proof = audit.consistency(&log, 512, 900).await.expect("a proof");
    let root_512 = audit.range(&log, 0, 512).await.expect("a range").root().expect("from 0");
    assert!(proof.holds(&root_512, &root_900));
    assert!(audit.inclusion(&log, 100, 900).await.is_err(), "the records beside it are gone");
    assert!(audit.consistency(&log, 300, 900).await.is_err(), "the records are gone: {root_300}");

    write(store, &log, 100).await;
    assert_eq!(verify(store, &log).await.size, 1300);
    assert_eq!(audit.drop_before(&log, u64::MAX).await.expect("it begins later"), 1280);
    assert_eq!(verify(store, &log).await.records, 20);
}

pub(crate) async fn checkpoints_are_kept(store: &Store) {
    let log = log("checkpoints");
    let audit = store.audit();
    let noted = |size: u64, note: &str| Noted { size, note: note.to_owned(), time: at(1) };
    for noted in [noted(3, "three\n"), noted(12, "twelve\n"), noted(3, "three\n"), noted(9, "nine\n")] {
        audit.keep_checkpoint(&log, &noted).await.expect("it is kept");
    }
    let kept = audit.checkpoints(&log, 2).await.expect("checkpoints");
    assert_eq!(kept, [noted(12, "twelve\n"), noted(9, "nine\n")]);
    assert_eq!(audit.checkpoints(&log, 100).await.expect("checkpoints").len(), 3);
}

pub(crate) async fn unusual_texts_are_kept(store: &Store) {
    let log = log("unusual");
    let writing = Writing::start(store, required(), noon);
    let recorder = writing.journal.recorder("webhook", false);
    let mut strange = event(&log, "a\0b", &"ä".repeat(100_000));
    strange.message = Some("\0 \u{1f600} ' \" \\ \u{7f}".to_owned());
    strange.request = Some("\0".to_owned());
    recorder.record(strange).await.expect("written");
    recorder
        .record(event(&log, &"x".repeat(100_000), "'; DROP TABLE audit_record; --"))
        .await
        .expect("written");
    writing.end().await;
    let records = all(store, &log).await;
    assert_eq!(records[0].actor.user, "a\u{fffd}b");
    assert_eq!(records[0].message.as_deref(), Some("\0 \u{1f600} ' \" \\ \u{7f}"));
    assert_eq!(verify(store, &log).await.size, 2);
}

/// A database without tables is one that is not there yet.
pub(crate) async fn without_a_database_the_policy_holds(unprepared: &Store) {
    let log = log("policy");
    let patience = Duration::from_millis(200);
    assert!(unprepared.ping(Duration::from_secs(5)).await.is_err());
    for policy in [Policy::Required, Policy::BestEffort] {
        let writing = Writing::start(unprepared, Options { policy, patience, ..required() }, noon);
        let recorder = writing.journal.recorder("webhook", false);
        let written = recorder.record(event(&log, "alice", "one")).await;
        match policy {
            Policy::Required => {
                assert!(matches!(written, Err(error) if matches!(error.0, Error::Away { .. })))
            }
            Policy::BestEffort => assert!(matches!(written, Ok(Written::Lost))),
        }
        writing.end().await;
    }
    // It comes while somebody waits.
    let writing = Writing::start(unprepared, required(), noon);
    let recorder = writing.journal.recorder("webhook", false);
    let (written, ()) = tokio::join!(recorder.record(event(&log, "alice", "two")), unprepared.prepare());
    assert!(matches!(written, Ok(Written::Durable(_))), "{written:?}");
    writing.end().await;
    unprepared.ping(Duration::from_secs(5)).await.expect("it answers");
    let records = all(unprepared, &log).await;
    assert_eq!(records.len(), 1, "what was refused is not written later");
    assert_eq!(records[0].target.as_ref().map(|target| target.name.as_str()), Some("two"));
}

/// The same, with a spool: what was acknowledged is there in the end, in its order, once.
pub(crate) async fn the_spool_keeps_what_the_database_cannot_take(
    unprepared: &Store,
    spool: &std::path::Path,
) {
    let log = log("spool");
    let options = Options {
        patience: Duration::from_millis(200),
        spool: Some((spool.to_owned(), 1 << 20)),
        ..required()
    };
    let writing = Writing::start(unprepared, options.clone(), noon);
    let recorder = writing.journal.recorder("controllers", true);
    for number in 0..20 {
        let written = recorder.record(event(&log, "operator", &number.to_string())).await;
        assert!(matches!(written, Ok(Written::Spooled(_))), "{written:?}");
    }
    let webhook = writing.journal.recorder("webhook", false);
    assert!(webhook.record(event(&log, "alice", "refused")).await.is_err(), "it has no spool");
    writing.end().await;
    let bytes = std::fs::read(spool).expect("the spool");
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 20);

    unprepared.migrate().await.expect("migrated");
    let drained = async || {
        while std::fs::metadata(spool).expect("the spool").len() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    for _ in 0..2 {
        let writing = Writing::start(unprepared, required_with(&options), noon);
        drained().await;
        writing.end().await;
        let names: Vec<String> =
            all(unprepared, &log).await.into_iter().filter_map(|record| Some(record.target?.name)).collect();
        assert!(
            names.iter().map(String::as_str).eq((0..20).map(|number| number.to_string()).collect::<Vec<_>>())
        );
        // A process that was killed before it could empty the spool: and in the middle of a line.
        std::fs::write(spool, [bytes.as_slice(), &bytes[..100]].concat()).expect("the spool");
    }
    // Then the next records follow directly.
    let writing = Writing::start(unprepared, required_with(&options), noon);
    drained().await;
    let recorder = writing.journal.recorder("controllers", true);
    let written = recorder.record(event(&log, "operator", "20")).await;
    assert!(matches!(written, Ok(Written::Durable(_))), "{written:?}");
    writing.end().await;
    assert_eq!(verify(unprepared, &log).await.size, 21);
}

fn required_with(options: &Options) -> Options {
    Options { spool: options.spool.clone(), ..required() }
}

pub(crate) async fn a_full_spool_refuses(unprepared: &Store, spool: &std::path::Path) {
    let log = log("full");
    let options = |policy| Options {
        policy,
        patience: Duration::from_millis(200),
        spool: Some((spool.to_owned(), 2000)),
        ..required()
    };
    let writing = Writing::start(unprepared, options(Policy::Required), noon);
    let recorder = writing.journal.recorder("controllers", true);
    let mut kept = 0;
    while let Ok(written) = recorder.record(event(&log, "operator", &kept.to_string())).await {
        assert!(matches!(written, Written::Spooled(_)), "{written:?}");
        kept += 1;
    }
    assert!((2..10).contains(&kept), "{kept} records have 2000 bytes");
    assert!(std::fs::metadata(spool).expect("the spool").len() <= 2000);
    writing.end().await;
    let writing = Writing::start(unprepared, options(Policy::BestEffort), noon);
    let recorder = writing.journal.recorder("controllers", true);
    assert!(matches!(recorder.record(event(&log, "operator", "more")).await, Ok(Written::Lost)));
    unprepared.migrate().await.expect("migrated");
    // Behind the spool, in order.
    while !matches!(recorder.record(event(&log, "operator", "last")).await, Ok(Written::Durable(_))) {}
    writing.end().await;
    let records = all(unprepared, &log).await;
    let names: Vec<&str> =
        records.iter().filter_map(|record| Some(record.target.as_ref()?.name.as_str())).collect();
    assert!(names[..kept].iter().enumerate().all(|(at, name)| *name == at.to_string()), "{names:?}");
    assert_eq!(names.last(), Some(&"last"));
}

pub(crate) async fn migrating_again_changes_nothing(store: &Store, same: &Store) {
    let log = log("migrating");
    let (one, other) = tokio::join!(store.migrate(), same.migrate());
    one.and(other).expect("both find the tables");
    write(store, &log, 2).await;
    same.migrate().await.expect("migrated");
    same.prepare().await;
    assert_eq!(verify(same, &log).await.size, 2);
}
