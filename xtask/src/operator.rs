//! The operator as a process, the way a cluster would run it.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{
    kubectl::NAMESPACE,
    port, probe,
    process::{self, Service},
    procfs::Identity,
};

const READY: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(20);

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// The program.
    pub program: PathBuf,
    /// The cluster, and who the operator is there.
    pub kubeconfig: PathBuf,
    /// Arguments after `eventcenter run`. `--listen`, `--namespace` and `--data-dir` are added unless they are among them.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub variables: Vec<(String, String)>,
    /// The port for health and metrics; a free one if not given.
    pub port: Option<u16>,
    /// The port for the webhook, if it is to answer reviews as well.
    pub webhook: Option<u16>,
    /// The port for the REST API, if it is to answer that as well.
    pub api: Option<u16>,
    /// Whether to wait until it is ready. A second replica is not until the first one is gone.
    pub wait: bool,
}

impl OperatorOptions {
    /// This program for this cluster, and nothing special.
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            port: None,
            webhook: None,
            api: None,
            wait: true,
        }
    }
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    service: Service,
    port: u16,
    webhook: Option<u16>,
    api: Option<u16>,
    data: PathBuf,
}

impl Operator {
    /// Starts it; returns when `/readyz` says so (unless the options say not to wait).
    pub fn start(options: &OperatorOptions, log: &Path) -> Result<Self> {
        let data = given(&options.arguments, "--data-dir").map_or_else(|| data_folder(log), PathBuf::from);
        port::retry_if_taken(|| {
            let port = options.port.map_or_else(port::free, Ok)?;
            let mut command = process::mortal(&options.program);
            command.arg("run").args(arguments(options, port, &data));
            command.env("KUBECONFIG", &options.kubeconfig).env("RUST_BACKTRACE", "1");
            command.envs(options.variables.iter().map(|(key, value)| (key, value)));
            let service = Service::start("the operator", command, log)?;
            let (webhook, api) = (options.webhook, options.api);
            let mut operator = Self { service, port, webhook, api, data: data.clone() };
            if options.wait {
                operator.wait_ready(READY)?;
            }
            Ok(operator)
        })
        .context("the operator does not start")
    }

    /// Waits until `/readyz` answers 200.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let port = self.port;
        self.service.wait_ready(limit, |_| {
            Ok(probe::get(port, "/readyz").is_some_and(|(status, _)| status == 200).then_some(()))
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Who it is; also what it uses (CPU, memory).
    pub fn identity(&self) -> &Identity {
        self.service.identity()
    }

    /// The port for health and metrics.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the metrics are.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    /// Where the API server finds its webhook, if it has one.
    pub fn webhook_url(&self) -> Option<String> {
        self.webhook.map(webhook_url)
    }

    /// Where its REST API is, if it has one.
    pub fn api_url(&self) -> Option<String> {
        self.api.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// The folder with its database, unless it was given another one, and with what waits for that.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Status and body of one of its pages, if it answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        probe::get(self.port, path)
    }

    /// The file with everything it wrote.
    pub fn log(&self) -> &Path {
        self.service.log()
    }

    /// What it has written since it was started.
    pub fn output(&self) -> Result<String> {
        self.service.output()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.service.exited()
    }

    /// Ends it in good order.
    pub fn stop(self) -> Result<ExitStatus> {
        self.service.stop(GRACE)
    }

    /// SIGKILL, as a crash would.
    pub fn kill(self) -> Result<()> {
        self.service.kill()
    }

    /// Freezes it.
    pub fn pause(&self) -> Result<()> {
        self.service.signal(Signal::STOP)
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.service.signal(Signal::CONT)
    }
}

/// Where a webhook is that listens on this port.
pub fn webhook_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Where an operator keeps its data that has this log, so that one that is started anew finds what it had.
pub fn data_folder(log: &Path) -> PathBuf {
    log.with_extension("data")
}

/// The value of a flag that was given.
fn given<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(flag) {
            Some("") => return words.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

/// The given arguments, after those that they leave out.
fn arguments(options: &OperatorOptions, port: u16, data: &Path) -> Vec<String> {
    let mut defaults = vec![
        ("--listen", format!("127.0.0.1:{port}")),
        ("--namespace", NAMESPACE.to_owned()),
        ("--data-dir", data.display().to_string()),
    ];
    let mut roles = vec!["controllers"];
    if let Some(port) = options.webhook {
        roles.push("webhook");
        defaults.extend([
            ("--webhook-listen", format!("127.0.0.1:{port}")),
            // No Service has to notice that it goes.
            ("--webhook-drain", "100ms".to_owned()),
        ]);
    }
    if let Some(port) = options.api {
        roles.push("api");
        defaults.push(("--api-listen", format!("127.0.0.1:{port}")));
    }
    if roles.len() > 1 {
        defaults.push(("--roles", roles.join(",")));
    }
    let mut all: Vec<String> = defaults
        .into_iter()
        .filter(|(flag, _)| given(&options.arguments, flag).is_none())
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
    all.extend_from_slice(&options.arguments);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_not_set_twice() {
        let words = |given: &[&str]| {
            let mut options = OperatorOptions::new(Path::new("x"), Path::new("y"));
            options.arguments = given.iter().map(ToString::to_string).collect();
            arguments(&options, 1, &data_folder(Path::new("/x/operator.log"))).join(" ")
        };
        let usual = "--listen 127.0.0.1:1 --namespace eventcenter-system --data-dir /x/operator.data";
        assert_eq!(words(&[]), usual);
        let given = "--listen 127.0.0.1:1 --namespace=x --data-dir /y --a";
        assert_eq!(words(&["--namespace=x", "--data-dir", "/y", "--a"]), given);
    }
}
