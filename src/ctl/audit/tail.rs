//! `eventctl audit tail`: shows new records.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning, render_error};
use super::filter_args::FilterArgs;
use super::output_args::{Output, OutputArgs};
use super::render::{self, Layout};
use super::server::{Log, Server};
use super::time_arg;
use crate::domain::audit::{Action, Filter, Record};
use crate::kubernetes::RestError;

const EXAMPLES: &str = "\
Examples:
  eventctl audit tail --tenant shop
  eventctl audit tail --since 10m --outcome Denied
  eventctl audit tail --action DeleteTopic -o json | alert

Exit codes: 0 stopped by the user, 2 an error occurred.";

/// Interval between reads of new records.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum interval between retries while the server is unavailable.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Number of records of a page; more new records are read in further pages.
const PAGE_SIZE: usize = 100;

/// Show new records of the audit log until interrupted.
///
/// The reads of this command are recorded as well, but not shown.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("output", |output| output.help("Output format; JSON has one line per record")))]
pub(in super::super) struct Tail {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    format: OutputArgs,
    #[command(flatten)]
    server: Server,
}

pub(super) fn answer(arguments: &Tail) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let filter = arguments.filter.filter(&now)?;
    let printer = Printer { output: arguments.format.output, layout: arguments.format.layout(&now) };
    block_on(async {
        let follow = async {
            let log = arguments.server.open().await?;
            follow(&Follower::new(log, filter), &printer).await
        };
        tokio::select! {
            ended = follow => ended,
            stopped = tokio::signal::ctrl_c() => stopped.context("waiting for ^C"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

/// Prints the records since `--since`, then new ones. Ends when the reader of the output closes it.
async fn follow(follower: &Follower, printer: &Printer) -> anyhow::Result<()> {
    let mut last = follower.newest().await?;
    if follower.filter.since.is_some() && !printer.print(&follower.read_until(last).await?)? {
        return Ok(());
    }
    let mut wait = POLL_INTERVAL;
    loop {
        tokio::time::sleep(wait).await;
        match follower.read_after(last).await {
            Ok(new) => {
                if wait > POLL_INTERVAL {
                    print_warning("the server is available again");
                }
                wait = POLL_INTERVAL;
                if let Some(warning) = describe_truncation(last, new.newest) {
                    print_warning(&warning);
                }
                last = new.newest;
                if !printer.print(&new.records)? {
                    return Ok(());
                }
            }
            Err(error) if error.is_retriable() => {
                if wait == POLL_INTERVAL {
                    print_warning(&format!(
                        "{}; retrying, no record is left out",
                        render_error(&error.into())
                    ));
                }
                wait = (wait * 2).min(MAX_RETRY_INTERVAL);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the new records of a log.
struct Follower {
    log: Log,
    filter: Filter,
    /// The request id of its own reads.
    request_id: String,
}

/// New records.
struct NewRecords {
    /// The sequence number of the newest record, shown or not.
    newest: Option<u64>,
    /// The records to show, oldest first.
    records: Vec<(RawRecord, Record)>,
}

impl Follower {
    fn new(log: Log, filter: Filter) -> Self {
        Self { log, filter, request_id: format!("eventctl-tail-{}", Uuid::now_v7()) }
    }

    /// The place of the newest record.
    async fn newest(&self) -> anyhow::Result<Option<u64>> {
        let page = self.log.page(&Filter::default(), 1, None, Some(&self.request_id)).await?;
        page.items.first().map(|item| Ok(render::record(item)?.seq)).transpose()
    }

    /// The records up to a sequence number that match the filter, oldest first.
    async fn read_until(&self, last: Option<u64>) -> anyhow::Result<Vec<(RawRecord, Record)>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                self.log.page(&self.filter, usize::MAX, cursor.as_deref(), Some(&self.request_id)).await?;
            found.extend(parse_records(page.items));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        found.retain(|(_, record)| Some(record.seq) <= last && !self.is_own(record));
        found.reverse();
        Ok(found)
    }

    /// The records after a sequence number. Reads all of them and applies the filter here: with the filter, the server would scan
    /// the whole log each time no new record matches.
    async fn read_after(&self, last: Option<u64>) -> Result<NewRecords, RestError> {
        let (mut found, mut cursor, mut newest) = (Vec::new(), None, None);
        loop {
            let page = self
                .log
                .page(&Filter::default(), PAGE_SIZE, cursor.as_deref(), Some(&self.request_id))
                .await?;
            newest = newest.or_else(|| render::value(page.items.first()?).ok()?["seq"].as_u64());
            let items = parse_records(page.items);
            let is_new = |record: &Record| last.is_none_or(|last| record.seq > last);
            let reached = items.iter().any(|(_, record)| !is_new(record));
            found.extend(items.into_iter().filter(|(_, record)| is_new(record)));
            match page.next {
                Some(next) if !reached => cursor = Some(next),
                _ => break,
            }
        }
        found.retain(|(_, record)| !self.is_own(record) && self.filter.matches(record, false));
        found.reverse();
        Ok(NewRecords { newest, records: found })
    }

    /// Whether a record is about a read of this command.
    fn is_own(&self, record: &Record) -> bool {
        record.action == Action::ReadAudit.as_str() && record.request_id.as_deref() == Some(&self.request_id)
    }
}

/// A warning if the log has become shorter.
fn describe_truncation(last: Option<u64>, newest: Option<u64>) -> Option<String> {
    let end = |last: Option<u64>| {
        last.map_or_else(|| "has no records".into(), |last| format!("ends with record {last}"))
    };
    (newest < last).then(|| {
        format!(
            "the log {} and had more: it was truncated, or an older copy was restored; verify it",
            end(newest)
        )
    })
}

/// Parses records, and warns of those that cannot be parsed.
fn parse_records(items: Vec<RawRecord>) -> Vec<(RawRecord, Record)> {
    let readable = |item: RawRecord| match render::record(&item) {
        Ok(record) => Some((item, record)),
        Err(error) => {
            print_warning(&error.to_string());
            None
        }
    };
    items.into_iter().filter_map(readable).collect()
}

/// Writes records to standard output.
struct Printer {
    output: Output,
    layout: Layout,
}

impl Printer {
    /// Prints records. Returns `false` if the reader has closed the output.
    fn print(&self, records: &[(RawRecord, Record)]) -> anyhow::Result<bool> {
        let mut text = String::new();
        for (item, record) in records {
            match self.output {
                Output::Table | Output::Wide => text.push_str(&render::line(record, &self.layout)),
                Output::Json => text.push_str(item.json()),
                Output::Yaml => text
                    .push_str(&format!("---\n{}", serde_yaml::to_string(&render::value(item)?)?.trim_end())),
            }
            text.push('\n');
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("writing records"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_log_is_reported() {
        for (last, newest) in [(None, None), (None, Some(0)), (Some(3), Some(3)), (Some(3), Some(9))] {
            assert_eq!(describe_truncation(last, newest), None, "{last:?} {newest:?}");
        }
        assert!(
            describe_truncation(Some(3), Some(2))
                .is_some_and(|warning| warning.contains("ends with record 2 and had more"))
        );
        assert!(
            describe_truncation(Some(0), None)
                .is_some_and(|warning| warning.contains("has no records and had more"))
        );
    }
}
