//! Changes the state of runs. Each change names the state that it expects, so that repeating it, or making it late, has no effect.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::attempt::{self, EndedRow};
use super::id::{in_order, to_hex, to_id_rows};
use super::row::{corrupt, to_micros};
use super::signal::Signal;
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch};
use crate::domain::task::{Executor, Outcome, RunId, RunState};
use crate::store::Error;

const CHANGING: &str = "changing the state of runs";
const CANCELLING: &str = "cancelling a run";

const ADVANCE: Statement = batch!(
    [id uuid, state text, due_at int, executor text, work text, message text]
    "UPDATE task_run SET state = batch.state, due_at = batch.due_at, executor = COALESCE(batch.executor, task_run.executor), \
     work = COALESCE(batch.work, task_run.work), message = batch.message FROM batch \
     WHERE task_run.id = batch.id AND task_run.state IN ('Requested', 'Queued') RETURNING task_run.id"
);
const END_UNSTARTED: Statement = batch!(
    [id uuid, state text, at int, message text, cancelled_by text]
    "UPDATE task_run SET state = batch.state, ended_at = batch.at, message = batch.message, \
     cancelled_by = COALESCE(task_run.cancelled_by, batch.cancelled_by) FROM batch \
     WHERE task_run.id = batch.id AND task_run.state IN ('Requested', 'Queued', 'Ready') RETURNING task_run.id"
);
const START_JOB: Statement = batch!(
    [id uuid, attempt int, at int, job text]
    "UPDATE task_run SET state = 'Running', attempts = batch.attempt, attempt_started_at = batch.at, \
     started_at = COALESCE(task_run.started_at, batch.at), executed_by = batch.job FROM batch \
     WHERE task_run.id = batch.id AND task_run.state = 'Ready' AND task_run.executor <> 'Runner' \
     AND task_run.attempts = batch.attempt - 1 RETURNING task_run.id"
);
/// A run that is cancelled does not retry.
const FINISH: Statement = batch!(
    [id uuid, attempt int, at int, state text, exit_code int, http_status int, message text, items int, errors int, runner text,
     retry_at int]
    "UPDATE task_run SET state = CASE WHEN batch.retry_at IS NULL THEN batch.state \
     WHEN task_run.cancelled_by IS NULL THEN 'Ready' ELSE 'Cancelled' END, \
     ended_at = CASE WHEN batch.retry_at IS NULL OR task_run.cancelled_by IS NOT NULL THEN batch.at END, \
     due_at = COALESCE(batch.retry_at, task_run.due_at), exit_code = batch.exit_code, http_status = batch.http_status, \
     message = batch.message, items = batch.items, errors = batch.errors, claimed_by = NULL, lease_until = NULL FROM batch \
     WHERE task_run.id = batch.id AND task_run.state = 'Running' AND task_run.attempts = batch.attempt \
     AND task_run.claimed_by IS NOT DISTINCT FROM batch.runner RETURNING task_run.id, task_run.attempt_started_at"
);
const CANCEL: Statement = same!(
    "UPDATE task_run SET cancelled_by = COALESCE(cancelled_by, $2), \
     ended_at = CASE WHEN state = 'Running' THEN NULL ELSE CAST($3 AS bigint) END, \
     state = CASE WHEN state = 'Running' THEN state ELSE 'Cancelled' END \
     WHERE id = $1 AND ended_at IS NULL RETURNING state"
);
const SELECT_STATE: Statement = same!(
    "SELECT state FROM task_run WHERE id = $1 UNION ALL SELECT state FROM task_run_history WHERE id = $1"
);

/// A requested or queued run that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The run.
    pub id: RunId,
    /// `Queued` or `Ready`.
    pub state: RunState,
    /// When it may start.
    pub due_at: Timestamp,
    /// Who executes it; `None` leaves that as it is.
    pub executor: Option<Executor>,
    /// What the executor does, as JSON; `None` leaves that as it is.
    pub work: Option<String>,
    /// Why it is queued, for people.
    pub message: Option<String>,
}

/// The end of a run without another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnstartedEnd {
    /// The run.
    pub id: RunId,
    /// `Missed`, `Skipped` or `Cancelled`.
    pub state: RunState,
    /// When it ended.
    pub at: Timestamp,
    /// Why, for people.
    pub message: Option<String>,
    /// The user or the rule that cancelled it.
    pub cancelled_by: Option<String>,
}

