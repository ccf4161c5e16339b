//! `bench tasks`: creates ScheduledTasks, and measures when their runs start, beside Kubernetes' own CronJobs.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::json;
use xtask::{
    environment::{Kafka, Plan},
    port,
};

use super::{
    Context,
    goal::{Figure, Goal},
    row::Row,
    sampler::OPERATOR,
    setup,
    stage::Stage,
    task_report::{Report, TaskRow},
};

/// Create ScheduledTasks and measure when their runs start, beside the CronJobs of Kubernetes.
///
/// All roles run, with a database. First tasks are created, and CronJobs; then containers are due in the same second, as tasks and
/// as these CronJobs; then Jobs and HTTP calls are due each second, after as many calls without the product; finally many tasks are
/// idle. Takes about 12 minutes with the defaults, and 3 with --quick, because a CronJob is due at a full minute.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of tasks to create
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    tasks: u32,

    /// Number of containers that are due in the same second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5000))]
    containers: u32,

    /// Number of Jobs that are due each second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    jobs: u32,

    /// Number of seconds in which they are due
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    job_seconds: u32,

    /// Number of HTTP calls that are due each second; a step before has half of them. More than the goal, which a rate could not
    /// reach otherwise
    #[arg(long, default_value_t = 1100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    calls: u32,

    /// Number of seconds in which they are due
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    call_seconds: u32,

    /// Number of idle tasks
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    idle: u32,

    /// Length of the idle step, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    idle_seconds: u32,

    /// Number of concurrent writers
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    writers: u32,

    /// The database
    #[arg(long, value_enum, default_value = "postgres")]
    store: Store,

    /// A short run with few tasks
    #[arg(long, conflicts_with_all = ["tasks", "containers", "jobs", "job_seconds", "calls", "call_seconds", "idle", "idle_seconds"])]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// PostgreSQL; the runner has a process of its own
    Postgres,
    /// SQLite; all roles are in one process
    Sqlite,
}

/// The sizes of the steps.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    tasks: u32,
    containers: u32,
    jobs: u32,
    job_seconds: u32,
    calls: u32,
    call_seconds: u32,
    idle: u32,
    idle_seconds: u32,
    writers: u32,
}

/// The bootstrap server of the environment; no process connects to it.
const NO_KAFKA: &str = "kafka.example:9092";

/// The namespace of the tasks, and the name of their tenant.
const NAMESPACE: &str = "bench";

/// The operator's own measurement of Jobs, and the runner's of calls.
const JOB_LATENESS: &str = "eventcenter_task_job_lateness_seconds";
const RUNNER_LATENESS: &str = "eventcenter_runner_lateness_seconds";

/// How long the API server may take to notice that the webhook was installed.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The baseline of calls makes at most this many.
const MAX_PLAIN_CALLS: u32 = 100_000;

/// A quarter of the goal for the creation of tasks each second, so that a busy machine has time to prepare a step.
const PREPARED_A_SECOND: u32 = 20;

/// Seconds for the preparation of a step besides the creation of its tasks.
const PREPARATION: u64 = 20;

/// A step that observes runs starts this long before the first is due.
const LEAD: Duration = Duration::from_secs(2);

/// How long the operator may delete the Jobs of earlier steps before the step with idle tasks.
const MAX_CLEANUP: Duration = Duration::from_secs(300);

/// The goals of the product.
const MAX_RSS: f64 = 80.0;

