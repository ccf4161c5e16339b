//! One step of a benchmark: a load of EventTopics, or of bare requests, and how long it took.
//!
//! The program that measures (`cargo xtask bench`) starts one of these a step. When everything is prepared (connections
//! made, the watch established) it prints `ready`; a line on its standard input begins the step. It prints its progress
//! and at last the result, each as one JSON object a line ([`protocol`]), and stays until its standard input is closed.
//!
//! - [`load`]: many writers, what each of them sends.
//! - [`watch`]: one watch of all EventTopics, which sees them become Ready or go. Nothing is polled.
//! - [`declaration`], [`apply`]: EventTopics as tenants declare them, by way of the API server.
//! - [`review`]: the same as reviews, straight to the webhook.
//! - [`bare`]: what the API server and Kafka take without an operator, for comparison.
//! - [`audit`]: the audit log on a database, without Kubernetes.
//!
//! Deliberately absent: any measurement of other processes, and any judgement.
#![allow(clippy::print_stdout, reason = "its standard output is how it is read")]
#![allow(clippy::disallowed_methods, reason = "it measures time and is no part of what is measured")]

mod apply;
mod audit;
mod bare;
mod declaration;
mod load;
mod protocol;
mod review;
mod watch;

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use kube::Client;

use load::{Load, Target};
use protocol::{Message, Report};

/// Puts a load on Kubernetes and Kafka and tells how long it took.
#[derive(Parser, Clone, Debug)]
struct Arguments {
    #[command(subcommand)]
    step: Step,

    /// How many topics
    #[arg(long, global = true, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// How many requests are under way at once
    #[arg(long, global = true, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    writers: u32,

    /// The namespace of the EventTopics
    #[arg(long, global = true, default_value = "bench")]
    namespace: String,

    /// Spread them over so many namespaces: that name followed by -000, -001 and so on
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=1000))]
    namespaces: Option<u32>,

    /// What the names of the EventTopics begin with
    #[arg(long, global = true, default_value = "t")]
    prefix: String,

    /// Give up when nothing has happened for this long, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

#[derive(Subcommand, Clone, Debug)]
enum Step {
    /// Create EventTopics and see them become Ready
    Create(Alone),
    /// Change a configuration key of each and see that become Ready
    Change(Alone),
    /// Delete them and see them go
    Delete(Alone),
    /// See the EventTopics that are there for some time: anything that happens to them is told
    Rest {
        /// How long, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Write EventTopics as tenants declare them, with schemas and access
    Apply {
        /// What is done with each
        #[arg(value_enum)]
        action: apply::Action,
    },
    /// Send reviews of EventTopics straight to the webhook
    Review {
        /// The ValidatingWebhookConfiguration that says where it is
        #[arg(long, default_value = "eventcenter")]
        configuration: String,
    },
    /// What an operator has to write for each that is created: a finalizer, a status, an Event
    OperatorWrites,
    /// The same number of topics directly in Kafka, in one request
    Kafka {
        /// What is done with them
        #[arg(value_enum)]
        action: bare::Action,
        /// HOST:PORT of Kafka
        #[arg(long)]
        bootstrap: String,
    },
    /// Write and read the audit log in a database
    Audit(audit::Arguments),
    /// Count the Kafka topics whose names begin like those of the EventTopics
    Count {
        /// HOST:PORT of Kafka
        #[arg(long)]
        bootstrap: String,
    },
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct Alone {
    /// There is no operator: only write
    #[arg(long)]
    alone: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What is measured with the journal runs in this process as it does in the operator's.
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
    let load = Load {
        count: arguments.count,
        writers: arguments.writers,
        namespace: arguments.namespace.clone(),
        namespaces: arguments.namespaces,
        prefix: arguments.prefix.clone(),
        patience: Duration::from_secs(arguments.patience),
    };
    let report = match arguments.step {
        Step::Kafka { action, bootstrap } => bare::kafka(&load, action, &bootstrap).await?,
        Step::Count { bootstrap } => bare::count(&load, &bootstrap).await?,
        Step::Audit(audit) => audit::run(&audit, load.writers, load.patience).await?,
        step => kubernetes(step, &load).await?,
    };
    Message::Result(report).print()?;
    // What this process has used can be read only while it is there.
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await?.context("waiting for the end of standard input")?;
    Ok(())
}

async fn kubernetes(step: Step, load: &Load) -> Result<Report> {
    let client = Client::try_default().await.context("reaching Kubernetes (KUBECONFIG)")?;
    match step {
        Step::Create(alone) => {
            load.run(client, Target::Ready { generation: 1 }, alone.alone, load::create).await
        }
        Step::Change(alone) => {
            load.run(client, Target::Ready { generation: 2 }, alone.alone, load::change).await
        }
        Step::Delete(alone) if alone.alone => {
            load.run(client, Target::Gone, true, load::delete_and_release).await
        }
        Step::Delete(_) => load.run(client, Target::Gone, false, load::delete).await,
        Step::Apply { action } => apply::run(client, load, action).await,
        Step::Review { configuration } => review::run(client, load, &configuration).await,
        Step::OperatorWrites => load.run(client, Target::Gone, true, bare::operator_writes).await,
        Step::Rest { seconds } => watch::rest(client, load, Duration::from_secs(seconds)).await,
        Step::Kafka { .. } | Step::Count { .. } | Step::Audit(_) => {
            unreachable!("they are not about Kubernetes")
        }
    }
}

/// Says that all is prepared and waits for the sign to begin.
async fn ready() -> Result<Instant> {
    Message::Ready.print()?;
    let sign = tokio::task::spawn_blocking(|| std::io::stdin().read_exact(&mut [0]));
    sign.await?.context("waiting for the sign to begin on standard input")?;
    Ok(Instant::now())
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
