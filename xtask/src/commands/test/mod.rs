//! `test`: every check and every test, one group after another.
//!
//! Cargo's target folder is one resource: the test programs are compiled first, then clippy, documentation and
//! documentation tests follow while the test programs run. Those programs wait most of their time, so the checks run with
//! a low priority in what they leave of the processors.

mod libtest;
mod program;
mod report;

use std::{
    path::Path,
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Result, bail};
use clap::ValueEnum;
use xtask::{
    environment::{Cluster, Plan, TempEnvironment},
    interrupt,
    prerequisites::{self, Tool},
    process, test_environment,
};

use self::{program::TestProgram, report::Report};
use super::{Context, build};

/// Run every check and every test, those against a real Kubernetes and a real Kafka included.
///
/// Formatting, clippy, documentation, vet and tests of the control plane, and all Rust tests, with an environment that is
/// started for them and always stopped. Continues after a failure, ends with a summary and the slowest tests,
/// and fails if anything failed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only Rust tests whose name contains this
    filter: Option<String>,

    /// Run only a part
    #[arg(long, value_enum)]
    only: Option<Part>,

    /// Leave the environment's folder (logs, data) behind and print its path
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tests inside the crates; they need no environment
    Unit,
    /// Tests against the real Kubernetes and Kafka, those of faults included
    Real,
    /// Tests that break a Kubernetes and a Kafka of their own
    Faults,
    /// The control plane's vet and tests
    Go,
    /// Formatting, clippy, documentation
    Lint,
}

impl Arguments {
    fn selects(&self, part: Part) -> bool {
        match self.only {
            Some(only) => only == part,
            None => self.filter.is_none(),
        }
    }

    fn may_need_environment(&self) -> bool {
        matches!(self.only, None | Some(Part::Real))
    }

    /// What `cargo test` compiles; `None` if no Rust tests are selected.
    fn targets(&self) -> Option<&'static [&'static str]> {
        match self.only {
            None => Some(&[]),
            Some(Part::Unit) => Some(&["--lib", "--bins"]),
            Some(Part::Real) => Some(&["--test", "*"]),
            Some(Part::Faults) => Some(&["--test", "faults"]),
            Some(Part::Go | Part::Lint) => None,
        }
    }

    fn rerun_tests(&self) -> String {
        match (&self.filter, self.only) {
            (Some(filter), _) => format!("cargo xtask test {filter}"),
            (None, Some(Part::Unit)) => "cargo xtask test --only unit".to_owned(),
            (None, Some(Part::Faults)) => "cargo xtask test --only faults".to_owned(),
            (None, _) => {
                "cargo xtask test --only real, --only unit, or cargo xtask test NAME_OF_A_TEST".to_owned()
            }
        }
    }
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    if arguments.filter.is_some() && matches!(arguments.only, Some(Part::Go | Part::Lint)) {
        bail!("a filter chooses among the Rust tests; --only go and --only lint have none");
    }
    let mut tools = Tool::BUILD.to_vec();
    if arguments.selects(Part::Go) {
        tools.extend([Tool::Go, Tool::CCompiler]);
    }
    prerequisites::ensure(&tools, &context.repository, &context.console)?;
    let run = Run { context, arguments, report: Report::new(&context.console) };
    if arguments.selects(Part::Go) {
        run.check_control_plane();
    }
    thread::scope(|scope| {
        // It starts while the tests compile. A filter may select no test that needs it.
        let starting = (arguments.may_need_environment() && arguments.filter.is_none())
            .then(|| scope.spawn(|| run.start_environment()));
        if arguments.selects(Part::Lint) {
            run.check_formatting();
        }
        let programs = arguments.targets().and_then(|targets| run.compile(targets));
        if arguments.selects(Part::Lint) {
            run.lint();
        }
        // A panic during the start has been printed already.
        let start = || match starting {
            Some(starting) => starting.join().unwrap_or_default(),
            None => run.start_environment(),
        };
        match programs {
            Some(programs) => run.run_tests(&programs, start),
            None if arguments.filter.is_none() && arguments.may_need_environment() => {
                run.stop_environment(start())
            }
            None => {}
        }
    });
    Ok(run.report.finish())
}

/// One run of the command.
struct Run<'a> {
    context: &'a Context,
    arguments: &'a Arguments,
    report: Report,
}

/// The environment that tests share, and the variables with its addresses.
struct Shared {
    environment: TempEnvironment,
    variables: Vec<(String, String)>,
}

