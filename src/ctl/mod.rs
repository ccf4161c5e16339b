//! `eventctl`, also called as `kubectl eventcenter`: what teams do with schemas and events on their own machines and in
//! their pipelines, with changes that wait for approval, and with the audit log.
//!
//! A file for each subject; each command is a function from its arguments to an `Answer`. Here the command line is read
//! and the answer is written, so that all commands look and end alike: 0 for yes, 1 for no, 2 for what could not be done.
//!
//! Deliberately absent: decisions, which are those of the operator, called from here.

mod adopt;
mod approval;
mod audit;
mod file;
mod lint;
mod login;
mod schema;
mod terminal;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error_chain::ErrorChain;
use crate::kubernetes::SessionError;

/// What the program is called where it is not called otherwise.
const NAME: &str = "eventctl";

const EXAMPLES: &str = "\
Examples:
  eventctl pending -A
  eventctl diff EventTopic orders -n shop
  eventctl approve EventTopic orders -n shop --comment 'as agreed in OPS-17'
  eventctl lint topics/ --tenants platform/tenants.yaml
  eventctl audit list --since 2h --outcome Denied

Installed as kubectl-eventcenter it is a plugin of kubectl: kubectl eventcenter pending.

Exit codes: 0 yes, 1 no, 2 the question could not be answered.";

/// Event governance from the command line: check schemas and events before they are pushed, decide on changes that
/// wait for approval, and read and verify the audit log.
#[derive(Debug, Parser)]
#[command(name = NAME, version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adopt(Box<adopt::Arguments>),
    Approvals(approval::decisions::Approvals),
    Approve(approval::decide::Approve),
    /// Read the audit log, and find out whether it is as it was written.
    #[command(subcommand)]
    Audit(Box<audit::Command>),
    Diff(approval::diff::Diff),
    /// Judge a folder of manifests as the webhook would.
    ///
    /// Tenants, KafkaClusters and ConfigMaps among them are what the others are judged by. If no KafkaCluster is among
    /// them, those that are named are taken to be there. With --against, what is there already is not held against
    /// anybody, and new schemas have to fit to the old ones.
    Lint(lint::Lint),
    Pending(approval::pending::Pending),
    Reject(approval::decide::Reject),
    /// Check schemas, and events against schemas.
    #[command(subcommand)]
    Schema(schema::Command),
    Withdraw(approval::withdraw::Withdraw),
}

/// What a command has to say.
struct Answer {
    /// Yes or no.
    yes: bool,
    /// For people, or as JSON.
    text: String,
}

/// A no with its reason, which stands on standard error because nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct No(String);

/// What the program is called: `kubectl eventcenter` if kubectl runs it, which finds it as `kubectl-eventcenter`.
fn called() -> &'static str {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("kubectl-eventcenter") { "kubectl eventcenter" } else { NAME }
}

/// Says what was done, where standard output is for something else.
fn note(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Says something that is not the answer.
fn warn(text: &str) {
    drop(writeln!(std::io::stderr(), "warning: {text}"));
}

/// The command line under the name that the program is called by.
fn command_line() -> clap::Command {
    fn rename(command: clap::Command, called: &str) -> clap::Command {
        let help = command
            .get_after_help()
            .map(|help| help.to_string().replace(&format!("  {NAME} "), &format!("  {called} ")));
        let command = match help {
            Some(help) => command.after_help(help),
            None => command,
        };
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.iter().fold(command, |command, name| command.mut_subcommand(name, |sub| rename(sub, called)))
    }
    rename(Cli::command(), called()).bin_name(called()).display_name(called())
}

fn answer(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::Adopt(arguments) => adopt::answer(arguments),
        Command::Approvals(arguments) => approval::decisions::answer(arguments),
        Command::Approve(arguments) => approval::decide::approve(arguments),
        Command::Audit(command) => audit::answer(command),
        Command::Diff(arguments) => approval::diff::answer(arguments),
        Command::Lint(arguments) => lint::answer(arguments),
        Command::Pending(arguments) => approval::pending::answer(arguments),
        Command::Reject(arguments) => approval::decide::reject(arguments),
        Command::Schema(command) => schema::answer(command),
        Command::Withdraw(arguments) => approval::withdraw::answer(arguments),
    }
}

/// Whether an error is a no: the question was answered.
fn is_no(error: &anyhow::Error) -> bool {
    let refused =
        |error: &SessionError| matches!(error, SessionError::Refused(_) | SessionError::Conflict { .. });
    error.is::<No>() || error.downcast_ref::<SessionError>().is_some_and(refused)
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match answer(&cli.command) {
        // Whoever closed the pipe has read enough.
        Ok(Answer { yes, text }) => {
            // What came piece by piece is written already.
            if !text.is_empty() {
                drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
            }
            ExitCode::from(u8::from(!yes))
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{}: {}", called(), ErrorChain(error.as_ref())));
            ExitCode::from(if is_no(&error) { 1 } else { 2 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn the_command_line_is_one() {
        command_line().debug_assert();
    }

    #[test]
    fn a_refusal_is_a_no_and_an_error_is_none() {
        assert!(is_no(&No("no".into()).into()));
        assert!(is_no(&SessionError::Refused("no".into()).into()));
        assert!(is_no(&SessionError::Conflict { what: "x" }.into()));
        let forbidden = SessionError::Forbidden { what: "x", message: "y".into() };
        assert!(!is_no(&forbidden.into()) && !is_no(&anyhow!("away")));
    }
}
