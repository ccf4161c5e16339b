//! The ends of Jobs, in which Kubernetes may have made several attempts.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Runs;
use super::attempt::{self, EndedRow};
use super::id::{to_hex, to_id_rows};
use super::row::to_micros;
use super::signal::Signal;
use super::statement::{Statement, batch};
use super::transaction::Transaction;
use super::transition::{FinishedAttempt, finish_attempts};
use crate::domain::task::{Outcome, RunId, RunState};
use crate::store::Error;

const FINISHING: &str = "storing the ends of Jobs";

const COUNT_ATTEMPTS: Statement = batch!(
    [id uuid, attempt int, attempts int, at int]
    "UPDATE task_run SET attempts = batch.attempts, attempt_started_at = batch.at FROM batch \
     WHERE task_run.id = batch.id AND task_run.state = 'Running' AND task_run.attempts = batch.attempt RETURNING task_run.id"
);

/// An attempt of Kubernetes that failed before the one that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAttempt {
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Its result.
    pub outcome: Outcome,
    /// The name of the pod.
    pub pod: String,
}

/// The end of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// The attempt that decides. Its number is that of the Job, without the earlier attempts.
    pub finished: FinishedAttempt,
    /// When that attempt started.
    pub started_at: Timestamp,
    /// The attempts before it, the oldest first.
    pub earlier: Vec<EarlierAttempt>,
}

#[derive(Serialize)]
struct CountRow {
    id: String,
    attempt: u32,
    attempts: u32,
    at: i64,
}

impl Runs {
    /// As [`Runs::finish_attempt`], with the attempts of Kubernetes before them.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn finish_job(&self, ends: &[JobEnd]) -> Result<Vec<RunId>, Error> {
        if ends.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.database, FINISHING).await?;
        let changed = finish_jobs(&mut transaction, ends).await?;
        transaction.commit().await?;
        self.signals.send(Signal::Changed);
        Ok(changed)
    }
}

pub(super) async fn finish_jobs(transaction: &mut Transaction, ends: &[JobEnd]) -> Result<Vec<RunId>, Error> {
    let mut repeated: Vec<&JobEnd> = ends.iter().filter(|end| !end.earlier.is_empty()).collect();
    if !repeated.is_empty() {
        // All runs at once: others may lock some of them in the same order.
        let ids: Vec<RunId> = ends.iter().map(|end| end.finished.id).collect();
        transaction.lock_runs(&to_id_rows(&ids)).await?;
        repeated.sort_by_key(|end| end.finished.id);
        let rows: Vec<CountRow> = repeated.iter().map(|end| to_count_row(end)).collect();
        let counted: Vec<(Uuid,)> = transaction.fetch_batch(COUNT_ATTEMPTS, &rows).await?;
        repeated.retain(|end| counted.contains(&(end.finished.id.0,)));
        let rows: Vec<EndedRow<'_>> = repeated.iter().flat_map(|end| to_ended_rows(end)).collect();
        attempt::insert(transaction, &rows).await?;
    }
    let finished: Vec<FinishedAttempt> =
        ends.iter().map(|end| FinishedAttempt { attempt: number_of(end), ..end.finished.clone() }).collect();
    finish_attempts(transaction, &finished).await
}

/// The number of the attempt that decides.
fn number_of(end: &JobEnd) -> u32 {
    end.finished.attempt.saturating_add(u32::try_from(end.earlier.len()).unwrap_or(u32::MAX))
}

fn to_count_row(end: &JobEnd) -> CountRow {
    CountRow {
        id: to_hex(end.finished.id.0),
        attempt: end.finished.attempt,
        attempts: number_of(end),
        at: to_micros(end.started_at),
    }
}

fn to_ended_rows(end: &JobEnd) -> impl Iterator<Item = EndedRow<'_>> {
    end.earlier.iter().zip(i64::from(end.finished.attempt)..).map(|(earlier, number)| EndedRow {
        run: to_hex(end.finished.id.0),
        number,
        started_at: to_micros(earlier.started_at),
        ended_at: to_micros(earlier.at),
        state: RunState::Failed.as_str(),
        exit_code: earlier.outcome.exit_code,
        http_status: None,
        message: earlier.outcome.message.as_deref(),
        items: earlier.outcome.items,
        errors: earlier.outcome.errors,
        executed_by: Some(&earlier.pod),
        log_tail: earlier.outcome.log_tail.as_deref(),
    })
}
