//! Audit data of the version before the redesign is read, searched, verified and continued; see `tests/data/v0/README.md`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::behaviour::*;
use crate::domain::audit::checkpoint::{TrustedKeys, origin};
use crate::domain::audit::export::Reader;
use crate::domain::audit::merkle::{Consistency, Hash, Inclusion};
use crate::domain::audit::verify::{Finding, TrustedCheckpoints, Verified};
use crate::domain::audit::{Filter, LogName, Outcome, Record, canonical_json};
use crate::store::{Store, StoreUrl};

const KEYS: &str = include_str!("../../../tests/data/v0/audit-keys.txt");
const TEAM_A_NOTE: &str = include_str!("../../../tests/data/v0/team-a.note");
const TEAM_A_EXPORT: &str = include_str!("../../../tests/data/v0/team-a.ndjson");
const SHOP_EXPORT: &str = include_str!("../../../tests/data/v0/shop-denied.ndjson");
const PROOFS: &str = include_str!("../../../tests/data/v0/proofs.json");

async fn open() -> (Store, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("eventcenter.db");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v0/audit.db");
    std::fs::copy(data, &file).expect("a copy");
    let store = Store::open(&StoreUrl::Sqlite(file)).expect("a store");
    store.migrate().await.expect("the migrations have not changed");
    (store, folder)
}

/// Verifies a log with all stored checkpoints.
async fn verify_signed(store: &Store, log: &LogName) -> Verified {
    let stored = store.audit().list_checkpoints(log, 100).await.expect("checkpoints");
    let notes = stored.into_iter().map(|checkpoint| (checkpoint.size.to_string(), checkpoint.note));
    let (checkpoints, untrusted) =
        TrustedCheckpoints::verify(notes, &origin("eventcenter", log), &TrustedKeys::parse(KEYS));
    assert_eq!(untrusted, []);
    let result = store.audit().verify(log, &checkpoints, |_, _| {}).await.expect("readable");
    result.expect("no finding")
}

/// Lists records of each filter by index and scan, and compares with [`Filter::matches`].
async fn check_filters(store: &Store, log: &LogName) {
    let records = all(store, log).await;
    let completed: BTreeSet<Uuid> = records.iter().filter_map(|record| record.completes).collect();
    let mut filters = vec![Filter { open: true, ..Filter::default() }];
    for record in &records {
        let target = record.target.as_ref();
        filters.extend([
            Filter { actor: Some(record.actor.user.clone()), ..Filter::default() },
            Filter { action: Some(record.action.clone()), ..Filter::default() },
            Filter { outcome: Some(record.outcome), ..Filter::default() },
            Filter { name: target.map(|target| target.name.clone()), ..Filter::default() },
            Filter { since: Some(record.time), ..Filter::default() },
        ]);
    }
    filters.dedup();
    filters.truncate(150);
    for filter in filters {
        let matches = |record: &&Record| filter.matches(record, completed.contains(&record.id));
        let expected: Vec<u64> = records.iter().filter(matches).map(|record| record.seq).collect();
        let page = store.audit().list_forward(log, &filter, 0, u64::MAX, 2000).await.expect("a page");
        let found: Vec<u64> = page.records.iter().map(|stored| stored.record.seq).collect();
        assert_eq!((found, page.next), (expected, None), "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_v0_database_is_read_searched_and_verified() {
    let (store, _folder) = open().await;
    let (team, shop) = (log("team-a"), log("shop"));
    assert_eq!(
        store.audit().list_logs().await.expect("logs"),
        [LogName::platform(), shop.clone(), team.clone()]
    );

    let verified = verify_signed(&store, &team).await;
    assert_eq!((verified.records, verified.checkpoints, verified.signed), (27, 2, 27));
    let records = all(&store, &team).await;
    let actions: BTreeSet<&str> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions.len(), 25, "all actions of this version: {actions:?}");
    let outcomes: BTreeSet<Outcome> = records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, Outcome::ALL.iter().copied().collect());
    for (row, record) in store.audit().read_rows(&team, 0, 100).await.expect("rows").iter().zip(&records) {
        assert_eq!(canonical_json(record), row.body, "a parsed record serializes to the same bytes");
    }
    check_filters(&store, &team).await;

    let verified = verify_signed(&store, &shop).await;
    assert_eq!((verified.first, verified.records, verified.size), (768, 273, 1041));
    assert_eq!((verified.checkpoints, verified.signed), (1, 1040), "one is below the dropped records");
    assert_eq!(store.audit().read_indexed_end(&shop).await.expect("a position"), 1024);
    check_filters(&store, &shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_v0_log_is_continued() {
    let (store, _folder) = open().await;
    let shop = log("shop");
    let root = |size| {
        let (audit, shop) = (store.audit(), shop.clone());
        async move { audit.read_range(&shop, 0, size).await.expect("a range").root().expect("from 0") }
    };
    let before = root(1041).await;
    write(&store, &shop, 1100).await;
    store.audit().index_log(&shop).await.expect("indexed");
    let verified = verify_signed(&store, &shop).await;
    assert_eq!((verified.size, verified.signed), (2141, 1040));
    let proof = store.audit().prove_consistency(&shop, 1041, 2141).await.expect("a proof");
    assert!(proof.holds(&before, &root(2141).await));
    assert_eq!(store.audit().read_indexed_end(&shop).await.expect("a position"), 2048);
    check_filters(&store, &shop).await;
    assert_eq!(store.audit().drop_before(&shop, 2000).await.expect("dropped"), 1792);
    assert_eq!(verify(&store, &shop).await.records, 349);
}

fn read_export(text: &str, notes: Vec<(String, String)>) -> Result<Verified, String> {
    let mut reader = Reader::new(TrustedKeys::parse(KEYS), notes);
    text.lines().try_for_each(|line| reader.read_line(line)).map_err(|error| error.to_string())?;
    reader.finish().map_err(|error| error.to_string())
}

#[test]
fn v0_exports_are_verified() {
    let note = vec![("the note".to_owned(), TEAM_A_NOTE.to_owned())];
    let verified = read_export(TEAM_A_EXPORT, note).expect("verified");
    assert_eq!((verified.records, verified.size, verified.checkpoints), (27, 27, 3));
    let verified = read_export(SHOP_EXPORT, Vec::new()).expect("verified");
    assert_eq!((verified.first, verified.size, verified.signed), (768, 1041, 1040));
    let edited = TEAM_A_EXPORT.replacen("alice", "mallory", 1);
    let finding = Finding::RootMismatch { from: 0, to: 17, source: "the checkpoint in line 2".to_owned() };
    assert_eq!(read_export(&edited, Vec::new()), Err(finding.to_string()));
}

#[test]
fn v0_proofs_are_valid() {
    let proofs: Value = serde_json::from_str(PROOFS).expect("JSON");
    let hash = |name: &str| serde_json::from_value::<Hash>(proofs[name].clone()).expect("a hash");
    let record = proofs["record"].as_str().expect("a record");
    let inclusion: Inclusion = serde_json::from_value(proofs["inclusion"].clone()).expect("a proof");
    assert!(inclusion.holds(&Hash::leaf(record.as_bytes()), &hash("root")));
    let parsed: Record = serde_json::from_str(record).expect("a record");
    assert_eq!((parsed.seq, canonical_json(&parsed)), (1000, record.as_bytes().to_vec()));
    let consistency: Consistency = serde_json::from_value(proofs["consistency"].clone()).expect("a proof");
    assert!(consistency.holds(&hash("root_1024"), &hash("root")));
}
