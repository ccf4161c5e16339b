//! `bench`: benchmarks on the real parts, measured from outside.
//!
//! - `topics`, `admission`, `audit_log`, `tasks`: the benchmarks. `setup`, `stage`: their programs and environment. `generator`: the
//!   load generator.
//! - `product`: the steps of `topics` with all roles of the operator.
//! - `platform`: the tenants of `admission`, and the installation of the webhook.
//! - `task_report`: the result of `tasks`.
//! - `sampler`: CPU and memory of every process; `audit`: the operator's writes; `review`: its admission reviews.
//! - `row`: the measurements of a step. `goal`, `report`, `comparison`: the goals and the tables.

mod admission;
mod audit;
mod audit_log;
mod comparison;
mod generator;
mod goal;
mod platform;
mod product;
mod report;
mod review;
mod row;
mod sampler;
mod setup;
mod stage;
mod task_report;
mod tasks;
mod topics;

use std::process::ExitCode;

use anyhow::Result;
use xtask::interrupt;

use super::Context;

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
    Tasks(tasks::Arguments),
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    match &arguments.benchmark {
        Benchmark::Topics(arguments) => topics::run(context, arguments),
        Benchmark::Admission(arguments) => admission::run(context, arguments),
        Benchmark::Audit(arguments) => audit_log::run(context, arguments),
        Benchmark::Tasks(arguments) => tasks::run(context, arguments),
    }
}
