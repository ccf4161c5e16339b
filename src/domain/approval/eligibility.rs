//! Whether somebody may decide on a change, before the decision is stored.

use eventcenter_sdk::Reason;

use super::request::{Request, is_another};
use super::{Rules, SpecHash, Subject};
use crate::api::{ApprovalAction, ApprovalMode, ChangeApproval};
use crate::domain::Refusal;

/// The resource that is decided on, as the API server has it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which it is.
    pub subject: Subject,
    /// Its content now; none if it does not exist.
    pub hash: Option<SpecHash>,
    /// Who has asked for that; none if that is not known for certain.
    pub request: Option<Request>,
}

/// Whoever decides.
#[derive(Clone, Copy, Debug)]
pub struct Approving<'a> {
    /// Kubernetes' name of the user.
    pub username: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
    /// Whether Kubernetes' RBAC allows the user the verb `approve` on the target.
    pub is_allowed: bool,
}

/// Answers whether somebody may decide as a ChangeApproval says.
///
/// # Errors
/// The first rule that is broken, with the way out.
pub fn review(
    approval: &ChangeApproval,
    target: &Target,
    by: Approving<'_>,
    rules: &Rules,
) -> Result<(), Refusal> {
    let spec = &approval.spec;
    let Subject { kind, name, namespace, .. } = &target.subject;
    let not_allowed = |message: String| Refusal::new(Reason::ApprovalNotAllowed, message);
    if !rules.govern(*kind) {
        return Err(not_allowed(format!(
            "the tenant of namespace {namespace} has no rules about {kind:?}s, so nothing of theirs is approved"
        )));
    }
    if !by.is_allowed {
        return Err(not_allowed(format!(
            "{} may not approve {kind:?} {name}: that takes the verb approve on it, as the ClusterRole eventcenter-approver \
             gives",
            by.username
        )));
    }
    if !rules.is_admitted(by.username) {
        return Err(not_allowed(format!(
            "{} is a service account: approvals are made by people, unless the tenant lists it in spec.approval.robots",
            by.username
        )));
    }
    if rules.of_interest(by.groups).iter().all(|group| !rules.approvers().contains(group.as_str())) {
        let groups: Vec<&str> = rules.approvers().into_iter().collect();
        return Err(not_allowed(format!(
            "{} is in none of the groups that the tenant lets approve: {}",
            by.username,
            groups.join(", ")
        )));
    }
    let is_current = target.hash.as_ref().is_some_and(|hash| hash.as_str() == spec.spec_hash);
    let ahead = rules.mode == ApprovalMode::Deny && spec.action == ApprovalAction::Apply;
    if !is_current && !ahead {
        return Err(match &target.hash {
            Some(hash) => Refusal::at(
                Reason::ApprovalOutdated,
                "spec.specHash",
                format!(
                    "{kind:?} {name} is {hash} now, and not what this decides on: look at it again \
                     (eventctl diff {kind:?} {name} -n {namespace})"
                ),
            ),
            None => Refusal::at(
                Reason::ApprovalOutdated,
                "spec.target.name",
                format!("there is no {kind:?} {name} in namespace {namespace}"),
            ),
        });
    }
    match &target.request {
        Some(request)
            if is_current && spec.action == ApprovalAction::Apply && !is_another(by.username, request) =>
        {
            Err(not_allowed(format!(
                "{} has asked for this change or written it ({}): another person has to decide",
                by.username, request.asserted
            )))
        }
        None if is_current && spec.action == ApprovalAction::Apply && !ahead => Err(not_allowed(format!(
            "it is not known who asked for {kind:?} {name} as it is now, because the webhook was away then: have \
             somebody ask for it who says who wrote it, in the annotation eventcenter.io/authored-by"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
