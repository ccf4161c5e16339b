//! `bench audit`: appends to, verifies, searches and exports the audit log, on PostgreSQL and on SQLite.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{
    console::Console,
    environment::temporary_folder,
    postgres::Postgres,
    procfs::{Identity, Usage},
};

use super::{
    Context,
    generator::{Generator, Latency, Outcome},
    report::limit,
    row::round,
    sampler::{Machine, OTHERS, processors, ticks},
    setup,
};
use crate::commands::table::{Align, Table};

/// Append records to the audit log, verify it, search it and export it, on PostgreSQL and on SQLite.
///
/// The journal and the store run in a process of their own, without Kubernetes, on new databases with fsync. Baselines
/// show what the same database does with the same rows and without the product's code. Takes about 5 minutes with the
/// defaults; the goal of searching is for 5 million records: --records 5000000.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of records in the log that is verified, searched and exported
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=50_000_000))]
    records: u32,

    /// Number of records to append
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1000..=50_000_000))]
    append: u32,

    /// Number of concurrent writers, each waiting for its own commit
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1024))]
    writers: u32,

    /// Number of queries with each filter, first page and deep page
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    questions: u32,

    /// The database
    #[arg(long, value_enum, default_value = "both")]
    store: Which,

    /// A short run with 20,000 records
    #[arg(long, conflicts_with_all = ["records", "append", "questions"])]
    quick: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Use this load generator, which contains the journal and the store, instead of building one
    #[arg(long, value_name = "PROGRAM")]
    generator: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
    Both,
}

/// The sizes of the steps.
struct Size {
    records: u32,
    append: u32,
    writers: u32,
    questions: u32,
}

impl Size {
    fn of(arguments: &Arguments) -> Self {
        let writers = arguments.writers;
        match arguments.quick {
            true => Self { records: 20_000, append: 20_000, writers, questions: 10 },
            false => Self {
                records: arguments.records,
                append: arguments.append,
                writers,
                questions: arguments.questions,
            },
        }
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let generator = match &arguments.generator {
        Some(program) => {
            program.canonicalize().with_context(|| format!("no program {}", program.display()))?
        }
        None => setup::build_generator(context)?,
    };
    let size = Size::of(arguments);
    let kinds: &[Which] = match arguments.store {
        Which::Both => &[Which::Postgres, Which::Sqlite],
        Which::Postgres => &[Which::Postgres],
        Which::Sqlite => &[Which::Sqlite],
    };
    let mut reports = Vec::new();
    for kind in kinds {
        let stage = Stage::start(*kind, &generator, context.console.clone())?;
        reports.push(stage.measure(&size)?);
    }
    if arguments.json {
        let stores: Vec<Value> = reports.iter().map(Report::json).collect();
        println!("{:#}", json!({"processors": processors(), "stores": stores}));
    } else {
        for report in &reports {
            println!("\n{}", report.text(&size));
        }
    }
    let complete = reports.iter().flat_map(|report| &report.steps).all(Row::is_complete);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Settings of a PostgreSQL under load. All others have their defaults, so a commit is durable.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "1GB"), ("min_wal_size", "1GB"), ("max_wal_size", "4GB"), ("max_connections", "50")];

/// Makes the server recycle WAL segments, as after some time of use. A new server creates each segment when it needs it,
/// and every commit waits for that.
const RECYCLE_WAL: &str =
    "SELECT pg_logical_emit_message(false, 'bench', 'used'), pg_switch_wal() FROM generate_series(1, 60)";

/// The goal for the 95th percentile of a page, in milliseconds.
const MAX_PAGE_MILLISECONDS: f64 = 100.0;

/// A database server and the load generator.
struct Stage {
    // Fields are dropped in this order.
    postgres: Option<Postgres>,
    name: String,
    generator: Generator,
    console: Console,
    folder: TempDir,
}

