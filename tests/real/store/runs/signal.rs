//! Wake-ups.

use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::task::{NewRun, RunState};
use eventcenter::store::{Signal, Subscription};

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, finished, scheduled, task};

on_both! {
    a_signal_wakes_the_own_process,
}

async fn wait(subscription: &mut Subscription) -> Result<()> {
    let waiting = tokio::time::timeout(Duration::from_secs(30), subscription.notified());
    waiting.await.context("no signal was received")
}

async fn a_signal_wakes_the_own_process(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let mut claimable = test.runs.subscribe(Signal::Claimable);
    test.ready(&task(1), 1).await?;
    wait(&mut claimable).await?;
    let claimed = test.claim("one", 1).await?;
    let mut changed = test.runs.subscribe(Signal::Changed);
    test.runs.finish_attempt(&[finished(&claimed[0], "one", RunState::Succeeded)]).await?;
    wait(&mut changed).await?;
    test.runs.insert(&[NewRun { state: RunState::Requested, ..scheduled(&task(1), 9) }], at(0)).await?;
    wait(&mut changed).await
}

/// The listener says by a first signal that it listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_wakes_other_processes() -> Result<()> {
    let test = TestRuns::create(TestDatabase::postgres()?).await?;
    let other = eventcenter::store::Store::open(&test.database.url())?;
    let mut claimable = other.runs().subscribe(Signal::Claimable);
    let mut changed = other.runs().subscribe(Signal::Changed);
    wait(&mut claimable).await?;
    wait(&mut changed).await?;
    test.ready(&task(1), 1).await?;
    wait(&mut claimable).await?;
    let claimed = test.claim("one", 1).await?;
    test.runs.finish_attempt(&[finished(&claimed[0], "one", RunState::Succeeded)]).await?;
    wait(&mut changed).await?;
    // The listener connects again after its connection was closed.
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    test.database.sql(close).await?;
    wait(&mut claimable).await?;
    wait(&mut changed).await?;
    test.ready(&task(2), 1).await?;
    wait(&mut claimable).await?;
    other.close().await;
    Ok(())
}
