//! Searches.

use std::collections::BTreeSet;

use super::*;
use crate::domain::audit::merkle::Hash;

pub(crate) async fn filters_find_all_matching_records(store: &Store) {
    let log = log("filters");
    varied(store, &log, 1200).await;
    store.audit().index_log(&log).await.expect("indexed");
    let records = all(store, &log).await;
    assert_eq!(records.len(), 1200);
    let completed: BTreeSet<Uuid> = records.iter().filter_map(|record| record.completes).collect();
    let any = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        any(),
        Filter { actor: text("bob"), ..any() },
        Filter { actor: text("mallory"), ..any() },
        Filter { action: text("Delete"), ..any() },
        Filter { kind: text("Tenant"), ..any() },
        Filter { kind: text("EventTopic"), ..any() },
        Filter { namespace: text("payments"), ..any() },
        Filter { name: text("t3"), ..any() },
        Filter { outcome: Some(Outcome::Denied), ..any() },
        Filter { outcome: Some(Outcome::Failed), actor: text("alice"), ..any() },
        Filter { outcome: Some(Outcome::Allowed), ..any() },
        Filter { open: true, ..any() },
        Filter { open: true, actor: text("carol"), ..any() },
        Filter { since: Some(at(700)), ..any() },
        Filter { until: Some(at(300)), ..any() },
        Filter { since: Some(at(250)), until: Some(at(260)), ..any() },
        Filter { since: Some(at(-301)), until: Some(at(-300)), ..any() },
        Filter { since: Some(at(900)), until: Some(at(500)), ..any() },
        Filter { until: Some(at(-1000)), ..any() },
        Filter { since: Some(at(600)), actor: text("bob"), kind: text("EventTopic"), ..any() },
        Filter { text: text("DONE"), ..any() },
        Filter { text: text("50% of \""), ..any() },
        Filter { text: text("\\_ is"), ..any() },
        Filter { text: text("Äpfel"), ..any() },
        Filter { text: text("ÄPFEL"), ..any() },
        Filter { text: text("apfel"), ..any() },
        Filter { text: text("canonical"), ..any() },
        Filter { text: text("5_"), ..any() },
        Filter { text: text("payments"), actor: text("alice"), ..any() },
        Filter { text: text(""), name: text("t5"), namespace: text("orders"), ..any() },
    ];
    for filter in filters {
        let matches = |record: &&Record| filter.matches(record, completed.contains(&record.id));
        let expected: Vec<u64> = records.iter().filter(matches).map(|record| record.seq).collect();
        for limit in [1, 7, 500] {
            // Pages of one record take long for many records.
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
        let page = store.audit().list_backward(log, filter, before, limit).await.expect("a page");
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
        let page = store.audit().list_forward(log, filter, from, u64::MAX, limit).await.expect("a page");
        assert!(page.records.len() <= limit);
        found.extend(page.records.iter().map(|stored| stored.record.seq));
        match page.next {
            Some(next) => assert!(std::mem::replace(&mut from, next) < next),
            None => return found,
        }
    }
}

/// A page can be empty and have a next one.
pub(crate) async fn a_long_search_takes_several_pages(store: &Store) {
    let log = log("long-search");
    let running = RunningJournal::start(store, required(), noon);
    let recorder = running.journal.recorder("webhook");
    recorder.record(event(&log, "alice", "needle")).await.expect("written");
    for _ in 0..9 {
        let others =
            (0..1000).map(|number| recorder.record(event(&log, "alice", &format!("hay-{}", number % 5))));
        futures::future::join_all(others).await;
    }
    running.stop().await;
    let filter = Filter { text: Some("needle".to_owned()), ..Filter::default() };
    let page = store.audit().list_backward(&log, &filter, None, 10).await.expect("a page");
    assert!(page.records.is_empty(), "the first page does not reach it");
    assert!(page.next.is_some_and(|next| next > 1));
    assert_eq!(newest_first(store, &log, &filter, 10).await, [0]);
    // Indexed conditions and times are answered at once.
    let audit = store.audit();
    let named = Filter { name: Some("needle".to_owned()), ..Filter::default() };
    let page = audit.list_backward(&log, &named, None, 10).await.expect("a page");
    assert_eq!((page.records.len(), page.next), (1, None));
    let page = audit
        .list_backward(&log, &Filter { until: Some(noon()), ..filter.clone() }, None, 10)
        .await
        .expect("a page");
    assert_eq!((page.records.len(), page.next), (0, None), "no record is that old");
    assert_eq!(oldest_first(store, &log, &filter, 10).await, [0]);
}

pub(crate) async fn logs_are_isolated(store: &Store) {
    let (one, other) = (log("apart-one"), log("apart-other"));
    write(store, &one, 3).await;
    write(store, &other, 2).await;
    let audit = store.audit();
    for record in all(store, &one).await {
        assert_eq!(record.tenant, one);
        assert_eq!(audit.get_record(&other, record.id).await.expect("an answer"), None);
    }
    assert_eq!(audit.read_head(&other).await.expect("a head").size, 2);
    assert_eq!(audit.read_head(&log("apart-empty")).await.expect("a head").size, 0);
    assert_eq!(audit.read_first_chain(&log("apart-empty")).await.expect("a chain"), Hash([0; 32]));
    assert!(all(store, &log("apart-empty")).await.is_empty());
}

pub(crate) async fn a_completion_is_found(store: &Store) {
    let log = log("effects");
    let running = RunningJournal::start(store, required(), noon);
    let recorder = running.journal.recorder("controllers");
    let start = Event { outcome: Outcome::Started, ..event(&log, "operator", "one") };
    let Ok(WriteOutcome::Durable(id)) = recorder.record(start.clone()).await else { panic!("not durable") };
    assert_eq!(store.audit().get_completion(&log, id).await.expect("an answer"), None);
    recorder.enqueue(start.completion(id, Outcome::Succeeded, None)).await;
    running.stop().await;
    let end = store.audit().get_completion(&log, id).await.expect("an answer").expect("a completion");
    assert_eq!((end.record.outcome, end.record.completes), (Outcome::Succeeded, Some(id)));
}
