//! Several write one log at once.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::domain::audit::Filter;

use super::keeper::{Keeper, all, event, log, options, verify};
use super::on_both;
use super::place::Place;

on_both! {
    two_replicas_write_the_same_logs,
    many_migrate_at_once,
}

async fn two_replicas_write_the_same_logs(place: Place) -> Result<()> {
    const EACH: usize = 400;
    const WRITERS: usize = 8;
    let logs = [log("acme"), log("globex")];
    let mut tasks = Vec::new();
    let mut replicas = Vec::new();
    for replica in ["a", "b"] {
        // Each has connections of its own, as another process would.
        let store = place.store().await?;
        let keeper = std::sync::Arc::new(Keeper::start(&store, options(replica))?);
        for writer in 0..WRITERS {
            let (keeper, logs) = (keeper.clone(), logs.clone());
            tasks.push(tokio::spawn(async move {
                let mut written = Vec::new();
                for number in 0..EACH / WRITERS {
                    let log = &logs[(number + writer) % 2];
                    written.push((log.clone(), keeper.record(event(log, number)).await?));
                }
                anyhow::Ok(written)
            }));
        }
        replicas.push((store, keeper));
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
        assert_eq!(records.len(), ids.len(), "none is there twice");
        assert_eq!(ids, acknowledged);
        let instances: BTreeSet<_> =
            records.iter().map(|stored| stored.record.origin.instance.as_str()).collect();
        assert_eq!(instances, ["a", "b"].into());
        let verified = verify(&audit, log, &[]).await?.expect("nothing is found");
        assert_eq!(verified.records, u64::try_from(records.len())?);
    }
    for (store, keeper) in replicas {
        std::sync::Arc::into_inner(keeper).expect("its writers have ended").end().await?;
        store.close().await;
    }
    Ok(())
}

async fn many_migrate_at_once(place: Place) -> Result<()> {
    let stores: Vec<_> =
        (0..6).map(|_| eventcenter::store::Store::open(&place.url())).collect::<Result<_, _>>()?;
    futures::future::try_join_all(stores.iter().map(|store| store.migrate())).await?;
    // Once more changes nothing.
    stores[0].migrate().await?;
    let keeper = Keeper::start(&stores[5], options("a"))?;
    let id = keeper.record(event(&log("acme"), 1)).await?;
    assert!(stores[0].audit().get_record(&log("acme"), id).await?.is_some());
    keeper.end().await
}
