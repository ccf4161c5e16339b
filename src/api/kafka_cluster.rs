//! `KafkaCluster`: how to reach Kafka.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach one Kafka cluster. Secrets are read from the operator's own namespace only
/// (as cert-manager does for a ClusterIssuer), so that nobody can make the operator read
/// a Secret elsewhere.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "KafkaCluster",
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    shortname = "eckafka",
    category = "eventcenter",
    doc = "How to reach one Kafka cluster: addresses, TLS and credentials from Secrets in the operator's namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the cluster answers"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why"
    ),
    printcolumn(
        name = "Brokers",
        type_ = "integer",
        json_path = ".status.brokers",
        description = "Brokers that are part of the cluster"
    ),
    printcolumn(
        name = "Default",
        type_ = "boolean",
        json_path = ".spec.default",
        description = "Whether topics that name no cluster live here"
    ),
    printcolumn(
        name = "Unregistered",
        type_ = "integer",
        json_path = ".status.unregisteredTopics",
        description = "Kafka topics that no EventTopic stands for"
    ),
    printcolumn(
        name = "Bootstrap",
        type_ = "string",
        json_path = ".spec.bootstrapServers",
        priority = 1,
        description = "Addresses asked first"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Details"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterSpec {
    /// Addresses (`host:port`) of brokers to ask first for the others. At least one; several
    /// keep the operator connected while one is away.
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(min = 3, max = 260),
            regex(pattern = r"^[^\s,:/]+:[0-9]{1,5}$|^\[[0-9a-fA-F:]+\]:[0-9]{1,5}$")
        )
    )]
    pub bootstrap_servers: Vec<String>,

    /// Whether topics that name no cluster live here. Where several say so, the oldest is the
    /// default. Default: false.
    #[serde(default)]
    pub default: bool,

    /// Encryption. Default: none, the connection is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// Credentials. Default: none, the operator is anonymous (or known by its TLS certificate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// Encryption of the connection to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret in the operator's namespace with the authorities to trust, PEM, under `ca.crt`.
    /// Default: the authorities that the operator's system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecret>,

    /// Secret in the operator's namespace with the operator's own certificate and key, PEM,
    /// under `tls.crt` and `tls.key` (a Secret of type kubernetes.io/tls). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret: Option<CertificateSecret>,
}

/// A Secret that holds certificate authorities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the certificates within the Secret. Default: `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A Secret that holds a certificate and its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Credentials for Kafka (RFC 4422).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// How the password is proven. Default: `SCRAM-SHA-512`.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// Secret in the operator's namespace with the user name and the password.
    pub secret: CredentialSecret,
}

/// How a password is proven to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// RFC 5802 with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 4616: the password itself is sent; use it with TLS.
    #[serde(rename = "PLAIN")]
    Plain,
}

/// A Secret that holds a user name and a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the user name within the Secret. Default: `username`.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253))]
    pub username_key: String,
    /// Key of the password within the Secret. Default: `password`.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253))]
    pub password_key: String,
}

fn ca_key() -> String {
    "ca.crt".into()
}

fn username_key() -> String {
    "username".into()
}

fn password_key() -> String {
    "password".into()
}

/// What the operator observed of a Kafka cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Kafka's own identifier of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// Number of brokers that are part of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<i32>,

    /// Kafka topics that no EventTopic stands for. Kafka's own (`__consumer_offsets` and the like)
    /// do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unregistered_topics: Option<i64>,

    /// The first 100 of their names, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unregistered: Vec<String>,
}
