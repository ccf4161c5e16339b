//! The environment of all steps, and commands whose transcript is printed.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use xtask::{interrupt, process, supervisor::State};

use super::super::Context;

/// Maximum time until something happens that takes seconds.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// The demo and its environment.
pub(super) struct Demo<'a> {
    pub(super) context: &'a Context,
    pub(super) state: State,
    /// The folder of the demo's copies of the manifests.
    pub(super) folder: PathBuf,
    /// Environment variables that steps have set.
    exported: RefCell<Vec<(String, String)>>,
    /// What the demo has shown so far, one sentence each.
    pub(super) completed: RefCell<Vec<String>>,
}

impl<'a> Demo<'a> {
    /// No step has run yet.
    pub(super) fn new(context: &'a Context, state: State) -> Self {
        let folder = context.folder.path().join("demo");
        Self { context, state, folder, exported: RefCell::default(), completed: RefCell::default() }
    }

    pub(super) fn heading(&self, text: &str) {
        println!("\n━━ {text}\n");
    }

    pub(super) fn say(&self, text: &str) {
        println!("{text}");
    }

    pub(super) fn variable(&self, name: &str) -> &str {
        self.state.variables.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A path relative to the repository, where the commands of the demo run.
    pub(super) fn display_path(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.context.repository).unwrap_or(path);
        xtask::env_file::quote_if_needed(&path.display().to_string())
    }

    /// A shell command with the environment variables of `target/dev/env`.
    pub(super) fn shell(&self, line: &str) -> Command {
        let mut shell = process::child_command("sh");
        shell.args(["-c", line]).current_dir(&self.context.repository);
        shell.envs(self.state.variables.iter().map(|(key, value)| (key, value)));
        shell.envs(self.exported.borrow().iter().map(|(key, value)| (key, value)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.context.folder.tools()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            shell.env("PATH", path);
        }
        shell
    }

    /// Prints and executes `export NAME=$(COMMAND)`, for the commands that follow.
    pub(super) fn export(&self, line: &str) -> Result<()> {
        println!("$ {line}");
        let assignment = line.strip_prefix("export ").and_then(|line| line.strip_suffix(')'));
        let (name, command) =
            assignment.and_then(|line| line.split_once("=$(")).context("write export NAME=$(COMMAND)")?;
        let value = self.query(command)?.trim().to_owned();
        self.exported.borrow_mut().push((name.to_owned(), value));
        Ok(())
    }

    /// Adds a sentence to the summary.
    pub(super) fn complete(&self, sentence: &str) {
        self.completed.borrow_mut().push(sentence.to_owned());
    }

    /// Runs a command without printing it. Returns its output.
    pub(super) fn query(&self, line: &str) -> Result<String> {
        process::run(self.shell(line))
    }

    pub(super) fn transcript(&self, line: &str) -> Result<Output> {
        println!("$ {line}");
        let task = self.context.console.quiet_task(line);
        // Both outputs in the order in which a terminal would show them.
        let output = process::output(self.shell(&format!("exec 2>&1; {line}")));
        task.finish();
        let output = output?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        Ok(output)
    }

    /// Prints a command, runs it and prints its output.
    pub(super) fn run(&self, line: &str) -> Result<()> {
        let output = self.transcript(line)?;
        if !output.status.success() {
            bail!("the demo stops here: `{line}` failed ({})", output.status);
        }
        Ok(())
    }

    /// As [`Self::run`], for a command that must fail.
    pub(super) fn run_refused(&self, line: &str) -> Result<()> {
        let output = self.transcript(line)?;
        if output.status.success() {
            bail!("the demo stops here: `{line}` should have been refused");
        }
        Ok(())
    }

    /// Repeats a command until its output contains the text.
    pub(super) fn wait_for(&self, title: &str, line: &str, text: &str, limit: Duration) -> Result<()> {
        self.context.console.run(title, |_| {
            let deadline = Instant::now() + limit;
            loop {
                let output = self.query(line)?;
                if output.contains(text) {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    bail!("`{line}` does not show {text} after {} s, but:\n{output}", limit.as_secs());
                }
                interrupt::check()?;
                std::thread::sleep(Duration::from_millis(500));
            }
        })
    }
}
