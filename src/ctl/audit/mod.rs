//! `eventctl audit`: what was asked, approved and done, and whether it is as it was written.
//!
//! `list`, `show`, `export` and `tail` ask the REST API as the person who runs them. `verify` believes nobody: it reads a
//! whole log, from an export, a server or the database itself, and compares it with itself and with signed checkpoints.
//!
//! Deliberately absent: what is found, which is [`crate::domain::audit::verify`]'s to say.

mod difference;
mod export;
mod form;
mod lines;
mod list;
mod moment;
mod question;
mod server;
mod show;
mod shown;
mod tail;
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
