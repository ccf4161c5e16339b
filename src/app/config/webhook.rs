//! What the role `webhook` needs to know.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::CONFIGURATION;
use super::value::{duration, seconds};

/// What the role `webhook` needs to know.
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

    /// Who makes the webhook's certificates.
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

    /// Names and addresses by which the webhook is called, for its certificate.
    /// Default: eventcenter-webhook.NAMESPACE.svc, and the address it listens on if that is a loopback one.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DNS_NAME", value_name = "NAME", value_delimiter = ',')]
    pub(in crate::app) webhook_dns_name: Vec<String>,

    /// Name of the webhook configurations whose caBundle is kept right.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = CONFIGURATION)]
    pub(in crate::app) webhook_configuration: String,

    /// How long a certificate of the webhook is valid. It is renewed after two thirds of that.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_CERTIFICATE_VALIDITY", value_name = "TIME", default_value = "90d", value_parser = seconds)]
    pub(in crate::app) webhook_certificate_validity: Duration,

    /// How long the authority is valid that signs them. It is renewed after two thirds of that.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_AUTHORITY_VALIDITY", value_name = "TIME", default_value = "730d", value_parser = seconds)]
    pub(in crate::app) webhook_authority_validity: Duration,

    /// How long reviews are still answered after SIGTERM, so that others learn that this replica goes.
    #[arg(long, env = "EVENTCENTER_WEBHOOK_DRAIN", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(in crate::app) webhook_drain: Duration,
}

/// Who makes the webhook's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Certificates {
    /// The webhook's replicas, in a Secret that they share.
    #[value(name = "self")]
    SelfSigned,
    /// Others, such as cert-manager: the Secret is read, and caBundle is left alone.
    Secret,
}