impl Size {
    fn of(arguments: &Arguments) -> Self {
        let Arguments {
            tasks, containers, jobs, job_seconds, calls, call_seconds, idle, idle_seconds, ..
        } = *arguments;
        let writers = arguments.writers;
        match arguments.quick {
            true => Self {
                tasks: 40,
                containers: 20,
                jobs: 5,
                job_seconds: 3,
                calls: 20,
                call_seconds: 3,
                idle: 60,
                idle_seconds: 3,
                writers,
            },
            false => Self {
                tasks,
                containers,
                jobs,
                job_seconds,
                calls,
                call_seconds,
                idle,
                idle_seconds,
                writers,
            },
        }
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let programs = setup::programs(context, arguments.operator.as_deref(), arguments.generator.as_deref())?;
    let plan = Plan { kafka: Kafka::Existing(NO_KAFKA.into()), ..setup::plan(context)? };
    let quiet = Duration::from_millis(if arguments.quick { 250 } else { 500 });
    let size = Size::of(arguments);
    let mut stage = Stage::start(&plan, &programs, quiet, &context.console)?;
    let rows = Run { stage: &mut stage, size, store: arguments.store }.run()?;
    stage.stop()?;
    let store = match arguments.store {
        Store::Postgres => "PostgreSQL, with the runner in a process of its own",
        Store::Sqlite => "SQLite, with all roles in one process",
    };
    let report = Report { store, writers: size.writers, rows };
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("\n{}", report.text());
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Run<'a> {
    stage: &'a mut Stage,
    size: Size,
    store: Store,
}

impl Run<'_> {
    fn run(mut self) -> Result<Vec<TaskRow>> {
        self.start()?;
        let size = self.size;
        let mut created = self.create_tasks()?;
        let mut at_once = self.containers()?;
        let (created_cron_jobs, cron_jobs) = self.cron_jobs()?;
        let mut jobs = self.repeated_jobs()?;
        let plain = self.plain_calls()?;
        let mut half = self.calls("half of the calls", "half", size.calls / 2)?;
        let mut calls = self.calls("calls", "call", size.calls)?;
        let idle = self.idle()?;
        compare(&mut created, Figure::Rate, created_cron_jobs.row.rate());
        compare(&mut at_once, Figure::LastJob, cron_jobs.row.outcome.written_seconds);
        compare(&mut jobs, Figure::Lateness, late(&cron_jobs.row));
        if let Some(plain) = &plain {
            compare(&mut half, Figure::Lateness, late(&plain.row));
            compare(&mut calls, Figure::Rate, plain.row.rate());
        }
        let rows = [created, created_cron_jobs, at_once, cron_jobs, jobs];
        Ok(rows.into_iter().chain(plain).chain([half, calls, idle]).collect())
    }

