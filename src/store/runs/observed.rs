//! Runs that another system executes: the Jobs of a CronJob.

use jiff::Timestamp;

use super::Runs;
use super::job_end::{EarlierAttempt, JobEnd, finish_jobs};
use super::plan::insert_runs;
use super::signal::Signal;
use super::transaction::Transaction;
use super::transition::{FinishedAttempt, JobStart, Then, start_jobs};
use crate::domain::task::{NewRun, Outcome, RunId, RunState};
use crate::store::Error;

const RECORDING: &str = "recording the runs of CronJobs";

/// A run that another system executes, as it was observed. It has one Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRun {
    /// The run. Its state is ignored: it is `Running`, or that of the end.
    pub run: NewRun,
    /// The name of the Job.
    pub job: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Its end; `None` while it is running.
    pub end: Option<ObservedEnd>,
}

/// The end of an observed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedEnd {
    /// When it ended.
    pub at: Timestamp,
    /// A final state.
    pub state: RunState,
    /// Its result.
    pub outcome: Outcome,
    /// The name of the pod.
    pub pod: Option<String>,
    /// When the attempt started that decides.
    pub started_at: Timestamp,
    /// The attempts before it, the oldest first.
    pub earlier: Vec<EarlierAttempt>,
}

/// The number of the attempt of an observed run.
const ATTEMPT: u32 = 1;

impl Runs {
    /// Inserts observed runs, or advances them to running or ended ones, in one transaction. A run that has ended is left alone.
    /// Returns those that ended by this call.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record(&self, observed: &[ObservedRun]) -> Result<Vec<RunId>, Error> {
        if observed.is_empty() {
            return Ok(Vec::new());
        }
        let as_ready = |one: &ObservedRun| NewRun { state: RunState::Ready, ..one.run.clone() };
        let runs: Vec<NewRun> = observed.iter().map(as_ready).collect();
        let to_start = |one: &ObservedRun| JobStart {
            id: one.run.id,
            attempt: ATTEMPT,
            at: one.started_at,
            job: one.job.clone(),
        };
        let starts: Vec<JobStart> = observed.iter().map(to_start).collect();
        let ends: Vec<JobEnd> = observed.iter().filter_map(to_job_end).collect();
        let mut transaction = Transaction::begin(&self.database, RECORDING).await?;
        // None of the runs is final, so the time is not used.
        insert_runs(&mut transaction, &runs.iter().collect::<Vec<_>>(), Timestamp::UNIX_EPOCH).await?;
        start_jobs(&mut transaction, &starts).await?;
        let ended = match ends.is_empty() {
            true => Vec::new(),
            false => finish_jobs(&mut transaction, &ends).await?,
        };
        transaction.commit().await?;
        if !ended.is_empty() {
            self.signals.send(Signal::Changed);
        }
        Ok(ended)
    }
}

fn to_job_end(observed: &ObservedRun) -> Option<JobEnd> {
    let end = observed.end.as_ref()?;
    let finished = FinishedAttempt {
        id: observed.run.id,
        attempt: ATTEMPT,
        at: end.at,
        state: end.state,
        outcome: end.outcome.clone(),
        executed_by: end.pod.clone(),
        runner: None,
        then: Then::End,
    };
    Some(JobEnd { finished, started_at: end.started_at, earlier: end.earlier.clone() })
}
