//! The command line: one struct, where each `--flag` is also `EVENTCENTER_FLAG`.

mod api;
mod audit;
mod runner;
mod value;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use api::Api;
pub(super) use audit::{Audit, AuditPolicy, Retention};
pub(super) use runner::Runner;
pub(super) use value::NamespacedName;
use value::{duration, namespaced_name, seconds};
use webhook::DEFAULT_CONFIGURATION_NAME;
pub(super) use webhook::{Certificates, Webhook};

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
    /// Print the description of the REST API (OpenAPI 3.1), or write it to a file.
    Openapi(OpenApi),
    /// Print the webhook configurations and the ValidatingAdmissionPolicies.
    Webhooks(Webhooks),
}

/// Arguments of `eventcenter webhooks`.
#[derive(Debug, Args)]
pub(super) struct Webhooks {
    /// The Service in front of the webhook.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "eventcenter-system/eventcenter-webhook", value_parser = namespaced_name)]
    pub(super) service: NamespacedName,

    /// URL of the webhook instead of a Service, such as https://127.0.0.1:8443.
    #[arg(long, value_name = "URL", conflicts_with = "service")]
    pub(super) url: Option<String>,

    /// The cert-manager Certificate whose CA cert-manager injects into the configurations.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    pub(super) cert_manager: Option<NamespacedName>,

    /// Name of both webhook configurations.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CONFIGURATION_NAME)]
    pub(super) name: String,

    /// Leave the ValidatingAdmissionPolicies out.
    #[arg(long)]
    pub(super) no_policies: bool,
}

/// Arguments of `eventcenter crds`.
#[derive(Debug, Args)]
pub(super) struct Crds {
    /// Write one file for each definition into this folder instead of printing.
    #[arg(long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
}

/// Arguments of `eventcenter openapi`.
#[derive(Debug, Args)]
pub(super) struct OpenApi {
    /// Write it to this file instead of printing.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// Arguments of `eventcenter run`. Kubernetes is found by KUBECONFIG, or the pod's service account.
#[derive(Clone, Debug, Args)]
pub(super) struct Config {
    /// Roles of this process.
    #[arg(long, env = "EVENTCENTER_ROLES", value_enum, value_delimiter = ',', default_value = "controllers")]
    pub(super) roles: Vec<Role>,

    /// The operator's own namespace, with its Lease and the Secrets of KafkaClusters.
    #[arg(long, env = "EVENTCENTER_NAMESPACE", value_name = "NAME", default_value = "eventcenter-system")]
    pub(super) namespace: String,

    /// Address for /livez, /readyz and /metrics.
    #[arg(long, env = "EVENTCENTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub(super) listen: SocketAddr,

    /// Interval between comparisons of all Kafka topics with their declarations (such as 30s, 2m).
    #[arg(long, env = "EVENTCENTER_RESYNC_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) resync_interval: Duration,

    /// Interval between health checks of each Kafka cluster.
    #[arg(long, env = "EVENTCENTER_HEARTBEAT_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) heartbeat_interval: Duration,

    /// How long the brokers may still show the old state after a change by the operator. A difference within this time
    /// is no drift.
    #[arg(long, env = "EVENTCENTER_KAFKA_SETTLE_TIME", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) kafka_settle_time: Duration,

    /// Minimum time between two writes of a ScheduledTask's status because of its runs.
    #[arg(long, env = "EVENTCENTER_TASK_STATUS_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) task_status_interval: Duration,

    /// EventTopic to which the events System.Job.* about the runs of ScheduledTasks are published. Default: none.
    #[arg(long, env = "EVENTCENTER_TASK_EVENTS", value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    pub(super) task_events: Option<NamespacedName>,

    /// Retention of the ended runs of tasks, with their logs: a duration, or unlimited.
    #[arg(long, env = "EVENTCENTER_RUN_RETENTION", value_name = "TIME", default_value = "90d")]
    pub(super) run_retention: Retention,

    /// Number of the newest runs of each task that are kept for longer, until the task has been deleted for that time.
    #[arg(long, env = "EVENTCENTER_RUN_RETENTION_KEEP_LAST", value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) run_retention_keep_last: u32,

    /// Maximum number of concurrent reconciles of topics.
    #[arg(long, env = "EVENTCENTER_CONCURRENCY", value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) concurrency: u16,

    /// Unique name of this replica. Default: the hostname and a random suffix.
    #[arg(long, env = "EVENTCENTER_INSTANCE", value_name = "NAME")]
    pub(super) instance: Option<String>,

    /// Name of the Lease for leader election.
    #[arg(long, env = "EVENTCENTER_LEASE", value_name = "NAME", default_value = "eventcenter-controllers")]
    pub(super) lease: String,

