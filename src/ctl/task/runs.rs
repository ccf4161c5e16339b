//! `eventctl task runs`: the runs of tasks.

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::schedule::{Run, RunFilter};
use jiff::Zoned;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, print_warning};
use super::super::time_arg;
use super::job_log_client::{JobLogArgs, JobLogClient};
use super::output_format::OutputFormat;
use super::run_id::parse_run_id;
use super::run_table::RunLayout;

const EXAMPLES: &str = "\
Examples:
  eventctl task runs nightly -n shop
  eventctl task runs -A --state Failed,TimedOut --since 24h
  eventctl task runs nightly -n shop --state Missed,Skipped -o wide

Exit codes: 0 the runs are listed, 2 an error occurred.";

/// List runs, the newest first: also those that were missed or skipped, with the reason.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Runs {
    /// Name of a task. Default: all tasks.
    name: Option<String>,
    /// All namespaces of which the user may list runs.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// States, separated by commas: Requested, Queued, Ready, Running, Succeeded, Failed, TimedOut, Cancelled, Missed, Skipped.
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    /// Causes, separated by commas: Schedule, Manual, Upstream, Event, Rerun.
    #[arg(long, value_name = "CAUSES")]
    trigger: Option<String>,
    /// Not scheduled before this time: 30m, 2h, 7d (ago), today, 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Scheduled before this time, in the same formats as --since.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Runs that follow from one another: the chain of a run.
    #[arg(long, value_name = "ID", value_parser = parse_run_id)]
    chain: Option<Uuid>,
    /// Maximum number of runs.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    client: JobLogArgs,
}

pub(super) fn answer(arguments: &Runs) -> anyhow::Result<Answer> {
    let limit = arguments.limit as usize;
    let (filter, (runs, has_more)) = block_on(async {
        let namespace = match arguments.all_namespaces {
            true => None,
            false => Some(arguments.client.namespace().await?),
        };
        let filter = filter(arguments, namespace, &time_arg::now())?;
        let newest = newest(&arguments.client.open().await?, &filter, limit).await?;
        Ok((filter, newest))
    })?;
    if has_more {
        print_warning(&format!("older runs are not listed: --limit NUMBER lists more than {limit}"));
    }
    let layout = RunLayout::of_output(arguments.output == OutputFormat::Wide);
    let table = || if runs.is_empty() { describe_none(&filter) } else { layout.table(&runs) };
    Ok(Answer { yes: true, text: arguments.output.render(&runs, table)? })
}

/// That no run matches, and what was searched.
fn describe_none(filter: &RunFilter) -> String {
    let RunFilter { namespace, task, state, trigger, from, to, chain } = filter;
    let has_conditions =
        state.is_some() || trigger.is_some() || from.is_some() || to.is_some() || chain.is_some();
    let of = task.as_ref().map(|task| format!(" of task {task}")).unwrap_or_default();
    let place = match namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => " in any namespace of which you may list runs".into(),
    };
    match has_conditions {
        true => format!("no run{of}{place} matches"),
        false => format!("there is no run{of}{place}"),
    }
}

fn filter(arguments: &Runs, namespace: Option<String>, now: &Zoned) -> anyhow::Result<RunFilter> {
    let time = |text: &Option<String>| text.as_deref().map(|text| time_arg::parse(text, now)).transpose();
    let (from, to) = (time(&arguments.since)?, time(&arguments.until)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        bail!("--since {from:.0} is not before --until {to:.0}: the time range is empty");
    }
    Ok(RunFilter {
        namespace,
        task: arguments.name.clone(),
        state: arguments.state.clone(),
        trigger: arguments.trigger.clone(),
        from,
        to,
        chain: arguments.chain,
    })
}

/// The newest runs of a filter, and whether there are more.
pub(super) async fn newest(
    client: &JobLogClient,
    filter: &RunFilter,
    limit: usize,
) -> anyhow::Result<(Vec<Run>, bool)> {
    let (mut runs, mut cursor): (Vec<Run>, Option<String>) = (Vec::new(), None);
    loop {
        let page = client.page(filter, limit - runs.len(), cursor.as_deref()).await?;
        runs.extend(page.items);
        match page.next {
            Some(next) if runs.len() < limit => cursor = Some(next),
            next => return Ok((runs, next.is_some())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_names_what_was_searched() {
        let filter = RunFilter {
            namespace: Some("shop".into()),
            task: Some("nightly".into()),
            ..RunFilter::default()
        };
        assert_eq!(describe_none(&filter), "there is no run of task nightly in namespace shop");
        let failed = RunFilter { state: Some("Failed".into()), ..filter };
        assert_eq!(describe_none(&failed), "no run of task nightly in namespace shop matches");
        assert_eq!(
            describe_none(&RunFilter::default()),
            "there is no run in any namespace of which you may list runs"
        );
    }
}
