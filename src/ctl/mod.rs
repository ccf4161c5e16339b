//! `eventctl`: what teams do with schemas and events on their own machines and in their pipelines.
//!
//! A file for each subject; each command is a function from its arguments to an `Answer`. Here the command line is read
//! and the answer is written, so that all commands look and end alike: 0 for yes, 1 for no, 2 for what could not be done.
//!
//! Deliberately absent: decisions, which are those of the operator, called from here.

mod adopt;
mod file;
mod lint;
mod schema;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Event governance from the command line: check schemas and events before they are pushed.
#[derive(Debug, Parser)]
#[command(
    name = "eventctl",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 yes, 1 no, 2 the question could not be answered."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adopt(Box<adopt::Arguments>),
    /// Judge a folder of manifests as the webhook would.
    ///
    /// Tenants, KafkaClusters and ConfigMaps among them are what the others are judged by. If no KafkaCluster is among
    /// them, those that are named are taken to be there. With --against, what is there already is not held against
    /// anybody, and new schemas have to fit to the old ones.
    Lint(lint::Lint),
    /// Check schemas, and events against schemas.
    #[command(subcommand)]
    Schema(schema::Command),
}

/// What a command has to say.
struct Answer {
    /// Yes or no.
    yes: bool,
    /// For people, or as JSON.
    text: String,
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let answer = match Cli::parse().command {
        Command::Adopt(arguments) => adopt::answer(&arguments),
        Command::Lint(arguments) => lint::answer(&arguments),
        Command::Schema(command) => schema::answer(&command),
    };
    match answer {
        // Whoever closed the pipe has read enough.
        Ok(Answer { yes, text }) => {
            drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
            ExitCode::from(u8::from(!yes))
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "eventctl: {error:#}"));
            ExitCode::from(2)
        }
    }
}
