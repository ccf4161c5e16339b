//! `eventctl audit list`: lists records, the newest first.

use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning};
use super::filter_args::RangeFilterArgs;
use super::log_client::{LogArgs, LogClient};
use super::output_args::{Output, OutputArgs};
use super::{render, time_arg};
use crate::domain::audit::{Filter, Record};

const EXAMPLES: &str = "\
Examples:
  eventctl audit list --since 2h
  eventctl audit list --tenant shop --target EventTopic/orders -o wide
  eventctl audit list --outcome Denied --since yesterday --until today --all
  eventctl audit list --tenant _platform --open -o json

Exit codes: 0 the records are listed, 2 an error occurred.";

/// List records of the audit log, the newest first.
///
/// The table leaves out the start of an effect whose end is listed; the other formats have both. Reading a log adds a
/// record to it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct List {
    #[command(flatten)]
    filters: RangeFilterArgs,
    /// Maximum number of records.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List all records.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    format: OutputArgs,
    #[command(flatten)]
    server: LogArgs,
}

pub(super) fn answer(arguments: &List) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let filter = arguments.filters.filter(&now)?;
    let limit = if arguments.all { usize::MAX } else { arguments.limit as usize };
    let (items, has_more) =
        block_on(async { newest(&arguments.server.open().await?, &filter, limit).await })?;
    if has_more {
        print_warning(&format!(
            "older records are not listed: --limit NUMBER lists more than {limit}, --all lists all"
        ));
    }
    let text = match arguments.format.output {
        Output::Json => serde_json::to_string_pretty(&values(&items)?)?,
        Output::Yaml => serde_yaml::to_string(&values(&items)?)?,
        Output::Table | Output::Wide if items.is_empty() => "no record matches".into(),
        Output::Table | Output::Wide => {
            let records: Vec<Record> = items.iter().map(render::parse_record).collect::<Result<_, _>>()?;
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
    items.iter().map(render::to_json).collect()
}

/// The newest records that match a filter, and whether there are more. A page that is not full need not be the last one,
/// because the server limits how many records it examines for a page.
async fn newest(log: &LogClient, filter: &Filter, limit: usize) -> anyhow::Result<(Vec<RawRecord>, bool)> {
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
