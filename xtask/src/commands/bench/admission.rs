//! `bench admission`: creates and changes EventTopics of many tenants, with the webhook and without it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use xtask::environment::{Kafka, Plan};

use super::{
    Context,
    comparison::Report,
    goal::{Figure, Goal},
    platform,
    row::Row,
    setup,
    stage::Stage,
};

/// Create and change EventTopics of many tenants; measure how long the webhook takes and what it adds.
///
/// The operator runs with the role webhook only, among existing tenants and topics and without Kafka. The same requests
/// are sent before the webhook is installed, while it is, and afterwards. Finally the load generator sends reviews to the
/// webhook directly, because the API server is the slower of the two. Takes about 3 minutes with the defaults, and half a
/// minute with --quick.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of topics to create and change; five times as many reviews are sent directly
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(16..=20_000))]
    count: u32,

    /// Number of tenants
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    tenants: u32,

    /// Number of their existing topics
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    topics: u32,

    /// Number of concurrent writers
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    writers: u32,

    /// A short run with 5 tenants, 100 existing topics and 40 more
    #[arg(long, conflicts_with_all = ["count", "tenants", "topics"])]
    quick: bool,

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

/// The bootstrap server of every KafkaCluster; no process connects to it.
const NO_KAFKA: &str = "kafka.example:9092";

/// Connections for direct reviews, as many as an API server under load has.
const SENDERS: u32 = 32;

/// Concurrent writers of schemas. With more of them the API server uses all processors of the machine, and a review
/// mostly waits for a processor.
const SCHEMA_WRITERS: u32 = 2;

struct Size {
    count: u32,
    tenants: u32,
    topics: u32,
    writers: u32,
    quiet: Duration,
}

impl Size {
    fn of(arguments: &Arguments) -> Self {
        let writers = arguments.writers;
        match arguments.quick {
            true => Self { count: 40, tenants: 5, topics: 100, writers, quiet: Duration::from_millis(500) },
            false => Self {
                count: arguments.count,
                tenants: arguments.tenants,
                topics: arguments.topics,
                writers,
                quiet: Duration::from_secs(1),
            },
        }
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let programs = setup::programs(context, arguments.operator.as_deref(), arguments.generator.as_deref())?;
    let plan = Plan { kafka: Kafka::Existing(NO_KAFKA.into()), ..setup::plan(context)? };
    let size = Size::of(arguments);
    let mut stage = Stage::start(&plan, &programs, size.quiet, &context.console)?;
    let report = Run { stage: &mut stage, size: &size }.run()?;
    stage.stop()?;
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("\n{}", report.text());
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Run<'a> {
    stage: &'a mut Stage,
    size: &'a Size,
}

impl Run<'_> {
    fn run(mut self) -> Result<Report> {
        let Size { count, tenants, topics, writers, .. } = *self.size;
        self.stage.apply("platform.json", &platform::manifests(tenants, NO_KAFKA))?;
        let populate = self.apply("populate", "create", "standing", topics)?;
        self.stage.use_webhook_role()?;
        let mut start = self.stage.start_until_ready("start", topics)?;
        start.goals = vec![memory(&start)];

        let before = self.without_webhook("before")?;
        platform::install(self.stage)?;
        let steps = self.with_webhook()?;
        let direct = self.direct()?;
        platform::remove(self.stage)?;
        let after = self.without_webhook("after")?;

        let first = [populate, start].into_iter();
        Ok(Report {
            count,
            tenants,
            topics,
            writers,
            before,
            after,
            steps: first.chain(steps).chain([direct]).collect(),
        })
    }

    /// Applies without the webhook.
    fn without_webhook(&mut self, when: &str) -> Result<Vec<Row>> {
        let count = self.size.count;
        let rows = vec![
            self.apply(&format!("{when}: create"), "create", when, count)?,
            self.apply(&format!("{when}: change a config"), "configure", when, count)?,
        ];
        for row in &rows {
            ensure!(
                row.reviews.count() < 1.0,
                "{}: the API server called the webhook, which is not installed",
                row.name
            );
        }
        self.clear(when)?;
        Ok(rows)
    }

    /// Applies with the webhook.
    fn with_webhook(&mut self) -> Result<Vec<Row>> {
        let count = self.size.count;
        let created = self.apply("create", "create", "reviewed", count)?;
        let configured = self.apply("change a config", "configure", "reviewed", count)?;
        // No controllers run that would register the schemas.
        self.apply("registering schemas", "register", "reviewed", count / 4)?;
        let evolved = self.apply_by(SCHEMA_WRITERS, "change a schema", "evolve", "reviewed", count / 4)?;
        let broken = self.apply_by(SCHEMA_WRITERS, "break a schema", "break", "reviewed", count / 4)?;
        let refused = self.apply("refused", "overreach", "refused", count / 4)?;
        let mut rows = vec![created, configured, evolved, broken, refused];
        for row in &mut rows {
            let reviews = row.reviews.count();
            ensure!(
                reviews >= f64::from(row.outcome.done),
                "{}: the webhook received only {reviews} reviews",
                row.name
            );
            let milliseconds =
                |share| row.reviews.durations.quantile(share).unwrap_or(f64::INFINITY) * 1000.0;
            row.goals = vec![Goal::new(Figure::Tail, 20.0, milliseconds(0.99)), memory(row)];
            // Before the webhook refuses, it waits for pending watch events, so refusals are slower.
            if row.reviews.refused < 1.0 {
                let schema = row.name == "change a schema";
                row.goals
                    .insert(0, Goal::new(Figure::Median, if schema { 5.0 } else { 3.0 }, milliseconds(0.5)));
            }
        }
        for row in rows.iter_mut().rev().take(2) {
            let not_refused = f64::from(row.outcome.count) - row.reviews.refused;
            row.goals.push(Goal::new(Figure::Unrefused, 0.0, not_refused));
        }
        self.clear("reviewed")?;
        Ok(rows)
    }

    /// Reviews that the load generator sends to the webhook itself.
    fn direct(&mut self) -> Result<Row> {
        let (count, writers) = ((self.size.count * 5).to_string(), SENDERS.to_string());
        let arguments = ["review", "--count", &count, "--writers", &writers];
        let mut row = self.stage.step("sent directly", &arguments)?;
        row.goals = vec![Goal::new(Figure::Reviews, 500.0, row.reviews_rate()), memory(&row)];
        Ok(row)
    }

    fn clear(&mut self, prefix: &str) -> Result<()> {
        self.apply("clean up", "delete", prefix, self.size.count).map(drop)
    }

    fn apply(&mut self, name: &str, action: &str, prefix: &str, count: u32) -> Result<Row> {
        self.apply_by(self.size.writers, name, action, prefix, count)
    }

    fn apply_by(&mut self, writers: u32, name: &str, action: &str, prefix: &str, count: u32) -> Result<Row> {
        let Size { tenants, .. } = *self.size;
        let (count, tenants, writers) = (count.to_string(), tenants.to_string(), writers.to_string());
        let arguments = ["apply", action, "--prefix", prefix, "--count", &count, "--writers", &writers];
        let namespaces = ["--namespace", platform::TENANT, "--namespaces", &tenants];
        self.stage.step(name, &[&arguments[..], &namespaces].concat())
    }
}

fn memory(row: &Row) -> Goal {
    Goal::new(Figure::Rss, 96.0, row.rss("operator"))
}
