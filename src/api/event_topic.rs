//! `EventTopic`: a Kafka topic as a resource.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Access, ApprovedSpec, Compatibility, EventType, PendingChange, RegisteredType, TopicAcl};

/// A Kafka topic with its owner and the event types it carries.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "EventTopic",
    namespaced,
    status = "EventTopicStatus",
    derive = "PartialEq",
    shortname = "etopic",
    category = "eventcenter",
    doc = "A Kafka topic with its owner and the event types it carries.",
    printcolumn(
        name = "Topic",
        type_ = "string",
        json_path = ".status.topicName",
        description = "Name of the Kafka topic"
    ),
    printcolumn(
        name = "Partitions",
        type_ = "integer",
        json_path = ".status.partitions",
        description = "Partitions that Kafka has"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Copies that Kafka keeps of each partition"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether Kafka has what is declared"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why"
    ),
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".status.cluster",
        priority = 1,
        description = "KafkaCluster it lives in"
    ),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = ".spec.owner.team",
        priority = 1,
        description = "Team that answers for it"
    ),
    printcolumn(
        name = "Pending",
        type_ = "string",
        json_path = ".status.pending.approvals",
        priority = 1,
        description = "Approvals of a change that waits, of those it needs"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Details"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "has(self.spec.topicName) ? ((has(oldSelf.spec.topicName) && oldSelf.spec.topicName == self.spec.topicName) || (!has(oldSelf.spec.topicName) && (!has(oldSelf.status) || !has(oldSelf.status.topicName) || oldSelf.status.topicName == self.spec.topicName))) : !has(oldSelf.spec.topicName)"
    )
    .message("spec.topicName is immutable: Kafka cannot rename a topic. Make a new EventTopic and move producers and consumers to it")
    .field_path(".spec.topicName")
    .reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "has(self.spec.cluster) ? ((has(oldSelf.spec.cluster) && oldSelf.spec.cluster == self.spec.cluster) || (!has(oldSelf.spec.cluster) && (!has(oldSelf.status) || !has(oldSelf.status.cluster) || oldSelf.status.cluster == self.spec.cluster))) : !has(oldSelf.spec.cluster)"
    )
    .message("spec.cluster is immutable: a topic cannot move between Kafka clusters. Make a new EventTopic in the other cluster")
    .field_path(".spec.cluster")
    .reason(Reason::FieldValueForbidden),
    // What waits for approval is not in Kafka and can be taken back.
    validation = Rule::new(
        "self.spec.partitions >= oldSelf.spec.partitions || (has(oldSelf.status) && has(oldSelf.status.pending) && (!has(oldSelf.status.partitions) || self.spec.partitions >= oldSelf.status.partitions))"
    )
    .message("spec.partitions cannot be reduced: Kafka cannot remove partitions. Make a new EventTopic with fewer")
    .field_path(".spec.partitions")
    .reason(Reason::FieldValueForbidden),
)]
#[x_kube(
    validation = Rule::new("!has(self.retention) || !has(self.retention.time) || !has(self.config) || !('retention.ms' in self.config)")
        .message("spec.config has retention.ms and spec.retention.time is set: keep one of them")
        .field_path(".config"),
    validation = Rule::new("!has(self.retention) || !has(self.retention.size) || !has(self.config) || !('retention.bytes' in self.config)")
        .message("spec.config has retention.bytes and spec.retention.size is set: keep one of them")
        .field_path(".config"),
    validation = Rule::new("!has(self.cleanupPolicy) || !has(self.config) || !('cleanup.policy' in self.config)")
        .message("spec.config has cleanup.policy and spec.cleanupPolicy is set: keep one of them")
        .field_path(".config"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.config) || self.ignoreConfig.all(k, !(k in self.config))")
        .message("a key stands both in spec.config and in spec.ignoreConfig: remove it from one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.retention) || !has(self.retention.time) || !('retention.ms' in self.ignoreConfig)")
        .message("retention.ms stands in spec.ignoreConfig and spec.retention.time is set: remove one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.retention) || !has(self.retention.size) || !('retention.bytes' in self.ignoreConfig)")
        .message("retention.bytes stands in spec.ignoreConfig and spec.retention.size is set: remove one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.cleanupPolicy) || !('cleanup.policy' in self.ignoreConfig)")
        .message("cleanup.policy stands in spec.ignoreConfig and spec.cleanupPolicy is set: remove one of them")
        .field_path(".ignoreConfig"),
)]
#[serde(rename_all = "camelCase")]
pub struct EventTopicSpec {
    /// Name of the KafkaCluster that the topic lives in; cannot be changed later.
    /// Default: the cluster that is marked as the default when the topic is first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,

    /// Name of the Kafka topic; begins with the tenant's prefix and cannot be changed later.
    /// Default: the tenant's prefix followed by `metadata.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    #[x_kube(validation = Rule::new("self != '.' && self != '..'").message("spec.topicName: Kafka does not allow '.' and '..' as names"))]
    pub topic_name: Option<String>,

    /// Number of partitions. It can grow, which sends keys to other partitions than before,
    /// and never shrink. Default: 1.
    #[serde(default = "one_partition")]
    #[schemars(range(min = 1, max = 100_000))]
    pub partitions: i32,

