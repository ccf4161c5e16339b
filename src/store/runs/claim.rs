//! Claims of the runners: a run is claimed by one runner at a time, which renews its claim until the run has ended.
//!
//! Claims expire by the clock of the database, so that a wrong clock of a runner takes over nothing. A runner never takes over its own
//! claims: with SQLite, the database's clock is that of the only runner.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::attempt::{self, EndedRow};
use super::id::{IdRow, to_hex, to_id_rows};
use super::row::{RunRow, run_columns, to_micros, to_runs, to_time};
use super::signal::Signal;
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch, to_json};
use crate::domain::task::{Executor, Run, RunId, RunState};
use crate::store::Error;

const CLAIMING: &str = "claiming runs";
const RENEWING: &str = "renewing the claims of runs";

/// The time of the database in microseconds.
macro_rules! now {
    (postgres) => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
    (sqlite) => {
        "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)"
    };
}

/// Locks selected rows and skips those that others have locked. SQLite has one writer at a time.
macro_rules! lock {
    (postgres) => {
        " FOR UPDATE SKIP LOCKED"
    };
    (sqlite) => {
        ""
    };
}

/// Arguments: runner, now, limit, lease.
macro_rules! claim {
    ($dialect:ident) => {
        concat!(
            "WITH due AS (SELECT id FROM task_run WHERE state = 'Ready' AND executor = 'Runner' AND due_at <= $2 \
             ORDER BY due_at LIMIT $3", lock!($dialect), ") \
             UPDATE task_run SET state = 'Running', attempts = attempts + 1, attempt_started_at = $2, \
             started_at = COALESCE(started_at, $2), claimed_by = $1, executed_by = $1, lease_until = ", now!($dialect), " + $4 \
             WHERE id IN (SELECT id FROM due) RETURNING ", run_columns!(), ", work"
        )
    };
}

/// Arguments: runner, limit.
macro_rules! select_expired {
    ($dialect:ident) => {
        concat!(
            "SELECT id, attempts, attempt_started_at, claimed_by, cancelled_by IS NOT NULL AS is_cancelled, lease_until = 0 AS is_released \
             FROM task_run \
             WHERE state = 'Running' AND lease_until < ",
            now!($dialect),
            " AND claimed_by <> $1 \
             ORDER BY lease_until LIMIT $2"
        )
    };
}

/// Arguments: ids, runner, now, lease. A run that is cancelled ends.
macro_rules! take_over {
    ($dialect:ident) => {
        concat!(
            "UPDATE task_run SET state = CASE WHEN cancelled_by IS NULL THEN 'Running' ELSE 'Cancelled' END, \
             ended_at = CASE WHEN cancelled_by IS NULL THEN NULL ELSE CAST($3 AS bigint) END, \
             attempts = attempts + CASE WHEN cancelled_by IS NULL THEN 1 ELSE 0 END, attempt_started_at = $3, \
             executed_by = CASE WHEN cancelled_by IS NULL THEN $2 ELSE executed_by END, \
             claimed_by = CASE WHEN cancelled_by IS NULL THEN $2 END, \
             lease_until = CASE WHEN cancelled_by IS NULL THEN ", now!($dialect), " + $4 END \
             WHERE id IN (SELECT id FROM batch) RETURNING ", run_columns!(), ", work"
        )
    };
}

/// Arguments: ids and attempts, runner, lease.
macro_rules! renew {
    ($dialect:ident) => {
        concat!(
            "UPDATE task_run SET lease_until = ", now!($dialect), " + $3 FROM batch \
             WHERE task_run.id = batch.id AND task_run.attempts = batch.attempt AND task_run.state = 'Running' \
             AND task_run.claimed_by = $2 RETURNING task_run.id, task_run.cancelled_by IS NOT NULL"
        )
    };
}

