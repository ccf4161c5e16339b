//! `eventctl audit list`: records, the newest first.

use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning};
use super::form::{Form, Output};
use super::moment;
use super::question::Question;
use super::server::{Log, Server};
use super::shown;
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
/// The start of an effect is left out where its end is shown; -o wide, json and yaml have both. That a log was read is
/// recorded in it as well.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct List {
    #[command(flatten)]
    question: Question,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    server: Server,
}

pub(super) fn answer(arguments: &List) -> anyhow::Result<Answer> {
    let now = moment::now();
    let filter = arguments.question.filter(&now)?;
    let limit = if arguments.all { usize::MAX } else { arguments.limit as usize };
    let (items, more) = block_on(async { newest(&arguments.server.open().await?, &filter, limit).await })?;
    if more {
        print_warning(&format!(
            "there are older ones: --limit NUMBER shows more than {limit}, --all all of them"
        ));
    }
    let text = match arguments.form.output {
        Output::Json => serde_json::to_string_pretty(&values(&items)?)?,
        Output::Yaml => serde_yaml::to_string(&values(&items)?)?,
        Output::Table | Output::Wide if items.is_empty() => "nothing of that is recorded".into(),
        Output::Table | Output::Wide => {
            let records: Vec<Record> = items.iter().map(shown::record).collect::<Result<_, _>>()?;
            let records =
                if arguments.form.output == Output::Table { shown::ended(records) } else { records };
            shown::table(&records, &arguments.form.layout(&now))
        }
    };
    Ok(Answer { yes: true, text })
}

fn values(items: &[RawRecord]) -> anyhow::Result<Vec<Value>> {
    items.iter().map(shown::value).collect()
}

/// The newest records that pass a filter, and whether there are more. A page may have less than was asked for and not be
/// the last one: the server looks at so many records at a time.
async fn newest(log: &Log, filter: &Filter, limit: usize) -> anyhow::Result<(Vec<RawRecord>, bool)> {
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
