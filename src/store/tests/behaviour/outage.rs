//! Outages of the database.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::store::Error;

/// A database that is not migrated counts as unavailable.
pub(crate) async fn the_policy_decides_during_an_outage(unprepared: &Store) {
    let log = log("policy");
    let timeout = Duration::from_millis(200);
    assert!(unprepared.ping(Duration::from_secs(5)).await.is_err());
    for policy in [Policy::Required, Policy::BestEffort] {
        let running = RunningJournal::start(unprepared, Options { policy, timeout, ..required() }, noon);
        let recorder = running.journal.recorder("webhook");
        let outcome = recorder.record(event(&log, "alice", "one")).await;
        match policy {
            Policy::Required => {
                assert!(matches!(outcome, Err(error) if matches!(error.0, Error::Unavailable { .. })))
            }
            Policy::BestEffort => assert!(matches!(outcome, Ok(WriteOutcome::Lost))),
        }
        running.stop().await;
    }
    // The outage ends while a caller waits.
    let running = RunningJournal::start(unprepared, required(), noon);
    let recorder = running.journal.recorder("webhook");
    let (outcome, ()) =
        tokio::join!(recorder.record(event(&log, "alice", "two")), unprepared.migrate_with_retry());
    assert!(matches!(outcome, Ok(WriteOutcome::Durable(_))), "{outcome:?}");
    running.stop().await;
    unprepared.ping(Duration::from_secs(5)).await.expect("the database answers");
    let records = all(unprepared, &log).await;
    assert_eq!(records.len(), 1, "a refused record is not written later");
    assert_eq!(records[0].target.as_ref().map(|target| target.name.as_str()), Some("two"));
}

/// All acknowledged records are written once, in their order.
pub(crate) async fn the_spool_survives_an_outage(unprepared: &Store, spool: &Path) {
    let log = log("spool");
    let options = Options {
        timeout: Duration::from_millis(200),
        spool: Some((spool.to_owned(), 1 << 20)),
        ..required()
    };
    let running = RunningJournal::start(unprepared, options.clone(), noon);
    let recorder = running.journal.spooling_recorder("controllers");
    for number in 0..20 {
        let outcome = recorder.record(event(&log, "operator", &number.to_string())).await;
        assert!(matches!(outcome, Ok(WriteOutcome::Spooled(_))), "{outcome:?}");
    }
    let webhook = running.journal.recorder("webhook");
    assert!(webhook.record(event(&log, "alice", "refused")).await.is_err(), "this recorder does not spool");
    running.stop().await;
    let bytes = std::fs::read(spool).expect("the spool");
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 20);

    unprepared.migrate().await.expect("migrated");
    let drained = async || {
        while std::fs::metadata(spool).expect("the spool").len() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    for _ in 0..2 {
        let running = RunningJournal::start(unprepared, required_with(&options), noon);
        drained().await;
        running.stop().await;
        let names: Vec<String> =
            all(unprepared, &log).await.into_iter().filter_map(|record| Some(record.target?.name)).collect();
        assert!(
            names.iter().map(String::as_str).eq((0..20).map(|number| number.to_string()).collect::<Vec<_>>())
        );
        // The state after a process was killed in the middle of a line, before it truncated the spool.
        std::fs::write(spool, [bytes.as_slice(), &bytes[..100]].concat()).expect("the spool");
    }
    // The next records follow directly.
    let running = RunningJournal::start(unprepared, required_with(&options), noon);
    drained().await;
    let recorder = running.journal.spooling_recorder("controllers");
    let outcome = recorder.record(event(&log, "operator", "20")).await;
    assert!(matches!(outcome, Ok(WriteOutcome::Durable(_))), "{outcome:?}");
    running.stop().await;
    assert_eq!(verify(unprepared, &log).await.size, 21);
}

fn required_with(options: &Options) -> Options {
    Options { spool: options.spool.clone(), ..required() }
}

pub(crate) async fn a_full_spool_refuses(unprepared: &Store, spool: &Path) {
    let log = log("full");
    let options = |policy| Options {
        policy,
        timeout: Duration::from_millis(200),
        spool: Some((spool.to_owned(), 2000)),
        ..required()
    };
    let running = RunningJournal::start(unprepared, options(Policy::Required), noon);
    let recorder = running.journal.spooling_recorder("controllers");
    let mut kept = 0;
    while let Ok(outcome) = recorder.record(event(&log, "operator", &kept.to_string())).await {
        assert!(matches!(outcome, WriteOutcome::Spooled(_)), "{outcome:?}");
        kept += 1;
    }
    assert!((2..10).contains(&kept), "{kept} records have 2000 bytes");
    assert!(std::fs::metadata(spool).expect("the spool").len() <= 2000);
    running.stop().await;
    let running = RunningJournal::start(unprepared, options(Policy::BestEffort), noon);
    let recorder = running.journal.spooling_recorder("controllers");
    assert!(matches!(recorder.record(event(&log, "operator", "more")).await, Ok(WriteOutcome::Lost)));
    unprepared.migrate().await.expect("migrated");
    // Records after those of the spool, in order.
    while !matches!(recorder.record(event(&log, "operator", "last")).await, Ok(WriteOutcome::Durable(_))) {}
    running.stop().await;
    let records = all(unprepared, &log).await;
    let names: Vec<&str> =
        records.iter().filter_map(|record| Some(record.target.as_ref()?.name.as_str())).collect();
    assert!(names[..kept].iter().enumerate().all(|(at, name)| *name == at.to_string()), "{names:?}");
    assert_eq!(names.last(), Some(&"last"));
}
