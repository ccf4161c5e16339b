//! Deletes old runs from the history, and what is left of deleted tasks, in batches. Open and unreported runs are not in the history.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::id::{to_hex, to_id_rows};
use super::row::{to_micros, to_time};
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch};
use crate::domain::task::RunId;
use crate::domain::task::retention::ExpiringRun;
use crate::store::Error;

const READING: &str = "reading expiring runs";
const EXPIRING: &str = "deleting expired runs";
const READING_TASKS: &str = "reading the deleted tasks";
const MARKING: &str = "marking deleted tasks";
const DELETING: &str = "deleting the rows of deleted tasks";

/// The oldest runs after a position, and whether at least `$5` runs of the same task are newer.
const SELECT_EXPIRING: Statement = same!(
    "SELECT ended_at, id, task, $5 = 0 OR (SELECT 1 FROM task_run_history AS newer WHERE newer.tenant = old.tenant \
     AND newer.namespace = old.namespace AND newer.task_name = old.task_name \
     AND (newer.scheduled_at, newer.id) > (old.scheduled_at, old.id) LIMIT 1 OFFSET CASE WHEN $5 > 0 THEN $5 - 1 ELSE 0 END) \
     IS NOT NULL FROM (SELECT ended_at, id, task, tenant, namespace, task_name, scheduled_at FROM task_run_history \
     WHERE ended_at < $1 AND (ended_at, id) > ($2, $3) ORDER BY ended_at, id LIMIT $4) AS old ORDER BY ended_at, id"
);
const DELETE_ATTEMPTS: Statement = batch!(
    [id uuid]
    "DELETE FROM task_attempt WHERE run IN (SELECT id FROM batch) RETURNING run"
);
const DELETE_RUNS: Statement = batch!(
    [id uuid]
    "DELETE FROM task_run_history WHERE id IN (SELECT id FROM batch) RETURNING id"
);
const SELECT_TASKS: Statement = same!(
    "SELECT task FROM task_cursor UNION SELECT task FROM task_statistics UNION SELECT task FROM task_event_position"
);
const SELECT_DELETIONS: Statement = same!("SELECT task, deleted_at FROM task_deletion");
const INSERT_DELETIONS: Statement = batch!(
    [task uuid, deleted_at int]
    "INSERT INTO task_deletion (task, deleted_at) SELECT task, deleted_at FROM batch WHERE true ORDER BY task \
     ON CONFLICT (task) DO NOTHING RETURNING task"
);
const DELETE_DELETIONS: Statement = batch!(
    [task uuid]
    "DELETE FROM task_deletion WHERE task IN (SELECT task FROM batch) RETURNING task"
);
const DELETE_CURSORS: Statement = batch!(
    [task uuid]
    "DELETE FROM task_cursor WHERE task IN (SELECT task FROM batch) RETURNING task"
);
const DELETE_POSITIONS: Statement = batch!(
    [task uuid]
    "DELETE FROM task_event_position WHERE task IN (SELECT task FROM batch) RETURNING task"
);
const DELETE_STATISTICS: Statement = batch!(
    [task uuid]
    "DELETE FROM task_statistics WHERE task IN (SELECT task FROM batch) RETURNING task"
);

/// The position of [`Runs::list_expiring`]: after this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryCursor {
    ended_at: Timestamp,
    id: RunId,
}

/// The result of [`Runs::list_expiring`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringPage {
    /// The runs, in the order in which they ended.
    pub runs: Vec<ExpiringRun>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ExpiryCursor>,
}

#[derive(Serialize)]
struct TaskRow {
    task: String,
}

#[derive(Serialize)]
struct DeletionRow {
    task: String,
    deleted_at: i64,
}

