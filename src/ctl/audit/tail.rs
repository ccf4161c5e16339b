//! `eventctl audit tail`: prints new records until it is stopped.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning, render_error};
use super::filter_args::FilterArgs;
use super::log_client::{LogArgs, LogClient};
use super::output_args::{Output, OutputArgs};
use super::render::{self, Layout};
use super::time_arg;
use crate::domain::audit::{Action, Filter, Record};
use crate::kubernetes::RestError;

const EXAMPLES: &str = "\
Examples:
  eventctl audit tail --tenant shop
  eventctl audit tail --since 10m --outcome Denied
  eventctl audit tail --action DeleteTopic -o json | alert

Exit codes: 0 stopped by the user, 2 an error occurred.";

/// Interval at which new records are read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum interval while the server is unavailable.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Page size of requests for new records.
const PAGE_SIZE: usize = 100;

/// Show new records of the audit log until the command is stopped.
///
/// The records of its own reads are left out.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("output", |output| output.help("Output format; json has a line for each record")))]
pub(in super::super) struct Tail {
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    format: OutputArgs,
    #[command(flatten)]
    server: LogArgs,
}

pub(super) fn answer(arguments: &Tail) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let filter = arguments.filters.filter(&now)?;
    let printer = Printer { output: arguments.format.output, layout: arguments.format.layout(&now) };
    block_on(async {
        let follow = async {
            let log = arguments.server.open().await?;
            follow(&Follower::new(log, filter), &printer).await
        };
        tokio::select! {
            ended = follow => ended,
            stopped = tokio::signal::ctrl_c() => stopped.context("waiting for SIGINT"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

/// Prints the records since `--since`, if given, and then new records until standard output is closed.
async fn follow(follower: &Follower, printer: &Printer) -> anyhow::Result<()> {
    let mut last_seq = follower.newest_seq().await?;
    if follower.filter.since.is_some() && !printer.print(&follower.records_until(last_seq).await?)? {
        return Ok(());
    }
    let mut wait = POLL_INTERVAL;
    loop {
        tokio::time::sleep(wait).await;
        match follower.records_after(last_seq).await {
            Ok(new) => {
                if wait > POLL_INTERVAL {
                    print_warning("the server is available again");
                }
                wait = POLL_INTERVAL;
                if let Some(warning) = truncation_warning(last_seq, new.newest_seq) {
                    print_warning(&warning);
                }
                last_seq = new.newest_seq;
                if !printer.print(&new.records)? {
                    return Ok(());
                }
            }
            Err(error) if error.is_retriable() => {
                if wait == POLL_INTERVAL {
                    print_warning(&format!(
                        "{}; retrying, no record is skipped",
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
    log: LogClient,
    filter: Filter,
    /// The id of its own requests, by which their records are recognized.
    request_id: String,
}

/// New records.
struct NewRecords {
    /// The sequence number of the newest record, whether it matches the filter or not.
    newest_seq: Option<u64>,
    /// The records that match the filter, oldest first.
    records: Vec<(RawRecord, Record)>,
}

impl Follower {
    fn new(log: LogClient, filter: Filter) -> Self {
        Self { log, filter, request_id: format!("eventctl-tail-{}", Uuid::now_v7()) }
    }

    /// The sequence number of the newest record.
    async fn newest_seq(&self) -> anyhow::Result<Option<u64>> {
        let page = self.log.page(&Filter::default(), 1, None, Some(&self.request_id)).await?;
        page.items.first().map(|item| Ok(render::parse_record(item)?.seq)).transpose()
    }

    /// The records that match the filter up to a sequence number, oldest first.
    async fn records_until(&self, last: Option<u64>) -> anyhow::Result<Vec<(RawRecord, Record)>> {
        let (mut records, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                self.log.page(&self.filter, usize::MAX, cursor.as_deref(), Some(&self.request_id)).await?;
            records.extend(parse_all(page.items));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        records.retain(|(_, record)| Some(record.seq) <= last && !self.is_own(record));
        records.reverse();
        Ok(records)
    }

    /// The records after a sequence number. Reads all of them and filters here: with a filter the server would search the
    /// whole log each time no new record matches.
    async fn records_after(&self, last_seq: Option<u64>) -> Result<NewRecords, RestError> {
        let (mut records, mut cursor, mut newest_seq) = (Vec::new(), None, None);
        loop {
            let page = self
                .log
                .page(&Filter::default(), PAGE_SIZE, cursor.as_deref(), Some(&self.request_id))
                .await?;
            newest_seq = newest_seq.or_else(|| render::to_json(page.items.first()?).ok()?["seq"].as_u64());
            let items = parse_all(page.items);
            let is_new = |record: &Record| last_seq.is_none_or(|last_seq| record.seq > last_seq);
            let is_complete = items.iter().any(|(_, record)| !is_new(record));
            records.extend(items.into_iter().filter(|(_, record)| is_new(record)));
            match page.next {
                Some(next) if !is_complete => cursor = Some(next),
                _ => break,
            }
        }
        records.retain(|(_, record)| !self.is_own(record) && self.filter.matches(record, false));
        records.reverse();
        Ok(NewRecords { newest_seq, records })
    }

    /// Whether a record is about a request of this command.
    fn is_own(&self, record: &Record) -> bool {
        record.action == Action::ReadAudit.as_str() && record.request_id.as_deref() == Some(&self.request_id)
    }
}

/// The warning about a log that has become shorter. Logs only grow, apart from the retention at their beginning.
fn truncation_warning(last_seq: Option<u64>, newest_seq: Option<u64>) -> Option<String> {
    let end = newest_seq.map_or_else(|| "has no records".into(), |seq| format!("ends with record {seq}"));
    (newest_seq < last_seq).then(|| {
        format!("the log {end} and had more: it was truncated, or an older copy was restored; verify it")
    })
}

/// Parses records, and prints a warning for each that cannot be parsed.
fn parse_all(items: Vec<RawRecord>) -> Vec<(RawRecord, Record)> {
    let parse = |item: RawRecord| match render::parse_record(&item) {
        Ok(record) => Some((item, record)),
        Err(error) => {
            print_warning(&error.to_string());
            None
        }
    };
    items.into_iter().filter_map(parse).collect()
}

/// Prints records.
struct Printer {
    output: Output,
    layout: Layout,
}

impl Printer {
    /// Prints records. Returns whether standard output is still open.
    fn print(&self, records: &[(RawRecord, Record)]) -> anyhow::Result<bool> {
        let mut text = String::new();
        for (item, record) in records {
            match self.output {
                Output::Table | Output::Wide => text.push_str(&render::line(record, &self.layout)),
                Output::Json => text.push_str(item.json()),
                Output::Yaml => text.push_str(&format!(
                    "---\n{}",
                    serde_yaml::to_string(&render::to_json(item)?)?.trim_end()
                )),
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
    fn a_truncated_log_causes_a_warning() {
        for (last, newest) in [(None, None), (None, Some(0)), (Some(3), Some(3)), (Some(3), Some(9))] {
            assert_eq!(truncation_warning(last, newest), None, "{last:?} {newest:?}");
        }
        assert!(
            truncation_warning(Some(3), Some(2))
                .is_some_and(|text| text.contains("ends with record 2 and had more"))
        );
        assert!(
            truncation_warning(Some(0), None)
                .is_some_and(|text| text.contains("has no records and had more"))
        );
    }
}
