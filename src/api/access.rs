//! Access to a Kafka topic.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Access of one principal to a Kafka topic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.groups) || 'Read' in self.operations")
        .message("spec.access: groups require the operation Read: add it to operations, or remove groups")
        .field_path(".groups"),
)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Kafka principal, such as `User:billing`. Must be of type `User`.
    #[schemars(length(min = 6, max = 255), regex(pattern = r"^User:[^\s,]+$"))]
    pub principal: String,
    /// Allowed operations. Read and Write include Describe.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub operations: Vec<AccessOperation>,
    /// Consumer groups that the principal may join. Each name must start with the tenant's prefix; a trailing `*`
    /// matches all groups with that prefix. Requires the operation Read. Defaults to none, which allows reading
    /// without a consumer group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+\*?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub groups: Vec<String>,
}

/// Operation on a Kafka topic. Operations that change the topic are not offered: change this resource instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccessOperation {
    /// Consume records.
    Read,
    /// Produce records.
    Write,
    /// Read metadata and offsets.
    Describe,
    /// Read the configuration.
    DescribeConfigs,
}

/// A Kafka ACL of the operator. It is listed here before it is created, so that no ACL is left behind if the
/// operator stops in between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicAcl {
    /// Kafka principal.
    pub principal: String,
    /// Allowed operation.
    pub operation: AccessOperation,
    /// Consumer group, as declared. Unset for ACLs on the topic itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}
