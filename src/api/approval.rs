//! Which changes need approval, and what is said of one that waits for it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which changes of a tenant's resources need the approval of others.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// What becomes of a change until it is approved. Default: `Hold`.
    #[serde(default)]
    pub mode: ApprovalMode,

    /// The rules. A change that touches several has to satisfy each; one person's approval counts for all of
    /// them whose groups the person is in.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<ApprovalRule>,

    /// How long an approval counts if the change has not taken effect by then: a number with `m`, `h`, `d`
    /// or `w`. Default: `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}(s|m|h|d|w)$')").message("spec.approval.validFor: write a number and its unit (s, m, h, d or w), such as 7d"))]
    pub valid_for: Option<String>,

    /// Kubernetes' names of users that apply what others have written, such as
    /// `system:serviceaccount:argocd:argocd-application-controller`. A change of theirs has to say who wrote
    /// it, in the annotation `eventcenter.io/authored-by`, and that person may not approve it. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub automation: Vec<String>,

    /// Kubernetes' names of service accounts that may approve. Others may not: approvals are made by people.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub robots: Vec<String>,

    /// Groups whose members may have a change take effect at once, by setting the annotation
    /// `eventcenter.io/break-glass` to their reason in the same request. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub break_glass: Vec<String>,
}

/// What becomes of a change until it is approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// It is stored and waits; what was approved last stays in force.
    #[default]
    Hold,
    /// It is refused unless it was approved before.
    Deny,
}

/// Which changes need how many approvals, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRule {
    /// The changes.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub changes: Vec<GovernedChange>,

    /// The kinds of resources. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub kinds: Vec<GovernedKind>,

    /// How many different people have to approve. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub approvals: i32,

    /// The groups whose members may approve, as Kubernetes knows them.
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

/// A kind of resource whose changes may need approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GovernedKind {
    /// EventTopics.
    EventTopic,
}

/// A change that may need approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GovernedChange {
    /// A resource is made.
    Create,
    /// A resource is deleted, and data with it.
    Delete,
    /// A topic gets more partitions, which sends keys to others than before.
    AddPartitions,
    /// A topic keeps less, or for a shorter time, or by another cleanup policy.
    ReduceRetention,
    /// Any other configuration of a topic in Kafka changes.
    ChangeConfig,
    /// A schema is taken away, is held to less than before, or changes while nothing is demanded of it.
    BreakSchema,
    /// Somebody may do what they might not before.
    GrantAccess,
    /// A subscription delivers to somewhere else, or in another way.
    ChangeDelivery,
    /// A task runs something else.
    ChangeTarget,
    /// Anything at all, the above included.
    Any,
}

/// The declaration that was approved last and is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedSpec {
    /// SHA-256 of the spec with all defaults in canonical JSON (RFC 8785), in hexadecimal.
    pub hash: String,
    /// The `metadata.generation` that it was.
    pub generation: i64,
    /// The ControllerRevision that keeps it whole; none where nothing needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it took effect (RFC 3339).
    pub at: jiff::Timestamp,
    /// The operator's signature over all of this: what anybody else writes here does not count.
    pub seal: String,
}

/// A change that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingChange {
    /// SHA-256 of the spec with all defaults in canonical JSON (RFC 8785), in hexadecimal: what is approved.
    pub hash: String,
    /// The `metadata.generation` that it is.
    pub generation: i64,
    /// What is to be done.
    #[serde(default)]
    pub action: super::ApprovalAction,
    /// Which changes it makes that need approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<GovernedChange>,
    /// Who has asked for it, and who has written it: they may not approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested_by: Vec<String>,
    /// Since when it waits (RFC 3339).
    pub since: jiff::Timestamp,
    /// How many approvals there are of those that are needed, such as `1/2`.
    pub approvals: String,
    /// What is missing, a sentence for each rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Who has rejected it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
    /// What would change, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// The ChangeApproval that approves it, for `kubectl create -f -`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_with: Option<String>,
}

/// Who has rejected a change, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Kubernetes' name of the user.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
