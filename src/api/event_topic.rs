//! `EventTopic`: a Kafka topic as a Kubernetes resource.

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
        description = "Number of partitions in Kafka"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Number of replicas of each partition in Kafka"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether Kafka matches the spec"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".status.cluster",
        priority = 1,
        description = "KafkaCluster of the topic"
    ),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = ".spec.owner.team",
        priority = 1,
        description = "Team that owns the topic"
    ),
    printcolumn(
        name = "Pending",
        type_ = "string",
        json_path = ".status.pending.approvals",
        priority = 1,
        description = "Approvals of the pending change and required approvals"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Message of the condition Ready"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "has(self.spec.topicName) ? ((has(oldSelf.spec.topicName) && oldSelf.spec.topicName == self.spec.topicName) || (!has(oldSelf.spec.topicName) && (!has(oldSelf.status) || !has(oldSelf.status.topicName) || oldSelf.status.topicName == self.spec.topicName))) : !has(oldSelf.spec.topicName)"
    )
    .message("spec.topicName is immutable: Kafka cannot rename a topic. Create a new EventTopic and move producers and consumers to it")
    .field_path(".spec.topicName")
    .reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "has(self.spec.cluster) ? ((has(oldSelf.spec.cluster) && oldSelf.spec.cluster == self.spec.cluster) || (!has(oldSelf.spec.cluster) && (!has(oldSelf.status) || !has(oldSelf.status.cluster) || oldSelf.status.cluster == self.spec.cluster))) : !has(oldSelf.spec.cluster)"
    )
    .message("spec.cluster is immutable: a topic cannot move between Kafka clusters. Create a new EventTopic in the other cluster")
    .field_path(".spec.cluster")
    .reason(Reason::FieldValueForbidden),
    // A pending change is not in Kafka, so it can be reverted.
    validation = Rule::new(
        "self.spec.partitions >= oldSelf.spec.partitions || (has(oldSelf.status) && has(oldSelf.status.pending) && (!has(oldSelf.status.partitions) || self.spec.partitions >= oldSelf.status.partitions))"
    )
    .message("spec.partitions cannot be reduced: Kafka cannot remove partitions. Create a new EventTopic with fewer")
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
        .message("spec.config and spec.ignoreConfig contain the same key: remove it from one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.retention) || !has(self.retention.time) || !('retention.ms' in self.ignoreConfig)")
        .message("spec.ignoreConfig contains retention.ms and spec.retention.time is set: remove one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.retention) || !has(self.retention.size) || !('retention.bytes' in self.ignoreConfig)")
        .message("spec.ignoreConfig contains retention.bytes and spec.retention.size is set: remove one of them")
        .field_path(".ignoreConfig"),
    validation = Rule::new("!has(self.ignoreConfig) || !has(self.cleanupPolicy) || !('cleanup.policy' in self.ignoreConfig)")
        .message("spec.ignoreConfig contains cleanup.policy and spec.cleanupPolicy is set: remove one of them")
        .field_path(".ignoreConfig"),
)]
#[serde(rename_all = "camelCase")]
pub struct EventTopicSpec {
    /// Name of the KafkaCluster. Immutable. Defaults to the default KafkaCluster at the time of creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,

    /// Name of the Kafka topic. Must start with the tenant's prefix. Immutable. Defaults to the tenant's prefix followed
    /// by `metadata.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    #[x_kube(validation = Rule::new("self != '.' && self != '..'").message("spec.topicName: Kafka does not allow '.' and '..' as names"))]
    pub topic_name: Option<String>,

    /// Number of partitions. Must not decrease; an increase changes the partition of existing keys. Defaults to 1.
    #[serde(default = "one_partition")]
    #[schemars(range(min = 1, max = 100_000))]
    pub partitions: i32,

    /// Number of replicas of each partition. Must not exceed the number of brokers. The operator does not change it
    /// after creation. Defaults to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: Option<i32>,

    /// Retention of records. Defaults to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// Cleanup policy (`cleanup.policy`). Defaults to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_policy: Option<CleanupPolicy>,

    /// Additional topic configuration with Kafka's names, such as `max.message.bytes: 2097152`. Values are numbers or
    /// strings; quote booleans, fractions and lists (`"true"`, `"0.5"`, `"a,b"`). A key that is neither here nor in
    /// `ignoreConfig` is reset to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 255 && k.matches('^[a-zA-Z0-9][a-zA-Z0-9._-]*$'))").message("spec.config: a key is at most 255 letters, digits, '.', '_' and '-', as in Kafka's documentation"))]
    pub config: BTreeMap<String, ConfigValue>,

