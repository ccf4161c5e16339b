//! `test`: everything that must hold, in one go.

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::ValueEnum;
use xtask::{
    console,
    environment::{Cluster, Plan, TempEnvironment},
    interrupt,
    prerequisites::{self, Tool},
    process, test_environment,
};

use super::{
    Context, build,
    table::{Align, Table},
};

/// Run every check and every test, those against a real Kubernetes and a real Kafka included.
///
/// In order: formatting, clippy, documentation, the control plane's own vet and tests, then all Rust tests with an
/// environment that is started for them and stopped whatever happens. Goes on after a failure, ends with a summary, and
/// fails if anything failed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only Rust tests whose name contains this
    filter: Option<String>,

    /// Run only a part
    #[arg(long, value_enum)]
    only: Option<Part>,

    /// Leave the environment's folder (logs, data) behind and say where it is
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tests inside the crates; they need no environment
    Unit,
    /// Tests against the real Kubernetes and Kafka
    Real,
    /// The control plane's vet and tests
    Go,
    /// Formatting, clippy, documentation
    Lint,
}

/// One line of the summary.
struct Done {
    name: &'static str,
    result: Result<()>,
    time: Duration,
    again: String,
}

#[derive(Default)]
struct Report(Vec<Done>);

impl Report {
    fn step(&mut self, name: &'static str, again: &str, work: impl FnOnce() -> Result<()>) {
        self.always(name, again, || interrupt::check().and_then(|()| work()));
    }

    /// A step that is done even after ^C.
    fn always(&mut self, name: &'static str, again: &str, work: impl FnOnce() -> Result<()>) {
        println!("\n━━ {name} ━━");
        let begun = Instant::now();
        let result = work();
        let time = begun.elapsed();
        match &result {
            Ok(()) => println!("━━ {name}: ok ({})", console::elapsed(time)),
            Err(error) => println!("━━ {name}: FAILED ({}): {error:#}", console::elapsed(time)),
        }
        self.0.push(Done { name, result, time, again: again.to_owned() });
    }

    fn finish(self) -> ExitCode {
        let mut table = Table::new(&[("STEP", Align::Left), ("RESULT", Align::Left), ("TIME", Align::Right)]);
        for done in &self.0 {
            table.row(&[
                done.name,
                if done.result.is_ok() { "ok" } else { "FAILED" },
                &console::elapsed(done.time),
            ]);
        }
        println!("\n{table}");
        let failed: Vec<&Done> = self.0.iter().filter(|done| done.result.is_err()).collect();
        for done in &failed {
            println!("{} failed. To run only it: {}", done.name, done.again);
        }
        if interrupt::requested() {
            println!("Interrupted.");
            return ExitCode::from(130);
        }
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    let wants =
        |part| arguments.only.map_or(arguments.filter.is_none() || part == Part::Real, |only| only == part);
    let filtered = arguments.filter.as_deref();
    if filtered.is_some() && matches!(arguments.only, Some(Part::Go | Part::Lint)) {
        bail!("a filter chooses among the Rust tests; --only go and --only lint have none");
    }
    prerequisites::ensure(&Tool::BUILD, &context.repository, &context.console)?;
    let mut report = Report::default();
    if wants(Part::Lint) {
        lint(&mut report, &context.repository);
    }
    if wants(Part::Go) {
        go(&mut report, context);
    }
    match arguments.only {
        Some(Part::Unit) => report.step("unit tests", "cargo xtask test --only unit", || {
            cargo_test(&context.repository, &["--lib", "--bins"], filtered, &[])
        }),
        Some(Part::Real) => real(&mut report, context, arguments, &["--test", "*"]),
        None => real(&mut report, context, arguments, &[]),
        Some(Part::Go | Part::Lint) => {}
    }
    Ok(report.finish())
}

fn lint(report: &mut Report, repository: &Path) {
    let mut step = |name, words: &[&str]| {
        report.step(name, &format!("cargo {}", words.join(" ")), || {
            let mut cargo = build::cargo(repository);
            cargo.args(words);
            succeed(cargo)
        });
    };
    step("formatting", &["fmt", "--all", "--check"]);
    step("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    report.step("documentation", "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps", || {
        let mut cargo = build::cargo(repository);
        cargo.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings");
        succeed(cargo)
    });
}

fn go(report: &mut Report, context: &Context) {
    let folder = context.repository.join("dev/controlplane");
    let mut step = |name, words: &[&str]| {
        let again = format!("cargo xtask test --only go (or, in dev/controlplane: go {})", words.join(" "));
        report.step(name, &again, || {
            prerequisites::ensure(&[Tool::Go, Tool::CCompiler], &context.repository, &context.console)?;
            let mut go = process::child_command("go");
            go.args(words).current_dir(&folder);
            context
                .console
                .run(&format!("go {} (compiles Kubernetes the first time)", words.join(" ")), |_| succeed(go))
        });
    };
    step("control plane: vet", &["vet", "./..."]);
    step("control plane: tests", &["test", "./..."]);
}

/// Starts the environment, runs the tests in it, and stops it whatever happens.
fn real(report: &mut Report, context: &Context, arguments: &Arguments, selection: &[&str]) {
    let mut environment = None;
    report.step("environment", "cargo xtask test --only real", || {
        let plan = Plan::for_tests(&context.repository, &context.console)?;
        let started = TempEnvironment::start(&plan, &context.console)?;
        environment = Some((started, plan));
        Ok(())
    });
    let Some((started, plan)) = environment else {
        // Its failure is in the report; the tests would only fail after it.
        return;
    };
    let again = match &arguments.filter {
        Some(filter) => format!("cargo xtask test {filter}"),
        None => "cargo xtask test --only real, --only unit, or cargo xtask test NAME_OF_A_TEST".to_owned(),
    };
    report.step("tests", &again, || {
        let variables = variables(&started, &plan, &context.repository)?;
        cargo_test(&context.repository, selection, arguments.filter.as_deref(), &variables)
    });
    report.always("stopping the environment", "cargo xtask test --only real", || {
        if arguments.keep {
            println!("Kept: {}", started.keep()?.display());
            return Ok(());
        }
        let mut started = started;
        started.stop()
    });
}

fn variables(environment: &TempEnvironment, plan: &Plan, repository: &Path) -> Result<Vec<(String, String)>> {
    let mut variables = environment.variables();
    let mut set = |key: &str, value: &Path| variables.push((key.to_owned(), value.display().to_string()));
    set(test_environment::MARK, environment.folder());
    set("EVENTCENTER_BIN", &build::target_folder(repository)?.join("debug/eventcenter"));
    if let Cluster::Own(program) = &plan.cluster {
        set("CONTROLPLANE_BIN", program);
    }
    Ok(variables)
}

fn cargo_test(
    repository: &Path,
    selection: &[&str],
    filter: Option<&str>,
    variables: &[(String, String)],
) -> Result<()> {
    let mut cargo = build::cargo(repository);
    cargo.args(["test", "--workspace"]).args(selection);
    // Without it the first failing program hides the others.
    cargo.arg("--no-fail-fast").args(filter);
    cargo.envs(variables.iter().map(|(key, value)| (key, value)));
    succeed(cargo)
}

fn succeed(command: Command) -> Result<()> {
    let line = process::describe(&command);
    println!("$ {line}");
    let status = process::run_attached(command)?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