/// The start of an attempt by a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStart {
    /// The run.
    pub id: RunId,
    /// The number of the attempt: one more than those that have started.
    pub attempt: u32,
    /// When it started.
    pub at: Timestamp,
    /// The name of the Job.
    pub job: String,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedAttempt {
    /// The run.
    pub id: RunId,
    /// The number of the attempt.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// Its final state.
    pub state: RunState,
    /// Its result.
    pub outcome: Outcome,
    /// The name of the pod; `None` for that of the run: the runner or the Job.
    pub executed_by: Option<String>,
    /// The runner that has claimed the run; `None` for a Job.
    pub runner: Option<String>,
    /// What follows.
    pub then: Then,
}

/// What follows the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The run ends in the state of the attempt.
    End,
    /// Another attempt, unless the run is cancelled, which then ends as `Cancelled`.
    Retry {
        /// When it may start.
        due_at: Timestamp,
    },
}

/// The result of a request to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The run had not started, and is cancelled.
    Cancelled,
    /// The run is running; its executor will end it.
    Requested,
    /// The run had ended in this state.
    AlreadyEnded(RunState),
    /// There is no such run.
    NotFound,
}

#[derive(Serialize)]
struct AdvanceRow<'a> {
    id: String,
    state: &'static str,
    due_at: i64,
    executor: Option<&'static str>,
    work: Option<&'a str>,
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct UnstartedEndRow<'a> {
    id: String,
    state: &'static str,
    at: i64,
    message: Option<&'a str>,
    cancelled_by: Option<&'a str>,
}

#[derive(Serialize)]
struct JobStartRow<'a> {
    id: String,
    attempt: u32,
    at: i64,
    job: &'a str,
}

#[derive(Serialize)]
struct FinishRow<'a> {
    id: String,
    attempt: u32,
    at: i64,
    state: &'static str,
    exit_code: Option<i32>,
    http_status: Option<u16>,
    message: Option<&'a str>,
    items: Option<i64>,
    errors: Option<i64>,
    runner: Option<&'a str>,
    retry_at: Option<i64>,
}

impl Runs {
    /// Changes requested and queued runs to `Queued` or `Ready`. Returns those that were changed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn advance(&self, runs: &[Advance]) -> Result<Vec<RunId>, Error> {
        let changed = self.change(ADVANCE, runs, |run| run.id, to_advance_row).await?;
        if runs.iter().any(|run| run.state == RunState::Ready) {
            self.signals.send(Signal::Claimable);
        }
        Ok(changed)
    }

    /// Ends runs of which no attempt is running. Returns those that were changed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn end_unstarted(&self, runs: &[UnstartedEnd]) -> Result<Vec<RunId>, Error> {
        let changed = self.change(END_UNSTARTED, runs, |run| run.id, to_end_row).await?;
        self.signals.send(Signal::Changed);
        Ok(changed)
    }

    /// Records that Jobs execute the next attempts of ready runs. Returns those that were changed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn start_job(&self, starts: &[JobStart]) -> Result<Vec<RunId>, Error> {
        let mut transaction = Transaction::begin(&self.database, CHANGING).await?;
        let changed = start_jobs(&mut transaction, starts).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Stores the results of attempts, and ends their runs or makes them ready for another attempt. An attempt that is not the
    /// current one, or a claim that another runner has, changes nothing. Returns the runs that were changed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn finish_attempt(&self, attempts: &[FinishedAttempt]) -> Result<Vec<RunId>, Error> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.database, CHANGING).await?;
        let changed = finish_attempts(&mut transaction, attempts).await?;
        transaction.commit().await?;
        self.signals.send(Signal::Changed);
        if attempts.iter().any(|attempt| attempt.then != Then::End) {
            self.signals.send(Signal::Claimable);
        }
        Ok(changed)
    }

    /// Cancels a run: at once if no attempt is running, otherwise by a request to its executor. `by` is the user or the rule.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn cancel(&self, id: RunId, by: &str, now: Timestamp) -> Result<CancelOutcome, Error> {
        let by = by.replace('\0', "\u{fffd}");
        let arguments = [Argument::Id(id.0), Argument::Text(&by), Argument::Integer(to_micros(now))];
        let mut transaction = Transaction::begin(&self.database, CANCELLING).await?;
        let changed: Vec<(String,)> = transaction.fetch(CANCEL, &arguments).await?;
        transaction.commit().await?;
        if let Some((state,)) = changed.first() {
            self.signals.send(Signal::Changed);
            self.signals.send(Signal::Claimable);
            let is_running = state == RunState::Running.as_str();
            return Ok(if is_running { CancelOutcome::Requested } else { CancelOutcome::Cancelled });
        }
        let states: Vec<(String,)> =
            fetch(&self.database, CANCELLING, SELECT_STATE, &[Argument::Id(id.0)]).await?;
        match states.first() {
            Some((state,)) => state.parse().map(CancelOutcome::AlreadyEnded).map_err(corrupt),
            None => Ok(CancelOutcome::NotFound),
        }
    }

    async fn change<'a, T, R: Serialize>(
        &self,
        statement: Statement,
        values: &'a [T],
        id: fn(&T) -> RunId,
        to_row: fn(&'a T) -> R,
    ) -> Result<Vec<RunId>, Error> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.database, CHANGING).await?;
        let changed: Vec<(Uuid,)> = transaction.fetch_batch(statement, &sorted(values, id, to_row)).await?;
        transaction.commit().await?;
        Ok(in_order(values.iter().map(id), &changed))
    }
}

