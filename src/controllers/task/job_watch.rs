//! Observes the Jobs of tasks, and stores the starts and ends of their runs.
//!
//! Each Job passes the same stages: what it says (pure), what its pod says (requests), the store. Several Jobs are in the second
//! stage at once, and the third writes batches.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef as StoreRef};
use kube::runtime::watcher::Event;

use super::super::context::Context;
use super::super::queue::Watched;
use super::job_end::{End, collect};
use super::job_record::{JobRecorder, Observed};
use super::job_starter::JobStarter;
use crate::api::ScheduledTask;
use crate::domain::task::observation::{
    JobProgress, ObservedJob, is_of_cron_job, progress_of, run_of, task_of,
};
use crate::domain::task::{Executor, Outcome, RunState};
use crate::store::runs::Signal;

/// Number of Jobs whose pods are read at once.
const MAX_CONCURRENT: usize = 16;

/// Number of observations that are stored in one transaction.
const MAX_BATCH: usize = 100;

/// Interval in which Jobs are looked at again that could not be attributed, and cancelled runs are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How much of a Job has been observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Ended,
}

/// The watch of Jobs.
struct JobWatch<'c> {
    context: &'c Context,
    recorder: JobRecorder<'c>,
    seen: HashMap<String, Stage>,
    collecting: FuturesUnordered<BoxFuture<'c, Observed>>,
    /// Jobs whose task is not active yet, by uid.
    deferred: HashMap<String, ObservedJob>,
}

/// Whether the run of a Job can be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribution {
    /// Now.
    Possible,
    /// When its task is active.
    Later,
    /// Never: it belongs to no task.
    Impossible,
}

/// Observes Jobs until dropped.
pub(super) async fn follow(context: &Context, starter: JobStarter) {
    let (jobs, writer) = reflector::store();
    let events = context.services.kubernetes.watch_of_tasks::<ObservedJob>().reflect(writer);
    let mut events = std::pin::pin!(events);
    let mut changed = context.runs.subscribe(Signal::Changed);
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watch = JobWatch {
        context,
        recorder: JobRecorder::new(context, jobs, starter),
        seen: HashMap::new(),
        collecting: FuturesUnordered::new(),
        deferred: HashMap::new(),
    };
    let mut observed = Vec::new();
    loop {
        tokio::select! {
            event = events.next(), if watch.collecting.len() < MAX_CONCURRENT => match event {
                Some(Ok(event)) => watch.handle(event).await,
                Some(Err(error)) => tracing::warn!(%error, "watching Jobs"),
                None => return,
            },
            Some(one) = watch.collecting.next() => {
                observed.push(one);
                while observed.len() < MAX_BATCH && let Some(Some(one)) = watch.collecting.next().now_or_never() {
                    observed.push(one);
                }
                watch.recorder.store(std::mem::take(&mut observed)).await;
            }
            () = changed.notified() => watch.end_cancelled().await,
            _ = ticks.tick() => {
                for (_, job) in std::mem::take(&mut watch.deferred) {
                    watch.observe(job);
                }
                watch.end_cancelled().await;
            }
        }
    }
}

