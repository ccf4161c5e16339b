//! `demo`: the product, shown on the real parts. Each step is one function in [`steps`].

mod manifest;
mod stage;
mod steps;

use std::process::ExitCode;

use anyhow::{Result, bail};

use self::stage::Demo;
use super::{Context, Place, up};

/// Watch EventTopics become Kafka topics, on a real Kubernetes API server and a real Kafka broker.
///
/// Brings the environment up, or uses the one that is up, applies examples/quickstart/ and shows what happens: every
/// command it runs is printed as you would type it. Leaves everything running for you to go on.
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
        bail!("{} is not there: this checkout is not complete", super::shown(&examples));
    }
    let wanted = up::Arguments {
        release: arguments.release,
        // Drift is to be seen corrected while somebody watches.
        operator_arg: vec!["--resync-interval=5s".to_owned()],
        ..up::Arguments::default()
    };
    let (state, fresh) = up::ensure(context, &wanted)?;
    if state.plan.operator.is_none() {
        bail!("the environment is up without the operator; run `{}` first", context.command("down"));
    }
    if !fresh {
        println!("Using the environment that is up already.");
    }
    let demo = Demo { context, state, folder: context.folder.path().join("demo") };
    let result = steps::all(&demo, &examples);
    if arguments.down {
        super::down::run(context)?;
    } else if result.is_ok() {
        steps::goodbye(&demo);
    }
    result.map(|()| ExitCode::SUCCESS)
}
