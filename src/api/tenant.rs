//! `Tenant`: who owns which namespaces and topic names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Approval;

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

    /// Whether the tenant may change nothing for now: what its namespaces ask for is refused until
    /// this is taken back; deleting is allowed. Default: false.
    #[serde(default)]
    pub suspended: bool,

    /// What becomes of what a suspended tenant has. Default: `KeepRunning`.
    #[serde(default)]
    pub when_suspended: WhenSuspended,

    /// The most that the tenant may have. Default: no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,

    /// How the tenant names its event types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naming: Option<Naming>,

    /// Which changes need the approval of others. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,

    /// What this tenant is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

/// What becomes of what a suspended tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenSuspended {
    /// Topics and access stay as they were when the tenant was suspended, drift is put right.
    #[default]
    KeepRunning,
    /// Topics and their data stay, and the access that the operator gave is taken away until the
    /// tenant is no longer suspended.
    Stop,
}

/// The most that a tenant may have. What it has already is not taken away when a limit is lowered;
/// what would be above a limit is refused, and of several that came at once the youngest is held.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Number of EventTopics. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub topics: Option<i64>,

    /// Number of partitions of all topics together, not counting their copies. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub partitions: Option<i64>,

    /// Number of EventSubscriptions. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub subscriptions: Option<i64>,

    /// Number of ScheduledTasks. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub tasks: Option<i64>,

    /// The longest retention time that a topic may have, such as `30d`; each topic then has to say
    /// its own. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(ms|s|m|h|d|w)$')").message("spec.quotas.retentionTime: write a number and its unit (ms, s, m, h, d or w), such as 30d"))]
    pub retention_time: Option<String>,

    /// The most bytes that all topics together may keep, as the sum over the topics of retention
    /// size times partitions, not counting copies; each topic then has to say its own.
    /// Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$')").message("spec.quotas.retentionSize: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 500Gi"))]
    pub retention_size: Option<String>,

    /// The largest message that a topic may be configured for (`max.message.bytes`), such as `1Mi`.
    /// Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$')").message("spec.quotas.messageSize: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 1Mi"))]
    pub message_size: Option<String>,
}

/// How a tenant names its event types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Naming {
    /// The conventions that names may follow. Default: any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub conventions: Vec<NamingConvention>,
}

/// A convention for the names of event types.
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

    /// What the tenant has, beside what it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What a tenant has: what is granted, without what is held because of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Number of EventTopics.
    pub topics: i64,
    /// Number of their partitions.
    pub partitions: i64,
    /// Bytes that they may keep: retention size times partitions, of topics that limit it.
    pub retention_bytes: i64,
    /// EventTopics that are held because of a quota.
    pub held: i64,
}
