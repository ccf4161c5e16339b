//! `up`: starts the environment in the background.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use xtask::{
    artefacts::Artefacts,
    environment::{Cluster, Kafka, OperatorPlan, Plan},
    prerequisites::{self, Tool},
    supervisor::{Health, State},
};

use super::{Context, Place, build, display_path, status};

/// Start a Kubernetes control plane, Kafka and the operator in the background.
///
/// Returns when all of it is ready and writes target/dev/env for the shell. Everything listens on loopback only, on free
/// ports, and runs until `cargo xtask down`. If the environment is up, shows it; if a part has died, replaces it by a new, empty one.
///
/// The first run compiles Kubernetes (about 9 minutes) and the operator (5 to 10 minutes).
#[derive(clap::Args, Default, Clone)]
pub(crate) struct Arguments {
    /// Leave the operator out, to run it elsewhere (in a debugger, say)
    #[arg(long, conflicts_with_all = ["release", "operator_arg"])]
    pub(crate) no_operator: bool,

    /// Leave the admission webhook out: invalid resources are stored, and the operator reports them in the status
    #[arg(long)]
    pub(crate) no_webhook: bool,

    /// Build the operator with optimisations
    #[arg(long)]
    pub(crate) release: bool,

    /// Start a second Kafka broker, with SASL/SCRAM logins and ACLs
    #[arg(long)]
    pub(crate) sasl: bool,

    /// Use the cluster of this kubeconfig instead of starting one. The resource definitions and the operator's RBAC
    /// are applied there, and stay. The webhook is left out, because that cluster could not reach it
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Use this Kafka instead of starting one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Option<String>,

    /// An argument for `eventcenter run`; may be given more than once, as --operator-arg=--flag=value
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) operator_arg: Vec<String>,

    #[command(flatten)]
    pub(crate) place: Place,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let (state, fresh) = ensure(context, arguments)?;
    if fresh {
        println!("\nEverything is up.\n");
    } else {
        println!("It is up already.\n");
        explain_difference(context, &state, arguments);
    }
    print!("{}", status::table(&state));
    println!("\n{}", next_steps(context, &state));
    Ok(ExitCode::SUCCESS)
}

/// Starts the environment unless it is up. Returns whether it was started.
pub(crate) fn ensure(context: &Context, arguments: &Arguments) -> Result<(State, bool)> {
    let _lock = context.folder.lock(&context.console)?;
    match context.folder.health() {
        Health::Up(state) => return Ok((state, false)),
        Health::Down => {}
        Health::Broken(_, problems) => {
            context.console.line(&format!("Something has died ({}); restarting.", problems.join(", ")));
        }
    }
    let plan = plan(context, arguments)?;
    if context.folder.path().exists() {
        context.console.run("Removing the last environment", |_| context.folder.down())?;
    }
    Ok((context.folder.up(&plan, &context.console)?, true))
}

fn plan(context: &Context, arguments: &Arguments) -> Result<Plan> {
    let kubeconfig = match &arguments.kubeconfig {
        Some(file) => Some(file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?),
        None => None,
    };
    if let Some(bootstrap) = &arguments.bootstrap
        && bootstrap
            .split(',')
            .any(|server| server.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()))
    {
        bail!("--bootstrap: `{bootstrap}` is not HOST:PORT");
    }
    let artefacts = Artefacts::new(&context.repository, &context.console)?;
    let mut tools = artefacts.tools(kubeconfig.is_none())?;
    if !arguments.no_operator {
        tools.extend(Tool::BUILD);
    }
    prerequisites::ensure(&tools, &context.repository, &context.console)?;
    let kafka_libs = artefacts.kafka_libs()?;
    let (cluster, kubectl) = match kubeconfig {
        // For an existing cluster the kubectl of the machine is good enough.
        Some(kubeconfig) => {
            let kubectl = prerequisites::find_on_path("kubectl").map_or_else(|| artefacts.kubectl(), Ok)?;
            (Cluster::Existing(kubeconfig), kubectl)
        }
        // The control plane first: most of kubectl is compiled with it.
        None => (Cluster::Own(artefacts.control_plane()?), artefacts.kubectl()?),
    };
    let operator = match arguments.no_operator {
        true => None,
        false => Some(OperatorPlan {
            program: build::operator(context, arguments.release)?,
            arguments: operator_arguments(&arguments.operator_arg),
            webhook: !arguments.no_webhook && matches!(cluster, Cluster::Own(_)),
            api: true,
            runner: true,
        }),
    };
    Ok(Plan {
        repository: context.repository.clone(),
        kafka_libs,
        kubectl,
        cluster,
        kafka: arguments.bootstrap.clone().map_or(Kafka::Own, Kafka::Existing),
        sasl: arguments.sasl,
        operator,
    })
}

