//! Inserts runs, and moves the cursors up to which the occurrences of tasks were planned.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::id::{IdRow, in_order, to_hex};
use super::row::{to_micros, to_time};
use super::signal::Signal;
use super::statement::{Statement, batch, same};
use super::transaction::{Transaction, fetch};
use crate::domain::task::{Executor, NewRun, RunId, RunState};
use crate::store::Error;

const PLANNING: &str = "storing planned runs";
const READING: &str = "reading the cursors of tasks";

const SELECT_CURSORS: Statement = same!("SELECT task, at, schedule_hash FROM task_cursor");

const INSERT_CURSORS: Statement = batch!(
    [task uuid, at int, schedule_hash text]
    "INSERT INTO task_cursor (task, at, schedule_hash) SELECT task, at, schedule_hash FROM batch WHERE true ORDER BY task \
     ON CONFLICT (task) DO NOTHING RETURNING task"
);
const MOVE_CURSORS: Statement = batch!(
    [task uuid, at int, schedule_hash text, from_at int, from_hash text]
    "UPDATE task_cursor SET at = batch.at, schedule_hash = batch.schedule_hash FROM batch \
     WHERE task_cursor.task = batch.task AND task_cursor.at = batch.from_at AND task_cursor.schedule_hash = batch.from_hash \
     RETURNING task_cursor.task"
);
const INSERT_RUNS: Statement = batch!(
    [id uuid, tenant text, namespace text, task_name text, task uuid, trigger_kind text, trigger_json text, scheduled_at int,
     due_at int, state text, executor text, chain uuid, parameters text, work text, requested_by text, message text, ended_at int]
    "INSERT INTO task_run (id, tenant, namespace, task_name, task, trigger_kind, trigger_json, scheduled_at, due_at, state, \
     executor, chain, parameters, work, requested_by, message, ended_at) \
     SELECT id, tenant, namespace, task_name, task, trigger_kind, trigger_json, scheduled_at, due_at, state, executor, chain, \
     parameters, work, requested_by, message, ended_at FROM batch WHERE true ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id"
);
/// Deletes inserted runs that the history has. This statement follows the insertion: if another transaction moves a run to the
/// history meanwhile, the insertion waits for it, and only a later statement sees the moved run.
const DELETE_KNOWN: Statement = batch!(
    [id uuid]
    "DELETE FROM task_run WHERE id IN (SELECT batch.id FROM batch JOIN task_run_history ON task_run_history.id = batch.id) \
     RETURNING id"
);

/// Up to when the occurrences of a task were planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The `metadata.uid` of the task.
    pub task: Uuid,
    /// All occurrences up to this time, included, are planned.
    pub at: Timestamp,
    /// The hash of the schedule by which they were planned.
    pub schedule_hash: String,
}

/// A compare-and-set of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorMove {
    /// The time and hash that the cursor must have; `None` if there must be none.
    pub from: Option<(Timestamp, String)>,
    /// The new cursor.
    pub to: Cursor,
}

/// The result of [`Runs::plan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The runs that are new.
    pub inserted: Vec<RunId>,
    /// The tasks whose cursor another process has moved; none of their rows were written.
    pub stale: Vec<Uuid>,
}

#[derive(Serialize)]
struct MoveRow<'a> {
    task: String,
    at: i64,
    schedule_hash: &'a str,
    from_at: Option<i64>,
    from_hash: Option<&'a str>,
}

#[derive(Serialize)]
struct NewRow<'a> {
    id: String,
    tenant: &'a str,
    namespace: &'a str,
    task_name: &'a str,
    task: String,
    trigger_kind: &'static str,
    trigger_json: String,
    scheduled_at: i64,
    due_at: i64,
    state: &'static str,
    executor: Option<&'static str>,
    chain: String,
    parameters: Option<String>,
    work: Option<&'a str>,
    requested_by: Option<&'a str>,
    message: Option<&'a str>,
    ended_at: Option<i64>,
}

