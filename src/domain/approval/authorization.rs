//! Whether a change may take effect.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::request::{BreakGlass, Request, is_another, is_made_at};
use super::rules::Rule;
use super::{PublicKeys, Rules, SpecHash, Statement, Subject, person};
use crate::api::{
    ApprovalAction, ApprovalMode, Approver, ChangeApproval, Decision, GovernedChange, Rejection,
};
use kube::ResourceExt;

/// A decision that the webhook has seen somebody make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDecision {
    /// The uid of the resource; none if it did not exist yet.
    pub uid: Option<String>,
    /// The generation of the resource; 0 if it did not exist yet.
    pub generation: i64,
    /// What is to be done.
    pub action: ApprovalAction,
    /// The content.
    pub hash: String,
    /// What was decided.
    pub decision: Decision,
    /// Who decided.
    pub approver: Approver,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub comment: Option<String>,
}

impl VerifiedDecision {
    /// What a ChangeApproval says of a resource, if it is about it and sealed.
    #[must_use]
    pub fn verified(approval: &ChangeApproval, subject: &Subject, keys: &PublicKeys) -> Option<Self> {
        let spec = &approval.spec;
        let is_about = spec.target.kind == subject.kind
            && spec.target.name == subject.name
            && approval.namespace().as_deref() == Some(&subject.namespace)
            && approval.metadata.deletion_timestamp.is_none();
        // A seal outlives the approval that was taken back, and whoever kept it could put it back: but not then.
        let is_first = is_made_at(approval.metadata.creation_timestamp.as_ref().map(|made| made.0), spec.at?);
        let (approver, at, seal) = (spec.approver.as_ref()?, spec.at?, spec.seal.as_deref()?);
        let namespace = approval.namespace().unwrap_or_default();
        if !is_about || !is_first || !keys.verify(&statement(&namespace, approval, approver, at), seal) {
            return None;
        }
        Some(Self {
            uid: spec.target.uid.clone(),
            generation: spec.target.generation.unwrap_or_default(),
            action: spec.action,
            hash: spec.spec_hash.clone(),
            decision: spec.decision,
            approver: approver.clone(),
            at,
            comment: spec.comment.clone(),
        })
    }
}

/// What the webhook signs of a ChangeApproval.
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
        kind: spec.target.kind,
        name: &spec.target.name,
        uid: spec.target.uid.as_deref(),
        generation: spec.target.generation,
        action: spec.action,
        hash: &spec.spec_hash,
        decision: spec.decision,
        approver,
        at,
        comment: spec.comment.as_deref(),
    }
}

/// What is known of a change.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The resource.
    pub subject: &'a Subject,
    /// What is to be done.
    pub action: ApprovalAction,
    /// The content.
    pub hash: &'a SpecHash,
    /// What it changes.
    pub changes: &'a BTreeSet<GovernedChange>,
    /// Who has asked for it; none if that is not known for certain.
    pub request: Option<&'a Request>,
    /// What was decided on the resource.
    pub decisions: &'a [VerifiedDecision],
    /// The tenant's rules.
    pub rules: &'a Rules,
    /// When.
    pub now: Timestamp,
}

/// Whether a change may take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// It may.
    Granted(Grant),
    /// It waits.
    Pending(PendingApproval),
}

/// Why a change may take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It touches no rule.
    NotRequired,
    /// These people have approved it, as many as each rule asks for.
    Approved(Vec<String>),
    /// It may not wait.
    BreakGlass(BreakGlass),
}

/// A change that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingApproval {
    /// Which of its changes need approval.
    pub changes: Vec<GovernedChange>,
    /// How many approvals there are, of the rule that lacks most.
    pub have: usize,
    /// How many that rule asks for.
    pub need: usize,
    /// What is missing, a sentence for each rule.
    pub missing: Vec<String>,
    /// Who has rejected it.
    pub rejected: Option<Rejection>,
    /// When an approval that counts now will lapse.
    pub lapses: Option<Timestamp>,
}

/// Decides whether a change may take effect.
#[must_use]
pub fn authorize(facts: &Facts<'_>) -> Authorization {
    let touched = facts.rules.touched(facts.subject.kind, facts.changes);
    if touched.is_empty() {
        return Authorization::Granted(Grant::NotRequired);
    }
    if let Some(glass) = facts.request.and_then(|request| request.asserted.break_glass.as_ref())
        && facts.rules.may_break_glass(&glass.groups)
        && facts.action == ApprovalAction::Apply
    {
        return Authorization::Granted(Grant::BreakGlass(glass.clone()));
    }
    let heard: Vec<&VerifiedDecision> =
        facts.decisions.iter().filter(|decision| facts.hears(decision)).collect();
    let tallies: Vec<Tally<'_>> =
        touched.iter().map(|rule| Tally { rule, approved: facts.approved(rule, &heard) }).collect();
    let mut missing: Vec<String> = tallies.iter().filter_map(|tally| tally.missing(facts.changes)).collect();
    if facts.request.is_none() {
        missing.insert(
            0,
            "it is not known who asked for this change, because the webhook was away: say who wrote it, in the annotation \
             eventcenter.io/authored-by, and you have asked for it"
                .into(),
        );
    }
    let rejected = first_rejection(&touched, &heard);
    let counted = || tallies.iter().flat_map(|tally| &tally.approved);
    if missing.is_empty() && rejected.is_none() {
        let approvers: BTreeSet<String> =
            counted().map(|decision| decision.approver.username.clone()).collect();
        return Authorization::Granted(Grant::Approved(approvers.into_iter().collect()));
    }
    // Of several that lack the most, the last of the reverse is the first.
    let most = tallies.iter().rev().max_by_key(|tally| tally.lacks());
    Authorization::Pending(PendingApproval {
        changes: governed(&touched, facts.changes),
        have: most.map_or(0, Tally::have),
        need: most.map_or(0, |tally| tally.rule.approvals),
        missing,
        rejected,
        lapses: counted().map(|decision| facts.rules.lapse(decision.at)).min(),
    })
}