    /// Starts the roles. Returns when the API server calls the webhook.
    fn start(&mut self) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let tenant = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "Tenant", "metadata": {"name": NAMESPACE},
            "spec": {"namespaces": [NAMESPACE], "callbacks": {"hosts": ["127.0.0.1/32"]}},
        });
        self.stage.apply("bench.json", &[namespace, tenant])?;
        self.stage.start_task_roles(self.store == Store::Postgres)?;
        let invalid = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "ScheduledTask",
            "metadata": {"name": "probe", "namespace": NAMESPACE},
            "spec": {"schedule": {"cron": "61 * * * *"}, "target": {"http": {"url": "http://127.0.0.1:9/"}}},
        });
        let file = self.stage.write("probe.json", &invalid)?;
        let begun = Instant::now();
        loop {
            let mut command = self.stage.kubectl().command();
            command.args(["create", "--dry-run=server", "-f", &file]);
            let answer = String::from_utf8_lossy(&xtask::process::output(command)?.stderr).into_owned();
            if answer.contains("denied the request: ") {
                return Ok(());
            }
            if begun.elapsed() >= MAX_DELAY {
                bail!("the API server does not call the webhook after {MAX_DELAY:?}: {answer}");
            }
            self.stage.sleep(Duration::from_millis(100))?;
        }
    }

    fn create_tasks(&mut self) -> Result<TaskRow> {
        let (count, writers) = (self.size.tasks.to_string(), self.size.writers.to_string());
        let arguments =
            ["task", "create", "idle", "--prefix", "task", "--count", &count, "--writers", &writers];
        let mut row = self.stage.step("create", &arguments)?;
        row.goals = vec![Goal::new(Figure::Rate, 80.0, row.rate()), memory(&row), lost(&row)];
        Ok(TaskRow::new(row))
    }

    /// Containers that are due in the same second, as tasks.
    fn containers(&mut self) -> Result<TaskRow> {
        let count = self.size.containers;
        let due = Due::after(count)?;
        self.create(&["at"], "at", count, &due, 1)?;
        let mut task = self.observe_jobs("containers at once", "at", count, &due, 1)?;
        let row = &mut task.row;
        row.goals =
            vec![Goal::new(Figure::LastJob, 10.0, row.outcome.written_seconds), lost(row), repeated(row)];
        Ok(task)
    }

    /// The same number of CronJobs, which the operator does not know: their creation, and their Jobs.
    fn cron_jobs(&mut self) -> Result<(TaskRow, TaskRow)> {
        let count = self.size.containers;
        let due = Due::after(count)?.at_full_minute();
        let (number, seconds) = (count.to_string(), due.seconds.to_string());
        let writers = self.size.writers.to_string();
        let cron_jobs = ["task", "cron-jobs", "--prefix", "cron", "--count", &number, "--due", &seconds];
        let created = self
            .stage
            .step("create CronJobs, baseline", &[&cron_jobs[..], &["--writers", &writers]].concat())?;
        let mut task = self.observe_jobs("CronJobs, baseline", "cron", count, &due, 1)?;
        task.own_p99 = None;
        Ok((TaskRow::new(created), task))
    }

    /// As many calls as in the last step, whose rows are committed one by one; `None` without PostgreSQL.
    fn plain_calls(&mut self) -> Result<Option<TaskRow>> {
        if self.store == Store::Sqlite {
            return Ok(None);
        }
        let count = (self.size.calls * self.size.call_seconds).min(MAX_PLAIN_CALLS).to_string();
        let writers = self.size.writers.to_string();
        let arguments = ["task", "plain-calls", "--count", &count, "--writers", &writers];
        let mut row = self.stage.step("plain calls, baseline", &arguments)?;
        row.whole = row.during.clone();
        Ok(Some(TaskRow::new(row)))
    }

    /// Jobs that are due each second.
    fn repeated_jobs(&mut self) -> Result<TaskRow> {
        let Size { jobs, job_seconds, .. } = self.size;
        let due = Due::after(jobs)?;
        self.create(&["repeated"], "repeated", jobs, &due, job_seconds)?;
        let mut task =
            self.observe_jobs(&format!("{jobs} Jobs each second"), "repeated", jobs, &due, job_seconds)?;
        let row = &mut task.row;
        row.goals = vec![lateness(row, 500.0), lost(row), repeated(row)];
        Ok(task)
    }

    /// HTTP calls, distributed evenly over each second.
    fn calls(&mut self, name: &str, prefix: &str, count: u32) -> Result<TaskRow> {
        let seconds = self.size.call_seconds;
        let due = Due::after(count)?;
        let port = port::free()?.to_string();
        self.create(&["calls", "--port", &port], prefix, count, &due, seconds)?;
        let arguments = ["task", "calls", "--port", &port];
        let mut task = self.observe(name, &arguments, prefix, count, &due, seconds, RUNNER_LATENESS)?;
        let is_half = count < self.size.calls;
        let row = &mut task.row;
        row.goals = match is_half {
            true => vec![lateness(row, 200.0)],
            false => vec![Goal::new(Figure::Rate, 1000.0, row.rate()), memory(row)],
        };
        let unstored = Goal::new(Figure::Unstored, 0.0, f64::from(row.outcome.unstored));
        row.goals.extend([lost(row), repeated(row), unstored]);
        Ok(task)
    }

    /// Tasks in the far future, besides those of the other steps.
    fn idle(&mut self) -> Result<TaskRow> {
        let Size { tasks, idle, idle_seconds, writers, .. } = self.size;
        let more = idle.saturating_sub(tasks);
        if more > 0 {
            let (count, writers) = (more.to_string(), writers.to_string());
            let arguments =
                ["task", "create", "idle", "--prefix", "idle", "--count", &count, "--writers", &writers];
            let created = self.stage.prepare("creating idle tasks", &arguments)?;
            ensure!(created.done == more, "only {} of {more} idle tasks are Ready", created.done);
        }
        self.stage.settle_operator(MAX_CLEANUP)?;
        let (count, seconds) = (idle.max(tasks).to_string(), idle_seconds.to_string());
        let mut row = self.stage.step("idle", &["task", "rest", "--count", &count, "--seconds", &seconds])?;
        row.whole = row.during.clone();
        let share = 100.0 * row.cpu(OPERATOR) / row.during.wall.as_secs_f64().max(f64::EPSILON);
        row.goals = vec![Goal::new(Figure::CpuShare, 1.0, share), memory(&row)];
        Ok(TaskRow::new(row))
    }

    /// Creates tasks that are due at a time, and waits until they are Ready.
    fn create(&self, kind: &[&str], prefix: &str, count: u32, due: &Due, times: u32) -> Result<()> {
        let (number, seconds, times) = (count.to_string(), due.seconds.to_string(), times.to_string());
        let writers = self.size.writers.to_string();
        let common = ["--prefix", prefix, "--count", &number, "--writers", &writers];
        let schedule = ["--due", &seconds, "--times", &times];
        let arguments = [&["task", "create"], kind, &common, &schedule].concat();
        let created = self.stage.prepare(&format!("creating {count} tasks ({prefix})"), &arguments)?;
        ensure!(created.done == count, "only {} of {count} tasks are Ready", created.done);
        Ok(())
    }

    fn observe_jobs(
        &mut self,
        name: &str,
        prefix: &str,
        count: u32,
        due: &Due,
        times: u32,
    ) -> Result<TaskRow> {
        self.observe(name, &["task", "jobs"], prefix, count, due, times, JOB_LATENESS)
    }

    /// Measures from shortly before the first run is due until the last run was observed.
    #[expect(clippy::too_many_arguments, reason = "they are the options of the load generator")]
    fn observe(
        &mut self,
        name: &str,
        arguments: &[&str],
        prefix: &str,
        count: u32,
        due: &Due,
        times: u32,
        metric: &str,
    ) -> Result<TaskRow> {
        self.stage.sleep(due.until()?.saturating_sub(LEAD))?;
        let before = self.stage.histogram(metric);
        let (number, seconds, times) = (count.to_string(), due.seconds.to_string(), times.to_string());
        let common = ["--prefix", prefix, "--count", &number, "--due", &seconds, "--times", &times];
        let mut row = self.stage.step(name, &[arguments, &common].concat())?;
        row.whole = row.during.clone();
        let own_p99 = self.stage.histogram(metric).since(&before).quantile(0.99);
        Ok(TaskRow { own_p99, ..TaskRow::new(row) })
    }
}

