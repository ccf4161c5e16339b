//! The outbox: ended runs that the controllers have not processed, and the statistics of tasks.
//!
//! A run is moved to the history, counted and removed from the outbox in one transaction, so that it is counted once.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::Runs;
use super::id::{IdRow, in_order, to_id_rows};
use super::outbox::{NewRunEvent, insert_events};
use super::row::{RunRow, narrow, run_columns, to_runs, to_time};
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch, to_json};
use crate::domain::task::{Run, RunId};
use crate::store::Error;

const READING: &str = "reading unreported runs";
const REPORTING: &str = "marking runs as reported";
const READING_STATISTICS: &str = "reading the statistics of tasks";

const SELECT_UNREPORTED: Statement = batch!(
    [id uuid]
    concat!(
        "SELECT ",
        run_columns!(),
        ", start_announced FROM task_run WHERE ended_at IS NOT NULL AND task NOT IN (SELECT id FROM batch) \
         ORDER BY ended_at, id LIMIT $2"
    )
);
const SELECT_STARTED: Statement = same!(
    "SELECT ",
    run_columns!(),
    " FROM task_run WHERE state = 'Running' AND NOT start_announced LIMIT $1"
);
const MARK_STARTED: Statement = batch!(
    [id uuid]
    "UPDATE task_run SET start_announced = TRUE WHERE id IN (SELECT id FROM batch) AND NOT start_announced RETURNING id"
);

/// The columns of `task_run_history`.
macro_rules! history_columns {
    () => {
        concat!(run_columns!(), ", trigger_kind")
    };
}

const MOVE: Statement = batch!(
    [id uuid]
    concat!(
        "INSERT INTO task_run_history (", history_columns!(), ") SELECT ", history_columns!(), " FROM task_run \
         WHERE id IN (SELECT id FROM batch) AND ended_at IS NOT NULL ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id"
    )
);
/// Failure actions are no runs of their task. A wrong clock can make a run take a negative time or decades, whose sum would exceed a bigint; such a run counts as 0.
const COUNT: Statement = batch!(
    [id uuid]
    "INSERT INTO task_statistics (task, succeeded, failed, timed_out, cancelled, missed, skipped, duration, last_started_at, \
     last_success_at, last_failure_at) SELECT task, COUNT(*) FILTER (WHERE state = 'Succeeded'), \
     COUNT(*) FILTER (WHERE state = 'Failed'), COUNT(*) FILTER (WHERE state = 'TimedOut'), \
     COUNT(*) FILTER (WHERE state = 'Cancelled'), COUNT(*) FILTER (WHERE state = 'Missed'), \
     COUNT(*) FILTER (WHERE state = 'Skipped'), \
     CAST(COALESCE(SUM(CASE WHEN ended_at BETWEEN started_at AND started_at + 31536000000000 THEN ended_at - started_at ELSE 0 END) \
     FILTER (WHERE state = 'Succeeded'), 0) AS bigint), MAX(started_at), \
     MAX(ended_at) FILTER (WHERE state = 'Succeeded'), MAX(ended_at) FILTER (WHERE state IN ('Failed', 'TimedOut')) \
     FROM task_run WHERE id IN (SELECT id FROM batch) AND trigger_kind <> 'Failure' GROUP BY task ORDER BY task \
     ON CONFLICT (task) DO UPDATE SET succeeded = task_statistics.succeeded + excluded.succeeded, \
     failed = task_statistics.failed + excluded.failed, timed_out = task_statistics.timed_out + excluded.timed_out, \
     cancelled = task_statistics.cancelled + excluded.cancelled, missed = task_statistics.missed + excluded.missed, \
     skipped = task_statistics.skipped + excluded.skipped, duration = task_statistics.duration + excluded.duration, \
     last_started_at = CASE WHEN excluded.last_started_at IS NULL OR task_statistics.last_started_at > excluded.last_started_at \
     THEN task_statistics.last_started_at ELSE excluded.last_started_at END, \
     last_success_at = CASE WHEN excluded.last_success_at IS NULL OR task_statistics.last_success_at > excluded.last_success_at \
     THEN task_statistics.last_success_at ELSE excluded.last_success_at END, \
     last_failure_at = CASE WHEN excluded.last_failure_at IS NULL OR task_statistics.last_failure_at > excluded.last_failure_at \
     THEN task_statistics.last_failure_at ELSE excluded.last_failure_at END RETURNING task"
);
const DELETE: Statement =
    batch!([id uuid] "DELETE FROM task_run WHERE id IN (SELECT id FROM batch) RETURNING id");
const SELECT_STATISTICS: Statement = same!(
    "SELECT task, succeeded, failed, timed_out, cancelled, missed, skipped, duration, last_started_at, last_success_at, \
     last_failure_at FROM task_statistics"
);

/// An ended run that was not reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreportedRun {
    /// The run, without its work.
    pub run: Run,
    /// Whether its start was marked by [`Runs::mark_start_announced`].
    pub start_announced: bool,
}

