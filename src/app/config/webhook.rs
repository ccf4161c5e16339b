//! Settings of the role `webhook`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value::{duration, seconds};

/// The default name of the webhook configurations.
pub(super) const DEFAULT_CONFIGURATION_NAME: &str = "eventcenter";

/// Settings of the role `webhook`.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Webhook {
    /// Address on which the API server calls the webhook.
    #[arg(
        long,
        env = "EVENTCENTER_WEBHOOK_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8443"
    )]
    pub(in crate::app) webhook_listen: SocketAddr,

    /// Who issues the webhook's certificates.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CERTIFICATES", value_enum, default_value = "self")]
    pub(in crate::app) webhook_certificates: Certificates,

    /// Name of the Secret with the webhook's certificates, in the operator's namespace.
    #[arg(
        long,
        env = "EVENTCENTER_WEBHOOK_CERTIFICATE_SECRET",
        value_name = "NAME",
        default_value = "eventcenter-webhook"
    )]
    pub(in crate::app) webhook_certificate_secret: String,

    /// Names and addresses of the webhook, for its certificate.
    /// Default: eventcenter-webhook.NAMESPACE.svc, and the listen address if it is a loopback address.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DNS_NAME", value_name = "NAME", value_delimiter = ',')]
    pub(in crate::app) webhook_dns_name: Vec<String>,

    /// Name of the webhook configurations whose paths and caBundle the webhook updates.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = DEFAULT_CONFIGURATION_NAME)]
    pub(in crate::app) webhook_configuration: String,

    /// File with the CA (PEM) that signs the API server's client certificate. The webhook then answers only clients with such
    /// a certificate. Default: the API server is identified by a token in the path, which the webhook writes into its
    /// configurations.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CLIENT_CA", value_name = "FILE")]
    pub(in crate::app) webhook_client_ca: Option<PathBuf>,

    /// Common name of the API server's client certificate. Default: any name.
    #[arg(
        long,
        env = "EVENTCENTER_WEBHOOK_CLIENT_NAME",
        value_name = "NAME",
        requires = "webhook_client_ca"
    )]
    pub(in crate::app) webhook_client_name: Option<String>,

    /// Validity of the webhook's serving certificate. It is renewed after two thirds of that time.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CERTIFICATE_VALIDITY", value_name = "TIME", default_value = "90d", value_parser = seconds)]
    pub(in crate::app) webhook_certificate_validity: Duration,

    /// Validity of the CA that signs it. It is renewed after two thirds of that time.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_AUTHORITY_VALIDITY", value_name = "TIME", default_value = "730d", value_parser = seconds)]
    pub(in crate::app) webhook_authority_validity: Duration,

    /// How long the webhook still serves after SIGTERM, until the Service has removed this replica.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DRAIN", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(in crate::app) webhook_drain: Duration,
}

/// Who issues the webhook's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Certificates {
    /// The webhook's replicas, in a shared Secret.
    #[value(name = "self")]
    SelfSigned,
    /// Another issuer, such as cert-manager, writes the Secret and the caBundle.
    Secret,
}
