//! Concurrent replicas.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::domain::audit::Filter;

use super::database::TestDatabase;
use super::journal::{TestJournal, all, event, log, options, verify};
use super::on_both;

on_both! {
    two_replicas_write_the_same_logs,
    concurrent_migrations_succeed,
}

async fn two_replicas_write_the_same_logs(database: TestDatabase) -> Result<()> {
    const EACH: usize = 400;
    const WRITERS: usize = 8;
    let logs = [log("acme"), log("globex")];
    let mut tasks = Vec::new();
    let mut replicas = Vec::new();
    for replica in ["a", "b"] {
        // Separate connections, like another process.
        let store = database.store().await?;
        let journal = std::sync::Arc::new(TestJournal::start(&store, options(replica))?);
        for writer in 0..WRITERS {
            let (journal, logs) = (journal.clone(), logs.clone());
            tasks.push(tokio::spawn(async move {
                let mut written = Vec::new();
                for number in 0..EACH / WRITERS {
                    let log = &logs[(number + writer) % 2];
                    written.push((log.clone(), journal.record(event(log, number)).await?));
                }
                anyhow::Ok(written)
            }));
        }
        replicas.push((store, journal));
    }
    let mut written = Vec::new();
    for task in tasks {
        written.extend(task.await??);
    }
    assert_eq!(written.len(), 2 * EACH);

    let audit = replicas[0].0.audit();
    for log in &logs {
        let records = all(&audit, log, &Filter::default(), 100).await?;
        let ids: BTreeSet<_> = records.iter().map(|stored| stored.record.id).collect();
        let acknowledged: BTreeSet<_> =
            written.iter().filter(|(of, _)| of == log).map(|(_, id)| *id).collect();
        assert_eq!(records.len(), ids.len(), "no record exists twice");
        assert_eq!(ids, acknowledged);
        let instances: BTreeSet<_> =
            records.iter().map(|stored| stored.record.origin.instance.as_str()).collect();
        assert_eq!(instances, ["a", "b"].into());
        let verified = verify(&audit, log, &[]).await?.expect("no finding");
        assert_eq!(verified.records, u64::try_from(records.len())?);
    }
    for (store, journal) in replicas {
        std::sync::Arc::into_inner(journal).expect("all writers have stopped").stop().await?;
        store.close().await;
    }
    Ok(())
}

async fn concurrent_migrations_succeed(database: TestDatabase) -> Result<()> {
    let stores: Vec<_> =
        (0..6).map(|_| eventcenter::store::Store::open(&database.url())).collect::<Result<_, _>>()?;
    futures::future::try_join_all(stores.iter().map(|store| store.migrate())).await?;
    // Another migration has no effect.
    stores[0].migrate().await?;
    let journal = TestJournal::start(&stores[5], options("a"))?;
    let id = journal.record(event(&log("acme"), 1)).await?;
    assert!(stores[0].audit().get_record(&log("acme"), id).await?.is_some());
    journal.stop().await
}