/// The measurements of one step.
struct Row {
    name: String,
    outcome: Outcome,
    /// CPU time and peak memory of the load generator, and CPU time of PostgreSQL.
    ours: Usage,
    database: Duration,
    shares: Vec<(&'static str, f64)>,
    goals: Vec<Goal>,
}

/// A bound for a figure, and the measured value.
struct Goal {
    what: String,
    /// The minimum of a rate, or the maximum of any other figure.
    limit: f64,
    measured: f64,
    unit: &'static str,
}

/// The result for one database.
struct Report {
    store: String,
    steps: Vec<Row>,
}

impl Stage {
    fn start(kind: Which, program: &Path, console: Console) -> Result<Self> {
        let folder = temporary_folder()?;
        let (postgres, name) = match kind {
            Which::Postgres => {
                let postgres = console.run("Starting PostgreSQL", |_| {
                    let postgres = Postgres::start_with(&folder.path().join("postgres"), &SETTINGS)?;
                    postgres.sql("postgres", RECYCLE_WAL)?;
                    postgres.sql("postgres", "CHECKPOINT")?;
                    Ok(postgres)
                })?;
                let name = format!("PostgreSQL {}", postgres.version()?);
                (Some(postgres), name)
            }
            _ => (None, "SQLite".to_owned()),
        };
        let log = folder.path().join("generator.log");
        let generator = Generator {
            program: program.to_owned(),
            kubeconfig: "/nowhere".into(),
            log,
            variables: Vec::new(),
        };
        Ok(Self { postgres, name, generator, console, folder })
    }

    /// The URL of an empty database.
    fn database(&self, name: &str) -> Result<String> {
        match &self.postgres {
            Some(postgres) => postgres.create_database(name),
            None => Ok(format!("sqlite:{}", self.folder.path().join(format!("{name}.db")).display())),
        }
    }

    fn measure(&self, size: &Size) -> Result<Report> {
        let Size { records, append, writers, questions } = *size;
        let (records, append, writers) = (records.to_string(), append.to_string(), writers.to_string());
        let questions = questions.to_string();
        let appended = self.database("appended")?;
        let plain = self.database("plain")?;
        let read = self.database("read")?;

        let mut insert =
            self.step("insert, bare loop", &plain, &["insert", "--records", &append, "--writers", &writers])?;
        insert.name = format!("insert {writers} rows per commit, baseline");
        let mut appending =
            self.step("append", &appended, &["append", "--records", &append, "--writers", &writers])?;
        appending.goals = vec![
            Goal::at_least("append", 20_000.0, appending.rate()),
            Goal::at_most("append p99", 20.0, appending.p99_milliseconds(), "ms"),
        ];
        let fill = self.step("fill", &read, &["fill", "--records", &records])?;
        if let Some(postgres) = &self.postgres {
            // Otherwise autovacuum would run during the measurement of another step.
            self.console.run("VACUUM ANALYZE", |_| postgres.sql("read", "VACUUM ANALYZE"))?;
        }
        let mut scan = self.step("scan", &read, &["scan"])?;
        scan.name = "read all bodies, baseline".to_owned();
        let mut verify = self.step("verify", &read, &["verify"])?;
        verify.goals = vec![Goal::at_least("verify", 200_000.0, verify.rate())];
        let mut query = self.step("query", &read, &["query", "--questions", &questions])?;
        let cases = query.outcome.cases.iter();
        query.goals = cases
            .map(|case| {
                Goal::at_most(
                    &format!("{} p95", case.name),
                    MAX_PAGE_MILLISECONDS,
                    case.seconds.p95 * 1000.0,
                    "ms",
                )
            })
            .collect();
        let mut export = self.step("export", &read, &["export"])?;
        export.goals = vec![
            Goal::at_least("export", 50_000.0, export.rate()),
            Goal::at_most("export peak RSS", 96.0, export.rss(), "MiB"),
        ];
        let mut denied = self.step("export denied", &read, &["export", "--denied"])?;
        denied.name = "export the denied ones".to_owned();
        denied.goals = vec![
            Goal::at_least("export the denied ones, of all", 50_000.0, denied.rate()),
            Goal::at_most("export the denied ones, peak RSS", 96.0, denied.rss(), "MiB"),
        ];
        Ok(Report {
            store: self.name.clone(),
            steps: vec![insert, appending, fill, scan, verify, query, export, denied],
        })
    }

    fn database_cpu(&self) -> Result<BTreeMap<u32, Duration>> {
        let processes = self.postgres.as_ref().map_or(Ok(Vec::new()), Postgres::processes)?;
        // A process that ends at this moment is left out.
        let usage = |process: &Identity| Some((process.pid, process.usage().ok()?.cpu));
        Ok(processes.iter().filter_map(usage).collect())
    }

