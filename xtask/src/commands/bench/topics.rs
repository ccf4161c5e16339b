//! `bench topics`: many writers create, change and delete EventTopics.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use xtask::{console::Console, environment::Plan};

use super::{
    Context,
    goal::{Figure, Goal, Peer},
    product::{Deployment, ProductRow},
    report::Report,
    row::Row,
    setup,
    stage::{Programs, Stage},
};

/// Create, change and delete many EventTopics; measure time, CPU and memory.
///
/// Runs in an environment of its own: first with the controllers alone, then with the whole product (webhook, approvals and
/// audit log), in one process and with the roles apart. Finally sends the same requests in another environment without an
/// operator, to show what the operator adds. Takes about 7 minutes with the defaults, and a minute with --quick.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of topics; the last step creates five times as many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,

    /// Number of concurrent writers
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    writers: u32,

    /// Length of the idle step, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,

    /// A short run with 100 topics and 5 idle seconds
    #[arg(long, conflicts_with_all = ["count", "idle"])]
    quick: bool,

    /// Only the whole product, beside the requests without an operator
    #[arg(long)]
    product: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Measure this operator instead of building one
    #[arg(long, value_name = "PROGRAM")]
    operator: Option<PathBuf>,

    /// Use this load generator instead of building one
    #[arg(long, value_name = "PROGRAM")]
    generator: Option<PathBuf>,
}

struct Size {
    count: u32,
    many: u32,
    writers: u32,
    idle: u64,
    quiet: Duration,
}

impl Size {
    fn of(arguments: &Arguments) -> Self {
        let (count, idle, quiet) = match arguments.quick {
            true => (100, 5, Duration::from_millis(500)),
            false => (arguments.count, arguments.idle, Duration::from_secs(1)),
        };
        Self { count, many: count * 5, writers: arguments.writers, idle, quiet }
    }

    /// Scales a limit for 1,000 topics.
    fn scale(&self, limit: f64) -> f64 {
        limit * f64::from(self.count) / 1000.0
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let programs = setup::programs(context, arguments.operator.as_deref(), arguments.generator.as_deref())?;
    let size = Size::of(arguments);
    let plan = setup::plan(context)?;
    // Each has a new broker and API server.
    let start = || start(&plan, &programs, &size, &context.console);
    let mut steps = Vec::new();
    if !arguments.product {
        let mut stage = start()?;
        steps = with_operator(&mut stage, &size)?;
        stage.stop()?;
    }
    let mut product = Vec::new();
    for deployment in [Deployment::OneProcess, Deployment::RolesApart] {
        let mut stage = start()?;
        product.extend(with_all_roles(&mut stage, deployment, &size)?);
        stage.stop()?;
    }
    let mut stage = start()?;
    let floor = without_operator(&mut stage, &size)?;
    stage.stop()?;
    product.iter_mut().for_each(|row| row.set_goals(&floor));
    let report = Report { writers: size.writers, steps, product, floor };
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("\n{}", report.text());
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The namespace of the EventTopics.
const NAMESPACE: &str = "bench";

fn start(plan: &Plan, programs: &Programs, size: &Size, console: &Console) -> Result<Stage> {
    let stage = Stage::start(plan, programs, size.quiet, console)?;
    stage.kubectl().run(&["create", "namespace", NAMESPACE])?;
    Ok(stage)
}

/// The tenant and the Kafka cluster.
fn manifests(stage: &Stage) -> [Value; 2] {
    let tenant = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "Tenant", "metadata": {"name": NAMESPACE},
        "spec": {"namespaces": [NAMESPACE], "topicPrefix": format!("{NAMESPACE}.")},
    });
    let cluster = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "KafkaCluster", "metadata": {"name": "main"},
        "spec": {"default": true, "bootstrapServers": [stage.bootstrap()]},
    });
    [tenant, cluster]
}

/// Starts the operator and waits until it is connected.
fn connect(stage: &mut Stage, quiet: Duration) -> Result<()> {
    let file = stage.apply("bench.json", &manifests(stage))?;
    stage.start_operator()?;
    stage.kubectl().run(&["wait", "--for=condition=Ready", "--timeout=60s", "-f", &file])?;
    stage.sleep(quiet)
}

