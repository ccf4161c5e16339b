//! The steps of a run and its tests: how they ended and how long they took. Steps may run side by side.

use std::{
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use xtask::{
    console::{self, Console},
    interrupt,
};

use crate::commands::table::{Align, Table};

/// How many tests the list of the slowest ones has.
const SLOWEST: usize = 10;

/// Collects the results and prints them at the end.
pub(super) struct Report {
    console: Console,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    steps: Vec<Step>,
    tests: Vec<TimedTest>,
}

/// One row of the summary.
struct Step {
    name: &'static str,
    succeeded: bool,
    time: Duration,
    rerun: String,
}

/// A test with its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedTest {
    /// The program that it belongs to.
    pub(super) program: String,
    /// Its name in the program.
    pub(super) name: String,
    /// From its start to its end.
    pub(super) time: Duration,
    /// Whether it passed.
    pub(super) passed: bool,
}

impl Report {
    /// An empty report that shows progress on this console.
    pub(super) fn new(console: &Console) -> Self {
        Self { console: console.clone(), results: Mutex::default() }
    }

    /// Runs one step unless ^C was pressed, and records how it ended. `rerun` is the command that runs only this step.
    pub(super) fn step<T>(
        &self,
        name: &'static str,
        rerun: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        self.cleanup_step(name, rerun, || interrupt::check().and_then(|()| work()))
    }

    /// Runs a step that must run even after ^C.
    pub(super) fn cleanup_step<T>(
        &self,
        name: &'static str,
        rerun: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        self.console.line(&format!("━━ {name} ━━"));
        let begin = Instant::now();
        let result = work();
        let time = begin.elapsed();
        let succeeded = result.is_ok();
        let result = match result {
            Ok(value) => {
                self.console.line(&format!("━━ {name}: ok ({})", console::elapsed(time)));
                Some(value)
            }
            Err(error) => {
                self.console.line(&format!("━━ {name}: FAILED ({}): {error:#}", console::elapsed(time)));
                None
            }
        };
        self.lock().steps.push(Step { name, succeeded, time, rerun: rerun.to_owned() });
        result
    }

    /// Records a test.
    pub(super) fn test(&self, test: TimedTest) {
        self.lock().tests.push(test);
    }

    /// Prints the summary, the slowest tests and what failed. The exit code is 0 if everything passed.
    pub(super) fn finish(&self) -> ExitCode {
        let Results { steps, tests } = &*self.lock();
        let mut table = Table::new(&[("STEP", Align::Left), ("RESULT", Align::Left), ("TIME", Align::Right)]);
        for step in steps {
            let result = if step.succeeded { "ok" } else { "FAILED" };
            table.row(&[step.name, result, &console::elapsed(step.time)]);
        }
        println!("\n{table}");
        if let Some(table) = slowest(tests) {
            println!("The slowest of {} tests:\n\n{table}", tests.len());
        }
        for test in tests.iter().filter(|test| !test.passed) {
            println!(
                "The test {} of {} failed. To run only it: cargo xtask test {}",
                test.name, test.program, test.name
            );
        }
        for step in steps.iter().filter(|step| !step.succeeded) {
            println!("{} failed. To run only it: {}", step.name, step.rerun);
        }
        if interrupt::requested() {
            println!("Interrupted.");
            return ExitCode::from(130);
        }
        if steps.iter().all(|step| step.succeeded) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tests that took longest, the slowest first; `None` if there are no tests.
fn slowest(tests: &[TimedTest]) -> Option<Table> {
    let mut sorted: Vec<&TimedTest> = tests.iter().collect();
    sorted.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
    sorted.truncate(SLOWEST);
    let mut table = Table::new(&[("TIME", Align::Right), ("PROGRAM", Align::Left), ("TEST", Align::Left)]);
    for test in &sorted {
        table.row(&[&console::elapsed(test.time), &test.program, &test.name]);
    }
    (!sorted.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, seconds: u64) -> TimedTest {
        TimedTest {
            program: "real".into(),
            name: name.into(),
            time: Duration::from_secs(seconds),
            passed: true,
        }
    }

    #[test]
    fn the_slowest_tests_come_first() {
        let tests = [test("drift::b", 2), test("drift::a", 75), test("drift::c", 2)];
        let table = slowest(&tests).expect("there are tests").to_string();
        assert_eq!(
            table,
            "      TIME  PROGRAM  TEST\n1 min 15 s  real     drift::a\n     2.0 s  real     drift::b\n     2.0 s  real     drift::c\n"
        );
        assert!(slowest(&[]).is_none());
    }

    #[test]
    fn ten_tests_are_listed() {
        let tests: Vec<TimedTest> = (0..30).map(|number| test(&format!("t{number}"), number)).collect();
        let table = slowest(&tests).expect("there are tests").to_string();
        assert_eq!(table.lines().count(), 1 + SLOWEST);
        assert!(table.contains("t29") && !table.contains("t19 "), "{table}");
    }

    #[test]
    fn a_failed_step_is_a_failure() {
        let report = Report::new(&Console::silent());
        assert_eq!(report.step("one", "cargo one", || Ok(1)), Some(1));
        assert_eq!(report.finish(), ExitCode::SUCCESS);
        assert_eq!(report.step("two", "cargo two", || anyhow::bail!("no") as Result<()>), None);
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }
}