    fn step(&self, name: &str, url: &str, arguments: &[&str]) -> Result<Row> {
        self.console.run(&format!("{}: {name}", self.name), |task| {
            let mut command = vec!["audit".to_owned()];
            command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
            command.extend(["--store".to_owned(), url.to_owned()]);
            let mut prepared = self.generator.prepare(&command)?;
            let program = prepared.identity().clone();
            program.reset_peak_rss()?;
            let (before, database_before) = (program.usage()?, self.database_cpu()?);
            let machine_before = Machine::now()?;
            let outcome = prepared.run(task)?;
            let machine = Machine::now()?.since(&machine_before);
            let (after, database_after) = (program.usage()?, self.database_cpu()?);
            let ours = Usage { cpu: after.cpu - before.cpu, ..after };
            let spent = |(pid, cpu): (&u32, &Duration)| {
                cpu.saturating_sub(database_before.get(pid).copied().unwrap_or_default())
            };
            let database = database_after.iter().map(spent).sum();
            let shares = shares(&machine, ours.cpu, database);
            Ok(Row { name: name.to_owned(), outcome, ours, database, shares, goals: Vec::new() })
        })
    }
}

/// Shares of the processors' time, in percent.
fn shares(machine: &Machine, ours: Duration, database: Duration) -> Vec<(&'static str, f64)> {
    let all = ticks(machine.busy + machine.idle).max(f64::EPSILON);
    let percent = |seconds: f64| 100.0 * seconds / all;
    let (ours, database) = (percent(ours.as_secs_f64()), percent(database.as_secs_f64()));
    let others = (percent(ticks(machine.busy)) - ours - database).max(0.0);
    let idle = percent(ticks(machine.idle));
    vec![("our program", ours), ("PostgreSQL", database), (OTHERS, others), ("idle", idle)]
}

impl Row {
    fn rate(&self) -> f64 {
        f64::from(self.outcome.done) / self.outcome.wall_seconds.max(f64::EPSILON)
    }

    /// The 99th percentile, in milliseconds.
    fn p99_milliseconds(&self) -> f64 {
        self.outcome.latency_seconds.map_or(f64::INFINITY, |latency| latency.p99 * 1000.0)
    }

    /// Peak memory of the load generator, in MiB.
    fn rss(&self) -> f64 {
        f64::from(u32::try_from(self.ours.peak_rss_kib).unwrap_or(u32::MAX)) / 1024.0
    }

    fn is_complete(&self) -> bool {
        self.outcome.done == self.outcome.count
    }

    fn json(&self) -> Value {
        let goal = |goal: &Goal| {
            json!({
                "what": goal.what, "goal": goal.bound(), "measured": round(goal.measured),
                "reached": goal.reached(),
            })
        };
        let shares = self.shares.iter().map(|(name, share)| ((*name).to_owned(), json!(round(*share))));
        json!({
            "step": self.name,
            "outcome": self.outcome,
            "ratePerSecond": round(self.rate()),
            "cpuSeconds": round(self.ours.cpu.as_secs_f64()),
            "peakRssMib": round(self.rss()),
            "databaseCpuSeconds": round(self.database.as_secs_f64()),
            "processorSharePercent": shares.collect::<serde_json::Map<_, _>>(),
            "limitedBy": limit(&self.shares),
            "goals": self.goals.iter().map(goal).collect::<Vec<_>>(),
        })
    }
}

impl Goal {
    fn at_least(what: &str, limit: f64, measured: f64) -> Self {
        Self { what: what.to_owned(), limit, measured, unit: "/s" }
    }

    fn at_most(what: &str, limit: f64, measured: f64, unit: &'static str) -> Self {
        Self { what: what.to_owned(), limit, measured, unit }
    }

    fn is_a_rate(&self) -> bool {
        self.unit == "/s"
    }

    fn reached(&self) -> bool {
        if self.is_a_rate() { self.measured >= self.limit } else { self.measured <= self.limit }
    }

    fn show(&self, value: f64) -> String {
        if self.is_a_rate() { format!("{value:.0}/s") } else { format!("{value:.1} {}", self.unit) }
    }

    fn bound(&self) -> String {
        format!("{} {}", if self.is_a_rate() { "≥" } else { "≤" }, self.show(self.limit))
    }
}

impl Report {
    fn json(&self) -> Value {
        json!({"store": self.store, "steps": self.steps.iter().map(Row::json).collect::<Vec<_>>()})
    }

