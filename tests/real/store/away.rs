//! The database does not answer for a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use eventcenter::domain::audit::Filter;
use eventcenter::store::{Options, Policy, Store, WriteOutcome};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::task::block_in_place;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use super::keeper::{Keeper, all, event, in_time, log, options, verify};
use super::place::{Place, lock};
use crate::support::until;

const PATIENCE: Duration = Duration::from_millis(700);

fn impatient(policy: Policy) -> Options {
    Options { policy, timeout: PATIENCE, ..options("a") }
}

/// A server that the test may take away.
struct Own {
    server: Arc<Mutex<Postgres>>,
    _folder: TempDir,
}

impl Own {
    fn start() -> Result<Self> {
        let folder = temporary_folder()?;
        let server = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
        Ok(Self { server: Arc::new(Mutex::new(server)), _folder: folder })
    }

    fn with(&self, act: impl FnOnce(&mut Postgres) -> Result<()>) -> Result<()> {
        block_in_place(|| act(&mut lock(&self.server)))
    }
}

/// Without the database nothing is durable and that is said in time; with it everything goes on by itself.
async fn fails_and_recovers(
    keeper: &Keeper,
    store: &Store,
    back: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let acme = log("acme");
    let refused = in_time("it is said in time", keeper.recorder.record(event(&acme, 1))).await;
    assert!(refused.is_err(), "{refused:?}");
    let silent = in_time("it is said in time", store.ping(PATIENCE)).await;
    assert!(silent.is_err(), "{silent:?}");
    back().await?;
    let id = until(async || keeper.record(event(&acme, 2)).await.map_err(|error| format!("{error:#}"))).await;
    let id = id.expect("it works again");
    until(async || store.ping(PATIENCE).await.map_err(|error| error.to_string()))
        .await
        .expect("it answers again");
    assert!(store.audit().get_record(&acme, id).await?.is_some());
    verify(&store.audit(), &acme, &[]).await?.expect("nothing is found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_refused_while_postgres_is_away_and_accepted_when_it_is_back() -> Result<()> {
    let own = Own::start()?;
    let store = Place::on(own.server.clone())?.store().await?;
    let keeper = Keeper::start(&store, impatient(Policy::Required))?;
    keeper.record(event(&log("acme"), 0)).await?;

    own.with(Postgres::pause)?;
    fails_and_recovers(&keeper, &store, async || {
        own.with(|server| {
            server.resume();
            Ok(())
        })
    })
    .await?;

    own.with(Postgres::stop)?;
    fails_and_recovers(&keeper, &store, async || own.with(Postgres::start_again)).await?;

    own.with(Postgres::kill)?;
    fails_and_recovers(&keeper, &store, async || own.with(Postgres::start_again)).await?;
    keeper.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_refused_while_somebody_holds_the_file_and_accepted_afterwards() -> Result<()> {
    let place = Place::sqlite()?;
    let store = place.store().await?;
    let keeper = Keeper::start(&store, impatient(Policy::Required))?;
    keeper.record(event(&log("acme"), 0)).await?;
    let Place::Sqlite { folder } = &place else { unreachable!("it is made above") };
    let options = SqliteConnectOptions::new().filename(folder.path().join("eventcenter.db"));
    let mut holder = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await?;
    let refused = in_time("it is said in time", keeper.recorder.record(event(&log("acme"), 1))).await;
    assert!(refused.is_err(), "{refused:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await?;
    let again =
        until(async || keeper.record(event(&log("acme"), 2)).await.map_err(|error| format!("{error:#}")));
    let id = again.await.expect("it works again");
    assert!(store.audit().get_record(&log("acme"), id).await?.is_some());
    verify(&store.audit(), &log("acme"), &[]).await?.expect("nothing is found");
    keeper.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_best_effort_changes_go_on_and_what_is_lost_is_said() -> Result<()> {
    let own = Own::start()?;
    let store = Place::on(own.server.clone())?.store().await?;
    let keeper = Keeper::start(&store, impatient(Policy::BestEffort))?;
    own.with(Postgres::pause)?;
    let written = in_time("it is said in time", keeper.recorder.record(event(&log("acme"), 1))).await;
    assert_eq!(written.ok(), Some(WriteOutcome::Lost));
    own.with(|server| {
        server.resume();
        Ok(())
    })?;
    until(async || match keeper.recorder.record(event(&log("acme"), 2)).await {
        Ok(WriteOutcome::Durable(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .expect("it is written again");
    keeper.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_controllers_did_meanwhile_follows_also_after_a_restart() -> Result<()> {
    let own = Own::start()?;
    let spool = tempfile::tempdir()?;
    let with_spool =
        || Options { spool: Some((spool.path().join("spool"), 1 << 20)), ..impatient(Policy::Required) };
    let place = Place::on(own.server.clone())?;
    let store = place.store().await?;
    let acme = log("acme");
    let keeper = Keeper::start(&store, with_spool())?;
    let first = keeper.record(event(&acme, 0)).await?;

    own.with(Postgres::stop)?;
    let mut spooled = Vec::new();
    for number in 1..=5 {
        match in_time("it is kept", keeper.spooling.record(event(&acme, number))).await? {
            WriteOutcome::Spooled(id) => spooled.push(id),
            other => panic!("the database is away: {other:?}"),
        }
    }
    let refused = in_time("it is said in time", keeper.recorder.record(event(&acme, 6))).await;
    assert!(refused.is_err(), "the webhook's records do not wait in a file: {refused:?}");
    // The process ends before the database is back.
    keeper.end().await?;
    own.with(Postgres::start_again)?;

    let keeper = Keeper::start(&store, with_spool())?;
    let follow = until(async || {
        let found =
            all(&store.audit(), &acme, &Filter::default(), 100).await.map_err(|error| error.to_string())?;
        let ids: Vec<_> = found.iter().rev().map(|stored| stored.record.id).collect();
        let followed = spooled.iter().all(|id| ids.contains(id));
        if followed { Ok(ids) } else { Err(format!("{} records", ids.len())) }
    });
    let ids = follow.await.expect("they follow");
    let expected: Vec<_> = std::iter::once(first).chain(spooled.iter().copied()).collect();
    let those: Vec<_> = ids.iter().filter(|id| expected.contains(id)).copied().collect();
    assert_eq!(those, expected, "in the order in which they happened, each once");
    verify(&store.audit(), &acme, &[]).await?.expect("nothing is found");
    keeper.end().await
}