impl Runs {
    /// Lists reported runs that ended before a time, the oldest first, from a position on.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_expiring(
        &self,
        before: Timestamp,
        keep_last: u32,
        from: Option<ExpiryCursor>,
        limit: usize,
    ) -> Result<ExpiringPage, Error> {
        let (ended_at, id) =
            from.map_or((i64::MIN, Uuid::nil()), |from| (to_micros(from.ended_at), from.id.0));
        let arguments = [
            Argument::Integer(to_micros(before)),
            Argument::Integer(ended_at),
            Argument::Id(id),
            Argument::limit(limit),
            Argument::Integer(i64::from(keep_last)),
        ];
        let rows: Vec<(i64, Uuid, Uuid, bool)> =
            fetch(&self.database, READING, SELECT_EXPIRING, &arguments).await?;
        let next = match rows.last().filter(|_| rows.len() >= limit) {
            Some((ended_at, id, ..)) => Some(ExpiryCursor { ended_at: to_time(*ended_at)?, id: RunId(*id) }),
            None => None,
        };
        let to_run = |(_, id, task, has_newer): (i64, Uuid, Uuid, bool)| ExpiringRun {
            id: RunId(id),
            task,
            is_among_newest: !has_newer,
        };
        Ok(ExpiringPage { runs: rows.into_iter().map(to_run).collect(), next })
    }

    /// Deletes reported runs with their attempts. Returns how many existed. The statistics of their tasks stay.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete_reported(&self, runs: &[RunId]) -> Result<usize, Error> {
        if runs.is_empty() {
            return Ok(0);
        }
        let rows = to_id_rows(runs);
        let mut transaction = Transaction::begin(&self.database, EXPIRING).await?;
        // The runs first: the attempts of one that is not in the history stay.
        let deleted: Vec<(Uuid,)> = transaction.fetch_batch(DELETE_RUNS, &rows).await?;
        let ids: Vec<RunId> = deleted.iter().map(|(id,)| RunId(*id)).collect();
        let _: Vec<(Uuid,)> = transaction.fetch_batch(DELETE_ATTEMPTS, &to_id_rows(&ids)).await?;
        transaction.commit().await?;
        Ok(deleted.len())
    }

    /// The tasks that have a cursor or statistics.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_tasks(&self) -> Result<Vec<Uuid>, Error> {
        let rows: Vec<(Uuid,)> = fetch(&self.database, READING_TASKS, SELECT_TASKS, &[]).await?;
        Ok(rows.into_iter().map(|(task,)| task).collect())
    }

    /// The tasks that are marked as deleted, and since when.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_deletions(&self) -> Result<HashMap<Uuid, Timestamp>, Error> {
        let rows: Vec<(Uuid, i64)> = fetch(&self.database, READING_TASKS, SELECT_DELETIONS, &[]).await?;
        rows.into_iter().map(|(task, at)| Ok((task, to_time(at)?))).collect()
    }

    /// Marks tasks as deleted since a time. A mark that exists keeps its time.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_deleted(&self, tasks: &[Uuid], at: Timestamp) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let deleted_at = to_micros(at);
        let rows: Vec<DeletionRow> =
            tasks.iter().map(|task| DeletionRow { task: to_hex(*task), deleted_at }).collect();
        let mut transaction = Transaction::begin(&self.database, MARKING).await?;
        let _: Vec<(Uuid,)> = transaction.fetch_batch(INSERT_DELETIONS, &rows).await?;
        transaction.commit().await
    }

    /// Removes the marks of tasks that exist after all, such as after a restore of the API server's data.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn unmark_deleted(&self, tasks: &[Uuid]) -> Result<(), Error> {
        self.delete_rows(tasks, MARKING, &[DELETE_DELETIONS]).await
    }

    /// Deletes cursors, statistics and marks of tasks. Their runs stay.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete_tasks(&self, tasks: &[Uuid]) -> Result<(), Error> {
        self.delete_rows(
            tasks,
            DELETING,
            &[DELETE_CURSORS, DELETE_POSITIONS, DELETE_STATISTICS, DELETE_DELETIONS],
        )
        .await
    }

    async fn delete_rows(
        &self,
        tasks: &[Uuid],
        operation: &'static str,
        statements: &[Statement],
    ) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let rows: Vec<TaskRow> = tasks.iter().map(|task| TaskRow { task: to_hex(*task) }).collect();
        let mut transaction = Transaction::begin(&self.database, operation).await?;
        for statement in statements {
            let _: Vec<(Uuid,)> = transaction.fetch_batch(*statement, &rows).await?;
        }
        transaction.commit().await
    }
}
