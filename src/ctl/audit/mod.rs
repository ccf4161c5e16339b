//! `eventctl audit`: reads and verifies audit logs.
//!
//! `list`, `show`, `export` and `tail` call the REST API with the rights of their user. `verify` trusts no server: it reads a
//! whole log, from an export, a server or the database itself, and compares it with its own hashes and with signed checkpoints.
//!
//! Deliberately absent: the verification itself, which is in [`crate::domain::audit::verify`].

mod difference;
mod export;
mod filter_args;
mod line_buffer;
mod list;
mod output_args;
mod render;
mod server;
mod show;
mod tail;
mod time_arg;
mod verify;

use clap::Subcommand;

use super::output::Answer;

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
