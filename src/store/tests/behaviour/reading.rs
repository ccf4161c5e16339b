//! What was written is found, by whoever may ask.

use std::collections::BTreeSet;

use super::*;
use crate::domain::audit::merkle::Hash;

pub(crate) async fn filters_find_exactly_what_passes(store: &Store) {
    let log = log("filters");
    varied(store, &log, 1200).await;
    store.audit().index(&log).await.expect("indexed");
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
        let passes = |record: &&Record| filter.matches(record, completed.contains(&record.id));
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