const CLAIM: Statement = Statement { postgres: claim!(postgres), sqlite: claim!(sqlite) };
const SELECT_EXPIRED: Statement =
    Statement { postgres: select_expired!(postgres), sqlite: select_expired!(sqlite) };
const LOCK_EXPIRED: Statement = Statement {
    postgres: concat!(select_expired!(postgres), lock!(postgres)),
    sqlite: select_expired!(sqlite),
};
const TAKE_OVER: Statement = batch!([id uuid] postgres: take_over!(postgres), sqlite: take_over!(sqlite));
const RENEW: Statement = batch!([id uuid, attempt int] postgres: renew!(postgres), sqlite: renew!(sqlite));
const NEXT_DUE: Statement = same!("SELECT MIN(due_at) FROM task_run WHERE state = 'Ready' AND executor = $1");

/// A run that the caller has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The run, with its work.
    pub run: Run,
    /// The number of the attempt that the claim has started.
    pub attempt: u32,
    /// Whether it was taken over from another runner.
    pub is_taken_over: bool,
}

/// The answer to the renewal of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The run.
    pub id: RunId,
    /// What became of the claim.
    pub claim: Claim,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is renewed.
    Kept,
    /// It is renewed, and somebody cancels the run: end the attempt.
    CancelRequested,
    /// It does not exist: another runner has the run, or the attempt has ended.
    Lost,
}

#[derive(Serialize)]
struct RenewRow {
    id: String,
    attempt: u32,
}

/// A claim that has expired.
#[derive(sqlx::FromRow)]
struct ExpiredClaim {
    id: Uuid,
    attempts: i64,
    attempt_started_at: i64,
    claimed_by: String,
    is_cancelled: bool,
    /// Whether the runner has given it up.
    is_released: bool,
}

impl ExpiredClaim {
    fn message(&self) -> String {
        if self.is_released {
            return format!("the runner {} stopped before the attempt had ended", self.claimed_by);
        }
        format!("the runner {} was lost: it did not renew its claim", self.claimed_by)
    }

    /// The end of the attempt.
    fn end<'a>(&'a self, now: Timestamp, message: &'a str) -> EndedRow<'a> {
        EndedRow {
            run: to_hex(self.id),
            number: self.attempts,
            started_at: self.attempt_started_at,
            ended_at: to_micros(now),
            state: if self.is_cancelled { RunState::Cancelled } else { RunState::Failed }.as_str(),
            exit_code: None,
            http_status: None,
            message: Some(message),
            items: None,
            errors: None,
            executed_by: Some(&self.claimed_by),
            log_tail: None,
        }
    }
}

impl Runs {
    /// Claims runs of the executor `Runner`: first those whose claim has expired, then those that are due at `now`, the oldest first.
    /// The attempt of an expired claim ends as `Failed`, or with its run as `Cancelled` if that was requested.
    ///
    /// `runner` must be unique for each start of a process. The claims expire after `lease` unless they are renewed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn claim(
        &self,
        runner: &str,
        now: Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedRun>, Error> {
        let mut claimed = Vec::new();
        let probe = [Argument::Text(runner), Argument::Integer(1)];
        let expired: Vec<ExpiredClaim> = fetch(&self.database, CLAIMING, SELECT_EXPIRED, &probe).await?;
        if !expired.is_empty() {
            claimed = self.take_over(runner, now, limit, lease).await?;
        }
        let taken_over = claimed.len();
        let remaining = limit.saturating_sub(taken_over);
        if remaining > 0 {
            let arguments = [
                Argument::Text(runner),
                Argument::Integer(to_micros(now)),
                Argument::Integer(i64::try_from(remaining).unwrap_or(i64::MAX)),
                Argument::Integer(to_lease(lease)),
            ];
            let mut transaction = Transaction::begin(&self.database, CLAIMING).await?;
            let rows: Vec<RunRow> = transaction.fetch(CLAIM, &arguments).await?;
            transaction.commit().await?;
            let mut due = to_runs(rows)?;
            due.sort_by_key(|run| (run.due_at, run.id));
            claimed.extend(due);
        }
        let claimed = claimed.into_iter().enumerate();
        let to_claimed = |(place, run): (usize, Run)| ClaimedRun {
            attempt: run.attempts,
            is_taken_over: place < taken_over,
            run,
        };
        Ok(claimed.map(to_claimed).collect())
    }

