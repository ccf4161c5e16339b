//! One step of a benchmark: generates a load of EventTopics or other requests and measures its duration.
//!
//! `cargo xtask bench` starts one of these processes per step. When the process is prepared (connections open, the watch
//! established) it prints `ready`; a line on its standard input starts the step. It prints its progress and finally the
//! result, each as one JSON object per line ([`protocol`]), and exits when its standard input is closed.
//!
//! - [`load`]: concurrent writers and their requests.
//! - [`watch`]: one watch of all EventTopics, which records when they become Ready or are deleted, without polling.
//! - [`declaration`], [`apply`]: EventTopics as tenants declare them, sent to the API server.
//! - [`review`]: the same as admission reviews, sent directly to the webhook.
//! - [`baseline`]: the same number of requests to the API server and to Kafka without an operator, for comparison.
//! - [`task`]: ScheduledTasks, and the Jobs and calls of their runs; CronJobs for comparison.
//! - [`audit`]: the audit log on a database, without Kubernetes.
//!
//! Deliberately absent: measurements of other processes, and an assessment of the results.
#![allow(clippy::print_stdout, reason = "the results are printed to standard output")]
#![allow(clippy::disallowed_methods, reason = "it measures time and is not part of the measured program")]

mod apply;
mod audit;
mod baseline;
mod declaration;
mod load;
mod protocol;
mod review;
mod task;
mod watch;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use eventcenter::api::EventTopic;
use kube::Client;
use kube::core::ApiResource;

use load::Load;
use protocol::{Message, Report};
use watch::Target;

/// Generates a load on Kubernetes and Kafka and measures its duration.
#[derive(Parser, Clone, Debug)]
struct Arguments {
    #[command(subcommand)]
    step: Step,

    /// Number of topics, tasks or CronJobs
    #[arg(long, global = true, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// Number of concurrent requests
    #[arg(long, global = true, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    writers: u32,

    /// The namespace of the objects
    #[arg(long, global = true, default_value = "bench")]
    namespace: String,

    /// Number of namespaces for the EventTopics, named by --namespace with the suffixes -000, -001 and so on
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=1000))]
    namespaces: Option<u32>,

    /// Prefix of the names of the objects
    #[arg(long, global = true, default_value = "t")]
    prefix: String,

    /// Stop if nothing has happened for this number of seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

#[derive(Subcommand, Clone, Debug)]
enum Step {
    /// Create EventTopics and wait until they are Ready
    Create(WriteArguments),
    /// Change a configuration key of each EventTopic and wait until they are Ready
    Change(WriteArguments),
    /// Delete the EventTopics and wait until they are deleted
    Delete(WriteArguments),
    /// Watch the existing EventTopics and count the events
    Rest {
        /// Duration in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Write EventTopics as tenants declare them, with schemas and access
    Apply {
        /// The action on each
        #[arg(value_enum)]
        action: apply::Action,
    },
    /// Send admission reviews of EventTopics directly to the webhook
    Review {
        /// The ValidatingWebhookConfiguration with the URL of the webhook
        #[arg(long, default_value = "eventcenter")]
        configuration: String,
    },
    /// Write what an operator writes for each new EventTopic: a finalizer, a status, an Event
    OperatorWrites,
    /// Change a configuration key of each EventTopic, and write what an operator writes for it: a status
    ChangeAndStatus,
    /// Create, alter or delete the same number of topics directly in Kafka, in as few requests as possible
    Kafka {
        /// The action on them
        #[arg(value_enum)]
        action: baseline::Action,
        /// HOST:PORT of Kafka
        #[arg(long)]
        bootstrap: String,
    },
    /// Create ScheduledTasks and observe their runs
    Task(task::Arguments),
    /// Write and read the audit log in a database
    Audit(audit::Arguments),
    /// Count the Kafka topics with the prefix of the EventTopics
    Count {
        /// HOST:PORT of Kafka
        #[arg(long)]
        bootstrap: String,
    },
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct WriteArguments {
    /// Only write, because there is no operator
    #[arg(long)]
    alone: bool,
}

impl WriteArguments {
    /// The target to wait for; `None` without an operator.
    fn wait(self, target: Target) -> Option<Target> {
        (!self.alone).then_some(target)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The audit log runs in this process, with the runtime of the operator.
    let mut runtime = match arguments.step {
        Step::Audit(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("eventcenter-bench: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eventcenter-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let resource = match &arguments.step {
        Step::Task(task) => task.resource(),
        _ => ApiResource::erase::<EventTopic>(&()),
    };
    let load = Load {
        resource,
        count: arguments.count,
        writers: arguments.writers,
        namespace: arguments.namespace.clone(),
        namespaces: arguments.namespaces,
        prefix: arguments.prefix.clone(),
        inactivity_timeout: Duration::from_secs(arguments.patience),
    };
    let report = match arguments.step {
        Step::Kafka { action, bootstrap } => baseline::kafka(&load, action, &bootstrap).await?,
        Step::Count { bootstrap } => baseline::count(&load, &bootstrap).await?,
        Step::Audit(audit) => audit::run(&audit, load.writers, load.inactivity_timeout).await?,
        step => kubernetes(step, &load).await?,
    };
    Message::Result(report).print()?;
    // The resource usage of this process can be read only while it runs.
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await?.context("waiting for the end of standard input")?;
    Ok(())
}

async fn kubernetes(step: Step, load: &Load) -> Result<Report> {
    let client = Client::try_default().await.context("reaching Kubernetes (KUBECONFIG)")?;
    match step {
        Step::Create(write) => {
            load.run(client, write.wait(Target::Ready { generation: 1 }), load::create).await
        }
        Step::Change(write) => {
            load.run(client, write.wait(Target::Ready { generation: 2 }), load::change).await
        }
        Step::Delete(write) if write.alone => load.run(client, None, load::delete_and_remove_finalizer).await,
        Step::Delete(_) => load.run(client, Some(Target::Deleted), load::delete).await,
        Step::Apply { action } => apply::run(client, load, action).await,
        Step::Review { configuration } => review::run(client, load, &configuration).await,
        Step::Task(task) => task.run(client, load).await,
        Step::OperatorWrites => load.run(client, None, baseline::operator_writes).await,
        Step::ChangeAndStatus => load.run(client, None, baseline::change_and_status).await,
        Step::Rest { seconds } => {
            let duration = Duration::from_secs(seconds);
            watch::count_events(client, &load.resource, &load.namespace, load.count, duration).await
        }
        Step::Kafka { .. } | Step::Count { .. } | Step::Audit(_) => {
            unreachable!("these steps do not use Kubernetes")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
