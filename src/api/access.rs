//! Who may use a Kafka topic.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may do what with a topic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.groups) || 'Read' in self.operations")
        .message("spec.access: groups are for who may read: add Read to operations, or remove groups")
        .field_path(".groups"),
)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Kafka's name of the user: `User:` and the name, such as `User:billing`.
    #[schemars(length(min = 6, max = 255), regex(pattern = r"^User:[^\s,]+$"))]
    pub principal: String,
    /// What the user may do. Read and Write include Describe.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub operations: Vec<AccessOperation>,
    /// Consumer groups that the user may be part of; each begins with the tenant's prefix. One that
    /// ends in `*` stands for all that begin so. Default: none, which leaves reading without a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub groups: Vec<String>,
}

/// What a user may do with a Kafka topic. What would change the topic itself goes through this
/// resource and is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccessOperation {
    /// Consume.
    Read,
    /// Produce.
    Write,
    /// See that it exists, its partitions and offsets.
    Describe,
    /// See its configuration.
    DescribeConfigs,
}

/// An ACL of Kafka that the operator has made for a topic, or is about to make: it is written down
/// before it is made, so that a kill in between leaves none that nobody takes away again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicAcl {
    /// Kafka's name of the user.
    pub principal: String,
    /// What it allows.
    pub operation: AccessOperation,
    /// The consumer group it speaks of, as declared; none means the topic itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}
