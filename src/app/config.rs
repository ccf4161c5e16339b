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
    /// Print what makes the API server ask the webhook, and the policies that it keeps by itself.
    Webhooks(Webhooks),
}

/// Arguments of `eventcenter webhooks`.
#[derive(Debug, Args)]
pub(super) struct Webhooks {
    /// The Service in front of the webhook.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "eventcenter-system/eventcenter-webhook", value_parser = place)]
    pub(super) service: Place,

    /// Where the webhook is instead of behind a Service, such as https://127.0.0.1:8443.
    #[arg(long, value_name = "URL", conflicts_with = "service")]
    pub(super) url: Option<String>,

    /// The Certificate whose authority cert-manager is to write into the configurations.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = place)]
    pub(super) cert_manager: Option<Place>,

    /// Name of both webhook configurations.
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION)]
    pub(super) name: String,

    /// Leave the ValidatingAdmissionPolicies out.
    #[arg(long)]
    pub(super) no_policies: bool,
}

/// A name in a namespace.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) name: String,
}

fn place(text: &str) -> Result<Place, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Place { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("write NAMESPACE/NAME".into()),
    }
}

/// The name of the webhook configurations unless another is given.
const CONFIGURATION: &str = "eventcenter";

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

    /// After this long without a renewal another replica leads. A leader whose API server has not answered for two
    /// thirds of it ends, to be started anew. At least 5s.
    #[arg(long, env = "EVENTCENTER_LEASE_DURATION", value_name = "TIME", default_value = "10s", value_parser = seconds)]
    pub(super) lease_duration: Duration,

    #[command(flatten)]
    pub(super) webhook: Webhook,

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
    /// Reconciles the resources; one replica at a time.
    Controllers,
    /// Answers the API server's reviews; every replica.
    Webhook,
}

/// What the role `webhook` needs to know.
#[derive(Clone, Debug, Args)]
pub(super) struct Webhook {
    /// Address on which the API server calls the webhook.
    #[arg(
        long,
        env = "EVENTCENTER_WEBHOOK_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8443"
    )]
    pub(super) webhook_listen: SocketAddr,

    /// Who makes the webhook's certificates.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CERTIFICATES", value_enum, default_value = "self")]
    pub(super) webhook_certificates: Certificates,

    /// Name of the Secret with the webhook's certificates, in the operator's namespace.
    #[arg(
        long,
        env = "EVENTCENTER_WEBHOOK_CERTIFICATE_SECRET",
        value_name = "NAME",
        default_value = "eventcenter-webhook"
    )]
    pub(super) webhook_certificate_secret: String,

    /// Names and addresses by which the webhook is called, for its certificate.
    /// Default: eventcenter-webhook.NAMESPACE.svc, and the address it listens on if that is a loopback one.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DNS_NAME", value_name = "NAME", value_delimiter = ',')]
    pub(super) webhook_dns_name: Vec<String>,

    /// Name of the webhook configurations whose caBundle is kept right.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = CONFIGURATION)]
    pub(super) webhook_configuration: String,

    /// How long a certificate of the webhook is valid. It is renewed after two thirds of that.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CERTIFICATE_VALIDITY", value_name = "TIME", default_value = "90d", value_parser = seconds)]
    pub(super) webhook_certificate_validity: Duration,

    /// How long the authority is valid that signs them. It is renewed after two thirds of that.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_AUTHORITY_VALIDITY", value_name = "TIME", default_value = "730d", value_parser = seconds)]
    pub(super) webhook_authority_validity: Duration,

    /// How long reviews are still answered after SIGTERM, so that others learn that this replica goes.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DRAIN", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) webhook_drain: Duration,
}

/// Who makes the webhook's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Certificates {
    /// The webhook's replicas, in a Secret that they share.
    #[value(name = "self")]
    Own,
    /// Others, such as cert-manager: the Secret is read, and caBundle is left alone.
    Secret,
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

fn seconds(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(duration) if duration >= Duration::from_secs(5) => Ok(duration),
        _ => Err("write a number and its unit (s, m, h, d), such as 90d, and at least 5s".into()),
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
            &["--webhook-listen", "8443"],
            &["--webhook-certificates", "none"],
            &["--webhook-certificate-validity", "1s"],
            &["--unknown"],
        ] {
            let all = ["eventcenter", "run"].iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
