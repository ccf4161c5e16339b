//! Audit data that the version before the redesign wrote to PostgreSQL; see `tests/data/v0/README.md`. The unit tests of the store
//! cover SQLite.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::domain::audit::checkpoint::{TrustedKeys, origin};
use eventcenter::domain::audit::verify::{TrustedCheckpoints, Verified};
use eventcenter::domain::audit::{Filter, LogName, Outcome, canonical_json};
use eventcenter::store::Audit;

use super::database::TestDatabase;
use super::journal::{TestJournal, all, log, options};

const DUMP: &str = include_str!("../../data/v0/audit.sql");
const KEYS: &str = include_str!("../../data/v0/audit-keys.txt");

/// Verifies a log with its stored checkpoints.
async fn verify_signed(audit: &Audit, log: &LogName) -> Result<Verified> {
    let stored = audit.list_checkpoints(log, 100).await?;
    let notes = stored.into_iter().map(|checkpoint| (checkpoint.size.to_string(), checkpoint.note));
    let (checkpoints, untrusted) =
        TrustedCheckpoints::verify(notes, &origin("eventcenter", log), &TrustedKeys::parse(KEYS));
    assert_eq!(untrusted, []);
    Ok(audit.verify(log, &checkpoints, |_, _| {}).await?.expect("no finding"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_v0_database_is_read_searched_verified_and_continued() -> Result<()> {
    let database = TestDatabase::postgres()?;
    database.sql(&format!("SET ROLE eventcenter; {DUMP}")).await?;
    let store = database.store().await?;
    let (audit, team, shop) = (store.audit(), log("team-a"), log("shop"));

    let verified = verify_signed(&audit, &team).await?;
    assert_eq!((verified.records, verified.checkpoints, verified.signed), (27, 2, 27));
    let records = all(&audit, &team, &Filter::default(), 7).await?;
    let actions: BTreeSet<&str> = records.iter().map(|stored| stored.record.action.as_str()).collect();
    assert_eq!(actions.len(), 25, "all actions of this version: {actions:?}");
    for stored in &records {
        assert_eq!(canonical_json(&stored.record), stored.body.as_bytes());
    }
    for outcome in Outcome::ALL {
        let filter = Filter { outcome: Some(*outcome), ..Filter::default() };
        let expected: Vec<_> = records.iter().filter(|stored| stored.record.outcome == *outcome).collect();
        let found = all(&audit, &team, &filter, 100).await?;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{outcome}");
    }

    let verified = verify_signed(&audit, &shop).await?;
    assert_eq!((verified.first, verified.records, verified.signed), (256, 25, 280));
    let journal = TestJournal::start(&store, options("a"))?;
    journal.record_many(&shop, 1000).await?;
    journal.stop().await?;
    audit.index_log(&shop).await?;
    let verified = verify_signed(&audit, &shop).await?;
    assert_eq!((verified.size, verified.signed), (1281, 280));
    assert_eq!(audit.read_indexed_end(&shop).await?, 1024);
    store.close().await;
    Ok(())
}