/// A rule and the approvals that count for it.
struct Tally<'a> {
    rule: &'a Rule,
    approved: Vec<&'a VerifiedDecision>,
}

impl Tally<'_> {
    /// How many approvals there are of those that are asked for: more do not make up for another rule's.
    fn have(&self) -> usize {
        self.approved.len().min(self.rule.approvals)
    }

    fn lacks(&self) -> usize {
        self.rule.approvals - self.have()
    }

    fn missing(&self, changes: &BTreeSet<GovernedChange>) -> Option<String> {
        let (about, by) = (self.rule.about(changes), self.rule.by_whom());
        (self.lacks() > 0).then(|| format!("{about}: {} more of {by}", self.lacks()))
    }
}

/// The oldest rejection by somebody who could approve.
fn first_rejection(touched: &[&Rule], heard: &[&VerifiedDecision]) -> Option<Rejection> {
    let rejects = |decision: &&&VerifiedDecision| {
        decision.decision == Decision::Reject && touched.iter().any(|rule| is_in(rule, &decision.approver))
    };
    let first =
        heard.iter().filter(rejects).min_by_key(|decision| (decision.at, &decision.approver.username))?;
    Some(Rejection { by: first.approver.username.clone(), comment: first.comment.clone() })
}

/// Those of the changes that the rules name; all of them if a rule names any.
fn governed(touched: &[&Rule], changes: &BTreeSet<GovernedChange>) -> Vec<GovernedChange> {
    let any = touched.iter().any(|rule| rule.changes.contains(&GovernedChange::Any));
    let named = |change: &&GovernedChange| any || touched.iter().any(|rule| rule.changes.contains(*change));
    changes.iter().filter(named).copied().collect()
}

fn is_in(rule: &Rule, approver: &Approver) -> bool {
    approver.groups.iter().any(|group| rule.groups.contains(group))
}

impl Facts<'_> {
    /// Whether a decision is about exactly this change and still counts; an approval does not if it is the
    /// requester's own.
    fn hears(&self, decision: &VerifiedDecision) -> bool {
        let Subject { uid, generation, .. } = self.subject;
        let now = decision.uid == *uid && decision.generation == *generation;
        // In advance: of the change that came next, or of what was made then.
        let ahead = self.rules.mode == ApprovalMode::Deny
            && self.action == ApprovalAction::Apply
            && decision.generation == generation - 1
            && (decision.uid == *uid || (decision.uid.is_none() && decision.generation == 0));
        let still_counts = match decision.decision {
            Decision::Approve => {
                self.rules.lapse(decision.at) > self.now
                    && self.request.is_some_and(|request| is_another(&decision.approver.username, request))
            }
            // Holds until the change becomes another one; and whoever has rejected it is not silenced by being
            // named as its author then.
            Decision::Reject => true,
        };
        decision.action == self.action
            && decision.hash == self.hash.as_str()
            && (now || ahead)
            && still_counts
            && self.rules.is_admitted(&decision.approver.username)
    }

    /// One approval for each person that a rule lets approve, whatever order they are read in.
    fn approved<'v>(&self, rule: &Rule, heard: &[&'v VerifiedDecision]) -> Vec<&'v VerifiedDecision> {
        let counts = |decision: &&VerifiedDecision| {
            decision.decision == Decision::Approve && is_in(rule, &decision.approver)
        };
        let same = |one: &VerifiedDecision, other: &VerifiedDecision| {
            person::same(&one.approver.username, &other.approver.username)
        };
        let approvals: Vec<&VerifiedDecision> = heard.iter().copied().filter(counts).collect();
        // `bob` may be `bob@example.com` or `bob@example.org`, who are two people: whoever could be several others
        // comes last, so that it does not take the place of two. Of one person's the newest counts longest.
        let mut ordered: Vec<_> = approvals
            .iter()
            .map(|decision| {
                let others = approvals.iter().filter(|other| same(decision, other)).count();
                (others, Reverse(decision.at), decision.approver.username.as_str(), *decision)
            })
            .collect();
        ordered.sort_by_key(|(others, at, name, _)| (*others, *at, *name));
        let mut approved: Vec<&VerifiedDecision> = Vec::new();
        for (.., decision) in ordered {
            if !approved.iter().any(|other| same(other, decision)) {
                approved.push(decision);
            }
        }
        approved
    }
}

#[cfg(test)]
mod tests;
