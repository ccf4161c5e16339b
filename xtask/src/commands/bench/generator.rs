//! The load generator (`bench/`), one process for each step.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use xtask::{console::Task, interrupt, process, procfs::Identity};

/// The program, and the settings of all steps.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) log: PathBuf,
    /// Environment variables, such as the address of the database.
    pub(crate) variables: Vec<(String, String)>,
}

/// A load generator that is ready to begin. Dropping it ends it.
pub(crate) struct Prepared {
    child: Child,
    identity: Identity,
    lines: Receiver<String>,
    log: PathBuf,
}

/// One line of its standard output.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Message {
    Ready,
    Progress { sent: u32, done: u32 },
    Result(Outcome),
}

/// The result of a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    pub(crate) wall_seconds: f64,
    pub(crate) written_seconds: f64,
    pub(crate) count: u32,
    pub(crate) done: u32,
    pub(crate) latency_seconds: Option<Latency>,
    pub(crate) answer_seconds: Option<Latency>,
    pub(crate) events: u32,
    /// Runs that were looked up in the run log when their calls arrived, and how many of them it did not have.
    #[serde(default)]
    pub(crate) looked_up: u32,
    #[serde(default)]
    pub(crate) unstored: u32,
    /// The parts of a step that are measured separately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cases: Vec<Case>,
}

/// One query that was repeated many times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The number of records in all answers.
    pub(crate) found: u32,
    pub(crate) seconds: Latency,
}

/// Seconds from each write until it was observed as done, or until it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Generator {
    /// Starts it. Returns when it waits for the signal to begin.
    pub(crate) fn prepare(&self, arguments: &[String]) -> Result<Prepared> {
        let mut command = process::child_command(&self.program);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).envs(self.variables.iter().cloned());
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let line = process::describe(&command);
        let mut child = process::spawn(command).with_context(|| format!("cannot start `{line}`"))?;
        let identity = Identity::of(child.id())?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut prepared = Prepared { child, identity, lines, log: self.log.clone() };
        match prepared.message()? {
            Message::Ready => Ok(prepared),
            other => bail!("the load generator begins with {other:?} instead of ready"),
        }
    }
}

impl Prepared {
    /// Identifies its process.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sends the signal to begin and waits for the result.
    pub(crate) fn run(&mut self, task: &Task) -> Result<Outcome> {
        self.child.stdin.as_mut().context("its input is a pipe")?.write_all(b"\n")?;
        loop {
            match self.message()? {
                Message::Progress { sent, done } => task.detail(&format!("{sent} written, {done} done")),
                Message::Result(outcome) => return Ok(outcome),
                Message::Ready => bail!("the load generator is ready twice"),
            }
        }
    }

    fn message(&mut self) -> Result<Message> {
        loop {
            interrupt::check()?;
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    return serde_json::from_str(&line)
                        .with_context(|| format!("the load generator printed {line}"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("the load generator has ended ({status}):\n{}", last(&self.log));
                }
            }
        }
    }
}

fn last(log: &Path) -> String {
    process::tail(log, 5)
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // It may have ended by itself; then only `wait` has an effect.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_parsed() {
        let read = |text: &str| serde_json::from_str::<Message>(text).expect("a message");
        assert_eq!(read(r#""ready""#), Message::Ready);
        assert_eq!(read(r#"{"progress":{"sent":2,"done":1}}"#), Message::Progress { sent: 2, done: 1 });
        let result = read(
            r#"{"result":{"wallSeconds":1.5,"writtenSeconds":1.0,"count":3,"done":2,"latencySeconds":null,"answerSeconds":null,"events":0}}"#,
        );
        let Message::Result(outcome) = result else { panic!("{result:?}") };
        assert_eq!((outcome.count, outcome.done, outcome.latency_seconds), (3, 2, None));
    }

    #[test]
    fn the_error_of_an_early_end_has_the_last_lines_of_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let generator = Generator {
            program: "sh".into(),
            kubeconfig: "/nowhere".into(),
            log: folder.path().join("log"),
            variables: Vec::new(),
        };
        let arguments = ["-c".to_owned(), "echo it went wrong >&2; exit 3".to_owned()];
        let error = generator.prepare(&arguments).err().expect("the program ended").to_string();
        assert!(error.contains("it went wrong") && error.contains('3'), "{error}");
    }
}