impl Run<'_> {
    fn check_formatting(&self) {
        self.report.step("formatting", "cargo fmt --all --check", || {
            let mut cargo = build::cargo(&self.context.repository);
            cargo.args(["fmt", "--all", "--check"]);
            succeed(cargo)
        });
    }

    /// The checks that compile everything once more, and the tests in documentation.
    fn lint(&self) {
        let check = |name, arguments: &[&str], variables: Option<(&str, &str)>| {
            let assignment = variables.map(|(name, value)| format!("{name}={value} ")).unwrap_or_default();
            self.report.step(name, &format!("{assignment}cargo {}", arguments.join(" ")), || {
                let mut cargo = build::background_cargo(&self.context.repository);
                cargo.args(arguments).envs(variables);
                process::run(cargo).map(drop)
            });
        };
        check("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], None);
        check("documentation", &["doc", "--workspace", "--no-deps"], Some(("RUSTDOCFLAGS", "-Dwarnings")));
        if self.arguments.only.is_none() {
            check("documentation tests", &["test", "--workspace", "--doc"], None);
        }
    }

    fn check_control_plane(&self) {
        let folder = self.context.repository.join("dev/controlplane");
        let check = |name, arguments: &[&str]| {
            let rerun =
                format!("cargo xtask test --only go (or, in dev/controlplane: go {})", arguments.join(" "));
            self.report.step(name, &rerun, || {
                let mut go = process::child_command("go");
                go.args(arguments).current_dir(&folder);
                let title = format!("go {} (compiles Kubernetes the first time)", arguments.join(" "));
                self.context.console.run(&title, |_| process::run(go)).map(drop)
            });
        };
        check("control plane: vet", &["vet", "./..."]);
        check("control plane: tests", &["test", "./..."]);
    }

    /// The test programs, those without a matching test left out.
    fn compile(&self, targets: &[&str]) -> Option<Vec<TestProgram>> {
        let filter = self.arguments.filter.as_deref();
        self.report.step("compiling the tests", &self.arguments.rerun_tests(), || {
            let mut programs = TestProgram::compile(&self.context.repository, targets)?;
            if let Some(filter) = filter {
                let mut matching = Vec::new();
                for program in programs {
                    if program.has_tests(Some(filter))? {
                        matching.push(program);
                    }
                }
                programs = matching;
                if programs.is_empty() {
                    bail!("no test has a name that contains `{filter}`");
                }
            }
            Ok(programs)
        })
    }

    fn start_environment(&self) -> Option<Shared> {
        let (repository, console) = (&self.context.repository, &self.context.console);
        self.report.step("environment", "cargo xtask test --only real", || {
            let plan = Plan::for_tests(repository, console)?;
            let environment = TempEnvironment::start(&plan, console)?;
            let variables = variables(&environment, &plan);
            Ok(Shared { environment, variables })
        })
    }

    fn stop_environment(&self, shared: Option<Shared>) {
        let Some(Shared { mut environment, .. }) = shared else { return };
        self.report.cleanup_step("stopping the environment", "cargo xtask test --only real", || {
            if self.arguments.keep {
                println!("Kept: {}", environment.keep()?.display());
                return Ok(());
            }
            environment.stop()
        });
    }

    /// Runs the programs in three groups: those on the shared environment, those with parts of their own, and the others. One
    /// group after another: with all of them at once, brokers and API servers on two processors would exceed the limits of tests.
    fn run_tests(&self, programs: &[TestProgram], start: impl FnOnce() -> Option<Shared>) {
        let select = |selects: &dyn Fn(&TestProgram) -> bool| -> Vec<&TestProgram> {
            programs.iter().filter(|program| selects(program)).collect()
        };
        let shared = select(&TestProgram::needs_environment);
        let faults = select(&TestProgram::injects_faults);
        let others = select(&|program| !program.needs_environment() && !program.injects_faults());
        if !shared.is_empty() {
            let environment = start();
            if let Some(environment) = &environment {
                self.run_programs("tests on the environment", &shared, &environment.variables);
            }
            self.stop_environment(environment);
        }
        self.run_programs("tests with faults", &faults, &[]);
        self.run_programs("other tests", &others, &[]);
    }

    fn run_programs(&self, step: &'static str, programs: &[&TestProgram], variables: &[(String, String)]) {
        if programs.is_empty() {
            return;
        }
        let filter = self.arguments.filter.as_deref();
        self.report.step(step, &self.arguments.rerun_tests(), || {
            let mut failures = Vec::new();
            for program in programs {
                interrupt::check()?;
                if let Err(error) = program.run(filter, variables, &self.report, &self.context.console) {
                    failures.push(format!("{error:#}"));
                }
            }
            if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
        });
    }
}

fn variables(environment: &TempEnvironment, plan: &Plan) -> Vec<(String, String)> {
    let mut variables = environment.variables();
    let mut set = |key: &str, value: &Path| variables.push((key.to_owned(), value.display().to_string()));
    set(test_environment::MARK, environment.folder());
    if let Cluster::Own(program) = &plan.cluster {
        set("CONTROLPLANE_BIN", program);
    }
    variables
}

fn succeed(command: Command) -> Result<()> {
    println!("$ {}", process::describe(&command));
    let status = process::run_attached(command)?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