    fn text(&self, size: &Size) -> String {
        let mut steps = Table::new(&[
            ("STEP", Align::Left),
            ("RECORDS", Align::Right),
            ("WALL", Align::Right),
            ("RATE", Align::Right),
            ("P50", Align::Right),
            ("P95", Align::Right),
            ("P99", Align::Right),
            ("OUR CPU", Align::Right),
            ("OUR PEAK RSS", Align::Right),
            ("POSTGRESQL CPU", Align::Right),
            ("LIMITED BY", Align::Left),
        ]);
        for row in &self.steps {
            let latency = |pick: fn(Latency) -> f64| {
                let text = |latency| format!("{:.1} ms", pick(latency) * 1000.0);
                row.outcome.latency_seconds.map_or("–".to_owned(), text)
            };
            let database = match self.store == "SQLite" {
                true => "–".to_owned(),
                false => format!("{:.2} s", row.database.as_secs_f64()),
            };
            let done = match row.is_complete() {
                true => row.outcome.count.to_string(),
                false => format!("{} of {}!", row.outcome.done, row.outcome.count),
            };
            steps.row(&[
                &row.name,
                &done,
                &format!("{:.2} s", row.outcome.wall_seconds),
                &format!("{:.0}/s", row.rate()),
                &latency(|latency| latency.p50),
                &latency(|latency| latency.p95),
                &latency(|latency| latency.p99),
                &format!("{:.2} s", row.ours.cpu.as_secs_f64()),
                &format!("{:.1} MiB", row.rss()),
                &database,
                &limit(&row.shares),
            ]);
        }
        let mut goals = Table::new(&[
            ("FIGURE", Align::Left),
            ("GOAL", Align::Right),
            ("MEASURED", Align::Right),
            ("REACHED", Align::Left),
        ]);
        // The goals of searching have a table of their own.
        for goal in self.steps.iter().filter(|row| row.outcome.cases.is_empty()).flat_map(|row| &row.goals) {
            let reached = if goal.reached() { "yes" } else { "NO" };
            goals.row(&[&goal.what, &goal.bound(), &goal.show(goal.measured), reached]);
        }
        let Size { records, writers, .. } = size;
        format!(
            "{}: {writers} writers, each waiting for its own commit; {records} records in the log that is read\n\n\
             {steps}\nGoals\n\n{goals}\n\
             Pages of 50 among {records} records (the goal is for 5000000: p95 at most 100 ms)\n\n{}",
            self.store,
            self.questions(),
        )
    }

    fn questions(&self) -> Table {
        let mut table = Table::new(&[
            ("FILTER", Align::Left),
            ("FOUND", Align::Right),
            ("P50", Align::Right),
            ("P95", Align::Right),
            ("MAX", Align::Right),
            ("REACHED", Align::Left),
        ]);
        for case in self.steps.iter().flat_map(|row| &row.outcome.cases) {
            let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
            let Latency { p50, p95, max, .. } = case.seconds;
            table.row(&[
                &case.name,
                &case.found.to_string(),
                &milliseconds(p50),
                &milliseconds(p95),
                &milliseconds(max),
                if p95 * 1000.0 <= MAX_PAGE_MILLISECONDS { "yes" } else { "NO" },
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_minimum_and_any_other_figure_a_maximum() {
        assert!(Goal::at_least("append", 20_000.0, 20_000.0).reached());
        assert!(!Goal::at_least("append", 20_000.0, 19_999.0).reached());
        assert!(Goal::at_most("p99", 20.0, 19.0, "ms").reached());
        assert!(!Goal::at_most("p99", 20.0, 20.1, "ms").reached());
        assert_eq!(Goal::at_most("p99", 20.0, 1.25, "ms").bound(), "≤ 20.0 ms");
        assert_eq!(Goal::at_least("append", 20_000.0, 1.0).bound(), "≥ 20000/s");
    }

    #[test]
    fn the_limit_of_a_step_follows_from_the_processor_shares() {
        let second = rustix::param::clock_ticks_per_second();
        let machine = Machine { busy: 9 * second, idle: second };
        let shares = shares(&machine, Duration::from_secs(5), Duration::from_secs(3));
        assert_eq!(limit(&shares), "processors: our program, PostgreSQL");
        let machine = Machine { busy: 2 * second, idle: 8 * second };
        assert_eq!(
            limit(&super::shares(&machine, Duration::from_secs(2), Duration::ZERO)),
            "waiting, not processors"
        );
    }
}
