//! Deletes old runs from the history, in bounded batches. Open and unreported runs are not in it.

use jiff::Timestamp;
use uuid::Uuid;

use super::Runs;
use super::id::IdRow;
use super::row::{to_micros, to_time};
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch};
use crate::domain::task::RunId;
use crate::store::Error;

const EXPIRING: &str = "deleting expired runs";

/// Examines the oldest runs after a position: whether at least `$5` runs of the same task are newer.
const SELECT_EXPIRED: Statement = same!(
    "SELECT ended_at, id, $5 = 0 OR (SELECT 1 FROM task_run_history AS newer WHERE newer.tenant = old.tenant \
     AND newer.namespace = old.namespace AND newer.task_name = old.task_name \
     AND (newer.scheduled_at, newer.id) > (old.scheduled_at, old.id) LIMIT 1 OFFSET CASE WHEN $5 > 0 THEN $5 - 1 ELSE 0 END) \
     IS NOT NULL FROM (SELECT ended_at, id, tenant, namespace, task_name, scheduled_at FROM task_run_history \
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

/// Where the retention continues: after this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryCursor {
    ended_at: Timestamp,
    id: RunId,
}

/// The result of [`Runs::expire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The number of deleted runs.
    pub deleted: usize,
    /// Where the next batch begins; `None` at the end.
    pub next: Option<ExpiryCursor>,
}

impl Runs {
    /// Examines a number of the oldest reported runs from a position on, and deletes those that ended before a time, with their
    /// attempts, except for the newest `keep_last` runs of each task (namespace and name). Repeat until there is no next position.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn expire(
        &self,
        before: Timestamp,
        keep_last: u32,
        from: Option<ExpiryCursor>,
        limit: usize,
    ) -> Result<Expired, Error> {
        let (ended_at, id) =
            from.map_or((i64::MIN, Uuid::nil()), |from| (to_micros(from.ended_at), from.id.0));
        let arguments = [
            Argument::Integer(to_micros(before)),
            Argument::Integer(ended_at),
            Argument::Id(id),
            Argument::limit(limit),
            Argument::Integer(i64::from(keep_last)),
        ];
        let examined: Vec<(i64, Uuid, bool)> =
            fetch(&self.database, EXPIRING, SELECT_EXPIRED, &arguments).await?;
        let next = match examined.last().filter(|_| examined.len() >= limit) {
            Some((ended_at, id, _)) => Some(ExpiryCursor { ended_at: to_time(*ended_at)?, id: RunId(*id) }),
            None => None,
        };
        let expired: Vec<IdRow> =
            examined.iter().filter(|(.., is_expired)| *is_expired).map(|(_, id, _)| IdRow::of(*id)).collect();
        if expired.is_empty() {
            return Ok(Expired { deleted: 0, next });
        }
        let mut transaction = Transaction::begin(&self.database, EXPIRING).await?;
        let _: Vec<(Uuid,)> = transaction.fetch_batch(DELETE_ATTEMPTS, &expired).await?;
        let deleted: Vec<(Uuid,)> = transaction.fetch_batch(DELETE_RUNS, &expired).await?;
        transaction.commit().await?;
        Ok(Expired { deleted: deleted.len(), next })
    }
}
