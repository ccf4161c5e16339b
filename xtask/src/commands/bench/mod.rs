//! `bench`: benchmarks on the real parts, measured from outside.
//!
//! - `topics`, `admission`, `audit_log`: the benchmarks; `stage`: their environment; `generator`: the load generator.
//! - `platform`: the tenants of `admission`, and the installation of the webhook.
//! - `sampler`: CPU and memory of every process; `audit`: the operator's writes; `review`: its admission reviews.
//! - `goal`, `report`, `comparison`: the goals and the tables.

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
/// Builds it with optimisations, starts an environment in a temporary folder, and prints tables.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(clap::Subcommand)]
enum Benchmark {
    Topics(topics::Arguments),
    Admission(admission::Arguments),
    Audit(audit_log::Arguments),
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    match &arguments.benchmark {
        Benchmark::Topics(arguments) => topics::run(context, arguments),
        Benchmark::Admission(arguments) => admission::run(context, arguments),
        Benchmark::Audit(arguments) => audit_log::run(context, arguments),
    }
}

/// An environment with one plaintext broker. The benchmark starts the operator.
fn plan(context: &Context) -> Result<Plan> {
    Ok(Plan { sasl: false, ..Plan::for_tests(&context.repository, &context.console)? })
}

/// The given programs, or optimised ones that this function builds.
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
