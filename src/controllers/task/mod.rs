//! ScheduledTasks: observe, plan, apply, report.
//!
//! - `reconcile` makes a task active: approval, rules, engine, CronJob, status. `template`: the same for TaskTemplates.
//! - `registry`: the active tasks and their open runs. `due_statuses`: whose statuses are to be written.
//! - `planner`: which runs exist, and what follows from their ends.
//! - `event_trigger`: reads the events that tasks run for, and requests their runs.
//! - `job_starter`: creates Jobs. `job_watch`, `job_end`, `job_record`: observe them, read their logs, store their ends.
//! - `job_events`: publishes events about runs; `destination`: to which Kafka topic.
//! - `retention`: deletes expired runs.
//! - `cron_job`: applies the CronJobs of tasks; `cron_jobs`: those that exist.
//!
//! The runs of HTTP calls and events are executed by the role `runner`, which claims them in the store.

mod cron_job;
mod cron_jobs;
mod destination;
mod due_statuses;
mod event_trigger;
mod job_end;
mod job_events;
mod job_record;
mod job_starter;
mod job_watch;
mod metrics;
mod planner;
mod reconcile;
mod registry;
mod retention;
mod template;

pub(super) use cron_jobs::CronJobs;
pub(super) use metrics::TaskMetrics;
pub(super) use reconcile::TaskReconciler;
pub(super) use registry::{Commands, TaskRegistry};
pub(super) use template::TemplateReconciler;

use std::time::Duration;

use tokio::sync::Notify;

use super::context::Context;
use job_starter::JobStarter;

/// How often tasks are looked for whose status is to be written.
const STATUS_TICK: Duration = Duration::from_millis(200);

/// Number of tasks that are taken at once: 50 writes a second leave the API server to the Jobs, however many tasks run.
const STATUSES_PER_TICK: usize = 10;

/// Plans and observes runs until dropped.
pub(super) async fn run(context: &Context, commands: Commands) {
    let (starter, requests) = JobStarter::new();
    let events = Notify::new();
    tokio::join!(
        planner::run(context, commands, starter.clone(), &events),
        job_events::publish(context, &events),
        job_starter::run(context, requests),
        job_watch::follow(context, starter),
        cron_job::follow(context),
        event_trigger::run(context),
        write_statuses(context),
        retention::run(context),
    );
}

/// Reconciles the tasks whose runs have changed, each at most once in an interval: a task may have a run each second.
async fn write_statuses(context: &Context) {
    let mut ticks = tokio::time::interval(STATUS_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let interval = context.options.task_status_interval;
        for (namespace, name) in context.task_registry.take_changed(interval, STATUSES_PER_TICK) {
            context.tasks.queue.enqueue(Some(&namespace), &name);
        }
    }
}
