//! `KafkaCluster`: the connection to a Kafka cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The connection to a Kafka cluster. Secrets are read only from the operator's namespace (as cert-manager does for a
/// ClusterIssuer), so that nobody can use the operator to read other Secrets.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "KafkaCluster",
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    shortname = "eckafka",
    category = "eventcenter",
    doc = "The connection to a Kafka cluster: addresses, TLS and credentials from Secrets in the operator's namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the Kafka cluster is reachable"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(
        name = "Brokers",
        type_ = "integer",
        json_path = ".status.brokers",
        description = "Number of brokers"
    ),
    printcolumn(
        name = "Default",
        type_ = "boolean",
        json_path = ".spec.default",
        description = "Whether this is the default cluster"
    ),
    printcolumn(
        name = "Unregistered",
        type_ = "integer",
        json_path = ".status.unregisteredTopics",
        description = "Number of Kafka topics without an EventTopic"
    ),
    printcolumn(
        name = "Bootstrap",
        type_ = "string",
        json_path = ".spec.bootstrapServers",
        priority = 1,
        description = "Bootstrap servers"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Message of the condition Ready"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterSpec {
    /// Bootstrap servers, as `host:port`. At least one; several keep the operator connected while a broker is down.
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(min = 3, max = 260),
            regex(pattern = r"^[^\s,:/]+:[0-9]{1,5}$|^\[[0-9a-fA-F:]+\]:[0-9]{1,5}$")
        )
    )]
    pub bootstrap_servers: Vec<String>,

    /// Whether EventTopics without `spec.cluster` use this cluster. If several clusters are marked, the oldest is the
    /// default. Defaults to false.
    #[serde(default)]
    pub default: bool,

    /// TLS settings. Defaults to none: the connection is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// SASL credentials. Defaults to none: the operator is anonymous or identified by its TLS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// TLS settings of a connection to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret in the operator's namespace with CA certificates to trust, PEM, in the key `ca.crt`. Defaults to the
    /// certificates of the operator's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecret>,

    /// Secret of type `kubernetes.io/tls` in the operator's namespace with the client certificate and its key, PEM, in the
    /// keys `tls.crt` and `tls.key`. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret: Option<CertificateSecret>,
}

/// Secret with CA certificates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the certificates in the Secret. Defaults to `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Secret with a certificate and its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// SASL credentials (RFC 4422).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// SASL mechanism. Defaults to `SCRAM-SHA-512`.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// Secret in the operator's namespace with the user name and the password.
    pub secret: CredentialSecret,
}

/// SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// RFC 5802 with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 4616. Sends the password in plain text; use it only with TLS.
    #[serde(rename = "PLAIN")]
    Plain,
}

/// Secret with a user name and a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSecret {
    /// Name of the Secret in the operator's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the user name in the Secret. Defaults to `username`.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253))]
    pub username_key: String,
    /// Key of the password in the Secret. Defaults to `password`.
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

/// Observed state of a KafkaCluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` observed by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Cluster ID in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// Number of brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<i32>,

    /// Number of Kafka topics without an EventTopic, not counting Kafka's internal topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unregistered_topics: Option<i64>,

    /// Names of up to 100 Kafka topics without an EventTopic, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unregistered: Vec<String>,
}
