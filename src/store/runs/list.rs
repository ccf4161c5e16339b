//! Reads runs: the open ones for the controllers, and all of them for people.

use std::collections::HashMap;

use eventcenter_sdk::name::TenantName;
use uuid::Uuid;

use super::Runs;
use super::id::{IdRow, to_id_rows};
use super::query::{self, RunCursor, RunFilter};
use super::row::{AttemptRow, RunRow, corrupt, run_columns, to_runs};
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, fetch, to_json};
use crate::domain::task::{Attempt, Run, RunId, RunState, TaskKey};
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading runs";

/// Number of parts in a query. SQLite allows 500.
const MAX_PARTS: usize = 100;

const SELECT_OPEN: Statement = same!(
    "SELECT ",
    run_columns!(),
    " FROM task_run WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2"
);
const SELECT_REQUESTED: Statement = batch!(
    [id uuid]
    concat!(
        "SELECT ",
        run_columns!(),
        " FROM task_run WHERE state = 'Requested' AND task NOT IN (SELECT id FROM batch) \
         ORDER BY scheduled_at LIMIT $2"
    )
);
const SELECT_CANCELLED_JOBS: Statement = same!(
    "SELECT ",
    run_columns!(),
    " FROM task_run WHERE state = 'Running' AND cancelled_by IS NOT NULL AND executor IN ('Job', 'CronJob') \
     ORDER BY id LIMIT $1"
);
const SELECT_WORK: Statement = batch!(
    [id uuid]
    "SELECT id, work FROM task_run WHERE id IN (SELECT id FROM batch) AND work IS NOT NULL"
);
const SELECT_RUN: Statement = same!(
    "SELECT ",
    run_columns!(),
    ", work FROM task_run WHERE id = $1 AND tenant = $2 UNION ALL \
     SELECT ",
    run_columns!(),
    ", NULL FROM task_run_history WHERE id = $1 AND tenant = $2"
);
const SELECT_TASK: Statement = same!(
    "SELECT tenant, namespace, task_name, task FROM task_run WHERE id = $1 UNION ALL \
     SELECT tenant, namespace, task_name, task FROM task_run_history WHERE id = $1"
);
const SELECT_STATES: Statement = batch!(
    [id uuid]
    "SELECT id, state FROM task_run WHERE id IN (SELECT id FROM batch) AND tenant = $2 UNION ALL \
     SELECT id, state FROM task_run_history WHERE id IN (SELECT id FROM batch) AND tenant = $2"
);
/// The condition that run `$1` is one of tenant `$2`.
macro_rules! is_of_tenant {
    () => {
        "(EXISTS (SELECT 1 FROM task_run WHERE id = $1 AND tenant = $2) \
         OR EXISTS (SELECT 1 FROM task_run_history WHERE id = $1 AND tenant = $2))"
    };
}
const SELECT_ATTEMPTS: Statement = same!(
    "SELECT run, number, started_at, ended_at, state, exit_code, http_status, message, items, errors, executed_by \
     FROM task_attempt WHERE run = $1 AND ",
    is_of_tenant!(),
    " UNION ALL \
     SELECT id, attempts, attempt_started_at, NULL, state, NULL, NULL, NULL, NULL, NULL, executed_by FROM task_run \
     WHERE id = $1 AND tenant = $2 AND state = 'Running' ORDER BY number"
);
const SELECT_LOG_TAIL: Statement =
    same!("SELECT log_tail FROM task_attempt WHERE run = $1 AND number = $3 AND ", is_of_tenant!());

/// A page of runs, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPage {
    /// The runs, by scheduled time and id, the largest first; without their work.
    pub runs: Vec<Run>,
    /// Where the next page continues; `None` for the last page.
    pub next: Option<RunCursor>,
}

