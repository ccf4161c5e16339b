//! Concurrent writers.

use std::collections::BTreeSet;

use super::*;

pub(crate) async fn many_writers_write_one_log(store: &Store) {
    let (one, other) = (log("many-one"), log("many-other"));
    let running = RunningJournal::start(store, required(), noon);
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let recorder = running.journal.recorder("webhook");
            let (one, other) = (one.clone(), other.clone());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..20 {
                    let log = if number % 4 == 3 { &other } else { &one };
                    let outcome =
                        recorder.record(event(log, &format!("user-{task}"), &number.to_string())).await;
                    let Ok(WriteOutcome::Durable(id)) = outcome else { panic!("not durable: {outcome:?}") };
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
        let found = store.audit().get_record(log, *id).await.expect("an answer");
        assert_eq!(found.expect("an acknowledged record").record.id, *id);
    }
    running.stop().await;
    for (log, size) in [(&one, 480), (&other, 160)] {
        let records = all(store, log).await;
        assert!(records.iter().map(|record| record.seq).eq(0..size));
        for task in 0..32 {
            let user = format!("user-{task}");
            let numbers = records.iter().filter(|record| record.actor.user == user);
            let numbers: Vec<u32> =
                numbers.filter_map(|record| record.target.as_ref()?.name.parse().ok()).collect();
            assert!(numbers.is_sorted(), "records of one writer keep their order: {numbers:?}");
        }
        assert_eq!(verify(store, log).await.records, size);
    }
    let logs = store.audit().list_logs().await.expect("logs");
    assert!(logs.contains(&one) && logs.contains(&other));
}

pub(crate) async fn two_journals_write_one_log(store: &Store, same: &Store) {
    let log = log("two-journals");
    let journals =
        [RunningJournal::start(store, required(), noon), RunningJournal::start(same, required(), noon)];
    let tasks: Vec<_> = (0..40)
        .map(|task| {
            let recorder = journals[task % 2].journal.recorder("webhook");
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..10 {
                    let outcome =
                        recorder.record(event(&log, &format!("user-{task}"), &number.to_string())).await;
                    assert!(matches!(outcome, Ok(WriteOutcome::Durable(_))), "{outcome:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    for journal in journals {
        journal.stop().await;
    }
    let ids: BTreeSet<Uuid> = all(store, &log).await.into_iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 400);
    assert_eq!(verify(same, &log).await.size, 400);
}

pub(crate) async fn unusual_texts_are_stored(store: &Store) {
    let log = log("unusual");
    let running = RunningJournal::start(store, required(), noon);
    let recorder = running.journal.recorder("webhook");
    let mut unusual = event(&log, "a\0b", &"ä".repeat(100_000));
    unusual.message = Some("\0 \u{1f600} ' \" \\ \u{7f}".to_owned());
    unusual.request = Some("\0".to_owned());
    recorder.record(unusual).await.expect("written");
    recorder
        .record(event(&log, &"x".repeat(100_000), "'; DROP TABLE audit_record; --"))
        .await
        .expect("written");
    running.stop().await;
    let records = all(store, &log).await;
    assert_eq!(records[0].actor.user, "a\u{fffd}b");
    assert_eq!(records[0].message.as_deref(), Some("\0 \u{1f600} ' \" \\ \u{7f}"));
    assert_eq!(verify(store, &log).await.size, 2);
}

pub(crate) async fn migrating_again_has_no_effect(store: &Store, same: &Store) {
    let log = log("migrating");
    let (one, other) = tokio::join!(store.migrate(), same.migrate());
    one.and(other).expect("both succeed");
    write(store, &log, 2).await;
    same.migrate().await.expect("migrated");
    same.migrate_with_retry().await;
    assert_eq!(verify(same, &log).await.size, 2);
}
