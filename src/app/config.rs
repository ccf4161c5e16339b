//! The command line: one struct, where each `--flag` is also `EVENTCENTER_FLAG`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::domain::topic::quantity;

/// Event governance as Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "eventcenter", version, about, long_about = None, propagate_version = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the operator.
    Run(Box<Config>),
    /// Print the custom resource definitions, or write them to files.
    Crds(Crds),
}

/// Arguments of `eventcenter crds`.
#[derive(Debug, Args)]
pub(super) struct Crds {
    /// Write one file a definition into this folder instead of printing.
    #[arg(long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
}

/// Arguments of `eventcenter run`. Kubernetes is found by KUBECONFIG, or the pod's service account.
#[derive(Clone, Debug, Args)]
pub(super) struct Config {
    /// What this process does.
    #[arg(long, env = "EVENTCENTER_ROLES", value_enum, value_delimiter = ',', default_value = "controllers")]
    pub(super) roles: Vec<Role>,

    /// The operator's own namespace: its Lease, and the Secrets that KafkaClusters name, live there.
    #[arg(long, env = "EVENTCENTER_NAMESPACE", value_name = "NAME", default_value = "eventcenter-system")]
    pub(super) namespace: String,

    /// Address for /livez, /readyz and /metrics.
    #[arg(long, env = "EVENTCENTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub(super) listen: SocketAddr,

    /// How often all Kafka topics are compared with what is declared (such as 30s, 2m).
    #[arg(long, env = "EVENTCENTER_RESYNC_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) resync_interval: Duration,

    /// How often each Kafka cluster is asked how it is.
    #[arg(long, env = "EVENTCENTER_HEARTBEAT_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) heartbeat_interval: Duration,

    /// How many topics are reconciled at once.
    #[arg(long, env = "EVENTCENTER_CONCURRENCY", value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) concurrency: u16,

    /// Name of this replica, unlike that of any other. Default: the host's name and a random part.
    #[arg(long, env = "EVENTCENTER_INSTANCE", value_name = "NAME")]
    pub(super) instance: Option<String>,

    /// Name of the Lease that makes one replica the leader.
    #[arg(long, env = "EVENTCENTER_LEASE", value_name = "NAME", default_value = "eventcenter-controllers")]
    pub(super) lease: String,

    /// How logs are written.
    #[arg(long, env = "EVENTCENTER_LOG_FORMAT", value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,

    /// What is logged, as tracing's filter directives (such as `info,eventcenter=debug`).
    #[arg(long, env = "EVENTCENTER_LOG", value_name = "FILTER", default_value = "info,kube_runtime=warn")]
    pub(super) log: String,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Reconciles the resources.
    Controllers,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    let milliseconds = quantity::milliseconds(text).ok().and_then(|number| u64::try_from(number).ok());
    match milliseconds {
        Some(milliseconds) if milliseconds >= 100 => Ok(Duration::from_millis(milliseconds)),
        _ => Err("write a number and its unit (ms, s, m, h), such as 30s, and at least 100ms".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_flag_is_an_environment_variable_of_the_same_name() {
        let command = Cli::command();
        let run = command.find_subcommand("run").expect("there is run");
        for argument in run.get_arguments().filter(|argument| argument.get_env().is_some()) {
            let flag = argument.get_long().expect("every argument is a flag");
            let expected = format!("EVENTCENTER_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for arguments in [
            &["--resync-interval", "soon"][..],
            &["--resync-interval", "1ms"],
            &["--resync-interval", "unlimited"],
            &["--listen", "nowhere"],
            &["--roles", "kitchen"],
            &["--concurrency", "0"],
            &["--log-format", "xml"],
            &["--unknown"],
        ] {
            let all = ["eventcenter", "run"].iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
