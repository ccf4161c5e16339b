//! The operator as a process, as a cluster would run it.

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

/// The options of an operator.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// The program.
    pub program: PathBuf,
    /// The kubeconfig: the cluster, and the operator's user.
    pub kubeconfig: PathBuf,
    /// Arguments after `eventcenter run`. `--listen`, `--namespace` and `--data-dir` are added unless they are among them.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub variables: Vec<(String, String)>,
    /// The port for health and metrics; a free one if not given.
    pub port: Option<u16>,
    /// The port of the webhook, if it has that role.
    pub webhook: Option<u16>,
    /// The port of the REST API, if it has that role.
    pub api: Option<u16>,
    /// Whether it has the role that executes calls and events of tasks.
    pub runner: bool,
    /// Whether [`Operator::start`] waits until it is ready.
    pub wait: bool,
}

impl OperatorOptions {
    /// This program on this cluster, with the default options.
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            port: None,
            webhook: None,
            api: None,
            runner: false,
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
    /// Starts it. Returns when `/readyz` answers 200, unless the options say not to wait.
    pub fn start(options: &OperatorOptions, log: &Path) -> Result<Self> {
        let data = value_of(&options.arguments, "--data-dir").map_or_else(|| data_folder(log), PathBuf::from);
        port::retry_if_taken(|| {
            let port = options.port.map_or_else(port::free, Ok)?;
            let mut command = process::child_command(&options.program);
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

    /// Identifies its process.
    pub fn identity(&self) -> &Identity {
        self.service.identity()
    }

    /// The port of health and metrics.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the metrics.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    /// The URL of its webhook, if it has that role.
    pub fn webhook_url(&self) -> Option<String> {
        self.webhook.map(webhook_url)
    }

    /// The URL of its REST API, if it has that role.
    pub fn api_url(&self) -> Option<String> {
        self.api.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Its `--data-dir`: the folder of the embedded database and of the spool.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Status code and body of one of its pages (`/metrics`); `None` if it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        probe::get(self.port, path)
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        self.service.log()
    }

    /// Its output since its start.
    pub fn output(&self) -> Result<String> {
        self.service.output()
    }

    /// Its exit status, once it has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.service.exited()
    }

    /// Shuts it down with SIGTERM.
    pub fn stop(self) -> Result<ExitStatus> {
        self.service.stop(GRACE)
    }

    /// Kills it with SIGKILL, as a crash would end it.
    pub fn kill(self) -> Result<()> {
        self.service.kill()
    }

    /// Stops its process (SIGSTOP).
    pub fn pause(&self) -> Result<()> {
        self.service.signal(Signal::STOP)
    }

    /// Continues it after [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.service.signal(Signal::CONT)
    }
}

/// The URL of a webhook on this port.
pub fn webhook_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// The data folder of an operator with this log: the same after a restart.
pub fn data_folder(log: &Path) -> PathBuf {
    log.with_extension("data")
}

/// The value of a flag among the arguments.
fn value_of<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let mut remaining = arguments.iter();
    while let Some(argument) = remaining.next() {
        match argument.strip_prefix(flag) {
            Some("") => return remaining.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

/// The arguments of the options, after defaults for those that they leave out.
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
            // No Service sends connections to the webhook, so a long drain is not needed.
            ("--webhook-drain", "100ms".to_owned()),
        ]);
    }
    if let Some(port) = options.api {
        roles.push("api");
        defaults.push(("--api-listen", format!("127.0.0.1:{port}")));
    }
    if options.runner {
        roles.push("runner");
    }
    if roles.len() > 1 {
        defaults.push(("--roles", roles.join(",")));
    }
    let mut all: Vec<String> = defaults
        .into_iter()
        .filter(|(flag, _)| value_of(&options.arguments, flag).is_none())
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
    all.extend_from_slice(&options.arguments);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_argument_replaces_the_default() {
        let joined = |given: &[&str]| {
            let mut options = OperatorOptions::new(Path::new("x"), Path::new("y"));
            options.arguments = given.iter().map(ToString::to_string).collect();
            arguments(&options, 1, &data_folder(Path::new("/x/operator.log"))).join(" ")
        };
        let defaults = "--listen 127.0.0.1:1 --namespace eventcenter-system --data-dir /x/operator.data";
        assert_eq!(joined(&[]), defaults);
        let given = "--listen 127.0.0.1:1 --namespace=x --data-dir /y --a";
        assert_eq!(joined(&["--namespace=x", "--data-dir", "/y", "--a"]), given);
    }
}