fn with_operator(stage: &mut Stage, size: &Size) -> Result<Vec<Row>> {
    let (count, writers) = (size.count.to_string(), size.writers.to_string());
    let load = |step: &'static str| [step, "--count", &count, "--writers", &writers].map(str::to_owned);
    let step = |stage: &mut Stage, name: &str, what: &'static str| {
        stage.step(name, &load(what).each_ref().map(String::as_str))
    };
    connect(stage, size.quiet)?;
    let mut rows = Vec::new();

    let mut row = step(stage, "create", "create")?;
    row.goals = vec![
        Goal::new(Figure::Rate, 50.0, row.rate()),
        Goal::new(Figure::Cpu, size.scale(2.0), row.cpu("operator")),
        Goal::new(Figure::Rss, 48.0, row.rss("operator")),
        lost(&row, stage.count(&["--count", &count])?),
    ];
    row.peer = Some(Peer::CREATE);
    rows.push(row);

    let mut row = step(stage, "change a config", "change")?;
    row.goals = vec![
        Goal::new(Figure::Rate, 120.0, row.rate()),
        Goal::new(Figure::Cpu, size.scale(2.0), row.cpu("operator")),
    ];
    row.peer = Some(Peer::CHANGE);
    rows.push(row);

    let seconds = size.idle.to_string();
    let mut row = stage.step("idle", &["rest", "--seconds", &seconds, "--count", &count])?;
    let minutes = row.during.wall.as_secs_f64() / 60.0;
    row.whole = row.during.clone();
    row.goals = vec![Goal::new(Figure::CpuAMinute, 0.2, row.cpu("operator") / minutes)];
    row.peer = Some(Peer::IDLE);
    rows.push(row);

    let mut row = stage.restart("restart", size.count)?;
    let written = f64::from(row.writes.to_topics()) + stage.kafka_writes();
    row.goals =
        vec![Goal::new(Figure::Wall, 5.0, row.outcome.wall_seconds), Goal::new(Figure::Writes, 0.0, written)];
    rows.push(row);

    let mut row = step(stage, "delete", "delete")?;
    let left = stage.count(&["--count", &count])?;
    row.goals = vec![
        Goal::new(Figure::Rate, 120.0, row.rate()),
        Goal::new(Figure::Lost, 0.0, f64::from(row.outcome.count - row.outcome.done) + f64::from(left)),
    ];
    row.peer = Some(Peer::DELETE);
    rows.push(row);

    let many = size.many.to_string();
    let name = "create at once";
    let arguments = ["create", "--prefix", "many", "--count", &many, "--writers", "64"];
    let mut row = stage.step(name, &arguments)?;
    row.goals = vec![
        lost(&row, stage.count(&["--prefix", "many", "--count", &many])?),
        Goal::new(Figure::Rss, 96.0, row.rss("operator")),
    ];
    row.peer = Some(Peer::MANY);
    rows.push(row);
    Ok(rows)
}

/// The number of topics that are missing in the watch or in Kafka.
fn lost(row: &Row, in_kafka: u32) -> Goal {
    let missing = row.outcome.count - row.outcome.done.min(in_kafka);
    Goal::new(Figure::Lost, 0.0, f64::from(missing))
}

/// The steps of the whole product, in a new environment.
fn with_all_roles(stage: &mut Stage, deployment: Deployment, size: &Size) -> Result<Vec<ProductRow>> {
    let (count, writers) = (size.count.to_string(), size.writers.to_string());
    let load = ["--count", &count, "--writers", &writers];
    let manifests = manifests(stage);
    deployment.measure(stage, NAMESPACE, &manifests, &load, size.quiet)
}

fn without_operator(stage: &mut Stage, size: &Size) -> Result<Vec<Row>> {
    let (count, writers, bootstrap) = (size.count.to_string(), size.writers.to_string(), stage.bootstrap());
    let steps: [(&str, &[&str]); 8] = [
        ("Kubernetes: create", &["create", "--alone"]),
        ("Kubernetes: finalizer, status, Event", &["operator-writes"]),
        ("Kafka: create in one request", &["kafka", "create", "--bootstrap", &bootstrap]),
        ("Kubernetes: change", &["change", "--alone"]),
        ("Kubernetes: change, status", &["change-and-status"]),
        ("Kafka: change in one request", &["kafka", "alter", "--bootstrap", &bootstrap]),
        ("Kubernetes: delete, finalizer", &["delete", "--alone"]),
        ("Kafka: delete in one request", &["kafka", "delete", "--bootstrap", &bootstrap]),
    ];
    let mut rows = Vec::new();
    for (name, command) in steps {
        let common = ["--count", count.as_str(), "--writers", writers.as_str()];
        let row = stage.step(name, &command.iter().copied().chain(common).collect::<Vec<_>>())?;
        ensure!(stage.writes()?.done.is_empty(), "an operator writes, but none was started");
        rows.push(row);
    }
    Ok(rows)
}
