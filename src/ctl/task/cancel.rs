//! `eventctl task cancel` and `rerun`.

use clap::Args;
use eventcenter_sdk::rest::schedule::CancelResult;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::Answer;
use super::follow::wait_for_end;
use super::job_log_client::JobLogArgs;
use super::run_id::parse_run_id;

const CANCEL_EXAMPLES: &str = "\
Examples:
  eventctl task cancel 7c1f4a52-9d2e-8b0a-9b53-1f0c5f9d3a11

Exit codes: 0 the run is cancelled, or will be by its executor, 1 it had ended, 2 an error occurred.";

/// Cancel a run. A running one is ended by its executor.
///
/// Needs the right update on scheduledtasks/runs.
#[derive(Debug, Args)]
#[command(after_help = CANCEL_EXAMPLES)]
pub(in super::super) struct Cancel {
    /// Id of the run, as `eventctl task runs` lists it.
    #[arg(value_parser = parse_run_id)]
    run: Uuid,
    #[command(flatten)]
    client: JobLogArgs,
}

const RERUN_EXAMPLES: &str = "\
Examples:
  eventctl task rerun 7c1f4a52-9d2e-8b0a-9b53-1f0c5f9d3a11 --wait

Exit codes: 0 the repetition is requested, or has succeeded (--wait), 1 it has not succeeded (--wait), 2 an error occurred.";

/// Repeat a run that has ended, with its parameters and its scheduled time.
///
/// Needs the right create on scheduledtasks/trigger.
#[derive(Debug, Args)]
#[command(after_help = RERUN_EXAMPLES)]
pub(in super::super) struct Rerun {
    /// Id of the run, as `eventctl task runs` lists it.
    #[arg(value_parser = parse_run_id)]
    run: Uuid,
    /// Wait for the end of the repetition.
    #[arg(long, short)]
    wait: bool,
    #[command(flatten)]
    client: JobLogArgs,
}

pub(super) fn cancel(arguments: &Cancel) -> anyhow::Result<Answer> {
    block_on(async {
        let cancelled = arguments.client.open().await?.cancel(arguments.run).await?;
        let run = cancelled.run.id;
        let (yes, text) = match cancelled.result {
            CancelResult::Cancelled => (true, format!("run {run} is cancelled")),
            CancelResult::Requested => (true, format!("run {run} is running: its executor ends it")),
            CancelResult::AlreadyEnded => (false, format!("run {run} had ended: {}", cancelled.run.state)),
        };
        Ok(Answer { yes, text })
    })
}

pub(super) fn rerun(arguments: &Rerun) -> anyhow::Result<Answer> {
    block_on(async {
        let client = arguments.client.open().await?;
        let triggered = client.rerun(arguments.run).await?;
        let run = triggered.run;
        if arguments.wait {
            return wait_for_end(&client, run.id).await;
        }
        let text = match triggered.created {
            true => format!("run {} is requested, which repeats run {}", run.id, arguments.run),
            false => format!("run {} repeats this run already: {}", run.id, run.state),
        };
        Ok(Answer { yes: true, text })
    })
}
