//! Event types: their schemas, and how revisions of a schema have to fit to each other.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A type of event that a topic carries.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.schema) && has(self.schemaFrom))")
        .message("spec.eventTypes: schema and schemaFrom are both set: keep one of them")
        .field_path(".schemaFrom"),
)]
#[serde(rename_all = "camelCase")]
pub struct EventType {
    /// Name of the type, such as `Order.Created.v1` or `order.created`. Within a tenant a type is
    /// registered by one topic only.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$"))]
    pub name: String,
    /// What has happened when such an event is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,

    /// Major version of the type. Only for names that do not end in one, such as `order.created`;
    /// `Order.Created.v2` says it itself. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub version: Option<i32>,

    /// JSON Schema (draft-07 or 2020-12, by its `$schema`; default 2020-12) that the data of each
    /// event of this type has to fit. `$ref` may only point into the same schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "json_schema_object")]
    pub schema: Option<serde_json::Map<String, serde_json::Value>>,

    /// Where the JSON Schema is instead of here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_from: Option<SchemaSource>,
}

fn json_schema_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Where a JSON Schema is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaSource {
    /// A key of a ConfigMap in the same namespace. The ConfigMap has the label
    /// `eventcenter.io/schema: "true"`; others are not read.
    pub config_map_key_ref: ConfigMapKey,
}

/// A key of a ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within its `data`; the value is JSON.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// How a new revision of a schema has to fit to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// Who has to be able to read whose events. Default: `BACKWARD`.
    #[serde(default)]
    pub mode: CompatibilityMode,
    /// How strictly. Default: `Lenient`.
    #[serde(default)]
    pub policy: CompatibilityPolicy,
}

/// Who has to be able to read whose events, in the words of the schema registries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityMode {
    /// Consumers with the new schema read events of the one before.
    #[default]
    Backward,
    /// Consumers with the new schema read events of all registered ones.
    BackwardTransitive,
    /// Consumers with the schema before read events of the new one.
    Forward,
    /// Consumers with any registered schema read events of the new one.
    ForwardTransitive,
    /// Both ways with the schema before.
    Full,
    /// Both ways with all registered ones.
    FullTransitive,
    /// Anything goes.
    None,
}

/// How strictly compatibility is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CompatibilityPolicy {
    /// As teams mean it: an optional property may be added to an object that is open, although an
    /// older event could by chance have had another value under that name.
    #[default]
    Lenient,
    /// As sets: every instance of the one schema is an instance of the other.
    Strict,
}

/// An event type whose schema is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredType {
    /// Name of the type.
    pub name: String,
    /// Major version of the type.
    pub version: i64,
    /// Number of the schema's newest registered revision, counted from 1.
    pub revision: i64,
    /// SHA-256 of that revision's canonical form (RFC 8785), in hexadecimal.
    pub schema_hash: String,
}
