//! `bench audit`: the audit log on PostgreSQL and on SQLite: appending, verifying, searching, exporting.

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
    report::{limit, round},
    sampler::{Machine, OTHERS, processors, ticks},
};
use crate::commands::table::{Align, Table};

/// Append records to the audit log, verify it, search it and export it, on PostgreSQL and on SQLite.
///
/// The journal and the store run in a process of their own, without Kubernetes; both databases are made for it, with
/// fsync. Beside each figure stands what the same database does with the same rows and without us. Takes about 5
/// minutes with the defaults; the goal of searching is set for 5 million records: --records 5000000.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many records there are when the log is verified, searched and exported
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=50_000_000))]
    records: u32,

    /// How many records are appended where that is measured
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1000..=50_000_000))]
    append: u32,

    /// How many append at a time, each waiting for its own commit
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1024))]
    writers: u32,

    /// How many questions are asked by each filter, first page and deep page
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    questions: u32,

    /// Which database
    #[arg(long, value_enum, default_value = "both")]
    store: Which,

    /// 20,000 records: to see that it works
    #[arg(long, conflicts_with_all = ["records", "append", "questions"])]
    quick: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Use this load generator, which has the journal and the store in it, instead of building one
    #[arg(long, value_name = "PROGRAM")]
    generator: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
    Both,
}

