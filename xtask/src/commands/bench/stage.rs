//! The environment of a benchmark, and its measured steps.

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
    environment::{Plan, SINGLE_REPLICA, TempEnvironment},
    interrupt,
    kubectl::Kubectl,
    operator::{Operator, OperatorOptions, webhook_url},
    port,
    postgres::Postgres,
    procfs::Identity,
};

use super::{
    audit::{self, Audit, Writes},
    generator::{Generator, Outcome, Prepared},
    review::{Histogram, Reviews},
    row::Row,
    sampler::{API, GENERATOR, Measurement, OPERATOR, POSTGRES, RUNNER, Sampler, Step, WEBHOOK},
};

/// The operator and the load generator.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) operator: PathBuf,
    pub(crate) generator: PathBuf,
}

/// The operator's requests to Kafka, as its metrics name them.
const REQUESTS: [&str; 6] = [
    "CreateTopics",
    "IncrementalAlterConfigs",
    "DeleteTopics",
    "CreatePartitions",
    "DescribeTopics",
    "DescribeConfigs",
];

/// All running parts. Dropping it stops them, the operator first.
pub(crate) struct Stage {
    // Fields are dropped in this order.
    operator: Option<Operator>,
    /// The roles that run in processes of their own.
    apart: Vec<(&'static str, Operator)>,
    postgres: Option<Postgres>,
    environment: TempEnvironment,
    options: OperatorOptions,
    generator: Generator,
    audit: Audit,
    console: Console,
    quiet: Duration,
}

/// The operator's own metrics at one moment.
#[derive(Debug, Default)]
struct Counters {
    /// For each kind of request to Kafka: the number of requests, and of topics in them.
    kafka: Vec<(f64, f64)>,
    reviews: Reviews,
}

impl Stage {
    /// Starts the environment, without an operator.
    pub(crate) fn start(
        plan: &Plan,
        programs: &Programs,
        quiet: Duration,
        console: &Console,
    ) -> Result<Self> {
        let mut environment = TempEnvironment::start(plan, console)?;
        let folder = environment.folder().to_owned();
        let data = environment.control_plane().context("the plan has a control plane")?.data_dir();
        let generator = Generator {
            program: programs.generator.clone(),
            kubeconfig: environment.kubeconfig().to_owned(),
            log: folder.join("generator.log"),
            variables: Vec::new(),
        };
        let options = OperatorOptions::new(&programs.operator, environment.operator_kubeconfig());
        let audit = Audit::at_end(data.join("audit.log"))?;
        Ok(Self {
            operator: None,
            apart: Vec::new(),
            postgres: None,
            environment,
            options,
            generator,
            audit,
            console: console.clone(),
            quiet,
        })
    }

    /// `HOST:PORT` of Kafka.
    pub(crate) fn bootstrap(&self) -> String {
        self.environment.bootstrap()
    }

    /// kubectl for the cluster.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.environment.kubectl()
    }

    /// Writes a manifest to a file of that name. Returns its path.
    pub(crate) fn write(&self, name: &str, manifest: &Value) -> Result<String> {
        let file = self.environment.folder().join(name);
        fs::write(&file, manifest.to_string())?;
        Ok(file.display().to_string())
    }

    /// Writes manifests to a file of that name and applies it. Returns its path.
    pub(crate) fn apply(&self, name: &str, manifests: &[Value]) -> Result<String> {
        let file = self.write(name, &json!({"apiVersion": "v1", "kind": "List", "items": manifests}))?;
        self.kubectl().run(&["apply", "--server-side", "-f", &file])?;
        Ok(file)
    }

    /// Makes the next start of the operator use the role webhook only.
    pub(crate) fn use_webhook_role(&mut self) -> Result<()> {
        self.options.webhook = Some(port::free()?);
        self.options.arguments = vec!["--roles=webhook".to_owned()];
        Ok(())
    }

    /// Installs the webhook configurations of the operator.
    pub(crate) fn install_webhook(&self) -> Result<()> {
        let port = self.options.webhook.context("the operator has the role webhook")?;
        let url = webhook_url(port);
        self.kubectl().install_webhook(&self.options.program, &url, self.environment.folder())
    }

    /// Starts the operator.
    pub(crate) fn start_operator(&mut self) -> Result<()> {
        self.operator = Some(Operator::start(&self.options, &self.log())?);
        Ok(())
    }

    /// Starts all roles in one process, and installs the webhook.
    pub(crate) fn start_all_roles(&mut self) -> Result<()> {
        (self.options.webhook, self.options.api) = (Some(port::free()?), Some(port::free()?));
        self.options.arguments = SINGLE_REPLICA.map(String::from).into();
        self.install_webhook()?;
        self.start_operator()
    }

