//! `Tenant`: owner of namespaces and topic names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Approval;

/// A team or customer: its namespaces, the prefix of its Kafka topics and the Kafka clusters it may use. Cluster-scoped,
/// because only platform administrators assign namespaces.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "Tenant",
    status = "TenantStatus",
    derive = "PartialEq",
    shortname = "ectenant",
    category = "eventcenter",
    doc = "A team or customer: its namespaces, the prefix of its Kafka topics and the Kafka clusters it may use.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the spec is in effect"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
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
        description = "Prefix of the tenant's Kafka topics"
    ),
    printcolumn(
        name = "Namespaces",
        type_ = "string",
        json_path = ".spec.namespaces",
        priority = 1,
        description = "Namespaces of the tenant"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Message of the condition Ready"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("metadata.name: a tenant is named like a namespace: at most 63 letters, digits and '-', no '.'"),
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// Namespaces of the tenant. A namespace belongs to at most one tenant; if two tenants list it, it belongs to the
    /// older one. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub namespaces: Vec<String>,

    /// Prefix of the names of all Kafka topics of the tenant. Must end in `.`, `-` or `_`. Must not overlap with the
    /// prefix of another tenant. Cannot be changed while the tenant has EventTopics. Defaults to the tenant's name
    /// followed by a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 100), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._-]*[._-]$"))]
    pub topic_prefix: Option<String>,

    /// Names of the KafkaClusters that the tenant may use. Defaults to none, which allows the default cluster only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub clusters: Vec<String>,

    /// Whether the tenant is suspended. A suspended tenant may delete resources but neither create nor change them.
    /// Defaults to false.
    #[serde(default)]
    pub suspended: bool,

    /// How a suspended tenant's resources are treated. Defaults to `KeepRunning`.
    #[serde(default)]
    pub when_suspended: WhenSuspended,

    /// Quotas of the tenant. Defaults to no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,

    /// Naming rules for event types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naming: Option<Naming>,

    /// What the tenant's ScheduledTasks may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskLimits>,

    /// Approval rules. Defaults to none: no change needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,

    /// Limits of the HTTP requests that the tenant's resources cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Callbacks>,

    /// Description of the tenant, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

/// How a suspended tenant's resources are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenSuspended {
    /// Topics and access stay as they are, and drift is corrected.
    #[default]
    KeepRunning,
    /// Topics and data stay. Access granted by the operator is revoked until the tenant is no longer suspended.
    Stop,
}

/// Quotas of a tenant. Lowering a quota removes nothing. A request beyond a quota is refused; among concurrent requests
/// the oldest resources are granted first.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Maximum number of EventTopics. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub topics: Option<i64>,

    /// Maximum number of partitions of all topics, not counting replicas. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub partitions: Option<i64>,

    /// Maximum number of EventSubscriptions. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub subscriptions: Option<i64>,

    /// Maximum number of ScheduledTasks. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub tasks: Option<i64>,

    /// Maximum retention time of a topic, such as `30d`. If set, every topic must set its retention time. Defaults to no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(ms|s|m|h|d|w)$')").message("spec.quotas.retentionTime: write a number and its unit (ms, s, m, h, d or w), such as 30d"))]
    pub retention_time: Option<String>,

    /// Maximum size of all topics in bytes, such as `500Gi`: the sum of retention size times partitions, not counting
    /// replicas. If set, every topic must set its retention size. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$')").message("spec.quotas.retentionSize: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 500Gi"))]
    pub retention_size: Option<String>,

    /// Maximum value of `max.message.bytes` of a topic, in bytes, such as `1Mi`. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$')").message("spec.quotas.messageSize: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 1Mi"))]
    pub message_size: Option<String>,
}

/// What the ScheduledTasks of a tenant may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskLimits {
    /// Images of containers, such as `registry.example.com/shop/*`; a `*` stands for any characters. Defaults to all images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)), extend("x-kubernetes-list-type" = "set"))]
    pub images: Vec<String>,

    /// Names of ServiceAccounts that pods of tasks may use besides `default`, and whose tokens HTTP calls may send. Defaults
    /// to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub service_accounts: Vec<String>,

    /// Maximum number of concurrent runs of all tasks of the tenant. Further runs wait. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent_runs: Option<i32>,
}

/// Naming rules for event types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Naming {
    /// Allowed naming conventions. Defaults to all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub conventions: Vec<NamingConvention>,
}

/// Naming convention for event types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamingConvention {
    /// `Order.Created.v1`.
    Entity,
    /// `Payment.Order.Paid.v1`.
    Service,
    /// `System.Backup.Completed.v1`.
    System,
    /// `order.created`.
    Dotted,
}

/// Limits of the HTTP requests that the tenant's resources cause.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callbacks {
    /// The hosts that the tenant's resources may call: a name (`api.example.com`), all names below a domain
    /// (`*.example.com`), an IP address (`10.1.2.3`) or a network (`10.0.0.0/8`, `fd00::/8`); each for all ports or one
    /// (`api.example.com:8443`, `[fd00::/8]:8443`). A listed name may resolve to public and private addresses; loopback,
    /// link-local, metadata and other special addresses need an entry with the address or its network. Defaults to all hosts
    /// with public addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 261)),
        extend("x-kubernetes-list-type" = "set")
    )]
    #[x_kube(validation = Rule::new(r"self.all(h, h.matches('^([*][.])?[a-z0-9_.-]+(/[0-9]{1,2})?(:[1-9][0-9]{0,4})?$') || h.matches('^[0-9a-f:.]+(/[0-9]{1,3})?$') || h.matches(r'^\[[0-9a-f:.]+(/[0-9]{1,3})?\](:[1-9][0-9]{0,4})?$'))").message("spec.callbacks.hosts: write a host name in lower case, *.DOMAIN, an IP address or a network such as 10.0.0.0/8, with or without a port such as :8443 (an IPv6 address with a port in brackets)"))]
    pub hosts: Vec<String>,
}

/// Observed state of a Tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` observed by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Prefix of the tenant's Kafka topics, including the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,

    /// Number of EventTopics in the tenant's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<i64>,

    /// Resources that count towards the quotas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Granted resources of a tenant, and Kafka topics with its prefix that no EventTopic manages. Resources that exceed a quota are
/// not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Number of topics.
    pub topics: i64,
    /// Number of partitions of all topics.
    pub partitions: i64,
    /// Sum of retention size times partitions of the topics that limit it, in bytes.
    pub retention_bytes: i64,
    /// Number of topics that no EventTopic manages, counted if the tenant has quotas.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unmanaged_topics: i64,
    /// Number of EventTopics that are on hold because of a quota.
    pub held: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
