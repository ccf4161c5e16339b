//! Test programs: compiled by cargo, run by this program, so that each test has a time.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use xtask::{
    console::{self, Console},
    process,
};

use super::{
    libtest::{self, Event},
    report::{Report, TimedTest},
};
use crate::commands::build;

/// A compiled test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestProgram {
    /// Its name in reports: `real`, `kafka-admin/broker`, `eventcenter (lib)`.
    pub(super) name: String,
    executable: PathBuf,
    /// The folder of its package.
    folder: PathBuf,
}

/// What cargo prints about each artifact with `--message-format=json`.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    target: Target,
    profile: Profile,
    manifest_path: PathBuf,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl TestProgram {
    /// Compiles the test programs that the arguments select (`--lib`, `--test NAME`).
    pub(super) fn compile(repository: &Path, arguments: &[&str]) -> Result<Vec<Self>> {
        let mut cargo = build::cargo(repository);
        cargo.args(["test", "--workspace", "--no-run"]).args(arguments);
        println!("$ {}", process::describe(&cargo));
        cargo.arg("--message-format=json-render-diagnostics");
        let mut programs = Vec::new();
        let status = process::run_lines(cargo, |line| programs.extend(Self::parse(repository, line)))?;
        if !status.success() {
            bail!("the tests do not compile ({status}); the messages are above");
        }
        Ok(programs)
    }

    /// The test program that a line of cargo's output is about.
    fn parse(repository: &Path, line: &str) -> Option<Self> {
        let artifact: Artifact = serde_json::from_str(line).ok()?;
        if artifact.reason != "compiler-artifact" || !artifact.profile.test {
            return None;
        }
        let folder = artifact.manifest_path.parent()?.to_owned();
        let kind = artifact.target.kind.first().map_or("", String::as_str);
        let name = &artifact.target.name;
        let name = match (kind, folder.strip_prefix(repository).ok()?.to_str()?) {
            ("test", "") => name.clone(),
            ("test", package) => format!("{package}/{name}"),
            (kind, _) => format!("{name} ({kind})"),
        };
        Some(Self { name, executable: artifact.executable?, folder })
    }

    /// Whether it uses the environment that the tests share.
    pub(super) fn needs_environment(&self) -> bool {
        ["real", "kafka-admin/broker"].contains(&self.name.as_str())
    }

    /// Whether it starts processes of its own that it then breaks.
    pub(super) fn injects_faults(&self) -> bool {
        self.name == "faults"
    }

    /// How many of its tests run at once. Those of the big programs wait most of their time.
    fn threads(&self) -> Option<usize> {
        match self.name.as_str() {
            "real" => Some(4),
            "faults" => Some(3),
            _ => None,
        }
    }

    /// Whether it has a test whose name contains the filter.
    pub(super) fn has_tests(&self, filter: Option<&str>) -> Result<bool> {
        let mut command = self.command();
        command.args(["--list", "--format", "terse"]).args(filter);
        Ok(process::run(command)?.lines().any(|line| line.ends_with(": test")))
    }

    fn command(&self) -> Command {
        let mut command = process::child_command(&self.executable);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }

    /// Runs its tests, records each in the report, and shows what failed.
    pub(super) fn run(
        &self,
        filter: Option<&str>,
        variables: &[(String, String)],
        report: &Report,
        console: &Console,
    ) -> Result<()> {
        let mut command = self.command();
        command.args(filter).args(libtest::OPTIONS).env(libtest::UNLOCK.0, libtest::UNLOCK.1);
        if let Some(threads) = self.threads() {
            command.arg(format!("--test-threads={threads}"));
        }
        command.envs(variables.iter().map(|(key, value)| (key, value)));
        let mut tests =
            Tests { program: &self.name, report, console, started: false, passed: 0, failed: 0, ignored: 0 };
        let status = process::run_lines(command, |line| tests.line(line))
            .with_context(|| format!("running {}", self.name))?;
        tests.finish(status.success(), &status.to_string())
    }
}