    /// Takes over runs whose claim has expired.
    async fn take_over(
        &self,
        runner: &str,
        now: Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Run>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut transaction = Transaction::begin(&self.database, CLAIMING).await?;
        let expired: Vec<ExpiredClaim> =
            transaction.fetch(LOCK_EXPIRED, &[Argument::Text(runner), Argument::Integer(limit)]).await?;
        let messages: Vec<String> = expired.iter().map(ExpiredClaim::message).collect();
        let messages = messages.iter().map(String::as_str);
        let ended: Vec<EndedRow<'_>> =
            expired.iter().zip(messages).map(|(one, text)| one.end(now, text)).collect();
        attempt::insert(&mut transaction, &ended).await?;
        let ids: Vec<IdRow> = expired.iter().map(|one| IdRow::of(one.id)).collect();
        let ids = to_json(&ids);
        let arguments = [
            Argument::Text(&ids),
            Argument::Text(runner),
            Argument::Integer(to_micros(now)),
            Argument::Integer(to_lease(lease)),
        ];
        let rows: Vec<RunRow> = transaction.fetch(TAKE_OVER, &arguments).await?;
        transaction.commit().await?;
        let (cancelled, taken): (Vec<Run>, Vec<Run>) =
            to_runs(rows)?.into_iter().partition(|run| run.state.is_final());
        if !cancelled.is_empty() {
            self.signals.send(Signal::Changed);
        }
        Ok(taken)
    }

    /// Renews claims of attempts. Answers in the order of the claims.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn renew(
        &self,
        runner: &str,
        claims: &[(RunId, u32)],
        lease: Duration,
    ) -> Result<Vec<Renewal>, Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let mut sorted = claims.to_vec();
        sorted.sort();
        let rows: Vec<RenewRow> =
            sorted.iter().map(|(id, attempt)| RenewRow { id: to_hex(id.0), attempt: *attempt }).collect();
        let rows = to_json(&rows);
        let arguments = [Argument::Text(&rows), Argument::Text(runner), Argument::Integer(to_lease(lease))];
        let mut transaction = Transaction::begin(&self.database, RENEWING).await?;
        transaction.lock_runs(&to_id_rows(&claims.iter().map(|(id, _)| *id).collect::<Vec<_>>())).await?;
        let renewed: Vec<(Uuid, bool)> = transaction.fetch(RENEW, &arguments).await?;
        transaction.commit().await?;
        let renewed: HashMap<Uuid, bool> = renewed.into_iter().collect();
        let to_renewal = |(id, _): &(RunId, u32)| {
            let claim = match renewed.get(&id.0) {
                Some(true) => Claim::CancelRequested,
                Some(false) => Claim::Kept,
                None => Claim::Lost,
            };
            Renewal { id: *id, claim }
        };
        Ok(claims.iter().map(to_renewal).collect())
    }

    /// When the next ready run of an executor is due.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn next_due(&self, executor: Executor) -> Result<Option<Timestamp>, Error> {
        let arguments = [Argument::Text(executor.as_str())];
        let rows: Vec<(Option<i64>,)> = fetch(&self.database, CLAIMING, NEXT_DUE, &arguments).await?;
        rows.first().and_then(|(due_at,)| *due_at).map(to_time).transpose()
    }
}

/// A lease in microseconds.
fn to_lease(lease: Duration) -> i64 {
    const MAX_LEASE: i64 = 365 * 24 * 3600 * 1_000_000;
    i64::try_from(lease.as_micros()).unwrap_or(MAX_LEASE).min(MAX_LEASE)
}