/// Sums over the reported runs of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of runs that ended as `Succeeded`.
    pub succeeded: u64,
    /// Number of runs that ended as `Failed`.
    pub failed: u64,
    /// Number of runs that ended as `TimedOut`.
    pub timed_out: u64,
    /// Number of runs that ended as `Cancelled`.
    pub cancelled: u64,
    /// Number of runs that ended as `Missed`.
    pub missed: u64,
    /// Number of runs that ended as `Skipped`.
    pub skipped: u64,
    /// The sum of the times from the first start to the end of the succeeded runs. A run of more than a year, or one that ended before
    /// it started because a clock was set, counts as 0.
    pub succeeded_duration: Duration,
    /// When the latest run started.
    pub last_started_at: Option<Timestamp>,
    /// When the latest succeeded run ended.
    pub last_success_at: Option<Timestamp>,
    /// When the latest failed or timed out run ended.
    pub last_failure_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct StatisticsRow {
    task: Uuid,
    succeeded: i64,
    failed: i64,
    timed_out: i64,
    cancelled: i64,
    missed: i64,
    skipped: i64,
    duration: i64,
    last_started_at: Option<i64>,
    last_success_at: Option<i64>,
    last_failure_at: Option<i64>,
}

impl Runs {
    /// Lists ended runs that were not reported, except those of some tasks, in the order in which they ended, without their work.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_unreported(&self, except: &[Uuid], limit: usize) -> Result<Vec<UnreportedRun>, Error> {
        let except = to_json(&IdRow::all(except));
        let arguments = [Argument::Text(&except), Argument::limit(limit)];
        let rows: Vec<RunRow> = fetch(&self.database, READING, SELECT_UNREPORTED, &arguments).await?;
        let to_unreported = |row: RunRow| {
            let start_announced = row.start_announced;
            Ok(UnreportedRun { run: row.into_run()?, start_announced })
        };
        rows.into_iter().map(to_unreported).collect()
    }

    /// Moves ended runs to the history and adds them to the statistics of their tasks, once. Returns those that this call moved.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_reported(&self, runs: &[RunId]) -> Result<Vec<RunId>, Error> {
        self.mark_reported_with(runs, &[]).await
    }

    /// As [`Self::mark_reported`], and stores the events of the runs that this call moves, in the same transaction.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_reported_with(
        &self,
        runs: &[RunId],
        events: &[NewRunEvent],
    ) -> Result<Vec<RunId>, Error> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.database, REPORTING).await?;
        let moved: Vec<(Uuid,)> = transaction.fetch_batch(MOVE, &to_id_rows(runs)).await?;
        let moved = in_order(runs.iter().copied(), &moved);
        let rows = to_id_rows(&moved);
        for statement in [COUNT, DELETE] {
            let _: Vec<(Uuid,)> = transaction.fetch_batch(statement, &rows).await?;
        }
        insert_events(&mut transaction, events, &moved).await?;
        transaction.commit().await?;
        Ok(moved)
    }

    /// Lists running runs whose start was not announced, without their work. A run that has ended meanwhile is among
    /// [`Self::list_unreported`] with `start_announced: false`.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_unannounced_starts(&self, limit: usize) -> Result<Vec<Run>, Error> {
        to_runs(fetch(&self.database, READING, SELECT_STARTED, &[Argument::limit(limit)]).await?)
    }

    /// Marks that the first start of runs was announced, and stores their events in the same transaction. Returns the runs that
    /// this call marked.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_start_announced(
        &self,
        runs: &[RunId],
        events: &[NewRunEvent],
    ) -> Result<Vec<RunId>, Error> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.database, REPORTING).await?;
        let marked: Vec<(Uuid,)> = transaction.fetch_batch(MARK_STARTED, &to_id_rows(runs)).await?;
        let marked = in_order(runs.iter().copied(), &marked);
        insert_events(&mut transaction, events, &marked).await?;
        transaction.commit().await?;
        Ok(marked)
    }

    /// Reads the statistics of all tasks.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_statistics(&self) -> Result<HashMap<Uuid, Statistics>, Error> {
        let rows: Vec<StatisticsRow> =
            fetch(&self.database, READING_STATISTICS, SELECT_STATISTICS, &[]).await?;
        rows.into_iter().map(|row| Ok((row.task, row.into_statistics()?))).collect()
    }
}

impl StatisticsRow {
    fn into_statistics(self) -> Result<Statistics, Error> {
        Ok(Statistics {
            succeeded: narrow(self.succeeded)?,
            failed: narrow(self.failed)?,
            timed_out: narrow(self.timed_out)?,
            cancelled: narrow(self.cancelled)?,
            missed: narrow(self.missed)?,
            skipped: narrow(self.skipped)?,
            succeeded_duration: Duration::from_micros(narrow(self.duration)?),
            last_started_at: self.last_started_at.map(to_time).transpose()?,
            last_success_at: self.last_success_at.map(to_time).transpose()?,
            last_failure_at: self.last_failure_at.map(to_time).transpose()?,
        })
    }
}
