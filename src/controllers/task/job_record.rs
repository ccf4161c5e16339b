//! Stores what was observed of Jobs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef as StoreRef, Store};
use kube::{Resource, ResourceExt};
use uuid::Uuid;

use super::super::context::Context;
use super::job_end::{End, read_end};
use super::job_starter::JobStarter;
use crate::domain::task::job::scheduled_time;
use crate::domain::task::observation::{
    JobProgress, ObservedJob, is_of_cron_job, progress_of, run_of, task_of,
};
use crate::domain::task::planning::ActiveTask;
use crate::domain::task::schedule::Schedule;
use crate::domain::task::{Executor, NewRun, Outcome, Run, RunId, RunState, Timing, Work};
use crate::error_chain::ErrorChain;
use crate::store;
use crate::store::runs::{FinishedAttempt, JobEnd, JobStart, ObservedEnd, ObservedRun, Then};

/// Delay before observations are stored again after an error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Number of missed times of a CronJob that are recorded at once.
const MAX_MISSED: usize = 100;

/// Number of Jobs that are deleted at once.
const MAX_CONCURRENT_DELETIONS: usize = 8;

/// A Job, and its end if it has ended.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) job: ObservedJob,
    pub(super) end: Option<End>,
}

/// Stores what was observed.
pub(super) struct JobRecorder<'c> {
    context: &'c Context,
    jobs: Store<DeserializeGuard<ObservedJob>>,
    starter: JobStarter,
    /// The ended Jobs whose ends are stored, by uid.
    recorded: HashSet<String>,
    /// The last observed time of each task with a CronJob.
    last_times: HashMap<Uuid, Timestamp>,
}

impl<'c> JobRecorder<'c> {
    pub(super) fn new(
        context: &'c Context,
        jobs: Store<DeserializeGuard<ObservedJob>>,
        starter: JobStarter,
    ) -> Self {
        Self { context, jobs, starter, recorded: HashSet::new(), last_times: HashMap::new() }
    }

    /// The Job of this name.
    pub(super) fn find(
        &self,
        reference: &StoreRef<DeserializeGuard<ObservedJob>>,
    ) -> Option<Arc<DeserializeGuard<ObservedJob>>> {
        self.jobs.get(reference)
    }

    /// Forgets a deleted Job.
    pub(super) fn forget(&mut self, uid: &str) {
        self.recorded.remove(uid);
    }

    /// Stores observations; retries until the store accepts them.
    pub(super) async fn store(&mut self, observed: Vec<Observed>) {
        while let Err(error) = self.try_store(&observed).await {
            tracing::warn!(error = %ErrorChain(&error), "waiting for the database to store the ends of Jobs");
            tokio::time::sleep(RETRY_DELAY).await;
        }
        let ended: Vec<&ObservedJob> =
            observed.iter().filter(|one| one.end.is_some()).map(|one| &one.job).collect();
        for job in &ended {
            self.recorded.insert(job.uid().unwrap_or_default());
            if let Err(error) = self.record_missed(job).await {
                tracing::warn!(error = %ErrorChain(&error), "recording missed times");
            }
        }
        self.prune(&ended).await;
    }

    async fn try_store(&mut self, observed: &[Observed]) -> Result<(), store::Error> {
        let context = self.context;
        let (mut starts, mut ends, mut of_cron_jobs) = (Vec::new(), Vec::new(), Vec::new());
        for Observed { job, end } in observed {
            if let Some((id, attempt)) = self.verified_run(job).await? {
                starts.push(JobStart { id, attempt, at: started_at(job, context), job: job.name_any() });
                ends.extend(end.as_ref().map(|end| (job, id, attempt, end)));
            } else if is_of_cron_job(job) {
                of_cron_jobs.extend(self.observed_run(job, end.as_ref()));
            }
        }
        context.runs.start_job(&starts).await?;
        context.runs.record(&of_cron_jobs).await?;
        let mut finished = Vec::new();
        let mut retried: HashMap<_, Run> = HashMap::new();
        for (job, id, attempt, end) in ends {
            let (then, run) = decide(context, job, attempt, end).await?;
            let is_cancelled = run.as_ref().is_some_and(|run| run.cancelled_by.is_some());
            if let (Then::Retry { due_at }, Some(run)) = (then, run) {
                retried.insert(id, Run { due_at, attempts: attempt, state: RunState::Ready, ..run });
            }
            let attempt = FinishedAttempt {
                id,
                attempt,
                at: end.at,
                state: if is_cancelled { RunState::Cancelled } else { end.state },
                outcome: end.outcome.clone(),
                executed_by: end.pod.clone(),
                runner: None,
                then,
            };
            finished.push(JobEnd {
                finished: attempt,
                started_at: end.started,
                earlier: end.earlier.clone(),
            });
        }
        let changed = context.runs.finish_job(&finished).await?;
        for id in changed {
            if let Some(run) = retried.remove(&id) {
                self.starter.enqueue(run, false);
            }
        }
        for Observed { job, .. } in observed {
            if let Some(task) = context.task_registry.task_of_job(job) {
                context.task_registry.mark_changed(&task.active.key);
            }
        }
        Ok(())
    }

