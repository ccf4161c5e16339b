//! Event types, their schemas, and compatibility between revisions of a schema.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An event type of a topic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.schema) && has(self.schemaFrom))")
        .message("spec.eventTypes: schema and schemaFrom are both set: keep one of them")
        .field_path(".schemaFrom"),
)]
#[serde(rename_all = "camelCase")]
pub struct EventType {
    /// Name of the event type, such as `Order.Created.v1` or `order.created`. Must be unique within the tenant.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$"))]
    pub name: String,
    /// Description of the event, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,

    /// Major version of the event type. Only for names without a version, such as `order.created`. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub version: Option<i32>,

    /// JSON Schema of the event's data: draft-07 or 2020-12, as given by `$schema`, which defaults to 2020-12. `$ref` must
    /// point into the same schema. Mutually exclusive with `schemaFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "json_schema_object")]
    pub schema: Option<serde_json::Map<String, serde_json::Value>>,

    /// Reference to the JSON Schema. Mutually exclusive with `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_from: Option<SchemaSource>,
}

fn json_schema_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Reference to a JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaSource {
    /// Key of a ConfigMap in the same namespace. The ConfigMap must have the label `eventcenter.io/schema: "true"`.
    pub config_map_key_ref: ConfigMapKey,
}

/// Key of a ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in `data` of the ConfigMap. The value is JSON.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub key: String,
}

/// Required compatibility between revisions of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// Which revisions have to be compatible, and in which direction. Defaults to `BACKWARD`.
    #[serde(default)]
    pub mode: CompatibilityMode,
    /// How strictly compatibility is checked. Defaults to `Lenient`.
    #[serde(default)]
    pub policy: CompatibilityPolicy,
}

/// Which revisions have to be compatible, and in which direction. Same names as in schema registries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityMode {
    /// Consumers with the new revision can read events of the previous one.
    #[default]
    Backward,
    /// Consumers with the new revision can read events of all registered ones.
    BackwardTransitive,
    /// Consumers with the previous revision can read events of the new one.
    Forward,
    /// Consumers with any registered revision can read events of the new one.
    ForwardTransitive,
    /// `BACKWARD` and `FORWARD`.
    Full,
    /// `BACKWARD_TRANSITIVE` and `FORWARD_TRANSITIVE`.
    FullTransitive,
    /// Compatibility is not checked.
    None,
}

/// How strictly compatibility is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CompatibilityPolicy {
    /// Optional properties may be added to an open object, although earlier events may use the name for another value.
    #[default]
    Lenient,
    /// Every instance of one schema must be an instance of the other.
    Strict,
}

/// An event type with a registered schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredType {
    /// Name of the event type.
    pub name: String,
    /// Major version of the event type.
    pub version: i64,
    /// Number of the newest registered revision, counted from 1.
    pub revision: i64,
    /// SHA-256 of that revision's canonical form (RFC 8785), in hexadecimal.
    pub schema_hash: String,
}
