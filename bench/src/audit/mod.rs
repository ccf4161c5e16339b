//! The audit log, without Kubernetes and without a webhook: the journal and the store on a database.
//!
//! - [`event`]: what is recorded, as large and as various as in a platform of some size.
//! - [`append`]: many writers, each of which waits for its own commit; and filling a log for what is read.
//! - [`read`]: verifying, searching, exporting.
//! - [`plain`]: the same rows and the same database without us, for comparison.

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

/// What is done with which database.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    step: Step,

    /// The database, as for `eventcenter run`
    #[arg(long, global = true, value_name = "URL", default_value = "sqlite:bench.db")]
    store: StoreUrl,

    /// How many records
    #[arg(long, global = true, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    records: u32,

    /// Over how many tenants they are spread
    #[arg(long, global = true, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tenants: u32,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum Step {
    /// Append records; each writer waits until its own is durable
    Append,
    /// Insert as many rows of the same text into a table of one column, in groups of as many as there are writers
    Insert,
    /// Append records to one log, for the steps that read
    Fill,
    /// Verify that log
    Verify,
    /// Read the text of all its records, and nothing else
    Scan,
    /// Search it by every filter, at its end and deep in it
    Query {
        /// How many questions a filter
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        questions: u32,
    },
    /// Write all of it in the form of an export, to nowhere
    Export {
        /// Only decisions that were denied, and for what is between them the hashes that prove it
        #[arg(long)]
        denied: bool,
    },
}

/// How many wait for a commit at once when a log is filled: more than the goal's writers, because nobody measures them.
const FILLERS: u32 = 2048;

/// Does one step.
pub(crate) async fn run(arguments: &Arguments, writers: u32, patience: Duration) -> Result<Report> {
    let Arguments { step, store: url, records, tenants } = arguments;
    if let Step::Insert = step {
        return plain::insert(url, *records, writers).await;
    }
    let store = Store::open(url).context("opening the database")?;
    store.migrate().await.context("making the tables")?;
    let report = match step {
        Step::Append => {
            append::run(&store, &append::Load { records: *records, tenants: *tenants, writers, patience })
                .await
        }
        Step::Fill => {
            let load = append::Load { records: *records, tenants: 1, writers: FILLERS, patience };
            let filled = append::run(&store, &load).await;
            // As it would be some seconds later.
            store.audit().index(&event::log(0)?).await.context("indexing")?;
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
        Step::Insert => unreachable!("it is done above"),
    };
    store.close().await;
    report
}
