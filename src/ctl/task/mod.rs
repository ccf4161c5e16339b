//! `eventctl task`: ScheduledTasks and their runs.
//!
//! - `list`, `describe`, `next`, `suspend`: read and write the resources with the kubeconfig of the user.
//! - `runs`, `logs`, `trigger`, `backfill`, `cancel`: read and request runs through the REST API (`job_log_client`), with the login
//!   that `eventctl audit` uses.
//! - `words` describes schedules, `run_table` runs; `follow` waits for the end of a run.
//!
//! Deliberately absent: when a task is due, which [`crate::domain::task::schedule`] computes.

mod backfill;
mod cancel;
mod describe;
mod follow;
mod job_log_client;
mod list;
mod logs;
mod next;
mod output_format;
mod run_id;
mod run_table;
mod runs;
mod suspend;
mod trigger;
mod words;

use clap::Subcommand;

use super::output::Answer;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::List),
    Describe(describe::Describe),
    Runs(runs::Runs),
    Logs(logs::Logs),
    Next(next::Next),
    Trigger(trigger::Trigger),
    Backfill(backfill::Backfill),
    Cancel(cancel::Cancel),
    Rerun(cancel::Rerun),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
}

pub(super) fn answer(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::List(arguments) => list::answer(arguments),
        Command::Describe(arguments) => describe::answer(arguments),
        Command::Runs(arguments) => runs::answer(arguments),
        Command::Logs(arguments) => logs::answer(arguments),
        Command::Next(arguments) => next::answer(arguments),
        Command::Trigger(arguments) => trigger::answer(arguments),
        Command::Backfill(arguments) => backfill::answer(arguments),
        Command::Cancel(arguments) => cancel::cancel(arguments),
        Command::Rerun(arguments) => cancel::rerun(arguments),
        Command::Suspend(arguments) => suspend::suspend(arguments),
        Command::Resume(arguments) => suspend::resume(arguments),
    }
}
