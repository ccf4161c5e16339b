//! The commands of `cargo xtask`. `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, reason = "results of a command line program go to standard output")]

mod commands;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{console::Console, paths, supervisor};

use commands::{bench, demo, down, generate, logs, status, test, up};

/// Local environment, demo, tests, benchmarks and generated files of eventcenter.
///
/// No container engine and no cluster is needed: a Kubernetes control plane and a Kafka broker run as processes of this
/// machine, on loopback only. They are downloaded and compiled on first use into the user's cache folder
/// ($EVENTCENTER_CACHE, or $XDG_CACHE_HOME/eventcenter, or ~/.cache/eventcenter).
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Arguments),
    /// Stop everything that up started, and remove its folder.
    ///
    /// Does nothing if nothing is up. A cluster or a Kafka that up did not start keeps running.
    Down(commands::Place),
    /// Show the environment: processes, addresses, logs.
    ///
    /// Exit code 0 if all processes run, 1 if one has died, 3 if nothing is up.
    Status(commands::Place),
    Logs(logs::Arguments),
    Demo(demo::Arguments),
    Test(test::Arguments),
    Generate(generate::Arguments),
    Bench(bench::Arguments),
    /// Owns the environment; up starts it.
    #[command(hide = true)]
    Supervise {
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    if let Command::Supervise { folder } = &arguments.command {
        return supervisor::run(folder).map(|()| ExitCode::SUCCESS);
    }
    let repository = paths::repository()?;
    let folder = match &arguments.command {
        Command::Down(place) | Command::Status(place) => place.folder(&repository),
        Command::Up(arguments) => arguments.place.folder(&repository),
        Command::Logs(arguments) => arguments.place.folder(&repository),
        Command::Demo(arguments) => arguments.place.folder(&repository),
        _ => paths::dev_folder(&repository),
    };
    let context = commands::Context {
        folder: supervisor::Folder::new(&std::path::absolute(folder)?),
        repository,
        console: Console::stderr(),
    };
    match arguments.command {
        Command::Up(arguments) => up::run(&context, &arguments),
        Command::Down(_) => down::run(&context),
        Command::Status(_) => status::run(&context),
        Command::Logs(arguments) => logs::run(&context, &arguments),
        Command::Demo(arguments) => demo::run(&context, &arguments),
        Command::Test(arguments) => test::run(&context, &arguments),
        Command::Generate(arguments) => generate::run(&context, &arguments),
        Command::Bench(arguments) => bench::run(&context, &arguments),
        Command::Supervise { .. } => unreachable!("handled above"),
    }
}
