//! ScheduledTasks and their runs.
//!
//! - [`manifest`]: the tasks, and the CronJobs for comparison.
//! - [`jobs`]: when each Job of their runs was created.
//! - [`calls`]: when each HTTP call of their runs was received.
//!
//! A step that observes runs starts before the first of them is due. The tasks were created by an earlier step, so that their
//! creation is measured separately.

mod calls;
mod jobs;
mod manifest;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use eventcenter::api::ScheduledTask;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use kube::Client;
use kube::core::ApiResource;

use crate::load::Load;
use crate::protocol::Report;
use crate::watch::{self, Target};
use manifest::Kind;

/// The steps with tasks.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand, Clone, Debug)]
enum Step {
    /// Create ScheduledTasks and wait until they are Ready
    Create {
        /// What they do, and when
        #[arg(value_enum)]
        kind: Kind,
        #[command(flatten)]
        schedule: Schedule,
        /// The port of the receiver of HTTP calls
        #[arg(long, default_value_t = 9)]
        port: u16,
    },
    /// Create CronJobs that are due in one minute, given by --due
    CronJobs {
        #[command(flatten)]
        schedule: Schedule,
    },
    /// Wait for the Jobs of the tasks or CronJobs
    Jobs {
        #[command(flatten)]
        schedule: Schedule,
    },
    /// Receive the HTTP calls of the tasks
    Calls {
        #[command(flatten)]
        schedule: Schedule,
        /// The port of the receiver
        #[arg(long)]
        port: u16,
    },
    /// Watch the existing tasks and count the events
    Rest {
        /// Duration in seconds
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
}

/// When the tasks are due.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// The first due time, in seconds since 1970
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    due: i64,
    /// How often each task is due, a second apart
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    times: u32,
}

impl Schedule {
    /// The first due time.
    fn due(self) -> Result<Timestamp> {
        Timestamp::from_second(self.due).context("--due is out of range")
    }

    /// The first due time, which has not passed: the runs before the start of a step would be missing.
    fn future_due(self) -> Result<Timestamp> {
        let due = self.due()?;
        let early = due.duration_since(Timestamp::now());
        ensure!(early.is_positive(), "the runs were due {:#} ago: prepare them earlier", early.abs());
        Ok(due)
    }
}

impl Arguments {
    /// The kind of the objects that the step creates or watches.
    pub(crate) fn resource(&self) -> ApiResource {
        match self.step {
            Step::CronJobs { .. } => ApiResource::erase::<CronJob>(&()),
            _ => ApiResource::erase::<ScheduledTask>(&()),
        }
    }

    /// Runs the step.
    pub(crate) async fn run(self, client: Client, load: &Load) -> Result<Report> {
        match self.step {
            Step::Create { kind, schedule, port } => {
                let due = schedule.due()?;
                let create = move |writer: crate::load::Writer, number| async move {
                    let name = writer.load.name(number);
                    let spec = kind.spec(number, writer.load.count, due, schedule.times, port)?;
                    writer.create(number, &manifest::task(&name, &spec)).await
                };
                load.run(client, Some(Target::Ready { generation: 1 }), create).await
            }
            Step::CronJobs { schedule } => {
                let due = schedule.due()?;
                let create = move |writer: crate::load::Writer, number| async move {
                    let name = writer.load.name(number);
                    writer.create(number, &manifest::cron_job(&name, due)).await
                };
                load.run(client, None, create).await
            }
            Step::Jobs { schedule } => jobs::observe(client, load, schedule).await,
            Step::Calls { schedule, port } => calls::receive(load, schedule, port).await,
            Step::Rest { seconds } => watch::count_events(client, load, Duration::from_secs(seconds)).await,
        }
    }
}