    /// Starts each role in a process of its own, with the audit log in PostgreSQL, and installs the webhook.
    pub(crate) fn start_roles_apart(&mut self) -> Result<()> {
        let folder = self.environment.folder().to_owned();
        let postgres = Postgres::start(&folder.join("postgres"))?;
        self.options.variables.push(("EVENTCENTER_STORE".to_owned(), postgres.create_database("audit")?));
        self.postgres = Some(postgres);
        self.options.arguments = SINGLE_REPLICA.map(String::from).into();
        self.start_operator()?;
        self.options.webhook = Some(port::free()?);
        self.install_webhook()?;
        for (role, webhook, api) in [(WEBHOOK, self.options.webhook, None), (API, None, Some(port::free()?))]
        {
            let arguments = vec![format!("--roles={role}")];
            let options = OperatorOptions { webhook, api, arguments, ..self.options.clone() };
            self.apart.push((role, Operator::start(&options, &folder.join(format!("{role}.log")))?));
        }
        Ok(())
    }

    /// Starts all roles with the database, and installs the webhook. With PostgreSQL the runner has a process of its own.
    pub(crate) fn start_task_roles(&mut self, with_postgres: bool) -> Result<()> {
        if with_postgres {
            let postgres = Postgres::start(&self.environment.folder().join("postgres"))?;
            let url = postgres.create_database("tasks")?;
            self.options.variables.push(("EVENTCENTER_STORE".to_owned(), url.clone()));
            self.generator.variables.push(("EVENTCENTER_STORE".to_owned(), url));
            self.postgres = Some(postgres);
            let arguments = vec![format!("--roles={RUNNER}")];
            let options = OperatorOptions { arguments, ..self.options.clone() };
            let log = self.environment.folder().join("runner.log");
            // The operator, which starts next, creates the tables.
            self.start_all_roles()?;
            self.apart.push((RUNNER, Operator::start(&options, &log)?));
            return Ok(());
        }
        self.options.runner = true;
        self.start_all_roles()?;
        let data = self.operator.as_ref().context("the operator runs")?.data();
        let url = format!("sqlite:{}", data.join("eventcenter.db").display());
        self.generator.variables.push(("EVENTCENTER_STORE".to_owned(), url));
        Ok(())
    }

