//! There is no database, or it does not answer for a while.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::store::Error;

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
pub(crate) async fn the_spool_keeps_what_the_database_cannot_take(unprepared: &Store, spool: &Path) {
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

pub(crate) async fn a_full_spool_refuses(unprepared: &Store, spool: &Path) {
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