    /// The run and the attempt of a Job, if the run is one of the task that the Job names, in the namespace of the Job. Whoever
    /// may create Jobs in a namespace can write any label and annotation, and so name a run of another tenant.
    async fn verified_run(&self, job: &ObservedJob) -> Result<Option<(RunId, u32)>, store::Error> {
        let Some((id, attempt)) = run_of(job) else { return Ok(None) };
        let task = self.context.runs.task_of(id).await?;
        let is_of_task = task
            .is_some_and(|task| Some(task.uid) == task_of(job) && Some(task.namespace) == job.namespace());
        Ok(is_of_task.then_some((id, attempt)))
    }

    /// The run of a Job that Kubernetes' CronJob controller created, and the times before it that have no Job.
    fn observed_run(&self, job: &ObservedJob, end: Option<&End>) -> Option<ObservedRun> {
        let context = self.context;
        let time = scheduled_time(job)?;
        let active = context.task_registry.task_of_job(job)?.active;
        let run = NewRun { executor: Some(Executor::CronJob), ..active.occurrence(time) };
        let is_new = !context.task_registry.with_board(|board| board.contains(run.id));
        if end.is_none() && is_new {
            context.task_registry.with_board(|board| board.restore_started(active.open_run(run.id, time)));
        }
        Some(ObservedRun {
            job: job.name_any(),
            started_at: started_at(job, context),
            end: end.map(|end| ObservedEnd {
                at: end.at,
                state: end.state,
                outcome: end.outcome.clone(),
                pod: end.pod.clone(),
                started_at: end.started,
                earlier: end.earlier.clone(),
            }),
            run,
        })
    }

    /// Records the times of a CronJob that have no Job: those between the last observed one and this one.
    async fn record_missed(&mut self, job: &ObservedJob) -> Result<(), store::Error> {
        let Some(time) = scheduled_time(job).filter(|_| is_of_cron_job(job)) else { return Ok(()) };
        let context = self.context;
        let Some(task) = context.task_registry.task_of_job(job) else { return Ok(()) };
        let uid = task.active.key.uid;
        let before = self.last_times.get(&uid).copied();
        if before.is_some_and(|before| before >= time) {
            return Ok(());
        }
        self.last_times.insert(uid, time);
        let Some(before) = before.or(task.last_scheduled) else { return Ok(()) };
        let Timing::Time { timetable, .. } = &task.active.definition.timing else { return Ok(()) };
        // Kubernetes counts an interval from the previous Job, and not from a fixed time.
        if !matches!(timetable.schedule, Schedule::Cron(_)) {
            return Ok(());
        }
        let jobs = self.jobs.state();
        let has_job = |time: Timestamp| {
            jobs.iter()
                .filter_map(|job| job.0.as_ref().ok())
                .any(|job| task_of(job) == Some(uid) && scheduled_time(job) == Some(time))
        };
        let missed: Vec<NewRun> = timetable
            .occurrences_after(before)
            .take_while(|missed| *missed < time)
            .take(MAX_MISSED)
            .filter(|missed| !has_job(*missed))
            .map(|missed| {
                let why =
                    "the CronJob controller started no Job: a previous run had not ended, or it was away";
                NewRun {
                    executor: Some(Executor::CronJob),
                    ..task.active.ended(missed, RunState::Missed, why.into())
                }
            })
            .collect();
        context.runs.insert(&missed, context.services.now()).await.map(drop)
    }

    /// Ends a run whose Job no longer exists.
    pub(super) async fn end_without_job(&self, run: &Run) {
        let message = match &run.cancelled_by {
            Some(by) => format!("cancelled by {by}"),
            None => "its Job was deleted before it ended".into(),
        };
        let outcome = Outcome { message: Some(message), ..Outcome::default() };
        finish(self.context, run, RunState::Cancelled, outcome, None).await;
    }

    /// Ends a cancelled run: reads its log, stores the end, and deletes the Job.
    pub(super) async fn end_cancelled(&self, run: &Run, job: &ObservedJob) {
        let by = run.cancelled_by.as_deref().unwrap_or_default();
        let end = read_end(self.context, job, RunState::Cancelled, self.context.services.now(), None).await;
        let outcome = Outcome { message: Some(format!("cancelled by {by}")), ..end.outcome };
        finish(self.context, run, RunState::Cancelled, outcome, end.pod).await;
        if let Err(error) = self.context.services.kubernetes.delete_owned(job).await {
            tracing::warn!(job = job.name_any(), %error, "deleting the Job of a cancelled run");
        }
    }