    /// Copies of each partition, over as many brokers; cannot be changed later.
    /// Default: what the Kafka cluster has as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: Option<i32>,

    /// How long and how much Kafka keeps. Default: what the Kafka cluster has as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// What Kafka does with old records (`cleanup.policy`).
    /// Default: what the Kafka cluster has as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_policy: Option<CleanupPolicy>,

    /// Further topic configuration by Kafka's own names, for example `max.message.bytes: 2097152`.
    /// A key that is absent here and not in `ignoreConfig` is reset to the cluster's default.
    /// Values are numbers or text (`"true"`, `"0.5"` and lists `"a,b"` in quotes).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 255 && k.matches('^[a-zA-Z0-9][a-zA-Z0-9._-]*$'))").message("spec.config: a key is at most 255 letters, digits, '.', '_' and '-', as in Kafka's documentation"))]
    pub config: BTreeMap<String, ConfigValue>,

    /// Configuration keys that others manage: neither set, nor reset, nor reported as drift.
    /// Default: none. The keys of replication throttling are always left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 255), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub ignore_config: Vec<String>,

    /// Who answers for the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,

    /// What the topic is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,

    /// The types of events that the topic carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub event_types: Vec<EventType>,

    /// How a new revision of a schema has to fit to those before it. Default: `BACKWARD`, `Lenient`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,

    /// Who may use the Kafka topic, as ACLs of Kafka. Everybody else is refused by a Kafka that has
    /// an authorizer. ACLs that were made elsewhere are left alone and reported. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["principal"])
    )]
    pub access: Vec<Access>,

    /// What happens to the Kafka topic and its data when this resource is deleted. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// What happens when somebody changes the Kafka topic directly. Default: `Correct`.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
}

fn one_partition() -> i32 {
    1
}

fn config_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": { "x-kubernetes-int-or-string": true, "maxLength": 4096 },
    })
}

/// A configuration value. Kubernetes' own int-or-string ends at 32 bits, and Kafka counts bytes
/// and milliseconds in 64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// Written as a number.
    Number(i64),
    /// Written as text.
    Text(String),
}

/// How long and how much Kafka keeps of a topic.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// How long records are kept (`retention.ms`): a number with `ms`, `s`, `m`, `h`, `d` or `w`,
    /// such as `7d` or `36h`, or `unlimited`. Default: what the Kafka cluster has as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(unlimited|[1-9][0-9]{0,17}(ms|s|m|h|d|w))$')").message("spec.retention.time: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"))]
    pub time: Option<String>,

    /// How many bytes are kept of each partition (`retention.bytes`): a number, alone or with
    /// `k`, `M`, `G`, `T`, `P` (powers of 1000) or `Ki`, `Mi`, `Gi`, `Ti`, `Pi` (powers of 1024),
    /// such as `10Gi`, or `unlimited`. Default: what the Kafka cluster has as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(unlimited|[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?)$')").message("spec.retention.size: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 10Gi, or unlimited"))]
    pub size: Option<String>,
}

/// What Kafka does with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CleanupPolicy {
    /// Old segments are deleted by time and size.
    Delete,
    /// The last record of each key is kept.
    Compact,
    /// The last record of each key is kept, until it is too old.
    CompactAndDelete,
}

/// Who answers for a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Name of the team.
    #[schemars(length(min = 1, max = 253))]
    pub team: String,
    /// Where to reach it: a mail address, a channel, a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub contact: Option<String>,
}

/// What happens to the Kafka topic when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The Kafka topic and its data stay.
    #[default]
    Retain,
    /// The Kafka topic and its data are deleted.
    Delete,
}

/// What happens when somebody changes the Kafka topic directly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// The operator puts back what is declared.
    #[default]
    Correct,
    /// The operator says what differs, in the condition `InSync`, and changes nothing until the
    /// resource itself is changed.
    Report,
}

/// What the operator observed of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTopicStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The KafkaCluster that the topic lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,

    /// Name of the Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,

    /// Kafka's identifier of the topic (KIP-516). Another one under the same name means that the
    /// topic was deleted and made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,

    /// Partitions that Kafka has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,

    /// Copies that Kafka keeps of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// The configuration that is set on the Kafka topic itself. Keys not named here have the
    /// cluster's default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,

    /// The event types whose schemas are registered: what new revisions are compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub event_types: Vec<RegisteredType>,

    /// The ACLs that the operator has made for this topic, or is about to make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acls: Vec<TopicAcl>,

    /// ACLs of the Kafka topic that nobody declared here, the first 20: they are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_acls: Vec<String>,

    /// The last difference between Kafka and the declaration that nobody declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift: Option<Drift>,

    /// The declaration that was approved last and is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedSpec>,

    /// The change that waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<PendingChange>>,
}

/// A difference between Kafka and the declaration that nobody declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// When the operator saw it (RFC 3339).
    pub time: jiff::Timestamp,
    /// What the operator did about it.
    pub action: DriftAction,
    /// What differed, a sentence each.
    pub changes: Vec<String>,
}

/// What the operator did about drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftAction {
    /// Kafka was put back to what is declared.
    Corrected,
    /// Nothing was changed in Kafka.
    Reported,
}