/// The given arguments, with short intervals of resync and checkpoints unless they set them.
fn operator_arguments(given: &[String]) -> Vec<String> {
    let mut arguments = given.to_vec();
    for (flag, value) in [("--resync-interval", "10s"), ("--audit-checkpoint-interval", "5s")] {
        if !given.iter().any(|word| word.starts_with(flag)) {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    arguments
}

fn explain_difference(context: &Context, state: &State, wanted: &Arguments) {
    let plan = &state.plan;
    let released = plan
        .operator
        .as_ref()
        .map(|operator| operator.program.parent().is_some_and(|p| p.ends_with("release")));
    let has_webhook = plan.operator.as_ref().is_some_and(|operator| operator.webhook);
    let same_cluster = wanted.kubeconfig.is_none()
        || matches!((&plan.cluster, &wanted.kubeconfig), (Cluster::Existing(own), Some(file)) if file.canonicalize().is_ok_and(|f| f == *own));
    let same_kafka = wanted.bootstrap.is_none()
        || wanted.bootstrap.clone().map(Kafka::Existing).as_ref() == Some(&plan.kafka);
    let differences = [
        (wanted.no_operator && released.is_some(), "with the operator"),
        (!wanted.no_operator && released.is_none(), "without the operator"),
        (wanted.no_webhook && has_webhook, "with the webhook"),
        (wanted.release && released == Some(false), "with an operator that is not optimised"),
        (wanted.sasl && !plan.sasl, "without the broker with logins"),
        (!same_cluster, "on another cluster"),
        (!same_kafka, "with another Kafka"),
    ];
    let differences: Vec<&str> =
        differences.iter().filter(|(differs, _)| *differs).map(|(_, what)| *what).collect();
    if !differences.is_empty() {
        let down = context.command("down");
        println!("It was started {}. To change that: {down}, then up.\n", differences.join(", "));
    }
}

fn next_steps(context: &Context, state: &State) -> String {
    let mut text = format!("What to do next:\n  . {}\n", display_path(&context.folder.env()));
    let mut step =
        |command: &str, description: &str| text.push_str(&format!("  {command:<58} # {description}\n"));
    step("kubectl get ectenant,eckafka,etopic,stask -A", "the resources");
    step("kafka-topics --bootstrap-server $KAFKA_BOOTSTRAP --list", "the Kafka topics");
    match &state.plan.operator {
        Some(_) => step(&context.command("logs operator -f"), "what the operator does"),
        None => step(
            "KUBECONFIG=$OPERATOR_KUBECONFIG cargo run -- run --data-dir target/dev/data",
            "the operator, by hand",
        ),
    }
    step(&context.command("down"), "stop all of it");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_short_unless_given() {
        let with_defaults =
            |given: &[&str]| operator_arguments(&given.iter().map(ToString::to_string).collect::<Vec<_>>());
        let checkpoint = ["--audit-checkpoint-interval", "5s"];
        assert_eq!(with_defaults(&[]), [&["--resync-interval", "10s"], &checkpoint[..]].concat());
        let given = ["--resync-interval=1m"];
        assert_eq!(with_defaults(&given), [&given, &checkpoint[..]].concat());
    }
}