impl Runs {
    /// Reads the cursors of all tasks.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_cursors(&self) -> Result<HashMap<Uuid, Cursor>, Error> {
        let rows: Vec<(Uuid, i64, String)> = fetch(&self.database, READING, SELECT_CURSORS, &[]).await?;
        let to_cursor = |(task, at, schedule_hash)| {
            let at = to_time(at)?;
            Ok((task, Cursor { task, at, schedule_hash }))
        };
        rows.into_iter().map(to_cursor).collect()
    }

    /// Moves cursors by compare-and-set and inserts the runs of the tasks whose cursor was moved, in one transaction. Runs that
    /// exist are left alone, also ended ones. Each task has at most one move; runs of other tasks are not inserted. `now` is when
    /// a run whose first state is final ended.
    ///
    /// After an error, read the cursors: the transaction may have been committed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn plan(
        &self,
        moves: &[CursorMove],
        runs: &[NewRun],
        now: Timestamp,
    ) -> Result<Planned, Error> {
        if moves.is_empty() {
            return Ok(Planned::default());
        }
        let mut transaction = Transaction::begin(&self.database, PLANNING).await?;
        let mut moved: HashSet<Uuid> = HashSet::new();
        let (first, later): (Vec<_>, Vec<_>) = moves.iter().partition(|one| one.from.is_none());
        for (statement, moves) in [(INSERT_CURSORS, first), (MOVE_CURSORS, later)] {
            if !moves.is_empty() {
                let rows: Vec<(Uuid,)> = transaction.fetch_batch(statement, &to_move_rows(moves)).await?;
                moved.extend(rows.into_iter().map(|(task,)| task));
            }
        }
        let runs: Vec<&NewRun> = runs.iter().filter(|run| moved.contains(&run.task.uid)).collect();
        let inserted = insert_runs(&mut transaction, &runs, now).await?;
        transaction.commit().await?;
        self.signal_inserted(&runs);
        let stale = moves.iter().map(|one| one.to.task).filter(|task| !moved.contains(task)).collect();
        Ok(Planned { inserted, stale })
    }

    /// Inserts runs without moving a cursor. Returns those that are new; others exist, and are left alone. `now` is when a run
    /// whose first state is final ended.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn insert(&self, runs: &[NewRun], now: Timestamp) -> Result<Vec<RunId>, Error> {
        let runs: Vec<&NewRun> = runs.iter().collect();
        let mut transaction = Transaction::begin(&self.database, PLANNING).await?;
        let inserted = insert_runs(&mut transaction, &runs, now).await?;
        transaction.commit().await?;
        self.signal_inserted(&runs);
        Ok(inserted)
    }

    pub(super) fn signal_inserted(&self, runs: &[&NewRun]) {
        let has = |state, executor| runs.iter().any(|run| run.state == state && run.executor == executor);
        if has(RunState::Ready, Some(Executor::Runner)) {
            self.signals.send(Signal::Claimable);
        }
        if runs.iter().any(|run| run.state == RunState::Requested || run.state.is_final()) {
            self.signals.send(Signal::Changed);
        }
    }
}

/// The rows of moves in the order in which all processes lock them.
fn to_move_rows(mut moves: Vec<&CursorMove>) -> Vec<MoveRow<'_>> {
    moves.sort_by_key(|one| one.to.task);
    moves.into_iter().map(to_move_row).collect()
}

fn to_move_row(one: &CursorMove) -> MoveRow<'_> {
    MoveRow {
        task: to_hex(one.to.task),
        at: to_micros(one.to.at),
        schedule_hash: &one.to.schedule_hash,
        from_at: one.from.as_ref().map(|(at, _)| to_micros(*at)),
        from_hash: one.from.as_ref().map(|(_, hash)| hash.as_str()),
    }
}

/// Inserts runs, and returns those that are new.
pub(super) async fn insert_runs(
    transaction: &mut Transaction,
    runs: &[&NewRun],
    now: Timestamp,
) -> Result<Vec<RunId>, Error> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<NewRow<'_>> = runs.iter().map(|run| to_new_row(run, now)).collect();
    let mut inserted: Vec<(Uuid,)> = transaction.fetch_batch(INSERT_RUNS, &rows).await?;
    let ids: Vec<IdRow> = inserted.iter().map(|(id,)| IdRow::of(*id)).collect();
    let known: Vec<(Uuid,)> = transaction.fetch_batch(DELETE_KNOWN, &ids).await?;
    inserted.retain(|id| !known.contains(id));
    Ok(in_order(runs.iter().map(|run| run.id), &inserted))
}

fn to_new_row(run: &NewRun, now: Timestamp) -> NewRow<'_> {
    let to_json = |parameters| serde_json::to_string(parameters).expect("texts");
    NewRow {
        id: to_hex(run.id.0),
        tenant: run.task.tenant.as_str(),
        namespace: &run.task.namespace,
        task_name: &run.task.name,
        task: to_hex(run.task.uid),
        trigger_kind: run.trigger.kind(),
        trigger_json: serde_json::to_string(&run.trigger).expect("texts and numbers"),
        scheduled_at: to_micros(run.scheduled_at),
        due_at: to_micros(run.due_at),
        state: run.state.as_str(),
        executor: run.executor.map(Executor::as_str),
        chain: to_hex(run.chain),
        parameters: Some(&run.parameters).filter(|all| !all.is_empty()).map(to_json),
        work: run.work.as_deref(),
        requested_by: run.requested_by.as_deref(),
        message: run.message.as_deref(),
        ended_at: run.state.is_final().then(|| to_micros(now)),
    }
}
