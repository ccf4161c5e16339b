//! An environment of the benchmark's own, and one measured step after the other in it.

use std::{
    fs,
    iter::repeat,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::{
    console::{Console, Task},
    environment::{Plan, TempEnvironment},
    interrupt,
    kubectl::Kubectl,
    operator::{Operator, OperatorOptions},
    port,
    procfs::Identity,
};

use super::{
    audit::{self, Audit, Writes},
    generator::{Generator, Outcome, Prepared},
    report::Row,
    review::Reviews,
    sampler::{GENERATOR, Measurement, Sampler, Step},
};

/// The programs that are measured and that measure.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) operator: PathBuf,
    pub(crate) generator: PathBuf,
}

/// The operator's requests to Kafka, by its own names.
const REQUESTS: [&str; 6] = [
    "CreateTopics",
    "IncrementalAlterConfigs",
    "DeleteTopics",
    "CreatePartitions",
    "DescribeTopics",
    "DescribeConfigs",
];

/// Everything that runs. Dropping it stops it, the operator first.
pub(crate) struct Stage {
    // Fields are dropped in this order.
    operator: Option<Operator>,
    environment: TempEnvironment,
    options: OperatorOptions,
    generator: Generator,
    audit: Audit,
    console: Console,
    quiet: Duration,
}

/// What the operator had done at a moment, by its own metrics.
#[derive(Debug, Default)]
struct Told {
    /// Its requests to Kafka, and how many topics they had in all.
    kafka: Vec<(f64, f64)>,
    reviews: Reviews,
}

impl Stage {
    /// Starts the environment and waits until it is as idle as it gets; without an operator.
    pub(crate) fn set(plan: &Plan, programs: &Programs, quiet: Duration, console: &Console) -> Result<Self> {
        let mut environment = TempEnvironment::start(plan, console)?;
        let folder = environment.folder().to_owned();
        let data = environment.control_plane().context("it is our own")?.data_dir();
        let generator = Generator {
            program: programs.generator.clone(),
            kubeconfig: environment.kubeconfig().to_owned(),
            log: folder.join("generator.log"),
        };
        let options = OperatorOptions::new(&programs.operator, environment.operator_kubeconfig());
        let audit = Audit::from_here(data.join("audit.log"))?;
        Ok(Self { operator: None, environment, options, generator, audit, console: console.clone(), quiet })
    }

    /// `HOST:PORT` of Kafka.
    pub(crate) fn bootstrap(&self) -> String {
        self.environment.bootstrap()
    }