impl Runs {
    /// Lists all runs that have not ended, by id, without their work: for the start of a leader.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_open(&self, after: Option<RunId>, limit: usize) -> Result<Vec<Run>, Error> {
        // The nil id is that of no run.
        let after = after.map_or(Uuid::nil(), |run| run.0);
        let arguments = [Argument::Id(after), Argument::limit(limit)];
        to_runs(fetch(&self.database, READING, SELECT_OPEN, &arguments).await?)
    }

    /// Lists runs in the state `Requested`, except those of some tasks, by scheduled time, without their work.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_requested(&self, except: &[Uuid], limit: usize) -> Result<Vec<Run>, Error> {
        let except = to_json(&IdRow::all(except));
        let arguments = [Argument::Text(&except), Argument::limit(limit)];
        to_runs(fetch(&self.database, READING, SELECT_REQUESTED, &arguments).await?)
    }

    /// Lists running runs of Jobs whose cancellation was requested, without their work. Their Jobs are to be deleted.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_cancelled_jobs(&self, limit: usize) -> Result<Vec<Run>, Error> {
        to_runs(fetch(&self.database, READING, SELECT_CANCELLED_JOBS, &[Argument::limit(limit)]).await?)
    }

    /// Reads the work of runs that are not reported; those without work are absent.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_work(&self, runs: &[RunId]) -> Result<HashMap<RunId, String>, Error> {
        let ids = to_json(&to_id_rows(runs));
        let rows: Vec<(Uuid, String)> =
            fetch(&self.database, READING, SELECT_WORK, &[Argument::Text(&ids)]).await?;
        Ok(rows.into_iter().map(|(id, work)| (RunId(id), work)).collect())
    }

    /// Lists runs of a filter, newest first, after a cursor.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list(
        &self,
        filter: &RunFilter,
        after: Option<RunCursor>,
        limit: usize,
    ) -> Result<RunPage, Error> {
        // One more tells whether there is another page.
        let maximum = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut runs: Vec<Run> = Vec::new();
        for parts in query::parts(filter).chunks(MAX_PARTS) {
            let rows: Vec<RunRow> = reading!(&self.database, pool => {
                let mut query = query::select(filter, parts, after, maximum);
                query.build_query_as().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(READING))?;
            runs.extend(to_runs(rows)?);
        }
        runs.sort_by_key(|run| std::cmp::Reverse((run.scheduled_at, run.id)));
        let has_more = runs.len() > limit;
        runs.truncate(limit);
        let next = runs.last().filter(|_| has_more);
        let next = next.map(|run| RunCursor { scheduled_at: run.scheduled_at, id: run.id });
        Ok(RunPage { runs, next })
    }

    /// Reads a run of a tenant, with its work until it is reported.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn get(&self, tenant: &TenantName, id: RunId) -> Result<Option<Run>, Error> {
        let arguments = [Argument::Id(id.0), Argument::Text(tenant.as_str())];
        let rows: Vec<RunRow> = fetch(&self.database, READING, SELECT_RUN, &arguments).await?;
        Ok(to_runs(rows)?.into_iter().next())
    }

    /// The task of a run of any tenant, for the authorization of whoever reads the run.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn task_of(&self, id: RunId) -> Result<Option<TaskKey>, Error> {
        let rows: Vec<(String, String, String, Uuid)> =
            fetch(&self.database, READING, SELECT_TASK, &[Argument::Id(id.0)]).await?;
        let Some((tenant, namespace, name, uid)) = rows.into_iter().next() else { return Ok(None) };
        let tenant = TenantName::parse(&tenant).map_err(|error| corrupt(error.to_string()))?;
        Ok(Some(TaskKey { tenant, namespace, name, uid }))
    }

    /// The states of those runs of a tenant that exist.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn states(
        &self,
        tenant: &TenantName,
        runs: &[RunId],
    ) -> Result<HashMap<RunId, RunState>, Error> {
        let ids = to_json(&to_id_rows(runs));
        let arguments = [Argument::Text(&ids), Argument::Text(tenant.as_str())];
        let rows: Vec<(Uuid, String)> = fetch(&self.database, READING, SELECT_STATES, &arguments).await?;
        rows.into_iter().map(|(id, state)| Ok((RunId(id), state.parse().map_err(corrupt)?))).collect()
    }

    /// Lists the attempts of a run of a tenant, oldest first, the running one included, without their log tails.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn attempts(&self, tenant: &TenantName, id: RunId) -> Result<Vec<Attempt>, Error> {
        let arguments = [Argument::Id(id.0), Argument::Text(tenant.as_str())];
        let rows: Vec<AttemptRow> = fetch(&self.database, READING, SELECT_ATTEMPTS, &arguments).await?;
        rows.into_iter().map(AttemptRow::into_attempt).collect()
    }

    /// Reads the log tail of an ended attempt of a run of a tenant.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn log_tail(
        &self,
        tenant: &TenantName,
        id: RunId,
        attempt: u32,
    ) -> Result<Option<String>, Error> {
        let arguments =
            [Argument::Id(id.0), Argument::Text(tenant.as_str()), Argument::Integer(i64::from(attempt))];
        let rows: Vec<(Option<String>,)> =
            fetch(&self.database, READING, SELECT_LOG_TAIL, &arguments).await?;
        Ok(rows.into_iter().next().and_then(|(tail,)| tail))
    }
}
