//! `eventctl task logs`: the logs of a run.

use std::io::Write;

use anyhow::{Context, bail};
use clap::Args;
use eventcenter_sdk::rest::schedule::{Attempt, Run, RunDetail, RunFilter};
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, print_note};
use super::super::terminal::plain;
use super::follow::poll;
use super::job_log_client::{JobLogArgs, JobLogClient};
use super::run_id::parse_run_id;
use super::run_table::{attempt_result, summary};
use super::runs::newest;

const EXAMPLES: &str = "\
Examples:
  eventctl task logs nightly -n shop
  eventctl task logs nightly -n shop -f
  eventctl task logs nightly -n shop --run 7c1f4a52-9d2e-8b0a-9b53-1f0c5f9d3a11 --attempt 2

Exit codes: 0 the logs are printed, 2 an error occurred.";

/// Print the end of the log of a run, at most 64 KiB of each attempt.
///
/// The log of an attempt is stored when the attempt ends; it outlives the pod, the Job and the task. Values of Secrets are masked.
/// Reading a log is recorded in the audit log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Logs {
    /// Name of the task.
    name: String,
    /// Id of a run of the task. Default: the last run that was started.
    #[arg(long, value_name = "ID", value_parser = parse_run_id)]
    run: Option<Uuid>,
    /// Number of an attempt, from 1. Default: all.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Print the logs of further attempts until the run has ended.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    client: JobLogArgs,
}

