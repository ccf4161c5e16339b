//! `logs`: shows the logs of the environment.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Result, bail};
use clap::ValueEnum;
use xtask::{logs, process};

use super::{Context, Place, display_path};

/// Show the logs of the environment.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The part; by default all parts that up itself has started
    part: Option<Part>,

    /// Keep printing new lines
    #[arg(short, long)]
    follow: bool,

    /// Number of last lines to print first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: u32,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Operator,
    Kafka,
    KafkaSasl,
    Apiserver,
    ControllerManager,
    Controlplane,
    Supervisor,
    Pods,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let folder = context.folder.path();
    if !folder.exists() {
        bail!("nothing is up; start it with `cargo xtask up`");
    }
    let data = folder.join("controlplane/data");
    let one = |name: &str| vec![folder.join(name)];
    let own = [
        "supervisor.log",
        "controlplane/controlplane.log",
        "kafka/kafka.log",
        "kafka-sasl/kafka.log",
        "operator.log",
    ];
    let files: Vec<PathBuf> = match arguments.part {
        None => own.iter().map(|name| folder.join(name)).collect(),
        Some(Part::Operator) => one("operator.log"),
        Some(Part::Kafka) => one("kafka/kafka.log"),
        Some(Part::KafkaSasl) => one("kafka-sasl/kafka.log"),
        Some(Part::Controlplane) => one("controlplane/controlplane.log"),
        Some(Part::Supervisor) => one("supervisor.log"),
        Some(Part::Apiserver) => logs::find(&data, "apiserver"),
        Some(Part::ControllerManager) => logs::find(&data, "controller-manager"),
        Some(Part::Pods) => logs::find(&data, "pods"),
    };
    let files: Vec<PathBuf> = files.into_iter().filter(|file| file.is_file()).collect();
    if files.is_empty() {
        bail!("there is no such log in {}", display_path(folder));
    }
    let mut tail = process::child_command("tail");
    tail.args(["-n", &arguments.lines.to_string()]);
    if arguments.follow {
        tail.arg("-F");
    }
    tail.arg("--").args(&files);
    // ^C ends both processes; a closed pipe (`| head`) is no failure.
    let code = run_tail(tail)?;
    Ok(code)
}

fn run_tail(tail: Command) -> Result<ExitCode> {
    let status = process::run_attached(tail)?;
    Ok(if status.success() || status.code().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