/// The tests of one program while it runs.
struct Tests<'a> {
    program: &'a str,
    report: &'a Report,
    console: &'a Console,
    started: bool,
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Tests<'_> {
    fn line(&mut self, line: &str) {
        let program = self.program;
        match libtest::parse(line) {
            Some(Event::Started) => self.started = true,
            Some(Event::Passed { name, time }) => {
                self.passed += 1;
                // A line for each of a thousand unit tests would hide the others.
                if time.as_secs() > 0 {
                    self.console.line(&format!("{program}: {name} ok ({})", console::elapsed(time)));
                }
                self.report.test(TimedTest { program: program.to_owned(), name, time, passed: true });
            }
            Some(Event::Failed { name, time, output }) => {
                self.failed += 1;
                let time_text = console::elapsed(time);
                self.console.line(&format!("{program}: {name} FAILED ({time_text})\n{}", output.trim_end()));
                self.report.test(TimedTest { program: program.to_owned(), name, time, passed: false });
            }
            Some(Event::Ignored { name }) => {
                self.ignored += 1;
                self.console.line(&format!("{program}: {name} is ignored"));
            }
            Some(Event::Slow { name }) => {
                self.console.line(&format!("{program}: {name} has been running for over a minute"));
            }
            Some(Event::Other) => {}
            None => self.console.line(line),
        }
    }

    fn finish(self, succeeded: bool, status: &str) -> Result<()> {
        let Self { program, console, started, passed, failed, ignored, .. } = self;
        if failed > 0 {
            bail!("{failed} of {} tests of {program} failed", passed + failed);
        }
        if !succeeded {
            bail!("{program} ended early ({status})");
        }
        if !started {
            bail!("{program} reported no tests: its output is not in the format that this program reads");
        }
        let ignored = if ignored > 0 { format!(", {ignored} ignored") } else { String::new() };
        console.line(&format!("{program}: {passed} passed{ignored}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_recognized() {
        let artifact = |package: &str, kind: &str, name: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"/r/{package}Cargo.toml","target":{{"kind":["{kind}"],"crate_types":["bin"],"name":"{name}"}},"profile":{{"opt_level":"0","test":{test}}},"executable":"/t/{name}-1"}}"#
            )
        };
        let name = |line: &str| TestProgram::parse(Path::new("/r"), line).map(|program| program.name);
        assert_eq!(name(&artifact("", "test", "real", true)).as_deref(), Some("real"));
        assert_eq!(
            name(&artifact("kafka-admin/", "test", "broker", true)).as_deref(),
            Some("kafka-admin/broker")
        );
        assert_eq!(name(&artifact("sdk/", "lib", "sdk", true)).as_deref(), Some("sdk (lib)"));
        assert_eq!(name(&artifact("", "bin", "eventctl", false)), None);
        assert_eq!(name(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn a_program_without_events_is_an_error() {
        let (console, report) = (Console::silent(), Report::new(&Console::silent()));
        let tests = || Tests {
            program: "x",
            report: &report,
            console: &console,
            started: false,
            passed: 0,
            failed: 0,
            ignored: 0,
        };
        let error = tests().finish(true, "exit status: 0").expect_err("nothing was reported");
        assert!(error.to_string().contains("reported no tests"), "{error}");
        let mut one = tests();
        one.line(r#"{ "type": "suite", "event": "started", "test_count": 1 }"#);
        one.line(
            r#"{ "type": "test", "name": "a", "event": "failed", "exec_time": 1.0, "stdout": "reason\n" }"#,
        );
        let error = one.finish(false, "exit status: 101").expect_err("a test failed");
        assert_eq!(error.to_string(), "1 of 1 tests of x failed");
        assert_eq!(
            tests().finish(false, "signal: 9").expect_err("the program was killed").to_string(),
            "x ended early (signal: 9)"
        );
    }
}