pub(super) fn answer(arguments: &Logs) -> anyhow::Result<Answer> {
    block_on(async {
        let print = async {
            let task = arguments.client.task_id(&arguments.name).await?;
            let client = arguments.client.open().await?;
            let run = match arguments.run {
                Some(run) => run,
                None => last_started(&client, task.namespace(), task.name()).await?.id,
            };
            let detail = client.run(run).await?;
            if detail.run.task != arguments.name {
                bail!("run {run} is one of task {}, not of {}", detail.run.task, arguments.name);
            }
            let mut printer = Printer { client: &client, attempt: arguments.attempt, printed: 0 };
            match arguments.follow {
                true => follow(&mut printer, run).await,
                false => printer.print_once(&detail).await,
            }
        };
        tokio::select! {
            printed = print => printed,
            stopped = tokio::signal::ctrl_c() => stopped.context("waiting for SIGINT"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

async fn follow(printer: &mut Printer<'_>, run: Uuid) -> anyhow::Result<()> {
    let client = printer.client;
    let ended = poll(client, run, async |detail| printer.print_new(detail).await).await?;
    print_note(&summary(&ended));
    Ok(())
}

/// The last run of a task that was started.
async fn last_started(client: &JobLogClient, namespace: &str, task: &str) -> anyhow::Result<Run> {
    const EXAMINED: usize = 100;
    let filter = RunFilter {
        namespace: Some(namespace.to_owned()),
        task: Some(task.to_owned()),
        ..RunFilter::default()
    };
    let (runs, _) = newest(client, &filter, EXAMINED).await?;
    let last = runs.iter().find(|run| run.attempts > 0);
    match (last.cloned(), runs.first()) {
        (Some(run), _) => Ok(run),
        (None, Some(run)) => bail!(
            "no run of task {task} was started: the last one is {}{}",
            run.state,
            run.message.as_deref().map(|message| format!(" ({})", plain(message))).unwrap_or_default()
        ),
        (None, None) => {
            bail!("task {task} has no runs in namespace {namespace}: check the name and --namespace")
        }
    }
}

/// Prints the logs of the attempts of a run.
struct Printer<'a> {
    client: &'a JobLogClient,
    attempt: Option<u32>,
    /// The number of the last attempt that is printed.
    printed: u32,
}

impl Printer<'_> {
    /// Prints what there is.
    async fn print_once(&mut self, detail: &RunDetail) -> anyhow::Result<()> {
        self.print_new(detail).await?;
        let run = &detail.run;
        match (self.printed, self.attempt) {
            (0, Some(number)) => {
                bail!("attempt {number} of run {} has no log yet: its state is {}", run.id, run.state)
            }
            (0, None) => bail!("{}", no_log(run)),
            _ => Ok(()),
        }
    }

    /// Prints the attempts that have ended and are not printed yet.
    async fn print_new(&mut self, detail: &RunDetail) -> anyhow::Result<()> {
        let printed = self.printed;
        let is_new = |attempt: &&Attempt| {
            attempt.number > printed
                && attempt.ended_at.is_some()
                && self.attempt.is_none_or(|number| number == attempt.number)
        };
        let new: Vec<&Attempt> = detail.attempts.iter().filter(is_new).collect();
        for attempt in new {
            let log = self.client.log(detail.run.id, attempt.number).await?;
            if self.attempt.is_none() {
                print_note(&headline(attempt));
            }
            let mut out = std::io::stdout().lock();
            out.write_all(readable(&log).as_bytes()).context("writing to standard output")?;
            if !log.is_empty() && !log.ends_with('\n') {
                out.write_all(b"\n").context("writing to standard output")?;
            }
            self.printed = attempt.number;
        }
        Ok(())
    }
}

/// A log without control characters other than line ends and tabs.
fn readable(log: &str) -> String {
    let lines = log.split_inclusive('\n').map(|line| {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let cells: Vec<String> = text.trim_end_matches('\r').split('\t').map(plain).collect();
        format!("{}{end}", cells.join("\t"))
    });
    lines.collect()
}

fn headline(attempt: &Attempt) -> String {
    format!("==> attempt {}: {}", attempt.number, attempt_result(attempt))
}

/// Why there is no log, and what to do.
fn no_log(run: &Run) -> String {
    let state = format!("run {} has no log yet: its state is {}", run.id, run.state);
    let is_job = run.executor.as_deref().is_some_and(|executor| executor != "Runner");
    match run.executed_by.as_deref().filter(|_| is_job && !run.has_ended()) {
        Some(job) => {
            let job = plain(job);
            format!(
                "{state}; -f waits for it, and kubectl logs -f job/{job} -n {} shows what it prints now",
                run.namespace
            )
        }
        None if run.has_ended() => {
            let message = run.message.as_deref().map(|message| format!(": {}", plain(message)));
            format!(
                "run {} has no log: no attempt has started, its state is {}{}",
                run.id,
                run.state,
                message.unwrap_or_default()
            )
        }
        None => format!("{state}; -f waits for it"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_table::tests::run;
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    #[test]
    fn control_characters_of_a_log_are_replaced() {
        assert_eq!(readable("a\tb\u{1b}[2K\r\nc\n\nd"), "a\tb\u{fffd}[2K\nc\n\nd");
        assert_eq!(readable(""), "");
    }

    #[test]
    fn a_missing_log_has_a_reason_and_a_remedy() {
        let check = |values, expected: Expect| expected.assert_eq(&no_log(&run(values)));
        check(
            json!({"state": "Queued", "attempts": 0}),
            expect![
                "run 00000000-0000-0000-0000-000000000001 has no log yet: its state is Queued; -f waits for it"
            ],
        );
        let running = json!({"state": "Running", "executor": "Job", "executedBy": "nightly-1"});
        check(
            running,
            expect![
                "run 00000000-0000-0000-0000-000000000001 has no log yet: its state is Running; -f waits for it, and kubectl logs -f job/nightly-1 -n shop shows what it prints now"
            ],
        );
        let call = json!({"state": "Running", "executor": "Runner", "executedBy": "runner-1"});
        check(
            call,
            expect![
                "run 00000000-0000-0000-0000-000000000001 has no log yet: its state is Running; -f waits for it"
            ],
        );
        let skipped = json!({"state": "Skipped", "attempts": 0, "message": "a previous run has not ended"});
        check(
            skipped,
            expect![
                "run 00000000-0000-0000-0000-000000000001 has no log: no attempt has started, its state is Skipped: a previous run has not ended"
            ],
        );
    }

    #[test]
    fn the_end_of_an_attempt_has_its_message() {
        let attempt = |values: serde_json::Value| {
            let mut attempt = json!({"number": 1, "state": "Failed", "startedAt": "2026-11-21T08:00:00Z"});
            json_patch::merge(&mut attempt, &values);
            headline(&serde_json::from_value(attempt).expect("an attempt"))
        };
        let unresolved = attempt(json!({"message": "the host a.example:443 has no address"}));
        assert_eq!(unresolved, "==> attempt 1: Failed: the host a.example:443 has no address");
        let exited = attempt(json!({"exitCode": 1, "message": "exit code 1"}));
        assert_eq!(exited, "==> attempt 1: Failed (exit code 1)");
    }
}