/// How many records, by how many, asked how often.
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
        None => super::build_generator(context)?,
    };
    let size = Size::of(arguments);
    let kinds: &[Which] = match arguments.store {
        Which::Both => &[Which::Postgres, Which::Sqlite],
        Which::Postgres => &[Which::Postgres],
        Which::Sqlite => &[Which::Sqlite],
    };
    let mut reports = Vec::new();
    for kind in kinds {
        let stage = Stage::set(*kind, &generator, context.console.clone())?;
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

/// Settings of a PostgreSQL for some load; what is not said is as it is delivered, and a commit is on the disk.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "1GB"), ("min_wal_size", "1GB"), ("max_wal_size", "4GB"), ("max_connections", "50")];

/// A server that has been running for a while writes its log into files that it has used before. A new one makes each when
/// it needs it, and every commit waits for that.
const USED_BEFORE: &str =
    "SELECT pg_logical_emit_message(false, 'bench', 'used'), pg_switch_wal() FROM generate_series(1, 60)";

/// How long a page may take, for 95 of 100 questions, in milliseconds.
const PAGE: f64 = 100.0;

/// A database, and the program that uses it.
struct Stage {
    // Fields are dropped in this order.
    postgres: Option<Postgres>,
    name: String,
    generator: Generator,
    console: Console,
    folder: TempDir,
}

/// One step.
struct Row {
    name: String,
    outcome: Outcome,
    /// CPU seconds and peak memory of our program, and CPU seconds of PostgreSQL.
    ours: Usage,
    database: Duration,
    shares: Vec<(&'static str, f64)>,
    goals: Vec<Goal>,
}

/// Something to reach.
struct Goal {
    what: String,
    /// The least for a rate, the most for everything else.
    limit: f64,
    measured: f64,
    unit: &'static str,
}

/// Everything about one database.
struct Report {
    store: String,
    steps: Vec<Row>,
}

impl Stage {
    fn set(kind: Which, program: &Path, console: Console) -> Result<Self> {
        let folder = temporary_folder()?;
        let (postgres, name) = match kind {
            Which::Postgres => {
                let postgres = console.run("Starting PostgreSQL", |_| {
                    let postgres = Postgres::start_with(&folder.path().join("postgres"), &SETTINGS)?;
                    postgres.sql("postgres", USED_BEFORE)?;
                    postgres.sql("postgres", "CHECKPOINT")?;
                    Ok(postgres)
                })?;
                let name = format!("PostgreSQL {}", postgres.version()?);
                (Some(postgres), name)
            }
            _ => (None, "SQLite".to_owned()),
        };
        let log = folder.path().join("generator.log");
        let generator = Generator { program: program.to_owned(), kubeconfig: "/nowhere".into(), log };
        Ok(Self { postgres, name, generator, console, folder })
    }

    /// An empty database of that name.
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
        insert.name = format!("insert {writers} rows a commit, without us");
        let mut appending =
            self.step("append", &appended, &["append", "--records", &append, "--writers", &writers])?;
        appending.goals = vec![
            Goal::at_least("append", 20_000.0, appending.rate()),
            Goal::at_most("append p99", 20.0, appending.milliseconds(), "ms"),
        ];
        let fill = self.step("fill", &read, &["fill", "--records", &records])?;
        if let Some(postgres) = &self.postgres {
            // As it would be after some time: otherwise it happens while something else is measured.
            self.console.run("VACUUM ANALYZE", |_| postgres.sql("read", "VACUUM ANALYZE"))?;
        }
        let mut scan = self.step("scan", &read, &["scan"])?;
        scan.name = "read all bodies, without us".to_owned();
        let mut verify = self.step("verify", &read, &["verify"])?;
        verify.goals = vec![Goal::at_least("verify", 200_000.0, verify.rate())];
        let mut query = self.step("query", &read, &["query", "--questions", &questions])?;
        let cases = query.outcome.cases.iter();
        query.goals = cases
            .map(|case| Goal::at_most(&format!("{} p95", case.name), PAGE, case.seconds.p95 * 1000.0, "ms"))
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
        // One that ends at this moment has done little since it was last asked.
        let usage = |process: &Identity| Some((process.pid, process.usage().ok()?.cpu));
        Ok(processes.iter().filter_map(usage).collect())
    }

    fn step(&self, name: &str, url: &str, words: &[&str]) -> Result<Row> {
        self.console.run(&format!("{}: {name}", self.name), |task| {
            let mut arguments = vec!["audit".to_owned()];
            arguments.extend(words.iter().map(|word| (*word).to_owned()));
            arguments.extend(["--store".to_owned(), url.to_owned()]);
            let mut prepared = self.generator.prepare(&arguments)?;
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

/// Who used the processors, in percent.
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

    /// The 99th of 100, in milliseconds.
    fn milliseconds(&self) -> f64 {
        self.outcome.latency_seconds.map_or(f64::INFINITY, |latency| latency.p99 * 1000.0)
    }

    /// Peak memory of our program in MiB.
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
            ("WHAT", Align::Left),
            ("GOAL", Align::Right),
            ("MEASURED", Align::Right),
            ("REACHED", Align::Left),
        ]);
        // Those of searching stand in a table of their own.
        for goal in self.steps.iter().filter(|row| row.outcome.cases.is_empty()).flat_map(|row| &row.goals) {
            let reached = if goal.reached() { "yes" } else { "NO" };
            goals.row(&[&goal.what, &goal.bound(), &goal.show(goal.measured), reached]);
        }
        let Size { records, writers, .. } = size;
        format!(
            "{}: {writers} writers, each waiting for its own commit; {records} records in the log that is read\n\n\
             {steps}\nWhat had to be reached\n\n{goals}\n\
             Pages of 50 among {records} records (the goal is set for 5000000: p95 at most 100 ms)\n\n{}",
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
                if p95 * 1000.0 <= PAGE { "yes" } else { "NO" },
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_least_and_all_else_a_most() {
        assert!(Goal::at_least("append", 20_000.0, 20_000.0).reached());
        assert!(!Goal::at_least("append", 20_000.0, 19_999.0).reached());
        assert!(Goal::at_most("p99", 20.0, 19.0, "ms").reached());
        assert!(!Goal::at_most("p99", 20.0, 20.1, "ms").reached());
        assert_eq!(Goal::at_most("p99", 20.0, 1.25, "ms").bound(), "≤ 20.0 ms");
        assert_eq!(Goal::at_least("append", 20_000.0, 1.0).bound(), "≥ 20000/s");
    }

    #[test]
    fn what_limits_is_found_by_who_used_the_processors() {
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
