//! Outages of the database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use eventcenter::domain::audit::{Filter, LogName};
use eventcenter::store::{Options, Policy, Store, WriteOutcome};
use parking_lot::Mutex;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use super::database::TestDatabase;
use super::journal::{TestJournal, all, event, in_time, log, options, verify};
use crate::support::until;

const TIMEOUT: Duration = Duration::from_millis(700);

fn short_timeout(policy: Policy) -> Options {
    Options { policy, timeout: TIMEOUT, ..options("a") }
}

/// Records an event without an outage: the timeout is so short that a busy machine may exceed it.
async fn record_despite_timeout(journal: &TestJournal, log: &LogName, number: usize) -> Result<Uuid> {
    let recorded =
        until(async || journal.record(event(log, number)).await.map_err(|error| format!("{error:#}")));
    recorded.await.map_err(anyhow::Error::msg)
}

/// A PostgreSQL server that the test may stop.
struct OwnServer {
    server: Arc<Mutex<Postgres>>,
    _folder: TempDir,
}

impl OwnServer {
    fn start() -> Result<Self> {
        let folder = temporary_folder()?;
        let server = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
        Ok(Self { server: Arc::new(Mutex::new(server)), _folder: folder })
    }

    fn with(&self, act: impl FnOnce(&mut Postgres) -> Result<()>) -> Result<()> {
        block_in_place(|| act(&mut self.server.lock()))
    }
}

/// During an outage recording fails in time; afterwards it succeeds without a restart.
async fn check_outage_and_recovery(
    journal: &TestJournal,
    store: &Store,
    end_outage: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let acme = log("acme");
    let refused = in_time("answered in time", journal.recorder.record(event(&acme, 1))).await;
    assert!(refused.is_err(), "{refused:?}");
    let ping = in_time("answered in time", store.ping(TIMEOUT)).await;
    assert!(ping.is_err(), "{ping:?}");
    end_outage().await?;
    let id =
        until(async || journal.record(event(&acme, 2)).await.map_err(|error| format!("{error:#}"))).await;
    let id = id.expect("recorded again");
    until(async || store.ping(TIMEOUT).await.map_err(|error| error.to_string()))
        .await
        .expect("available again");
    assert!(store.audit().get_record(&acme, id).await?.is_some());
    verify(&store.audit(), &acme, &[]).await?.expect("no finding");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_denied_during_an_outage_of_postgres_and_accepted_after_it() -> Result<()> {
    let server = OwnServer::start()?;
    let store = TestDatabase::on_server(server.server.clone())?.store().await?;
    let journal = TestJournal::start(&store, short_timeout(Policy::Required))?;
    record_despite_timeout(&journal, &log("acme"), 0).await?;

    server.with(Postgres::pause)?;
    check_outage_and_recovery(&journal, &store, async || {
        server.with(|server| {
            server.resume();
            Ok(())
        })
    })
    .await?;

    server.with(Postgres::stop)?;
    check_outage_and_recovery(&journal, &store, async || server.with(Postgres::start_again)).await?;

    server.with(Postgres::kill)?;
    check_outage_and_recovery(&journal, &store, async || server.with(Postgres::start_again)).await?;
    journal.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_denied_while_sqlite_is_locked_and_accepted_afterwards() -> Result<()> {
    let database = TestDatabase::sqlite()?;
    let store = database.store().await?;
    let journal = TestJournal::start(&store, short_timeout(Policy::Required))?;
    record_despite_timeout(&journal, &log("acme"), 0).await?;
    let TestDatabase::Sqlite { folder } = &database else { unreachable!("created above") };
    let options = SqliteConnectOptions::new().filename(folder.path().join("eventcenter.db"));
    let mut holder = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await?;
    let refused = in_time("answered in time", journal.recorder.record(event(&log("acme"), 1))).await;
    assert!(refused.is_err(), "{refused:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await?;
    let again =
        until(async || journal.record(event(&log("acme"), 2)).await.map_err(|error| format!("{error:#}")));
    let id = again.await.expect("recorded again");
    assert!(store.audit().get_record(&log("acme"), id).await?.is_some());
    verify(&store.audit(), &log("acme"), &[]).await?.expect("no finding");
    journal.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_best_effort_changes_continue_and_lost_records_are_reported() -> Result<()> {
    let server = OwnServer::start()?;
    let store = TestDatabase::on_server(server.server.clone())?.store().await?;
    let journal = TestJournal::start(&store, short_timeout(Policy::BestEffort))?;
    server.with(Postgres::pause)?;
    let written = in_time("answered in time", journal.recorder.record(event(&log("acme"), 1))).await;
    assert_eq!(written.ok(), Some(WriteOutcome::Lost));
    server.with(|server| {
        server.resume();
        Ok(())
    })?;
    until(async || match journal.recorder.record(event(&log("acme"), 2)).await {
        Ok(WriteOutcome::Durable(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .expect("written again");
    journal.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spooled_records_of_the_controllers_are_written_after_a_restart() -> Result<()> {
    let server = OwnServer::start()?;
    let spool = tempfile::tempdir()?;
    let with_spool =
        || Options { spool: Some((spool.path().join("spool"), 1 << 20)), ..short_timeout(Policy::Required) };
    let database = TestDatabase::on_server(server.server.clone())?;
    let store = database.store().await?;
    let acme = log("acme");
    let journal = TestJournal::start(&store, with_spool())?;
    let first = record_despite_timeout(&journal, &acme, 0).await?;

    server.with(Postgres::stop)?;
    let mut spooled = Vec::new();
    for number in 1..=5 {
        match in_time("stored values", journal.spooling.record(event(&acme, number))).await? {
            WriteOutcome::Spooled(id) => spooled.push(id),
            other => panic!("not spooled: {other:?}"),
        }
    }
    let refused = in_time("answered in time", journal.recorder.record(event(&acme, 6))).await;
    assert!(refused.is_err(), "records of the webhook are not spooled: {refused:?}");
    // The process stops before the outage ends.
    journal.stop().await?;
    server.with(Postgres::start_again)?;

    let journal = TestJournal::start(&store, with_spool())?;
    let written = until(async || {
        let found =
            all(&store.audit(), &acme, &Filter::default(), 100).await.map_err(|error| error.to_string())?;
        let ids: Vec<_> = found.iter().rev().map(|stored| stored.record.id).collect();
        let followed = spooled.iter().all(|id| ids.contains(id));
        if followed { Ok(ids) } else { Err(format!("{} records", ids.len())) }
    });
    let ids = written.await.expect("written");
    let expected: Vec<_> = std::iter::once(first).chain(spooled.iter().copied()).collect();
    let those: Vec<_> = ids.iter().filter(|id| expected.contains(id)).copied().collect();
    assert_eq!(those, expected, "in their order, each once");
    verify(&store.audit(), &acme, &[]).await?.expect("no finding");
    journal.stop().await
}
