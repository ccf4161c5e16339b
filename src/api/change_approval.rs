//! `ChangeApproval`: one person's decision on one exact change.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GovernedKind;

/// One person's decision on one exact change. It cannot be changed, only taken back by deleting it
/// before the change is in force.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "ChangeApproval",
    namespaced,
    derive = "PartialEq",
    shortname = "ecapproval",
    category = "eventcenter",
    doc = "One person's decision on one exact change. It cannot be changed, only taken back by deleting it before the change is in force.",
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.target.kind",
        description = "What kind of resource is decided on"
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.target.name",
        description = "The resource that is decided on"
    ),
    printcolumn(
        name = "Action",
        type_ = "string",
        json_path = ".spec.action",
        description = "What is to be done with it"
    ),
    printcolumn(
        name = "Decision",
        type_ = "string",
        json_path = ".spec.decision",
        description = "Approve or Reject"
    ),
    printcolumn(
        name = "By",
        type_ = "string",
        json_path = ".spec.approver.username",
        description = "Who decided"
    ),
    printcolumn(
        name = "Hash",
        type_ = "string",
        json_path = ".spec.specHash",
        priority = 1,
        description = "The content that is decided on"
    ),
    printcolumn(
        name = "Comment",
        type_ = "string",
        json_path = ".spec.comment",
        priority = 1,
        description = "Why"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec is immutable: it is a decision that was made. Delete the approval to take it back")
        .field_path(".spec")
        .reason(Reason::FieldValueForbidden),
)]
#[serde(rename_all = "camelCase")]
pub struct ChangeApprovalSpec {
    /// The resource in the same namespace that is decided on.
    pub target: ApprovalTarget,

    /// What is to be done with it. Default: `Apply`.
    #[serde(default)]
    pub action: ApprovalAction,

    /// The content that is decided on: SHA-256, in hexadecimal, of the resource's spec with all defaults
    /// in canonical JSON (RFC 8785). `status.pending.hash` of the resource has it.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub spec_hash: String,

    /// What is decided.
    pub decision: Decision,

    /// Why. Of a rejection the requester is shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,

    /// Who decided: whoever made this resource. Written by the webhook; what is given is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Approver>,

    /// When it was decided (RFC 3339). Written by the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<jiff::Timestamp>,

    /// The webhook's signature over everything that this says. A decision without it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub seal: Option<String>,
}

/// The resource that is decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTarget {
    /// Its kind.
    pub kind: GovernedKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid: another one under the same name is not meant. Written by the webhook; none if the
    /// resource does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// Its `metadata.generation`: a later content is not meant, even if it is the same. Written by
    /// the webhook; none if the resource does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}

/// What is to be done with a resource.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ApprovalAction {
    /// What it declares takes effect.
    #[default]
    Apply,
    /// It is deleted, and its data with it.
    Delete,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// The change may take effect.
    Approve,
    /// The change may not take effect; it is held until it becomes another one.
    Reject,
}

/// Who decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// Kubernetes' name of the user.
    #[schemars(length(max = 1024))]
    pub username: String,
    /// Those of the user's groups that the tenant's rules name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub groups: Vec<String>,
    /// Whether Kubernetes' RBAC gave the verb `approve` to this name and these groups alone. Then it is asked again
    /// before the change takes effect: somebody who has lost the right since has not approved.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revocable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