pub(super) async fn start_jobs(
    transaction: &mut Transaction,
    starts: &[JobStart],
) -> Result<Vec<RunId>, Error> {
    let changed: Vec<(Uuid,)> =
        transaction.fetch_batch(START_JOB, &sorted(starts, |start| start.id, to_start_row)).await?;
    Ok(in_order(starts.iter().map(|start| start.id), &changed))
}

pub(super) async fn finish_attempts(
    transaction: &mut Transaction,
    attempts: &[FinishedAttempt],
) -> Result<Vec<RunId>, Error> {
    let ids: Vec<RunId> = attempts.iter().map(|attempt| attempt.id).collect();
    transaction.lock_runs(&to_id_rows(&ids)).await?;
    let rows = sorted(attempts, |attempt| attempt.id, to_finish_row);
    let changed: Vec<(Uuid, i64)> = transaction.fetch_batch(FINISH, &rows).await?;
    let started: HashMap<Uuid, i64> = changed.iter().copied().collect();
    let changed: Vec<(Uuid,)> = changed.into_iter().map(|(id, _)| (id,)).collect();
    let is_current = |attempt: &FinishedAttempt| -> Option<i64> { started.get(&attempt.id.0).copied() };
    let ended = attempts.iter().filter_map(|one| Some(to_ended_row(one, is_current(one)?)));
    attempt::insert(transaction, &ended.collect::<Vec<_>>()).await?;
    Ok(in_order(ids.into_iter(), &changed))
}

/// The rows in the order of their ids, in which all processes lock runs.
fn sorted<'a, T, R>(values: &'a [T], id: impl Fn(&T) -> RunId, to_row: impl Fn(&'a T) -> R) -> Vec<R> {
    let mut values: Vec<&T> = values.iter().collect();
    values.sort_by_key(|value| id(value));
    values.into_iter().map(to_row).collect()
}

fn to_advance_row(run: &Advance) -> AdvanceRow<'_> {
    AdvanceRow {
        id: to_hex(run.id.0),
        state: run.state.as_str(),
        due_at: to_micros(run.due_at),
        executor: run.executor.map(Executor::as_str),
        work: run.work.as_deref(),
        message: run.message.as_deref(),
    }
}

fn to_end_row(run: &UnstartedEnd) -> UnstartedEndRow<'_> {
    UnstartedEndRow {
        id: to_hex(run.id.0),
        state: run.state.as_str(),
        at: to_micros(run.at),
        message: run.message.as_deref(),
        cancelled_by: run.cancelled_by.as_deref(),
    }
}

fn to_start_row(start: &JobStart) -> JobStartRow<'_> {
    JobStartRow { id: to_hex(start.id.0), attempt: start.attempt, at: to_micros(start.at), job: &start.job }
}

fn to_finish_row(attempt: &FinishedAttempt) -> FinishRow<'_> {
    let outcome = &attempt.outcome;
    FinishRow {
        id: to_hex(attempt.id.0),
        attempt: attempt.attempt,
        at: to_micros(attempt.at),
        state: attempt.state.as_str(),
        exit_code: outcome.exit_code,
        http_status: outcome.http_status,
        message: outcome.message.as_deref(),
        items: outcome.items,
        errors: outcome.errors,
        runner: attempt.runner.as_deref(),
        retry_at: match attempt.then {
            Then::End => None,
            Then::Retry { due_at } => Some(to_micros(due_at)),
        },
    }
}

fn to_ended_row(attempt: &FinishedAttempt, started_at: i64) -> EndedRow<'_> {
    let outcome = &attempt.outcome;
    EndedRow {
        run: to_hex(attempt.id.0),
        number: i64::from(attempt.attempt),
        started_at,
        ended_at: to_micros(attempt.at),
        state: attempt.state.as_str(),
        exit_code: outcome.exit_code,
        http_status: outcome.http_status,
        message: outcome.message.as_deref(),
        items: outcome.items,
        errors: outcome.errors,
        executed_by: attempt.executed_by.as_deref().or(attempt.runner.as_deref()),
        log_tail: outcome.log_tail.as_deref(),
    }
}
