//! `eventctl audit`: reading and verifying the audit log.
//!
//! `list`, `show`, `export` and `tail` read the log through the REST API with the rights of the user. `verify` trusts neither
//! server nor database: it reads a whole log and compares its hashes with one another and with signed checkpoints.
//!
//! Deliberately absent: the rules of the verification, which are in [`crate::domain::audit::verify`].

mod change_lines;
mod export;
mod filter_args;
mod line_buffer;
mod list;
mod log_client;
mod output_args;
mod progress_line;
mod render;
mod show;
mod tail;
mod verify;

use clap::Subcommand;

use super::output::Answer;
use super::time_arg;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::List),
    Show(show::Show),
    Export(export::Export),
    Verify(verify::Verify),
    Tail(tail::Tail),
}

pub(super) fn answer(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::List(arguments) => list::answer(arguments),
        Command::Show(arguments) => show::answer(arguments),
        Command::Export(arguments) => export::answer(arguments),
        Command::Verify(arguments) => verify::answer(arguments),
        Command::Tail(arguments) => tail::answer(arguments),
    }
}
