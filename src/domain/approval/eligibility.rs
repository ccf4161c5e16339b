//! Whether a user may decide on a change, before the decision is stored.

use eventcenter_sdk::Reason;

use super::request::ChangeRequest;
use super::{Rules, SpecHash};
use crate::api::{ApprovalAction, ApprovalMode, ChangeApproval, Decision};
use crate::domain::{ObjectRef, Refusal, Revisioned};

/// The resource that is decided on, as the API server has it.
#[derive(Clone, Debug)]
pub struct DecisionTarget {
    /// The resource.
    pub subject: Revisioned,
    /// The hash of its declared spec; `None` if it does not exist.
    pub hash: Option<SpecHash>,
    /// The hash of the existing data that the spec takes over, as the operator reports it.
    pub takeover_hash: Option<String>,
    /// Who requested that spec; `None` if that is not certain.
    pub request: Option<ChangeRequest>,
}

/// The user who decides.
#[derive(Clone, Copy, Debug)]
pub struct DecidingUser<'a> {
    /// The user name that Kubernetes knows.
    pub username: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
    /// Whether Kubernetes' RBAC allows the user the verb `approve` on the target.
    pub has_approve_verb: bool,
}

/// Checks whether a user may make the decision of a ChangeApproval.
///
/// # Errors
/// The first violated rule, with its remedy.
pub fn check_eligibility(
    approval: &ChangeApproval,
    target: &DecisionTarget,
    user: DecidingUser<'_>,
    rules: &Rules,
) -> Result<(), Refusal> {
    let spec = &approval.spec;
    let ObjectRef { kind, name, namespace } = &target.subject.object;
    let not_allowed = |message: String| Refusal::new(Reason::ApprovalNotAllowed, message);
    if !rules.govern(kind) {
        return Err(not_allowed(format!(
            "the tenant of namespace {namespace} has no approval rules for {kind}s, so there is nothing to approve"
        )));
    }
    if !user.has_approve_verb {
        return Err(not_allowed(format!(
            "{} may not approve {kind} {name}: that takes the verb approve on it, which the ClusterRole eventcenter-approver \
             grants",
            user.username
        )));
    }
    if !rules.accepts_approver(user.username) {
        return Err(not_allowed(format!(
            "{} is a service account: approvals are made by people, unless the tenant lists it in spec.approval.robots",
            user.username
        )));
    }
    let approver_groups = rules.approver_groups();
    if !user.groups.iter().any(|group| approver_groups.contains(group.as_str())) {
        return Err(not_allowed(format!(
            "{} is in none of the groups that may approve for this tenant: {}",
            user.username,
            approver_groups.into_iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let is_current = target.hash.as_ref().is_some_and(|hash| hash.as_str() == spec.spec_hash);
    let is_ahead = rules.mode == ApprovalMode::Deny && spec.action == ApprovalAction::Apply;
    if !is_current && !is_ahead {
        return Err(match &target.hash {
            Some(hash) => Refusal::at(
                Reason::ApprovalOutdated,
                "spec.specHash",
                format!(
                    "the content of {kind} {name} is {hash} now, which is not what this decides on: look at it \
                     again (eventctl diff {kind} {name} -n {namespace})"
                ),
            ),
            None => Refusal::at(
                Reason::ApprovalOutdated,
                "spec.target.name",
                format!("there is no {kind} {name} in namespace {namespace}"),
            ),
        });
    }
    let is_approval = (spec.action, spec.decision) == (ApprovalAction::Apply, Decision::Approve);
    if is_current && is_approval && spec.takeover_hash != target.takeover_hash {
        return Err(Refusal::at(
            Reason::ApprovalOutdated,
            "spec.takeoverHash",
            match &target.takeover_hash {
                Some(current) => format!(
                    "{kind} {name} takes over existing data, whose hash is {current} now: review the change (eventctl diff \
                     {kind} {name} -n {namespace}) and approve it with that hash"
                ),
                None => format!(
                    "{kind} {name} takes over no existing data now: review it again and leave the field out"
                ),
            },
        ));
    }
    match &target.request {
        Some(request)
            if is_current
                && spec.action == ApprovalAction::Apply
                && !request.is_independent_of(user.username, rules) =>
        {
            Err(not_allowed(format!(
                "{} requested or wrote this change ({}): another person has to decide",
                user.username, request.claims
            )))
        }
        None if is_current && spec.action == ApprovalAction::Apply && !is_ahead => Err(not_allowed(format!(
            "the requester of {kind} {name} is unknown, because the webhook did not see the change: let another user request it \
             and name its author in the annotation eventcenter.io/authored-by"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