    /// Runs the load generator without measuring, as a preparation.
    pub(crate) fn prepare(&self, name: &str, arguments: &[&str]) -> Result<Outcome> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut prepared = self.generator.prepare(&arguments)?;
        self.console.run(name, |task| prepared.run(task))
    }

    /// A histogram among the metrics of all roles: all series of that name.
    pub(crate) fn histogram(&self, name: &str) -> Histogram {
        Histogram::read(&self.metrics(), name, "")
    }

    fn log(&self) -> PathBuf {
        self.environment.folder().join("operator.log")
    }

    /// Runs and measures one step of the load generator.
    pub(crate) fn step(&mut self, name: &str, arguments: &[&str]) -> Result<Row> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let console = self.console.clone();
        console.run(name, |task| {
            let mut prepared = self.generator.prepare(&arguments)?;
            self.measure(name, &mut prepared, task)
        })
    }

    fn measure(&mut self, name: &str, prepared: &mut Prepared, task: &Task) -> Result<Row> {
        self.audit.read()?;
        let before = self.counters();
        let generator = prepared.identity().clone();
        // The generator ends before the environment is idle again, so it is sampled only until the last topic is done.
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
        before: &Counters,
    ) -> Result<Row> {
        let whole = whole.so_far()?;
        let counters = self.counters();
        let kafka = REQUESTS
            .iter()
            .zip(counters.kafka)
            .zip(before.kafka.iter().chain(repeat(&(0.0, 0.0))))
            .map(|((name, after), before)| ((*name).to_owned(), after.0 - before.0, after.1 - before.1))
            .filter(|(_, requests, _)| *requests > 0.0)
            .collect();
        let (name, writes) = (name.to_owned(), self.audit.read()?);
        let reviews = counters.reviews.since(&before.reviews);
        Ok(Row { name, outcome, during, whole, writes, kafka, reviews, goals: Vec::new(), peer: None })
    }

    /// Restarts the operator among all topics. Measures the time until it has reconciled all of them.
    pub(crate) fn restart(&mut self, name: &str, count: u32) -> Result<Row> {
        let stopped = self.operator.take().context("the operator runs")?.stop()?;
        ensure!(stopped.success(), "the operator ended with {stopped}");
        self.measure_start(name, count, |stage| stage.observed(count))
    }

    /// Starts the operator among all topics. Measures the time until it is ready.
    pub(crate) fn start_until_ready(&mut self, name: &str, count: u32) -> Result<Row> {
        self.measure_start(name, count, |stage| if stage.is_ready() { count } else { 0 })
    }

    fn measure_start(&mut self, name: &str, count: u32, so_far: impl Fn(&Self) -> u32) -> Result<Row> {
        let console = self.console.clone();
        console.run(name, |task| {
            self.audit.read()?;
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
                self.sleep(Duration::from_millis(50))?;
                done = so_far(self);
                task.detail(&format!("{done} observed"));
            }
            let during = step.so_far()?;
            let wall_seconds = begun.elapsed().as_secs_f64();
            // It may still write.
            self.settle(task)?;
            let outcome = Outcome { wall_seconds, count, done, ..Outcome::default() };
            self.row(name, outcome, during, &step, &Counters::default())
        })
    }

    fn is_ready(&self) -> bool {
        let answer = self.operator.as_ref().and_then(|operator| operator.get("/readyz"));
        answer.is_some_and(|(status, _)| status == 200)
    }

    /// How many EventTopics the operator has reconciled, at most `most`.
    fn observed(&self, most: u32) -> u32 {
        let metrics = self.metrics();
        let labels = ["kind=\"EventTopic\"", "outcome=\"Available\""];
        let sum = audit::sum(&metrics, "eventcenter_reconciles_total", &labels);
        (0..=most).rev().find(|number| f64::from(*number) <= sum).unwrap_or(0)
    }

    /// How many of the topics exist in Kafka.
    pub(crate) fn count(&mut self, arguments: &[&str]) -> Result<u32> {
        let bootstrap = self.bootstrap();
        let mut command = vec!["count", "--bootstrap", &bootstrap];
        command.extend(arguments);
        Ok(self.prepare("Counting the topics in Kafka", &command)?.done)
    }

    /// The operator's writes since the last step.
    pub(crate) fn writes(&mut self) -> Result<Writes> {
        self.audit.read()
    }

    /// The operator's writes to Kafka since its start, by its own metrics.
    pub(crate) fn kafka_writes(&self) -> f64 {
        audit::kafka_writes(&self.metrics())
    }

    /// The metrics of all roles.
    fn metrics(&self) -> String {
        let operators = self.operator.iter().chain(self.apart.iter().map(|(_, operator)| operator));
        let pages = operators.filter_map(|operator| operator.get("/metrics"));
        pages.filter(|(status, _)| *status == 200).map(|(_, text)| text).collect()
    }

    fn counters(&self) -> Counters {
        let metrics = self.metrics();
        let topics = |operation: &str| {
            let label = format!("operation=\"{operation}\"");
            audit::sum(&metrics, "eventcenter_kafka_request_topics_sum", &[&label])
        };
        let kafka =
            REQUESTS.iter().map(|name| (audit::kafka_requests(&metrics, name), topics(name))).collect();
        Counters { kafka, reviews: Reviews::read(&metrics) }
    }

    fn sampler(&self, generator: Option<&Identity>) -> Sampler {
        let mut others = Vec::new();
        if let Some(operator) = &self.operator {
            others.push((OPERATOR, operator.identity()));
        }
        others.extend(self.apart.iter().map(|(role, operator)| (*role, operator.identity())));
        if let Some(generator) = generator {
            others.push((GENERATOR, generator));
        }
        let server = self.postgres.as_ref().and_then(Postgres::identity).map(|server| (POSTGRES, server));
        Sampler::of(&self.environment, &others, server)
    }

    /// Waits until the processes are nearly idle: Events may still be sent, and Kafka may still create logs.
    fn settle(&self, task: &Task) -> Result<()> {
        task.detail("waiting until all processes are idle");
        let sampler = self.sampler(None);
        let begun = Instant::now();
        let mut before = sampler.cpu_time()?;
        // On a busy machine even idle processes use CPU time, so the wait has a limit.
        while begun.elapsed() < self.quiet * 20 {
            self.sleep(self.quiet)?;
            let now = sampler.cpu_time()?;
            if now.saturating_sub(before) < self.quiet / 10 {
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }

    /// Waits until the operator has ended the work that earlier steps have left behind, such as the deletion of Jobs, at most `limit`.
    pub(crate) fn settle_operator(&self, limit: Duration) -> Result<()> {
        let interval = self.quiet * 5;
        let sampler = self.sampler(None);
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let step = sampler.begin(None)?;
            self.sleep(interval)?;
            if step.so_far()?.cost(OPERATOR).cpu < interval / 50 {
                break;
            }
        }
        Ok(())
    }

    /// Sleeps, unless an interrupt comes.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            interrupt::check()?;
            thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }

    /// Stops all parts in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        for operator in self.operator.take().into_iter().chain(self.apart.drain(..).map(|(_, role)| role)) {
            let status = operator.stop()?;
            ensure!(status.success(), "the operator ended with {status}");
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop()?;
        }
        self.environment.stop()
    }
}
