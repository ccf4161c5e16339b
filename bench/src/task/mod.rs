//! ScheduledTasks and their runs.
//!
//! - [`manifest`]: the tasks, and the CronJobs for comparison.
//! - [`schedule`]: when they are due.
//! - [`jobs`]: when each Job of their runs was created.
//! - [`calls`]: when each HTTP call of their runs was received. [`plain`]: the same number of calls without the product.
//!
//! A step that observes runs starts before the first of them is due. The tasks were created by an earlier step, so that their
//! creation is measured separately.

mod calls;
mod jobs;
mod manifest;
mod plain;
mod schedule;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use eventcenter::api::ScheduledTask;
use eventcenter::store::StoreUrl;
use k8s_openapi::api::batch::v1::CronJob;
use kube::Client;
use kube::core::ApiResource;

use crate::load::Load;
use crate::protocol::Report;
use crate::watch::{self, Target};
use manifest::Kind;
use schedule::Schedule;

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
        /// The database with the run log, in which some of the runs are looked up when their calls arrive
        #[arg(long, value_name = "URL", env = "EVENTCENTER_STORE")]
        store: StoreUrl,
    },
    /// Make calls whose rows are committed one by one
    PlainCalls {
        /// The database
        #[arg(long, value_name = "URL", env = "EVENTCENTER_STORE")]
        store: StoreUrl,
    },
    /// Watch the existing tasks and count the events
    Rest {
        /// Duration in seconds
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
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
                    let spec = kind.spec(number, writer.load.count, due, schedule.times(), port)?;
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
            Step::Calls { schedule, port, store } => calls::receive(load, schedule, port, &store).await,
            Step::PlainCalls { store } => plain::call(load, &store).await,
            Step::Rest { seconds } => {
                let duration = Duration::from_secs(seconds);
                watch::count_events(client, &load.resource, &load.namespace, load.count, duration).await
            }
        }
    }
}
