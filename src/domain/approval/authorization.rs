//! Whether a change may take effect.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::claims::BreakGlass;
use super::decision::VerifiedDecision;
use super::identity::Identities;
use super::request::ChangeRequest;
use super::rules::{MissingApprovals, Rule};
use super::{Rules, SpecHash};
use crate::api::{ApprovalAction, ApprovalMode, Approver, Decision, GovernedChange, Rejection};
use crate::domain::Revisioned;

/// A change, the decisions on it, and the rules.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationInput<'a> {
    /// The resource.
    pub subject: &'a Revisioned,
    /// Whether the spec is to be applied or the resource deleted.
    pub action: ApprovalAction,
    /// The spec.
    pub hash: &'a SpecHash,
    /// The hash of the existing data that it takes over; `None` if there is none.
    pub takeover_hash: Option<&'a str>,
    /// What it changes.
    pub changes: &'a BTreeSet<GovernedChange>,
    /// Who requested it.
    pub attribution: Attribution<'a>,
    /// The decisions on the resource.
    pub decisions: &'a [VerifiedDecision],
    /// The rules of the tenant.
    pub rules: &'a Rules,
    /// The current time.
    pub now: Timestamp,
}

/// To whom a change is attributed.
#[derive(Clone, Copy, Debug)]
pub enum Attribution<'a> {
    /// To the people of a request that the webhook has sealed. None of them can approve the change.
    Request(&'a ChangeRequest),
    /// To nobody, because the webhook did not see the change. No approval counts until somebody requests it.
    Missing,
    /// To nobody in particular: a deletion by an unknown user or by a program, such as the garbage collector. Any approver
    /// may be the person behind it, so each rule requires one approval more than it declares.
    Anyone,
}

impl<'a> Attribution<'a> {
    /// The attribution of a change of a spec.
    #[must_use]
    pub fn of_change(request: Option<&'a ChangeRequest>) -> Self {
        request.map_or(Self::Missing, Self::Request)
    }

    /// The attribution of a deletion.
    #[must_use]
    pub fn of_deletion(request: Option<&'a ChangeRequest>) -> Self {
        request.map_or(Self::Anyone, Self::Request)
    }

    fn request(self) -> Option<&'a ChangeRequest> {
        match self {
            Self::Request(request) => Some(request),
            Self::Missing | Self::Anyone => None,
        }
    }

    /// The approvals that each rule requires in addition to those that it declares.
    fn additional_approvals(self) -> usize {
        usize::from(matches!(self, Self::Anyone))
    }

    /// Whether the change may be approved by this user, as far as its requesters are concerned.
    fn is_independent_of(self, approver: &str, rules: &Rules) -> bool {
        match self {
            Self::Request(request) => request.is_independent_of(approver, rules),
            Self::Missing => false,
            Self::Anyone => true,
        }
    }

    /// Why the change needs more than the approvals of the rules.
    fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Request(_) => None,
            Self::Missing => Some(UNKNOWN_REQUESTER),
            Self::Anyone => Some(UNKNOWN_DELETER),
        }
    }
}

/// Whether a change may take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// It may take effect.
    Granted(Grant),
    /// It is pending.
    Pending(PendingApproval),
}

/// Why a change may take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// No rule covers it.
    NotRequired,
    /// These users have approved it, as many as each rule requires.
    Approved(Vec<String>),
    /// A member of a break-glass group activates it without approval.
    BreakGlass(BreakGlass),
}

/// The approvals that a change still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingApproval {
    /// Those of its changes that need approval.
    pub changes: Vec<GovernedChange>,
    /// The number of approvals for the rule that lacks most.
    pub have: usize,
    /// The number of approvals that this rule requires.
    pub need: usize,
    /// What each rule lacks.
    pub missing: Vec<MissingApprovals>,
    /// Why the change needs more than the approvals of the rules, if it does.
    pub obstacle: Option<&'static str>,
    /// The first rejection.
    pub rejected: Option<Rejection>,
    /// When the first of the approvals that count now expires.
    pub expires: Option<Timestamp>,
}

impl PendingApproval {
    /// What is missing, a sentence for each obstacle.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let obstacle = self.obstacle.map(ToOwned::to_owned);
        obstacle.into_iter().chain(self.missing.iter().map(ToString::to_string)).collect()
    }
}

/// The obstacle if the requester is unknown.
pub(super) const UNKNOWN_REQUESTER: &str = "the requester of this change is unknown, because the webhook did not see it: name its \
                                            author in the annotation eventcenter.io/authored-by, which makes you the requester";

/// The obstacle if a deletion is attributed to nobody in particular.
pub(super) const UNKNOWN_DELETER: &str = "the deletion is not attributed to a person, so it needs one approval more than the rules \
                                          declare: the user is a program, such as a garbage collector, or unknown to the webhook. A person who \
                                          deletes the resource needs only the declared approvals";

