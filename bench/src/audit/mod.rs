//! Benchmarks of the audit log, without Kubernetes and the webhook: the journal and the store with a database.
//!
//! - [`event`]: realistic events.
//! - [`append`]: concurrent writers, each waiting for its commit; also fills a log for the steps that read.
//! - [`read`]: verifies, searches and exports.
//! - [`plain`]: the baseline, the same rows and the same database without the journal.

mod append;
mod event;
mod plain;
mod read;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use eventcenter::domain::audit::{Filter, Outcome};
use eventcenter::store::{Store, StoreUrl};

use crate::protocol::Report;

/// The step, and the database.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    step: Step,

    /// The database, as for `eventcenter run`
    #[arg(long, global = true, value_name = "URL", default_value = "sqlite:bench.db")]
    store: StoreUrl,

    /// Number of records
    #[arg(long, global = true, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    records: u32,

    /// Number of tenants that the records belong to
    #[arg(long, global = true, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tenants: u32,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum Step {
    /// Append records; each writer waits until its record is durable
    Append,
    /// Insert rows with the same text into a table with one column, as many per transaction as there are writers
    Insert,
    /// Append records to one log, for the steps that read
    Fill,
    /// Verify that log
    Verify,
    /// Read the bodies of its records, and nothing else
    Scan,
    /// Search it with every filter: the first page, and a deep one
    Query {
        /// Number of searches per filter
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        questions: u32,
    },
    /// Export it and discard the output
    Export {
        /// Export only denied requests, with the hashes of the omitted records
        #[arg(long)]
        denied: bool,
    },
}

/// Number of concurrent writers that fill a log. Their latency is not measured.
const FILL_WRITERS: u32 = 2048;

/// Runs a step.
pub(crate) async fn run(arguments: &Arguments, writers: u32, timeout: Duration) -> Result<Report> {
    let Arguments { step, store: url, records, tenants } = arguments;
    if let Step::Insert = step {
        return plain::insert(url, *records, writers).await;
    }
    let store = Store::open(url).context("opening the database")?;
    store.migrate().await.context("migrating the database")?;
    let report = match step {
        Step::Append => {
            append::run(&store, &append::Load { records: *records, tenants: *tenants, writers, timeout })
                .await
        }
        Step::Fill => {
            let load = append::Load { records: *records, tenants: 1, writers: FILL_WRITERS, timeout };
            let filled = append::run(&store, &load).await;
            // In production the index follows some seconds later.
            store.audit().index_log(&event::log(0)?).await.context("indexing")?;
            filled
        }
        Step::Verify => read::verify(&store).await,
        Step::Scan => plain::scan(url).await,
        Step::Query { questions } => read::query(&store, *questions).await,
        Step::Export { denied: false } => read::export(&store, Filter::default()).await,
        Step::Export { denied: true } => {
            let denied = Filter { outcome: Some(Outcome::Denied), ..Filter::default() };
            read::export(&store, denied).await
        }
        Step::Insert => unreachable!("handled above"),
    };
    store.close().await;
    report
}
