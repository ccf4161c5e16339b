//! `demo`: shows the product with a real Kubernetes and a real Kafka. Each step is one function, and [`steps`] calls them.

mod audit;
mod manifest;
mod stage;
mod steps;
mod task;
mod topic;

use std::process::ExitCode;

use anyhow::{Result, bail};

use self::stage::Demo;
use super::{Context, Place, up};

/// Watch topics, approvals, tasks and the audit log, on a real Kubernetes API server and a real Kafka broker.
///
/// Starts the environment, or uses the running one, applies examples/ and shows the results. Prints every command as you would
/// type it, and at the end a summary. The environment keeps running.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Stop everything at the end
    #[arg(long)]
    down: bool,

    /// Build the operator optimised
    #[arg(long)]
    release: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let examples = context.repository.join("examples/quickstart");
    if !examples.is_dir() {
        bail!("{} does not exist: this checkout is incomplete", super::display_path(&examples));
    }
    let up_arguments = up::Arguments {
        release: arguments.release,
        // A short interval, so that the demo shows the correction of drift within seconds.
        operator_arg: vec!["--resync-interval=5s".to_owned()],
        ..up::Arguments::default()
    };
    let (state, fresh) = up::ensure(context, &up_arguments)?;
    if state.plan.operator.is_none() {
        bail!("the environment is up without the operator; run `{}` first", context.command("down"));
    }
    if !fresh {
        println!("Using the environment that is up already.");
    }
    let demo = Demo::new(context, state);
    let result = steps::all(&demo, &examples);
    if arguments.down {
        super::down::run(context)?;
    } else if result.is_ok() {
        steps::print_summary(&demo);
    }
    result.map(|()| ExitCode::SUCCESS)
}