impl JobWatch<'_> {
    async fn handle(&mut self, event: Event<DeserializeGuard<ObservedJob>>) {
        match event {
            Event::Apply(guard) | Event::InitApply(guard) => {
                if let Ok(job) = guard.0 {
                    self.observe(job);
                }
            }
            Event::Delete(guard) => {
                if let Ok(job) = guard.0 {
                    self.observe_deletion(job);
                }
            }
            Event::Init => {}
            Event::InitDone => self.end_missing().await,
        }
    }

    /// Observes a Job, unless it says nothing new.
    fn observe(&mut self, job: ObservedJob) {
        let stage = match progress_of(&job) {
            JobProgress::Waiting => return,
            JobProgress::Running(_) => Stage::Running,
            JobProgress::Ended { .. } => Stage::Ended,
        };
        let uid = job.uid().unwrap_or_default();
        if self.seen.get(&uid).is_some_and(|seen| *seen >= stage) {
            return;
        }
        match self.attribution(&job) {
            Attribution::Possible => {}
            Attribution::Later => {
                self.deferred.insert(uid, job);
                return;
            }
            Attribution::Impossible => return,
        }
        self.seen.insert(uid, stage);
        let context = self.context;
        self.collecting.push(async move { Observed { end: collect(context, &job).await, job } }.boxed());
    }

    /// Whether the run of a Job can be determined: its annotations name it, or its task is active.
    fn attribution(&self, job: &ObservedJob) -> Attribution {
        if run_of(job).is_some() {
            return Attribution::Possible;
        }
        let tasks = &self.context.tasks;
        let is_of_task = |task: &Watched<ScheduledTask>| {
            task.namespace() == job.namespace() && task.uid().and_then(|uid| uid.parse().ok()) == task_of(job)
        };
        if !is_of_cron_job(job) {
            Attribution::Impossible
        } else if self.context.task_registry.task_of_job(job).is_some() {
            Attribution::Possible
        } else if !tasks.is_synced() || tasks.objects.state().iter().any(|task| is_of_task(task)) {
            Attribution::Later
        } else {
            Attribution::Impossible
        }
    }

    /// A Job that is deleted before it ends has ended.
    fn observe_deletion(&mut self, job: ObservedJob) {
        let uid = job.uid().unwrap_or_default();
        self.recorder.forget(&uid);
        self.deferred.remove(&uid);
        let is_stored = self.seen.remove(&uid) == Some(Stage::Ended);
        if is_stored || self.attribution(&job) != Attribution::Possible {
            return;
        }
        // An ended Job may be deleted before its end was delivered.
        if matches!(progress_of(&job), JobProgress::Ended { .. }) {
            let context = self.context;
            self.collecting.push(async move { Observed { end: collect(context, &job).await, job } }.boxed());
            return;
        }
        let at = self.context.services.now();
        let outcome =
            Outcome { message: Some("its Job was deleted before it ended".into()), ..Outcome::default() };
        let end = Some(End {
            at,
            state: RunState::Cancelled,
            outcome,
            pod: None,
            started: at,
            earlier: Vec::new(),
        });
        self.collecting.push(async move { Observed { end, job } }.boxed());
    }

    /// Ends running runs whose Job was deleted while nobody observed it.
    async fn end_missing(&mut self) {
        let mut after = None;
        loop {
            let open = match self.context.runs.list_open(after, MAX_BATCH).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::warn!(%error, "reading open runs");
                    return;
                }
            };
            after = open.last().map(|run| run.id);
            if after.is_none() {
                return;
            }
            let of_jobs = open.into_iter().filter(|run| {
                run.state == RunState::Running
                    && matches!(run.executor, Some(Executor::Job | Executor::CronJob))
            });
            for run in of_jobs {
                let job = run.executed_by.clone().unwrap_or_default();
                let reference = StoreRef::new(&job).within(&run.task.namespace);
                if self.recorder.find(&reference).is_none() {
                    self.recorder.end_without_job(&run).await;
                }
            }
        }
    }

    /// Deletes the Jobs of cancelled runs, after their logs were read.
    async fn end_cancelled(&mut self) {
        let cancelled = match self.context.runs.list_cancelled_jobs(MAX_BATCH).await {
            Ok(cancelled) => cancelled,
            Err(error) => {
                tracing::warn!(%error, "reading cancelled runs");
                return;
            }
        };
        for run in cancelled {
            let job = run.executed_by.clone().unwrap_or_default();
            let reference = StoreRef::new(&job).within(&run.task.namespace);
            let Some(job) = self.recorder.find(&reference) else {
                self.recorder.end_without_job(&run).await;
                continue;
            };
            let Ok(job) = &job.0 else { continue };
            self.recorder.end_cancelled(&run, job).await;
            self.seen.insert(job.uid().unwrap_or_default(), Stage::Ended);
        }
    }
}
