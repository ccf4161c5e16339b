//! The environment of all steps, and commands whose transcript is printed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use xtask::{interrupt, process, supervisor::State};

use super::super::Context;

/// The demo and its environment.
pub(super) struct Demo<'a> {
    pub(super) context: &'a Context,
    pub(super) state: State,
    /// The folder of the demo's copies of the manifests.
    pub(super) folder: PathBuf,
}

impl Demo<'_> {
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
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.context.folder.tools()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            shell.env("PATH", path);
        }
        shell
    }

    /// Runs a command without printing it. Returns its output.
    pub(super) fn query(&self, line: &str) -> Result<String> {
        process::run(self.shell(line))
    }

    pub(super) fn transcript(&self, line: &str) -> Result<Output> {
        println!("$ {line}");
        let task = self.context.console.quiet_task(line);
        let output = process::output(self.shell(line));
        task.finish();
        let output = output?;
        for text in [&output.stdout, &output.stderr] {
            print!("{}", String::from_utf8_lossy(text));
        }
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