/// When the first runs of a step are due, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    seconds: u64,
}

impl Due {
    /// After the preparation of this number of tasks.
    fn after(count: u32) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { seconds: now + PREPARATION + u64::from(count / PREPARED_A_SECOND) })
    }

    /// The next full minute.
    fn at_full_minute(self) -> Self {
        Self { seconds: self.seconds.next_multiple_of(60) }
    }

    /// The time until then.
    fn until(self) -> Result<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let until = Duration::from_secs(self.seconds).checked_sub(now);
        until.context("the tasks were due before they were all Ready: measure fewer, or on a faster machine")
    }
}

fn memory(row: &Row) -> Goal {
    Goal::new(Figure::Rss, MAX_RSS, row.rss(OPERATOR))
}

/// Tasks that are not Ready, or runs that did not happen.
fn lost(row: &Row) -> Goal {
    Goal::new(Figure::Lost, 0.0, f64::from(row.outcome.count.saturating_sub(row.outcome.done)))
}

fn repeated(row: &Row) -> Goal {
    Goal::new(Figure::Repeated, 0.0, f64::from(row.outcome.events))
}

fn lateness(row: &Row, limit: f64) -> Goal {
    Goal::new(Figure::Lateness, limit, late(row))
}

/// The 99th percentile of the lateness in milliseconds.
fn late(row: &Row) -> f64 {
    1000.0 * row.outcome.latency_seconds.map_or(f64::INFINITY, |latency| latency.p99)
}

/// Sets the value of the baseline of a goal.
fn compare(task: &mut TaskRow, figure: Figure, baseline: f64) {
    for goal in task.row.goals.iter_mut().filter(|goal| goal.figure == figure) {
        goal.baseline = Some(baseline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn size(arguments: &[&str]) -> Result<Size, clap::Error> {
        let command = Arguments::augment_args(clap::Command::new("tasks"));
        let matches = command.try_get_matches_from([&["tasks"], arguments].concat())?;
        Ok(Size::of(&Arguments::from_arg_matches(&matches)?))
    }

    #[test]
    fn the_sizes_are_options() {
        let default = size(&[]).expect("valid arguments");
        assert_eq!(
            (default.tasks, default.containers, default.calls, default.idle),
            (1000, 500, 1100, 10_000)
        );
        let given = size(&["--tasks", "50", "--containers", "20", "--jobs=3"]).expect("valid arguments");
        assert_eq!((given.tasks, given.containers, given.jobs), (50, 20, 3));
        assert!(size(&["--quick"]).expect("valid arguments").tasks < default.tasks);
        assert!(size(&["--quick", "--tasks", "50"]).is_err());
    }

    #[test]
    fn cron_jobs_are_due_at_a_full_minute() {
        assert_eq!(Due { seconds: 61 }.at_full_minute(), Due { seconds: 120 });
        assert_eq!(Due { seconds: 120 }.at_full_minute(), Due { seconds: 120 });
    }
}
