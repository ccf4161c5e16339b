//! The program: the command line, and the wiring of all modules.
//!
//! Only this module reads the clock for the others, prints, and decides how the process exits.

mod allocator;
mod audit;
mod clock;
mod config;
mod crds;
mod health;
mod heartbeat;
mod kinds;
mod openapi;
mod roles;
mod run;
mod telemetry;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

use crate::api::add_kinds;

pub use kinds::AdditionalKind;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(&[])
}

/// Runs the program with more kinds than the product has.
#[must_use]
pub fn main_with(additional: &[AdditionalKind]) -> ExitCode {
    add_kinds(additional.iter().map(|kind| kind.info).collect());
    match config::Cli::parse().command {
        config::Command::Run(config) => {
            allocator::apply(&config);
            run::run(&config, additional)
        }
        config::Command::Crds(arguments) => crds::crds(&arguments),
        config::Command::Openapi(arguments) => openapi::openapi(&arguments),
        config::Command::Webhooks(arguments) => webhooks::webhooks(&arguments),
    }
}