/// Decides whether a change may take effect.
#[must_use]
pub fn authorize(input: &AuthorizationInput<'_>) -> Authorization {
    let rules = input.rules.matching(&input.subject.object.kind, input.changes);
    if rules.is_empty() {
        return Authorization::Granted(Grant::NotRequired);
    }
    if let Some(break_glass) =
        input.attribution.request().and_then(|request| request.claims.break_glass.as_ref())
        && input.rules.may_break_glass(&break_glass.groups)
        && input.action == ApprovalAction::Apply
    {
        return Authorization::Granted(Grant::BreakGlass(break_glass.clone()));
    }
    let counting: Vec<&VerifiedDecision> =
        input.decisions.iter().filter(|decision| input.counts(decision)).collect();
    let additional = input.attribution.additional_approvals();
    let tallies: Vec<Tally<'_>> = rules
        .iter()
        .map(|rule| Tally {
            rule,
            need: rule.approvals + additional,
            approvals: approvals(rule, &counting, input.rules.identities()),
        })
        .collect();
    let missing: Vec<MissingApprovals> =
        tallies.iter().filter_map(|tally| tally.rule.missing(input.changes, tally.lacks())).collect();
    let may_be_approved = !matches!(input.attribution, Attribution::Missing);
    let rejected = first_rejection(&rules, &counting);
    let counted = || tallies.iter().flat_map(|tally| &tally.approvals);
    if missing.is_empty() && may_be_approved && rejected.is_none() {
        let approvers: BTreeSet<String> =
            counted().map(|decision| decision.approver.username.clone()).collect();
        return Authorization::Granted(Grant::Approved(approvers.into_iter().collect()));
    }
    // `max_by_key` returns the last maximum, which is the first rule of the reversed list.
    let most = tallies.iter().rev().max_by_key(|tally| tally.lacks());
    Authorization::Pending(PendingApproval {
        changes: covered_changes(&rules, input.changes),
        have: most.map_or(0, Tally::have),
        need: most.map_or(0, |tally| tally.need),
        missing,
        obstacle: input.attribution.obstacle(),
        rejected,
        expires: counted().map(|decision| input.rules.expiry(decision.at)).min(),
    })
}

/// A rule and the approvals that count for it.
struct Tally<'a> {
    rule: &'a Rule,
    /// The number of approvals that the change needs by this rule.
    need: usize,
    approvals: Vec<&'a VerifiedDecision>,
}

impl Tally<'_> {
    /// The number of approvals, at most as many as the change needs: surplus does not help another rule.
    fn have(&self) -> usize {
        self.approvals.len().min(self.need)
    }

    fn lacks(&self) -> usize {
        self.need - self.have()
    }
}

/// The oldest rejection by a user who could approve.
fn first_rejection(rules: &[&Rule], counting: &[&VerifiedDecision]) -> Option<Rejection> {
    let rejects = |decision: &&&VerifiedDecision| {
        decision.decision == Decision::Reject
            && rules.iter().any(|rule| may_approve(rule, &decision.approver))
    };
    let first =
        counting.iter().filter(rejects).min_by_key(|decision| (decision.at, &decision.approver.username))?;
    Some(Rejection { by: first.approver.username.clone(), comment: first.comment.clone() })
}

/// The changes that the rules name; all changes if a rule names `Any`.
fn covered_changes(rules: &[&Rule], changes: &BTreeSet<GovernedChange>) -> Vec<GovernedChange> {
    let any = rules.iter().any(|rule| rule.changes.contains(&GovernedChange::Any));
    let is_named = |change: &&GovernedChange| any || rules.iter().any(|rule| rule.changes.contains(*change));
    changes.iter().filter(is_named).copied().collect()
}

fn may_approve(rule: &Rule, approver: &Approver) -> bool {
    approver.groups.iter().any(|group| rule.groups.contains(group))
}

/// One approval of each person who may approve by a rule, independent of the order of the decisions.
fn approvals<'a>(
    rule: &Rule,
    counting: &[&'a VerifiedDecision],
    identities: &Identities,
) -> Vec<&'a VerifiedDecision> {
    let counts = |decision: &&VerifiedDecision| {
        decision.decision == Decision::Approve && may_approve(rule, &decision.approver)
    };
    let same = |one: &VerifiedDecision, other: &VerifiedDecision| {
        identities.may_be_same(&one.approver.username, &other.approver.username)
    };
    let approvals: Vec<&VerifiedDecision> = counting.iter().copied().filter(counts).collect();
    // `bob` may be `bob@example.com` or `bob@example.org`, who are two people if the tenant declares them: a name that could match several others is sorted last, so that it does not replace both. Of one person's approvals the newest expires last.
    let mut ordered: Vec<_> = approvals
        .iter()
        .map(|decision| {
            let others = approvals.iter().filter(|other| same(decision, other)).count();
            (others, Reverse(decision.at), decision.approver.username.as_str(), *decision)
        })
        .collect();
    ordered.sort_by_key(|(others, at, name, _)| (*others, *at, *name));
    let mut counted: Vec<&VerifiedDecision> = Vec::new();
    for (.., decision) in ordered {
        if !counted.iter().any(|other| same(other, decision)) {
            counted.push(decision);
        }
    }
    counted
}

impl AuthorizationInput<'_> {
    /// Whether a decision is about exactly this change and still counts. An approval by its requester or author does not.
    fn counts(&self, decision: &VerifiedDecision) -> bool {
        let Revisioned { uid, generation, .. } = self.subject;
        let is_current = decision.uid == *uid && decision.generation == *generation;
        // In advance: for the next change, or for the creation.
        let is_ahead = self.rules.mode == ApprovalMode::Deny
            && self.action == ApprovalAction::Apply
            && decision.generation == generation - 1
            && (decision.uid == *uid || (decision.uid.is_none() && decision.generation == 0));
        let is_valid = match decision.decision {
            Decision::Approve => {
                // A rejection does not depend on what is taken over.
                decision.takeover_hash.as_deref() == self.takeover_hash
                    && self.rules.expiry(decision.at) > self.now
                    && self.attribution.is_independent_of(&decision.approver.username, self.rules)
            }
            // A rejection counts until the change is replaced, even if its approver is later named as the author.
            Decision::Reject => true,
        };
        decision.action == self.action
            && decision.hash == self.hash.as_str()
            && (is_current || is_ahead)
            && is_valid
            && self.rules.accepts_approver(&decision.approver.username)
    }
}

#[cfg(test)]
mod tests;
