//! Events about runs that wait for their publication. They are inserted with the change that they are about, so that none is
//! lost, and deleted after Kafka has them, so that some are published twice after a crash.

use serde::Serialize;

use super::Runs;
use super::statement::{Statement, batch, same};
use super::transaction::{Argument, Transaction, fetch};
use crate::domain::task::RunId;
use crate::store::Error;

const READING: &str = "reading events about runs";
const DELETING: &str = "deleting published events about runs";

const INSERT_EVENTS: Statement = batch!(
    [place int, event text]
    "INSERT INTO task_event (event) SELECT event FROM batch WHERE true ORDER BY place RETURNING sequence"
);
const SELECT_EVENTS: Statement = same!("SELECT sequence, event FROM task_event ORDER BY sequence LIMIT $1");
const DELETE_EVENTS: Statement = batch!(
    [sequence int]
    "DELETE FROM task_event WHERE sequence IN (SELECT sequence FROM batch) RETURNING sequence"
);
/// The sequence has gaps, so this is an estimate, but it reads two rows only.
const COUNT_EVENTS: Statement =
    same!("SELECT COALESCE(MAX(sequence) - MIN(sequence) + 1, 0) FROM task_event");

/// An event about a run, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRunEvent {
    /// The run.
    pub run: RunId,
    /// The event, a CloudEvent as JSON.
    pub event: String,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEvent {
    /// Its place among all events.
    pub sequence: i64,
    /// The event, a CloudEvent as JSON.
    pub event: String,
}

#[derive(Serialize)]
struct EventRow<'a> {
    place: usize,
    event: &'a str,
}

#[derive(Serialize)]
struct SequenceRow {
    sequence: i64,
}

impl Runs {
    /// Lists the oldest events.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_events(&self, limit: usize) -> Result<Vec<RunEvent>, Error> {
        let rows: Vec<(i64, String)> =
            fetch(&self.database, READING, SELECT_EVENTS, &[Argument::limit(limit)]).await?;
        Ok(rows.into_iter().map(|(sequence, event)| RunEvent { sequence, event }).collect())
    }

    /// Estimates the number of events.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn estimate_events(&self) -> Result<u64, Error> {
        let rows: Vec<(i64,)> = fetch(&self.database, READING, COUNT_EVENTS, &[]).await?;
        Ok(rows.first().map_or(0, |(count,)| u64::try_from(*count).unwrap_or_default()))
    }

    /// Deletes events that were published.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete_events(&self, sequences: &[i64]) -> Result<(), Error> {
        if sequences.is_empty() {
            return Ok(());
        }
        let rows: Vec<SequenceRow> =
            sequences.iter().map(|sequence| SequenceRow { sequence: *sequence }).collect();
        let mut transaction = Transaction::begin(&self.database, DELETING).await?;
        let _: Vec<(i64,)> = transaction.fetch_batch(DELETE_EVENTS, &rows).await?;
        transaction.commit().await
    }
}

/// Inserts the events of these runs.
pub(super) async fn insert_events(
    transaction: &mut Transaction,
    events: &[NewRunEvent],
    runs: &[RunId],
) -> Result<(), Error> {
    let of_runs = events.iter().filter(|event| runs.contains(&event.run));
    let rows: Vec<EventRow<'_>> =
        of_runs.enumerate().map(|(place, event)| EventRow { place, event: &event.event }).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let _: Vec<(i64,)> = transaction.fetch_batch(INSERT_EVENTS, &rows).await?;
    Ok(())
}