    /// Configuration keys that the operator neither sets, resets nor reports as drift. Keys of replication throttling
    /// are always ignored. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 255), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub ignore_config: Vec<String>,

    /// Owner of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,

    /// Purpose of the topic, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,

    /// Event types of the topic. Each event type belongs to one topic within a tenant. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub event_types: Vec<EventType>,

    /// Required compatibility between revisions of a schema. Defaults to mode `BACKWARD` and policy `Lenient`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,

    /// Access to the Kafka topic, as Kafka ACLs. If Kafka has an authorizer, it refuses everyone else. Other ACLs are
    /// reported in the status and not changed. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["principal"])
    )]
    pub access: Vec<Access>,

    /// Whether the Kafka topic is deleted together with this resource. Defaults to `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// How the operator handles drift: direct changes of the Kafka topic. Defaults to `Correct`.
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

/// A configuration value. The int-or-string of Kubernetes has 32 bits; Kafka counts bytes and milliseconds in 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// A number.
    Number(i64),
    /// A string.
    Text(String),
}

/// Retention of records in a Kafka topic.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Retention time (`retention.ms`): a number with the unit `ms`, `s`, `m`, `h`, `d` or `w`, such as `7d` or `36h`, or
    /// `unlimited`. Defaults to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(unlimited|[1-9][0-9]{0,17}(ms|s|m|h|d|w))$')").message("spec.retention.time: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"))]
    pub time: Option<String>,

    /// Retention size of each partition in bytes (`retention.bytes`): a number, optionally with the unit `k`, `M`, `G`,
    /// `T`, `P` (powers of 1000) or `Ki`, `Mi`, `Gi`, `Ti`, `Pi` (powers of 1024), such as `10Gi`, or `unlimited`.
    /// Defaults to the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(unlimited|[1-9][0-9]{0,17}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?)$')").message("spec.retention.size: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 10Gi, or unlimited"))]
    pub size: Option<String>,
}

/// How Kafka removes old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CleanupPolicy {
    /// Deletes old segments by time and size.
    Delete,
    /// Keeps the last record of each key.
    Compact,
    /// Keeps the last record of each key until it exceeds the retention.
    CompactAndDelete,
}

/// Owner of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Name of the team.
    #[schemars(length(min = 1, max = 253))]
    pub team: String,
    /// How to contact the team: an email address, a channel or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub contact: Option<String>,
}

/// Whether the Kafka topic is deleted together with its resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The Kafka topic and its data are kept.
    #[default]
    Retain,
    /// The Kafka topic and its data are deleted.
    Delete,
}

/// How the operator handles drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// The operator restores the declared state.
    #[default]
    Correct,
    /// The operator reports drift in the condition `InSync` and changes nothing until the spec changes.
    Report,
}

/// Observed state of an EventTopic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTopicStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` observed by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Name of the KafkaCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,

    /// Name of the Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,

    /// Topic ID in Kafka (KIP-516). It changes if the topic is deleted and created again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,

    /// Number of partitions in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,

    /// Number of replicas of each partition in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Configuration set on the Kafka topic itself. All other keys have the default of the Kafka cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,

    /// Event types with a registered schema. New revisions are compared with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub event_types: Vec<RegisteredType>,

    /// ACLs that the operator created for the topic, or is about to create.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acls: Vec<TopicAcl>,

    /// Up to 20 ACLs of the Kafka topic that the operator did not create. They are not changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_acls: Vec<String>,

    /// The most recent drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift: Option<Drift>,

    /// The active spec: the one that was approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedSpec>,

    /// The change that is pending approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<PendingChange>>,
}

/// Drift: a difference between Kafka and the spec that the spec did not cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// When the operator detected the drift (RFC 3339).
    pub time: jiff::Timestamp,
    /// How the operator handled it.
    pub action: DriftAction,
    /// Differences, one sentence each.
    pub changes: Vec<String>,
}

/// How the operator handled drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftAction {
    /// The declared state was restored.
    Corrected,
    /// Nothing was changed in Kafka.
    Reported,
}
