//! Up to where the events of topics were planned that tasks run for.
//!
//! A position moves by compare-and-set in the transaction that inserts the runs of the events before it. So a second leader, a kill or
//! an error can neither lose nor repeat an event.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::id::{IdRow, to_hex};
use super::plan::insert_runs;
use super::row::narrow;
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch, to_json};
use crate::domain::task::{NewRun, RunId};
use crate::store::Error;

const READING: &str = "reading the positions of tasks in topics";
const PLANNING: &str = "storing the runs of events";
const CHANGING: &str = "changing the positions of tasks in topics";

const SELECT: Statement = batch!(
    [id uuid]
    "SELECT task, topic, partition_id, topic_id, next_offset FROM task_event_position WHERE task IN (SELECT id FROM batch)"
);
const SELECT_TASKS: Statement = same!("SELECT DISTINCT task FROM task_event_position");

/// Open runs of events by task. The table of open runs is small.
const COUNT_OPEN: Statement = same!(
    "SELECT task, count(*) FROM task_run WHERE trigger_kind = 'Event' AND ended_at IS NULL GROUP BY task"
);

const INSERT: Statement = batch!(
    [task uuid, topic text, partition_id int, topic_id text, next_offset int]
    "INSERT INTO task_event_position (task, topic, partition_id, topic_id, next_offset) \
     SELECT task, topic, partition_id, topic_id, next_offset FROM batch WHERE true ORDER BY task, topic, partition_id \
     ON CONFLICT (task, topic, partition_id) DO NOTHING RETURNING task"
);
const MOVE: Statement = batch!(
    [task uuid, topic text, partition_id int, topic_id text, next_offset int, from_offset int]
    "UPDATE task_event_position SET next_offset = batch.next_offset FROM batch \
     WHERE task_event_position.task = batch.task AND task_event_position.topic = batch.topic \
     AND task_event_position.partition_id = batch.partition_id AND task_event_position.topic_id = batch.topic_id \
     AND task_event_position.next_offset = batch.from_offset RETURNING task_event_position.task"
);
const DELETE: Statement = batch!(
    [id uuid]
    "DELETE FROM task_event_position WHERE task IN (SELECT id FROM batch) RETURNING task"
);
/// Deletes the positions of tasks except for those in these topics with these ids.
const DELETE_OTHERS: Statement = batch!(
    [task uuid, topic text, topic_id text]
    "DELETE FROM task_event_position WHERE EXISTS (SELECT 1 FROM batch WHERE batch.task = task_event_position.task \
     AND (batch.topic <> task_event_position.topic OR batch.topic_id <> task_event_position.topic_id)) RETURNING task"
);

/// A topic, as positions name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PositionTopic {
    /// Names of the KafkaCluster and of the Kafka topic, separated by `/`.
    pub name: String,
    /// Kafka's id of the topic. A topic that is deleted and created again has another one.
    pub id: String,
}

/// The next event of a partition that is planned for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPosition {
    /// The `metadata.uid` of the task.
    pub task: Uuid,
    /// The topic.
    pub topic: PositionTopic,
    /// The partition.
    pub partition: i32,
    /// The offset of the next event.
    pub next_offset: i64,
}

/// A compare-and-set of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionMove {
    /// The offset that the position must have.
    pub from: i64,
    /// The new position.
    pub to: EventPosition,
}

#[derive(Serialize)]
struct PositionRow<'a> {
    task: String,
    topic: &'a str,
    partition_id: i32,
    topic_id: &'a str,
    next_offset: i64,
    from_offset: Option<i64>,
}

fn to_row(position: &EventPosition, from: Option<i64>) -> PositionRow<'_> {
    PositionRow {
        task: to_hex(position.task),
        topic: &position.topic.name,
        partition_id: position.partition,
        topic_id: &position.topic.id,
        next_offset: position.next_offset,
        from_offset: from,
    }
}

impl Runs {
    /// Reads the positions of tasks.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_event_positions(&self, tasks: &[Uuid]) -> Result<Vec<EventPosition>, Error> {
        let ids = to_json(&IdRow::all(tasks));
        let rows: Vec<(Uuid, String, i64, String, i64)> =
            fetch(&self.database, READING, SELECT, &[Argument::Text(&ids)]).await?;
        let to_position = |(task, name, partition, id, next_offset)| {
            let topic = PositionTopic { name, id };
            Ok(EventPosition { task, topic, partition: narrow(partition)?, next_offset })
        };
        rows.into_iter().map(to_position).collect()
    }

    /// The tasks that have positions.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_tasks_with_positions(&self) -> Result<Vec<Uuid>, Error> {
        let rows: Vec<(Uuid,)> = fetch(&self.database, READING, SELECT_TASKS, &[]).await?;
        Ok(rows.into_iter().map(|(task,)| task).collect())
    }

    /// The numbers of open runs of events, by task.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn count_open_of_events(&self) -> Result<HashMap<Uuid, usize>, Error> {
        let rows: Vec<(Uuid, i64)> = fetch(&self.database, READING, COUNT_OPEN, &[]).await?;
        rows.into_iter().map(|(task, number)| Ok((task, narrow(number)?))).collect()
    }

    /// Stores positions, except for those that exist already. Other positions of these tasks, in other topics or in a topic of the
    /// same name that was deleted, are removed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn begin_event_positions(&self, positions: &[EventPosition]) -> Result<(), Error> {
        let mut rows: Vec<PositionRow<'_>> = positions.iter().map(|one| to_row(one, None)).collect();
        rows.sort_by(|a, b| (&a.task, a.partition_id).cmp(&(&b.task, b.partition_id)));
        let mut transaction = Transaction::begin(&self.database, CHANGING).await?;
        for statement in [DELETE_OTHERS, INSERT] {
            let _: Vec<(Uuid,)> = transaction.fetch_batch(statement, &rows).await?;
        }
        transaction.commit().await
    }

    /// Removes the positions of tasks.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete_event_positions(&self, tasks: &[Uuid]) -> Result<(), Error> {
        let mut transaction = Transaction::begin(&self.database, CHANGING).await?;
        let _: Vec<(Uuid,)> = transaction.fetch_batch(DELETE, &IdRow::all(tasks)).await?;
        transaction.commit().await
    }

    /// Moves positions by compare-and-set, and inserts the runs of the events before them, in one transaction. Each position is named
    /// once. Returns the runs that are new; `None` if a position is another one or does not exist, and then nothing is changed: read the
    /// positions again, since another process has moved or removed them. `now` is when a run whose first state is final ended.
    ///
    /// After an error, read the positions: the transaction may have been committed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn plan_events(
        &self,
        moves: &[PositionMove],
        runs: &[NewRun],
        now: Timestamp,
    ) -> Result<Option<Vec<RunId>>, Error> {
        if moves.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut rows: Vec<PositionRow<'_>> =
            moves.iter().map(|one| to_row(&one.to, Some(one.from))).collect();
        rows.sort_by(|a, b| (&a.task, a.topic, a.partition_id).cmp(&(&b.task, b.topic, b.partition_id)));
        let runs: Vec<&NewRun> = runs.iter().collect();
        let mut transaction = Transaction::begin(&self.database, PLANNING).await?;
        let moved: Vec<(Uuid,)> = transaction.fetch_batch(MOVE, &rows).await?;
        if moved.len() != moves.len() {
            return Ok(None);
        }
        let inserted = insert_runs(&mut transaction, &runs, now).await?;
        transaction.commit().await?;
        self.signal_inserted(&runs);
        Ok(Some(inserted))
    }
}