    /// kubectl for its cluster.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.environment.kubectl()
    }

    /// Writes a manifest into a file of that name. Returns the file.
    pub(crate) fn write(&self, name: &str, manifest: &Value) -> Result<String> {
        let file = self.environment.folder().join(name);
        fs::write(&file, manifest.to_string())?;
        Ok(file.display().to_string())
    }

    /// Applies manifests by way of a file of that name. Returns the file.
    pub(crate) fn declare(&self, name: &str, manifests: &[Value]) -> Result<String> {
        let file = self.write(name, &json!({"apiVersion": "v1", "kind": "List", "items": manifests}))?;
        self.kubectl().run(&["apply", "--server-side", "-f", &file])?;
        Ok(file)
    }

    /// Gives the operator the role of the webhook and no other, from when on it is started.
    pub(crate) fn only_answer_reviews(&mut self) -> Result<()> {
        self.options.webhook = Some(port::free()?);
        self.options.arguments = vec!["--roles=webhook".to_owned()];
        Ok(())
    }

    /// Has the API server ask the operator from now on.
    pub(crate) fn install_webhook(&self) -> Result<()> {
        let url = self.operator.as_ref().and_then(Operator::webhook_url).context("it answers reviews")?;
        self.kubectl().install_webhook(&self.options.program, &url, self.environment.folder())
    }

    /// Starts the operator.
    pub(crate) fn start_operator(&mut self) -> Result<()> {
        self.operator = Some(Operator::start(&self.options, &self.log())?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.environment.folder().join("operator.log")
    }

    /// One measured step of the load generator.
    pub(crate) fn step(&mut self, name: &str, arguments: &[&str]) -> Result<Row> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let console = self.console.clone();
        console.run(name, |task| {
            let mut prepared = self.generator.prepare(&arguments)?;
            self.measure(name, &mut prepared, task)
        })
    }

    fn measure(&mut self, name: &str, prepared: &mut Prepared, task: &Task) -> Result<Row> {
        self.audit.since()?;
        let before = self.told();
        let generator = prepared.identity().clone();
        // The generator has ended when everything is quiet again: it is watched only until the last topic is done.
        let (with, without) = (self.sampler(Some(&generator)), self.sampler(None));
        let (loaded, whole) = (with.begin(None)?, without.begin(None)?);
        let outcome = prepared.run(task)?;
        let during = loaded.so_far()?;
        self.settle(task)?;
        self.row(name, outcome, during, &whole, &before)
    }

    fn row(
        &mut self,
        name: &str,
        outcome: Outcome,
        during: Measurement,
        whole: &Step<'_>,
        before: &Told,
    ) -> Result<Row> {
        let whole = whole.so_far()?;
        let told = self.told();
        let kafka = REQUESTS
            .iter()
            .zip(told.kafka)
            .zip(before.kafka.iter().chain(repeat(&(0.0, 0.0))))
            .map(|((name, after), before)| ((*name).to_owned(), after.0 - before.0, after.1 - before.1))
            .filter(|(_, requests, _)| *requests > 0.0)
            .collect();
        let (name, writes) = (name.to_owned(), self.audit.since()?);
        let reviews = told.reviews.since(&before.reviews);
        Ok(Row { name, outcome, during, whole, writes, kafka, reviews, goals: Vec::new(), peer: None })
    }

    /// The operator is stopped and started while everything is there: how long until it has looked at all topics.
    pub(crate) fn restart(&mut self, name: &str, count: u32) -> Result<Row> {
        let stopped = self.operator.take().context("it runs")?.stop()?;
        ensure!(stopped.success(), "the operator ended with {stopped}");
        self.start(name, count, |stage| stage.observed(count))
    }

    /// The operator is started while everything is there: how long until it is ready.
    pub(crate) fn start_among(&mut self, name: &str, count: u32) -> Result<Row> {
        self.start(name, count, |stage| if stage.is_ready() { count } else { 0 })
    }

    fn start(&mut self, name: &str, count: u32, so_far: impl Fn(&Self) -> u32) -> Result<Row> {
        let console = self.console.clone();
        console.run(name, |task| {
            self.audit.since()?;
            let mut options = self.options.clone();
            options.wait = false;
            let operator = Operator::start(&options, &self.log())?;
            let identity = operator.identity().clone();
            self.operator = Some(operator);
            let sampler = self.sampler(None);
            let step = sampler.begin(Some(&identity))?;
            let begun = Instant::now();
            let mut done = 0;
            while done < count && begun.elapsed() < Duration::from_secs(60) {
                self.rest(Duration::from_millis(50))?;
                done = so_far(self);
                task.detail(&format!("{done} observed"));
            }
            let during = step.so_far()?;
            let wall_seconds = begun.elapsed().as_secs_f64();
            // What it may write, it writes soon.
            self.settle(task)?;
            let outcome = Outcome { wall_seconds, count, done, ..Outcome::default() };
            self.row(name, outcome, during, &step, &Told::default())
        })
    }

    fn is_ready(&self) -> bool {
        let answer = self.operator.as_ref().and_then(|operator| operator.get("/readyz"));
        answer.is_some_and(|(status, _)| status == 200)
    }

    /// How many EventTopics the operator has reconciled.
    fn observed(&self, most: u32) -> u32 {
        let metrics = self.metrics();
        let labels = ["kind=\"EventTopic\"", "outcome=\"Available\""];
        let sum = audit::sum(&metrics, "eventcenter_reconciles_total", &labels);
        (0..=most).rev().find(|number| f64::from(*number) <= sum).unwrap_or(0)
    }

    /// How many of the topics Kafka has.
    pub(crate) fn count(&mut self, arguments: &[&str]) -> Result<u32> {
        let bootstrap = self.bootstrap();
        let mut words = vec!["count", "--bootstrap", &bootstrap];
        words.extend(arguments);
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut prepared = self.generator.prepare(&words)?;
        let outcome = self.console.run("Counting what Kafka has", |task| prepared.run(task))?;
        Ok(outcome.done)
    }

    /// What the operator wrote since the last step.
    pub(crate) fn writes(&mut self) -> Result<Writes> {
        self.audit.since()
    }

    /// Writes to Kafka since the operator was started, by its own count.
    pub(crate) fn kafka_writes(&self) -> f64 {
        audit::kafka_writes(&self.metrics())
    }

    fn metrics(&self) -> String {
        let answer = self.operator.as_ref().and_then(|operator| operator.get("/metrics"));
        answer.filter(|(status, _)| *status == 200).map(|(_, text)| text).unwrap_or_default()
    }

    fn told(&self) -> Told {
        let metrics = self.metrics();
        let topics = |operation: &str| {
            let label = format!("operation=\"{operation}\"");
            audit::sum(&metrics, "eventcenter_kafka_request_topics_sum", &[&label])
        };
        let kafka =
            REQUESTS.iter().map(|name| (audit::kafka_requests(&metrics, name), topics(name))).collect();
        Told { kafka, reviews: Reviews::read(&metrics) }
    }

    fn sampler(&self, generator: Option<&Identity>) -> Sampler {
        let mut others = Vec::new();
        if let Some(operator) = &self.operator {
            others.push(("operator", operator.identity()));
        }
        if let Some(generator) = generator {
            others.push((GENERATOR, generator));
        }
        Sampler::of(&self.environment, &others)
    }

    /// Waits until hardly anything is done any more: Events that wait, logs that Kafka makes.
    fn settle(&self, task: &Task) -> Result<()> {
        task.detail("waiting until all is quiet");
        let sampler = self.sampler(None);
        let begun = Instant::now();
        let mut before = sampler.used()?;
        // On a machine that is slow just now even what does nothing uses the processors: then it goes on all the same.
        while begun.elapsed() < self.quiet * 20 {
            self.rest(self.quiet)?;
            let now = sampler.used()?;
            if now.saturating_sub(before) < self.quiet / 10 {
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }

    /// Waits, unless the end is asked for.
    pub(crate) fn rest(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            interrupt::check()?;
            thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }

    /// Stops everything in order.
    pub(crate) fn strike(mut self) -> Result<()> {
        if let Some(operator) = self.operator.take() {
            let status = operator.stop()?;
            ensure!(status.success(), "the operator ended with {status}");
        }
        self.environment.stop()
    }
}
