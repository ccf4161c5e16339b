//! `eventctl audit list`: lists records, newest first.

use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning};
use super::filter_args::PastFilterArgs;
use super::output_args::{Output, OutputArgs};
use super::render;
use super::server::{Log, Server};
use super::time_arg;
use crate::domain::audit::{Filter, Record};

const EXAMPLES: &str = "\
Examples:
  eventctl audit list --since 2h
  eventctl audit list --tenant shop --target EventTopic/orders -o wide
  eventctl audit list --outcome Denied --since yesterday --until today --all
  eventctl audit list --tenant _platform --open -o json

Exit codes: 0 the records are listed, 2 an error occurred.";

/// List records of the audit log, newest first.
///
/// The table omits the start of an effect if it has the end; -o wide, json and yaml have both. Reading a log is recorded in it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct List {
    #[command(flatten)]
    filter: PastFilterArgs,
    /// Maximum number of records.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List all records.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    format: OutputArgs,
    #[command(flatten)]
    server: Server,
}

pub(super) fn answer(arguments: &List) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let filter = arguments.filter.filter(&now)?;
    let limit = if arguments.all { usize::MAX } else { arguments.limit as usize };
    let (items, more) =
        block_on(async { read_newest(&arguments.server.open().await?, &filter, limit).await })?;
    if more {
        print_warning(&format!(
            "older records exist: --limit NUMBER shows more than {limit}, --all shows all of them"
        ));
    }
    let text = match arguments.format.output {
        Output::Json => serde_json::to_string_pretty(&values(&items)?)?,
        Output::Yaml => serde_yaml::to_string(&values(&items)?)?,
        Output::Table | Output::Wide if items.is_empty() => "no record matches".into(),
        Output::Table | Output::Wide => {
            let records: Vec<Record> = items.iter().map(render::record).collect::<Result<_, _>>()?;
            let records = if arguments.format.output == Output::Table {
                render::without_completed_starts(records)
            } else {
                records
            };
            render::table(&records, &arguments.format.layout(&now))
        }
    };
    Ok(Answer { yes: true, text })
}

fn values(items: &[RawRecord]) -> anyhow::Result<Vec<Value>> {
    items.iter().map(render::value).collect()
}

/// The newest records that match a filter, and whether more exist. A page may have fewer records than the limit and not be the
/// last one, because the server scans a limited number of records for a page.
async fn read_newest(log: &Log, filter: &Filter, limit: usize) -> anyhow::Result<(Vec<RawRecord>, bool)> {
    let (mut items, mut cursor): (Vec<RawRecord>, Option<String>) = (Vec::new(), None);
    loop {
        let page = log.page(filter, limit - items.len(), cursor.as_deref(), None).await?;
        items.extend(page.items);
        match page.next {
            Some(next) if items.len() < limit => cursor = Some(next),
            next => return Ok((items, next.is_some())),
        }
    }
}
