//! Decisions of approvers that the webhook has sealed.

use jiff::Timestamp;
use kube::ResourceExt;

use super::Statement;
use super::request::is_created_at;
use crate::api::{ApprovalAction, Approver, ChangeApproval, Decision};
use crate::domain::Revisioned;
use crate::domain::signature::PublicKeys;

/// A decision whose approver the webhook has authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDecision {
    /// The uid of the resource; `None` if it did not exist.
    pub uid: Option<String>,
    /// The generation of the resource; 0 if it did not exist.
    pub generation: i64,
    /// The action that was decided on.
    pub action: ApprovalAction,
    /// The [`SpecHash`](super::SpecHash) that was decided on.
    pub hash: String,
    /// The hash of the existing data that the change takes over.
    pub takeover_hash: Option<String>,
    /// The decision.
    pub decision: Decision,
    /// The approver.
    pub approver: Approver,
    /// The time of the decision.
    pub at: Timestamp,
    /// The approver's reason.
    pub comment: Option<String>,
}

impl VerifiedDecision {
    /// The decision of a ChangeApproval, if it is about this resource and sealed.
    #[must_use]
    pub fn verify(approval: &ChangeApproval, subject: &Revisioned, keys: &PublicKeys) -> Option<Self> {
        let spec = &approval.spec;
        let namespace = approval.namespace().unwrap_or_default();
        let is_about = spec.target.kind == subject.object.kind
            && spec.target.name == *subject.object.name
            && namespace == *subject.object.namespace
            && approval.metadata.deletion_timestamp.is_none();
        let (approver, at, seal) = (spec.approver.as_ref()?, spec.at?, spec.seal.as_deref()?);
        // The seal of a deleted approval remains valid, and anybody could create the approval again, but not with the
        // same creation time.
        let is_original = is_created_at(approval.metadata.creation_timestamp.as_ref().map(|time| time.0), at);
        if !is_about || !is_original || !keys.verify(&statement(&namespace, approval, approver, at), seal) {
            return None;
        }
        Some(Self {
            uid: spec.target.uid.clone(),
            generation: spec.target.generation.unwrap_or_default(),
            action: spec.action,
            hash: spec.spec_hash.clone(),
            takeover_hash: spec.takeover_hash.clone(),
            decision: spec.decision,
            approver: approver.clone(),
            at,
            comment: spec.comment.clone(),
        })
    }
}

/// The sealed content of a ChangeApproval.
#[must_use]
pub fn statement<'a>(
    namespace: &'a str,
    approval: &'a ChangeApproval,
    approver: &'a Approver,
    at: Timestamp,
) -> Statement<'a> {
    let spec = &approval.spec;
    Statement::Approval {
        namespace,
        kind: &spec.target.kind,
        name: &spec.target.name,
        uid: spec.target.uid.as_deref(),
        generation: spec.target.generation,
        action: spec.action,
        hash: &spec.spec_hash,
        takeover_hash: spec.takeover_hash.as_deref(),
        decision: spec.decision,
        approver,
        at,
        comment: spec.comment.as_deref(),
    }
}

#[cfg(test)]
mod tests;