    /// After this time without a renewal another replica becomes the leader. A leader that could not renew for two
    /// thirds of it exits, to be restarted. At least 5s.
    #[arg(long, env = "EVENTCENTER_LEASE_DURATION", value_name = "TIME", default_value = "10s", value_parser = seconds)]
    pub(super) lease_duration: Duration,

    #[command(flatten)]
    pub(super) audit: Audit,

    #[command(flatten)]
    pub(super) webhook: Webhook,

    #[command(flatten)]
    pub(super) api: Api,

    #[command(flatten)]
    pub(super) runner: Runner,

    /// Format of the logs.
    #[arg(long, env = "EVENTCENTER_LOG_FORMAT", value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Filter directives of tracing (such as `info,eventcenter=debug`).
    #[arg(long, env = "EVENTCENTER_LOG", value_name = "FILTER", default_value = "info,kube_runtime=warn")]
    pub(super) log: String,
}

/// A role of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Reconcile the resources; one replica at a time.
    Controllers,
    /// Serve the admission webhook; every replica.
    Webhook,
    /// Serve the REST API of the audit log; every replica.
    Api,
    /// Execute the HTTP calls and events of tasks; every replica.
    Runner,
}

/// Format of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object on each line.
    Json,
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
        let run = command.find_subcommand("run").expect("the subcommand run");
        for argument in run.get_arguments().filter(|argument| argument.get_env().is_some()) {
            let flag = argument.get_long().expect("every argument is a flag");
            let expected = format!("EVENTCENTER_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
    }

    #[test]
    fn invalid_values_are_refused() {
        for arguments in [
            &["--resync-interval", "soon"][..],
            &["--resync-interval", "1ms"],
            &["--resync-interval", "unlimited"],
            &["--kafka-settle-time", "none"],
            &["--listen", "nowhere"],
            &["--roles", "kitchen"],
            &["--concurrency", "0"],
            &["--log-format", "xml"],
            &["--webhook-listen", "8443"],
            &["--webhook-certificates", "none"],
            &["--webhook-certificate-validity", "1s"],
            &["--audit-policy", "sometimes"],
            &["--audit-timeout", "4100ms"],
            &["--audit-spool-size", "unlimited"],
            &["--audit-spool-size", "1"],
            &["--audit-checkpoint-topic", "audit"],
            &["--audit-retention", "long"],
            &["--installation", "a+b"],
            &["--api-rate-limit", "0"],
            &["--runner-concurrency", "0"],
            &["--runner-lease", "1s"],
            &["--run-retention", "never"],
            &["--run-retention-keep-last", "-1"],
            &["--unknown"],
        ] {
            let all = ["eventcenter", "run"].iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
    fn run(arguments: &[&str]) -> Config {
        let all = ["eventcenter", "run"].iter().chain(arguments);
        match Cli::try_parse_from(all).expect("valid arguments").command {
            Command::Run(config) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_database_is_a_file_in_the_data_dir() {
        let store = |arguments: &[&str]| run(arguments).audit.store().map(|store| store.to_string());
        for (arguments, expected) in [
            (&[][..], "sqlite:/var/lib/eventcenter/eventcenter.db"),
            (&["--data-dir", "/tmp/x"], "sqlite:/tmp/x/eventcenter.db"),
            (&["--data-dir", "/tmp/x", "--store", "sqlite:/tmp/y.db"], "sqlite:/tmp/y.db"),
            (&["--store", "postgres://eve:secret@db:5432/audit"], "postgres://db:5432/audit"),
        ] {
            assert_eq!(store(arguments).expect("a database"), expected);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for store in ["postgres://eve:sesame@db/audit?password=sesame", "postgres:/eve:sesame@db/audit"] {
            let config = run(&["--store", store]);
            let rendered = match config.audit.store() {
                Ok(store) => format!("{store} {store:?}"),
                Err(error) => format!("{error:#}"),
            };
            let all = format!("{config:?} {rendered}");
            assert!(!all.contains("sesame"), "{all}");
            assert!(
                all.contains("postgres://db/audit") || all.contains("write sqlite:FILE or postgres://"),
                "{all}"
            );
        }
    }

    #[test]
    fn sizes_and_durations_are_parsed() {
        let audit = run(&["--audit-spool-size", "1Mi", "--audit-retention", "90d"]).audit;
        assert_eq!(audit.audit_spool_size, 1 << 20);
        assert_eq!(audit.audit_retention.0, Some(Duration::from_hours(90 * 24)));
        assert_eq!(run(&[]).audit.audit_retention.0, None);
        assert_eq!(run(&[]).run_retention.0, Some(Duration::from_hours(90 * 24)));
        assert_eq!(run(&["--run-retention", "unlimited"]).run_retention.0, None);
    }
}
