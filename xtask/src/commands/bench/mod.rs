//! `bench`: whole journeys on the real parts, measured from outside.
//!
//! - `topics`, `admission`, `audit_log`: the journeys; `stage`: what they happen on; `generator`: who makes the load.
//! - `platform`: the tenants of `admission`, and whether the webhook is asked.
//! - `sampler`: CPU and memory of every process; `audit`: what the operator wrote; `review`: what it was asked.
//! - `goal`, `report`, `comparison`: what has to be reached, and the tables.

mod admission;
mod audit;
mod audit_log;
mod comparison;
mod generator;
mod goal;
mod platform;
mod report;
mod review;
mod sampler;
mod stage;
mod topics;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use xtask::{environment::Plan, interrupt, process};

use self::stage::Programs;
use super::{Context, build};

/// Measure the operator against a real Kubernetes, a real Kafka and a real PostgreSQL.
///
/// Builds it optimised, starts an environment of its own in a temporary folder, and prints a table.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    journey: Journey,
}

#[derive(clap::Subcommand)]
enum Journey {
    Topics(topics::Arguments),
    Admission(admission::Arguments),
    Audit(audit_log::Arguments),
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    match &arguments.journey {
        Journey::Topics(arguments) => topics::run(context, arguments),
        Journey::Admission(arguments) => admission::run(context, arguments),
        Journey::Audit(arguments) => audit_log::run(context, arguments),
    }
}

/// An environment for the operator as it is installed: one plaintext broker. The operator is started by the journey.
fn plan(context: &Context) -> Result<Plan> {
    Ok(Plan { sasl: false, ..Plan::for_tests(&context.repository, &context.console)? })
}

/// The programs that were given, or optimised ones that are built now.
fn programs(context: &Context, operator: Option<&Path>, generator: Option<&Path>) -> Result<Programs> {
    let given =
        |program: &Path| program.canonicalize().with_context(|| format!("no program {}", program.display()));
    Ok(Programs {
        operator: operator.map_or_else(|| build::operator(context, true), given)?,
        generator: generator.map_or_else(|| build_generator(context), given)?,
    })
}

fn build_generator(context: &Context) -> Result<PathBuf> {
    let mut build = build::cargo(&context.repository);
    build.args(["build", "--release", "--package", "eventcenter-bench"]);
    context.console.line("Building the load generator");
    let status = process::run_attached(build)?;
    if !status.success() {
        bail!("the load generator does not compile ({status}); the messages are above");
    }
    Ok(build::target_folder(&context.repository)?.join("release/eventcenter-bench"))
}
