//! `eventctl`, also installed as `kubectl eventcenter`: the command line for teams and their pipelines.
//!
//! Each command is a function from its arguments to an `Answer`. This file parses the command line, prints the answer and
//! sets the exit code: 0 for yes, 1 for no, 2 for an error.
//!
//! - `approval`, `audit`, `task`, `lint`, `schema`, `adopt`: the commands.
//! - `login`, `server`, `resource_arg`, `time_arg`, `file`, `expansion`, `manifest`: arguments and input. `output`, `terminal`: output.
//!
//! Deliberately absent: rules. The commands call the same functions of the domain as the operator.

mod adopt;
mod approval;
mod audit;
mod expansion;
mod file;
mod lint;
mod login;
mod manifest;
mod output;
mod resource_arg;
mod schema;
mod server;
mod task;
mod terminal;
mod time_arg;

pub use file::parse_yaml;
pub use manifest::{Manifest, Position, parse_manifests};

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use output::{Answer, NAME, is_refusal, program_name, render_error};

const EXAMPLES: &str = "\
Examples:
  eventctl pending -A
  eventctl diff EventTopic orders -n shop
  eventctl approve EventTopic orders -n shop --comment 'as agreed in OPS-17'
  eventctl lint topics/ --tenants platform/tenants.yaml
  eventctl audit list --since 2h --outcome Denied
  eventctl task trigger nightly -n shop --wait

Installed as kubectl-eventcenter it is a plugin of kubectl: kubectl eventcenter pending.

Exit codes: 0 success or yes, 1 no, 2 an error occurred.";

/// Event governance from the command line: check manifests, schemas and events, approve pending changes, run tasks, and
/// read and verify the audit log.
#[derive(Debug, Parser)]
#[command(name = NAME, version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adopt(Box<adopt::Arguments>),
    Approvals(approval::Approvals),
    Approve(approval::Approve),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(Box<audit::Command>),
    Diff(approval::Diff),
    /// Check manifests as the API server and the webhook would.
    ///
    /// EventTopics are checked against the Tenants, KafkaClusters and ConfigMaps among the manifests. If there is no
    /// KafkaCluster, every cluster that is named is assumed to exist. With --against, the manifests are checked as changes
    /// of the applied ones, and schemas for compatibility with the applied schemas.
    Lint(lint::Lint),
    Pending(approval::Pending),
    Reject(approval::Reject),
    /// Check schemas, and validate events.
    #[command(subcommand)]
    Schema(schema::Command),
    /// List, run and follow ScheduledTasks.
    #[command(subcommand)]
    Task(Box<task::Command>),
    Withdraw(approval::Withdraw),
}

/// The command line, with the name of the program in its examples.
fn command_line() -> clap::Command {
    fn rename(command: clap::Command, program: &str) -> clap::Command {
        let help = command
            .get_after_help()
            .map(|help| help.to_string().replace(&format!("  {NAME} "), &format!("  {program} ")));
        let command = match help {
            Some(help) => command.after_help(help),
            None => command,
        };
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.iter().fold(command, |command, name| command.mut_subcommand(name, |sub| rename(sub, program)))
    }
    rename(Cli::command(), program_name()).bin_name(program_name()).display_name(program_name())
}

fn answer(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::Adopt(arguments) => adopt::answer(arguments),
        Command::Approvals(arguments) => approval::approvals(arguments),
        Command::Approve(arguments) => approval::approve(arguments),
        Command::Audit(command) => audit::answer(command),
        Command::Diff(arguments) => approval::diff(arguments),
        Command::Lint(arguments) => lint::answer(arguments),
        Command::Pending(arguments) => approval::pending(arguments),
        Command::Reject(arguments) => approval::reject(arguments),
        Command::Schema(command) => schema::answer(command),
        Command::Task(command) => task::answer(command),
        Command::Withdraw(arguments) => approval::withdraw(arguments),
    }
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match answer(&cli.command) {
        Ok(Answer { yes, text }) => {
            // Commands that stream their output return no text. An error here means that the reader closed the pipe.
            if !text.is_empty() {
                drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
            }
            ExitCode::from(u8::from(!yes))
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{}: {}", program_name(), render_error(&error)));
            ExitCode::from(if is_refusal(&error) { 1 } else { 2 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }
}
