//! Approval rules of a tenant, and the approval status of a resource.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;

/// Rules for changes that need approval.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// How the webhook treats a change that still needs approval. Defaults to `Hold`.
    #[serde(default)]
    pub mode: ApprovalMode,

    /// Approval rules. A change that matches several rules has to satisfy each of them. The approval of one person
    /// counts for every rule whose groups include that person.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<ApprovalRule>,

    /// How long an approval is valid if the change does not take effect before. A number with the unit `s`, `m`,
    /// `h`, `d` or `w`. Defaults to `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}(s|m|h|d|w)$')").message("spec.approval.validFor: write a number and its unit (s, m, h, d or w), such as 7d"))]
    pub valid_for: Option<String>,

    /// Names of Kubernetes users that apply changes written by others, such as
    /// `system:serviceaccount:argocd:argocd-application-controller`. Their changes must name the author in the
    /// annotation `eventcenter.io/authored-by`, and the author may not approve them. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub automation: Vec<String>,

    /// Names of service accounts that may approve, such as `system:serviceaccount:ci:release`. Other service accounts
    /// may not. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub robots: Vec<String>,

    /// Groups whose members may apply a change without approval, by setting the annotation
    /// `eventcenter.io/break-glass` to a reason, with the change or while it is pending. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub break_glass: Vec<String>,

    /// People with several names, such as a login and the addresses of their commits. Two names of different entries belong
    /// to different people. Other names that are equal before the `@` count as one person, whatever the domain. Defaults to
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["user"]))]
    pub identities: Vec<Identity>,
}

/// A person with several names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Name of the person as a Kubernetes user, such as `alice@example.com`.
    #[schemars(length(min = 1, max = 512))]
    pub user: String,

    /// Other names of the person: user names, and addresses or logins of authors, such as
    /// `1234+alice@users.noreply.github.com`. A name belongs to one person. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub aliases: Vec<String>,
}

/// How the webhook treats a change that still needs approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// The change is stored and stays pending; the spec approved last remains active.
    #[default]
    Hold,
    /// The change is refused unless it was approved beforehand.
    Deny,
}

/// A rule that requires approvals for certain changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRule {
    /// Changes that the rule applies to.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub changes: Vec<GovernedChange>,

    /// Kinds of resources that the rule applies to. Defaults to all kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub kinds: Vec<Kind>,

    /// Number of different users that have to approve. Defaults to 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub approvals: i32,

    /// Kubernetes groups whose members may approve.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub groups: Vec<String>,
}

fn one() -> i32 {
    1
}

/// A change that may need approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GovernedChange {
    /// A resource is created.
    Create,
    /// A resource is deleted together with its data.
    Delete,
    /// The number of partitions grows, which changes the partition of existing keys.
    AddPartitions,
    /// The retention time or size of a topic is reduced, or its cleanup policy changes.
    ReduceRetention,
    /// Any other Kafka configuration of a topic changes.
    ChangeConfig,
    /// A schema is removed, its compatibility is relaxed, or it changes while its compatibility is not checked.
    BreakSchema,
    /// A principal gets access that it did not have.
    GrantAccess,
    /// The destination or the delivery options of a subscription change.
    ChangeDelivery,
    /// The target of a task changes.
    ChangeTarget,
    /// Any change, including the above.
    Any,
}

/// The active spec: the one that was approved last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedSpec {
    /// SHA-256 of the spec with all defaults, as canonical JSON (RFC 8785), in hexadecimal.
    pub hash: String,
    /// The `metadata.generation` of the active spec.
    pub generation: i64,
    /// Name of the ControllerRevision that stores the spec. Unset if no rule applies to the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it took effect (RFC 3339).
    pub at: jiff::Timestamp,
    /// Signature of the operator over the other fields. Without a valid signature they are ignored.
    pub seal: String,
}

/// A change that is pending approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingChange {
    /// SHA-256 of the pending spec with all defaults, as canonical JSON (RFC 8785), in hexadecimal. Approvals refer to
    /// it.
    pub hash: String,
    /// SHA-256 of the existing data that the change takes over, as the operator has seen it, in hexadecimal. Approvals refer
    /// to it. Unset if nothing is taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover_hash: Option<String>,
    /// The `metadata.generation` of the pending spec.
    pub generation: i64,
    /// Action that is pending. Defaults to `Apply`.
    #[serde(default)]
    pub action: super::ApprovalAction,
    /// Changes that need approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<GovernedChange>,
    /// The requester and the author of the change. They may not approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested_by: Vec<String>,
    /// When the change became pending (RFC 3339).
    pub since: jiff::Timestamp,
    /// Number of approvals and number of required approvals, such as `1/2`.
    pub approvals: String,
    /// Missing approvals, one sentence per rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The rejection, if the change was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
    /// Differences from the active spec, one per line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// A ChangeApproval that approves the change, as YAML for `kubectl create -f -`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_with: Option<String>,
}

/// The rejection of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Name of the Kubernetes user who rejected the change.
    pub by: String,
    /// Reason of the rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
