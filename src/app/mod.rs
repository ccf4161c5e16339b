//! The program: the command line, and the wiring of all modules.
//!
//! Only this module reads the clock for the others, prints, and decides how the process exits.

mod audit;
mod clock;
mod config;
mod crds;
mod health;
mod openapi;
mod roles;
mod run;
mod telemetry;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    match config::Cli::parse().command {
        config::Command::Run(config) => run::run(&config),
        config::Command::Crds(arguments) => crds::crds(&arguments),
        config::Command::Openapi(arguments) => openapi::openapi(&arguments),
        config::Command::Webhooks(arguments) => webhooks::webhooks(&arguments),
    }
}
