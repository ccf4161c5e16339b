//! `Tenant`: who owns which namespaces and topic names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A team or customer: the namespaces it owns, the beginning of its Kafka topic names and the
/// Kafka clusters it may use. Cluster-scoped, because only whoever administers the platform
/// decides which namespace belongs to whom.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "Tenant",
    status = "TenantStatus",
    derive = "PartialEq",
    shortname = "ectenant",
    category = "eventcenter",
    doc = "A team or customer: the namespaces it owns, the beginning of its Kafka topic names and the Kafka clusters it may use.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the declaration is in force"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why"
    ),
    printcolumn(
        name = "Topics",
        type_ = "integer",
        json_path = ".status.topics",
        description = "Number of EventTopics in the tenant's namespaces"
    ),
    printcolumn(
        name = "Prefix",
        type_ = "string",
        json_path = ".status.topicPrefix",
        description = "How the names of the tenant's Kafka topics begin"
    ),
    printcolumn(
        name = "Namespaces",
        type_ = "string",
        json_path = ".spec.namespaces",
        priority = 1,
        description = "Namespaces it owns"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Details"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("metadata.name: a tenant is named like a namespace: at most 63 letters, digits and '-', no '.'"),
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// Names of the namespaces that belong to this tenant. A namespace belongs to at most one
    /// tenant: where two name it, the older tenant has it. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub namespaces: Vec<String>,

    /// How the names of all Kafka topics of this tenant begin, its separator included.
    /// Default: the tenant's name followed by a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 100), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._-]*[._-]$"))]
    pub topic_prefix: Option<String>,

    /// Names of the KafkaClusters that this tenant may use.
    /// Default: none by name, which leaves it the default cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub clusters: Vec<String>,

    /// What this tenant is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

/// What the operator observed of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How the names of the tenant's Kafka topics begin, the default filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,

    /// Number of EventTopics in the tenant's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<i64>,
}