    /// Deletes the ended Jobs that exceed the history of the tasks of these Jobs.
    async fn prune(&self, ended: &[&ObservedJob]) {
        let tasks = ended.iter().filter_map(|job| self.context.task_registry.task_of_job(job));
        let tasks: HashMap<Uuid, Arc<ActiveTask>> =
            tasks.map(|task| (task.active.key.uid, task.active)).collect();
        let mut of_tasks: HashMap<Uuid, EndedJobs> = HashMap::new();
        for guard in self.jobs.state() {
            let Ok(job) = &guard.0 else { continue };
            let Some(task) = task_of(job).and_then(|task| tasks.get(&task)) else { continue };
            if Some(&task.key.namespace) != job.metadata.namespace.as_ref() {
                continue;
            }
            let jobs = of_tasks.entry(task.key.uid).or_default();
            match progress_of(job) {
                JobProgress::Ended { ended, state: RunState::Succeeded, .. } => {
                    jobs.succeeded.push((ended, guard));
                }
                JobProgress::Ended { ended, .. } => jobs.failed.push((ended, guard)),
                JobProgress::Waiting | JobProgress::Running(_) => {}
            }
        }
        let excess = of_tasks.into_iter().flat_map(|(task, EndedJobs { succeeded, failed })| {
            let (keep_succeeded, keep_failed) = tasks[&task].definition.history;
            exceeding(succeeded, keep_succeeded).chain(exceeding(failed, keep_failed))
        });
        let deleted: Vec<_> = excess.filter(|job| self.may_be_deleted(job)).collect();
        futures::stream::iter(deleted)
            .for_each_concurrent(MAX_CONCURRENT_DELETIONS, async |job| {
                let Ok(job) = &job.0 else { return };
                if let Err(error) = self.context.services.kubernetes.delete_owned(job).await {
                    tracing::warn!(job = job.name_any(), %error, "deleting an ended Job");
                }
            })
            .await;
    }

    /// Whether the run of an ended Job is stored, so that the Job is neither needed nor created again.
    fn may_be_deleted(&self, job: &DeserializeGuard<ObservedJob>) -> bool {
        let run = job.0.as_ref().ok().and_then(run_of);
        let is_creating = run.is_some_and(|(id, _)| self.starter.is_creating(id));
        !is_creating
            && job.meta().deletion_timestamp.is_none()
            && self.recorded.contains(&job.uid().unwrap_or_default())
    }
}

/// The ended Jobs of a task, and when they ended.
#[derive(Default)]
struct EndedJobs {
    succeeded: Vec<(Timestamp, Arc<DeserializeGuard<ObservedJob>>)>,
    failed: Vec<(Timestamp, Arc<DeserializeGuard<ObservedJob>>)>,
}

/// The oldest Jobs beyond a number of the newest ones.
fn exceeding(
    mut jobs: Vec<(Timestamp, Arc<DeserializeGuard<ObservedJob>>)>,
    keep: i32,
) -> impl Iterator<Item = Arc<DeserializeGuard<ObservedJob>>> {
    jobs.sort_by_key(|(ended, _)| std::cmp::Reverse(*ended));
    jobs.into_iter().skip(usize::try_from(keep).unwrap_or(0)).map(|(_, job)| job)
}

/// Whether a failed attempt is followed by another one, with its run.
async fn decide(
    context: &Context,
    job: &ObservedJob,
    attempt: u32,
    end: &End,
) -> Result<(Then, Option<Run>), store::Error> {
    if !matches!(end.state, RunState::Failed | RunState::TimedOut) {
        return Ok((Then::End, None));
    }
    let Some((id, _)) = run_of(job) else { return Ok((Then::End, None)) };
    let tenant = context.services.catalog.lock().tenant_of(&job.namespace().unwrap_or_default());
    let Some(tenant) = tenant.and_then(|tenant| tenant.parse().ok()) else { return Ok((Then::End, None)) };
    let Some(run) = context.runs.get(&tenant, id).await? else { return Ok((Then::End, None)) };
    let work = run.work.as_deref().and_then(|work| Work::parse(work).ok());
    let delay = work.filter(|work| work.shards.is_none()).and_then(|work| work.retry.delay_after(attempt));
    let then = match delay {
        Some(delay) if run.cancelled_by.is_none() => {
            Then::Retry { due_at: end.at.saturating_add(delay).unwrap_or(end.at) }
        }
        _ => Then::End,
    };
    Ok((then, Some(run)))
}

fn started_at(job: &ObservedJob, context: &Context) -> Timestamp {
    match progress_of(job) {
        JobProgress::Running(started) | JobProgress::Ended { started, .. } => started,
        JobProgress::Waiting => context.services.now(),
    }
}

async fn finish(context: &Context, run: &Run, state: RunState, outcome: Outcome, pod: Option<String>) {
    let finished = FinishedAttempt {
        id: run.id,
        attempt: run.attempts,
        at: context.services.now(),
        state,
        outcome,
        executed_by: pod,
        runner: None,
        then: Then::End,
    };
    if let Err(error) = context.runs.finish_attempt(&[finished]).await {
        tracing::warn!(error = %ErrorChain(&error), "storing the end of a run");
    }
}
