//! `eventctl audit tail`: records as they come.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventcenter_sdk::rest::audit::RawRecord;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning, render_error};
use super::form::{Form, Output};
use super::moment;
use super::question::About;
use super::server::{Log, Server};
use super::shown::{self, Layout};
use crate::domain::audit::{Action, Filter, Record};
use crate::kubernetes::RestError;

const EXAMPLES: &str = "\
Examples:
  eventctl audit tail --tenant shop
  eventctl audit tail --since 10m --outcome Denied
  eventctl audit tail --action DeleteTopic -o json | alert

Exit codes: 0 stopped by the user, 2 an error occurred.";

/// How often is looked for new records.
const GLANCE: Duration = Duration::from_secs(1);

/// How long is waited at most for a server that is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many records are asked for at a time; if more have come, there are more pages.
const PAGE: usize = 100;

/// Show records of the audit log as they come, until it is stopped.
///
/// Of the reads that this itself makes, which are recorded, nothing is shown.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("output", |output| output.help("How they are written; JSON is one line each")))]
pub(in super::super) struct Tail {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    server: Server,
}

pub(super) fn answer(arguments: &Tail) -> anyhow::Result<Answer> {
    let now = moment::now();
    let filter = arguments.about.filter(&now)?;
    let printer = Printer { output: arguments.form.output, layout: arguments.form.layout(&now) };
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

/// Prints what is there already, if that is asked for, and then what comes. Ends when nobody reads it any more.
async fn follow(follower: &Follower, printer: &Printer) -> anyhow::Result<()> {
    let mut seen = follower.newest().await?;
    if follower.filter.since.is_some() && !printer.print(&follower.until(seen).await?)? {
        return Ok(());
    }
    let mut wait = GLANCE;
    loop {
        tokio::time::sleep(wait).await;
        match follower.after(seen).await {
            Ok(new) => {
                if wait > GLANCE {
                    print_warning("the server is there again");
                }
                wait = GLANCE;
                if let Some(shorter) = shorter(seen, new.newest) {
                    print_warning(&shorter);
                }
                seen = new.newest;
                if !printer.print(&new.records)? {
                    return Ok(());
                }
            }
            Err(error) if error.is_retriable() => {
                if wait == GLANCE {
                    print_warning(&format!(
                        "{}; trying again, nothing is left out",
                        render_error(&error.into())
                    ));
                }
                wait = (wait * 2).min(PATIENCE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads what comes to a log.
struct Follower {
    log: Log,
    filter: Filter,
    /// How the names of its own requests begin.
    name: String,
}

/// What has come.
struct New {
    /// The place of the newest record, shown or not.
    newest: Option<u64>,
    /// What is shown, oldest first.
    records: Vec<(RawRecord, Record)>,
}

impl Follower {
    fn new(log: Log, filter: Filter) -> Self {
        Self { log, filter, name: format!("eventctl-tail-{}", Uuid::now_v7()) }
    }

    /// The place of the newest record.
    async fn newest(&self) -> anyhow::Result<Option<u64>> {
        let page = self.log.page(&Filter::default(), 1, None, Some(&self.name)).await?;
        page.items.first().map(|item| Ok(shown::record(item)?.seq)).transpose()
    }

    /// What passes the filter up to a place, oldest first.
    async fn until(&self, last: Option<u64>) -> anyhow::Result<Vec<(RawRecord, Record)>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.log.page(&self.filter, usize::MAX, cursor.as_deref(), Some(&self.name)).await?;
            found.extend(read(page.items));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        found.retain(|(_, record)| Some(record.seq) <= last && !self.is_own(record));
        found.reverse();
        Ok(found)
    }

    /// What came after a place. All records are read, back to that place, and the filter is applied here: asked with the
    /// filter, the server would search the whole log each time nothing has come that passes it.
    async fn after(&self, seen: Option<u64>) -> Result<New, RestError> {
        let (mut found, mut cursor, mut newest) = (Vec::new(), None, None);
        loop {
            let page = self.log.page(&Filter::default(), PAGE, cursor.as_deref(), Some(&self.name)).await?;
            newest = newest.or_else(|| shown::value(page.items.first()?).ok()?["seq"].as_u64());
            let items = read(page.items);
            let is_new = |record: &Record| seen.is_none_or(|seen| record.seq > seen);
            let reached = items.iter().any(|(_, record)| !is_new(record));
            found.extend(items.into_iter().filter(|(_, record)| is_new(record)));
            match page.next {
                Some(next) if !reached => cursor = Some(next),
                _ => break,
            }
        }
        found.retain(|(_, record)| !self.is_own(record) && self.filter.matches(record, false));
        found.reverse();
        Ok(New { newest, records: found })
    }

    /// Whether a record is there because this looked for records.
    fn is_own(&self, record: &Record) -> bool {
        record.action == Action::ReadAudit.as_str() && record.request_id.as_deref() == Some(&self.name)
    }
}

/// A log only grows. If it does not, somebody should look.
fn shorter(seen: Option<u64>, newest: Option<u64>) -> Option<String> {
    let place = |last: Option<u64>| {
        last.map_or_else(|| "has no records".into(), |last| format!("ends with record {last}"))
    };
    (newest < seen).then(|| {
        format!(
            "the log {} and had more: it was cut off, or an older copy was put back; verify it",
            place(newest)
        )
    })
}

/// Records of which this program understands enough; of others it is said that they are there.
fn read(items: Vec<RawRecord>) -> Vec<(RawRecord, Record)> {
    let readable = |item: RawRecord| match shown::record(&item) {
        Ok(record) => Some((item, record)),
        Err(error) => {
            print_warning(&error.to_string());
            None
        }
    };
    items.into_iter().filter_map(readable).collect()
}

/// Writes records as they come.
struct Printer {
    output: Output,
    layout: Layout,
}

impl Printer {
    /// Whether anybody still reads.
    fn print(&self, records: &[(RawRecord, Record)]) -> anyhow::Result<bool> {
        let mut text = String::new();
        for (item, record) in records {
            match self.output {
                Output::Table | Output::Wide => text.push_str(&shown::line(record, &self.layout)),
                Output::Json => text.push_str(item.json()),
                Output::Yaml => text
                    .push_str(&format!("---\n{}", serde_yaml::to_string(&shown::value(item)?)?.trim_end())),
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
    fn a_log_that_became_shorter_is_told() {
        for (seen, newest) in [(None, None), (None, Some(0)), (Some(3), Some(3)), (Some(3), Some(9))] {
            assert_eq!(shorter(seen, newest), None, "{seen:?} {newest:?}");
        }
        assert!(
            shorter(Some(3), Some(2)).is_some_and(|told| told.contains("ends with record 2 and had more"))
        );
        assert!(shorter(Some(0), None).is_some_and(|told| told.contains("has no records and had more")));
    }
}
