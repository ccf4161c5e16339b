//! The run log and the work queue on PostgreSQL and SQLite.
//!
//! - [`planning`]: cursors and insertions. [`transition`]: changes of state and their guards. [`claim`]: runners.
//! - [`report`]: the outbox, statistics and the retention. [`reading`]: lists, filters and the isolation of tenants.
//! - [`event`]: positions in topics.
//! - `signal`: wake-ups, also of other processes.

mod claim;
mod event;
mod planning;
mod reading;
mod report;
mod signal;
mod transition;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::task::{Executor, NewRun, Outcome, Run, RunId, RunState, TaskKey, Trigger};
use eventcenter::store::{ClaimedRun, FinishedAttempt, Runs, Store, Then};
use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use uuid::Uuid;

use super::database::TestDatabase;

const LEASE: Duration = Duration::from_secs(60);

/// A migrated database and its runs.
pub(super) struct TestRuns {
    pub(super) database: TestDatabase,
    pub(super) store: Store,
    pub(super) runs: Runs,
}

impl TestRuns {
    async fn create(database: TestDatabase) -> Result<Self> {
        let store = database.store().await?;
        Ok(Self { runs: store.runs(), database, store })
    }

    /// Inserts ready runs of a task.
    async fn ready(&self, task: &TaskKey, count: i64) -> Result<Vec<RunId>> {
        let runs: Vec<NewRun> = (0..count).map(|second| scheduled(task, second)).collect();
        Ok(self.runs.insert(&runs, at(0)).await?)
    }

    async fn claim(&self, runner: &str, limit: usize) -> Result<Vec<ClaimedRun>> {
        Ok(self.runs.claim(runner, at(1000), limit, LEASE).await?)
    }

    async fn get(&self, id: RunId) -> Result<Run> {
        self.runs.get(&tenant("acme"), id).await?.context("the run exists")
    }

    async fn state(&self, id: RunId) -> Result<RunState> {
        Ok(self.get(id).await?.state)
    }

    /// Makes all claims expire.
    async fn expire_claims(&self) -> Result<()> {
        self.database.sql("UPDATE task_run SET lease_until = 1 WHERE state = 'Running'").await
    }
}

fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).expect("a name")
}

/// A task of the tenant `acme`.
fn task(number: u128) -> TaskKey {
    TaskKey {
        tenant: tenant("acme"),
        namespace: "shop".to_owned(),
        name: format!("task-{number}"),
        uid: Uuid::from_u128(number),
    }
}

/// A number of seconds after noon.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_268_800 + second).expect("a time")
}

/// A ready run of a runner that is scheduled a number of seconds after noon.
fn scheduled(task: &TaskKey, second: i64) -> NewRun {
    let trigger = Trigger::Schedule { time: at(second) };
    let id = RunId::of(task.uid, &trigger);
    NewRun {
        id,
        task: task.clone(),
        trigger,
        scheduled_at: at(second),
        due_at: at(second),
        state: RunState::Ready,
        executor: Some(Executor::Runner),
        chain: id.0,
        parameters: BTreeMap::new(),
        work: Some(r#"{"url":"http://example"}"#.to_owned()),
        requested_by: None,
        message: None,
    }
}

/// The end of a claimed attempt, a second after it started.
fn finished(claimed: &ClaimedRun, runner: &str, state: RunState) -> FinishedAttempt {
    let outcome = Outcome {
        http_status: Some(200),
        message: Some("done".to_owned()),
        log_tail: Some("tail".to_owned()),
        ..Outcome::default()
    };
    FinishedAttempt {
        id: claimed.run.id,
        attempt: claimed.attempt,
        at: at(1001),
        state,
        outcome,
        executed_by: None,
        runner: Some(runner.to_owned()),
        then: Then::End,
    }
}
