//! `ChangeApproval`: the decision of one user on one change.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;

/// The decision of one user on one exact change. Immutable; delete it before the change takes effect to withdraw the
/// decision.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "ChangeApproval",
    namespaced,
    derive = "PartialEq",
    shortname = "ecapproval",
    category = "eventcenter",
    doc = "The decision of one user on one exact change. Immutable; delete it before the change takes effect to withdraw the decision.",
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.target.kind",
        description = "Kind of the target"
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.target.name",
        description = "Name of the target"
    ),
    printcolumn(
        name = "Action",
        type_ = "string",
        json_path = ".spec.action",
        description = "Action that is decided on"
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
        description = "User who decided"
    ),
    printcolumn(
        name = "Hash",
        type_ = "string",
        json_path = ".spec.specHash",
        priority = 1,
        description = "Hash of the spec that is decided on"
    ),
    printcolumn(
        name = "Comment",
        type_ = "string",
        json_path = ".spec.comment",
        priority = 1,
        description = "Reason of the decision"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec is immutable: a decision cannot be changed. Delete the approval to withdraw it")
        .field_path(".spec")
        .reason(Reason::FieldValueForbidden),
)]
#[serde(rename_all = "camelCase")]
pub struct ChangeApprovalSpec {
    /// Resource in the same namespace that the decision refers to.
    pub target: ApprovalTarget,

    /// Action that is decided on. Defaults to `Apply`.
    #[serde(default)]
    pub action: ApprovalAction,

    /// SHA-256 of the target's spec with all defaults, as canonical JSON (RFC 8785), in hexadecimal. Copy it from
    /// `status.pending.hash` of the target.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub spec_hash: String,

    /// SHA-256 of the existing data that the change takes over, in hexadecimal. Copy it from `status.pending.takeoverHash`
    /// of the target; unset if that is unset. If the data changes before the change is active, the approval is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub takeover_hash: Option<String>,

    /// The decision.
    pub decision: Decision,

    /// Reason of the decision. The requester sees the reason of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,

    /// User who decided: the creator of this resource. Set by the webhook; any other value is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Approver>,

    /// When the decision was made (RFC 3339). Set by the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<jiff::Timestamp>,

    /// Signature of the webhook over this spec. A decision without a valid signature is ignored. Set by the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub seal: Option<String>,
}

/// Target of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTarget {
    /// Kind of the target.
    pub kind: Kind,
    /// Name of the target.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// UID of the target, so that the decision does not apply to another resource with the same name. Set by the
    /// webhook; unset if the target does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// The `metadata.generation` of the target, so that the decision does not apply to a later change with the same
    /// content. Set by the webhook; unset if the target does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}

/// Action on a resource.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ApprovalAction {
    /// The spec of the resource takes effect.
    #[default]
    Apply,
    /// The resource is deleted together with its data.
    Delete,
}

/// A decision on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// The change may take effect.
    Approve,
    /// The change may not take effect and stays on hold until the spec changes.
    Reject,
}

/// User who decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// Name of the Kubernetes user.
    #[schemars(length(max = 1024))]
    pub username: String,
    /// Groups of the user that the tenant's rules name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub groups: Vec<String>,
    /// Whether RBAC grants the verb `approve` to this name and these groups alone. Then the permission is checked again
    /// before the change takes effect, and the decision does not count if it was revoked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revocable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
