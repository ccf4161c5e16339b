//! How a resource reports its pending change.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::SpecHash;
use super::authorization::PendingApproval;
use super::governed::Governed;
use super::request::ChangeRequest;
use crate::api::{ApprovalAction, Decision, GovernedChange, HasApproval, HasConditions, PendingChange};
use crate::domain::condition::{self, Conditions, Health, READY, RECONCILING, STALLED};
use crate::domain::{ObjectRef, Refusal, Revisioned};

/// Condition type: whether the declared spec is approved. Absent where no rule covers the resource.
pub const APPROVED: &str = "Approved";

/// The approval state that a status reports.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalState {
    /// Not determined: the status keeps what it reported before.
    Unchanged,
    /// No rule covers the resource.
    NotGoverned,
    /// The resource does not own its data, so none of its specs is active.
    Inactive,
    /// The declared spec is approved.
    Approved,
    /// A change is pending approval.
    Pending(Box<PendingStatus>),
}

/// The report of a pending change.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingStatus {
    /// `status.pending`, for programs and approvers.
    pub change: PendingChange,
    /// Reason and message of the conditions, for the requester.
    pub refusal: Refusal,
    /// When the first of the approvals that count now expires.
    pub expires: Option<Timestamp>,
}

/// The inputs of a report of a pending change.
#[derive(Clone, Copy, Debug)]
pub struct PendingInput<'a> {
    /// The resource.
    pub subject: &'a Revisioned,
    /// Whether the spec is to be applied or the resource deleted.
    pub action: ApprovalAction,
    /// The spec.
    pub hash: &'a SpecHash,
    /// The hash of the existing data that it takes over.
    pub takeover_hash: Option<&'a str>,
    /// The approvals that it needs.
    pub approval: &'a PendingApproval,
    /// Who requested it.
    pub request: Option<&'a ChangeRequest>,
    /// The difference to the active spec, a line each.
    pub diff: &'a [String],
    /// Why the active spec is unknown, if it is.
    pub active_is_unknown: Option<&'a str>,
}

impl PendingInput<'_> {
    /// Creates the report. `since` is unchanged while the same change is pending.
    #[must_use]
    pub fn to_status<K: Governed>(&self, before: Option<&PendingChange>, now: Timestamp) -> PendingStatus {
        let Self { subject, action, hash, approval, .. } = *self;
        let same = before.filter(|before| {
            (before.hash.as_str(), before.generation, before.action)
                == (hash.as_str(), subject.generation, action)
        });
        let whole_seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let change = PendingChange {
            hash: hash.to_string(),
            takeover_hash: self.takeover_hash.map(ToOwned::to_owned),
            generation: subject.generation,
            action,
            changes: approval.changes.clone(),
            requested_by: self.request.map(distinct_people).unwrap_or_default(),
            since: same.map_or(whole_seconds, |same| same.since),
            approvals: self.approvals(),
            missing: approval.obstacles(),
            rejected: approval.rejected.clone(),
            diff: self.diff.to_vec(),
            approve_with: Some(approval_manifest(&subject.object, action, hash, self.takeover_hash)),
        };
        PendingStatus { change, refusal: self.refusal::<K>(), expires: approval.expires }
    }

    /// `1/2`
    fn approvals(&self) -> String {
        format!("{}/{}", self.approval.have, self.approval.need)
    }

    fn refusal<K: Governed>(&self) -> Refusal {
        match &self.approval.rejected {
            Some(rejected) => {
                let comment =
                    rejected.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
                let ObjectRef { kind, namespace, name } = &self.subject.object;
                let remedy = match self.action {
                    ApprovalAction::Apply => format!(
                        "the active spec stays in force until you change this one, or withdraw it with: eventctl withdraw \
                         {kind} {name} -n {namespace}"
                    ),
                    ApprovalAction::Delete => self.remedy::<K>(),
                };
                let message = format!("Rejected by {}{comment}; {remedy}", rejected.by);
                Refusal::new(Reason::ChangeRejected, message)
            }
            None => Refusal::new(Reason::AwaitingApproval, self.waiting_message::<K>()),
        }
    }

    fn waiting_message<K: Governed>(&self) -> String {
        let what = match self.action {
            ApprovalAction::Apply => "Waiting for approval of",
            ApprovalAction::Delete => "Deletion is waiting for approval of",
        };
        // With a single rule its changes need not be repeated.
        let missing = match (self.approval.obstacle, self.approval.missing.as_slice()) {
            (None, [one]) => one.count_and_groups(),
            _ => self.approval.obstacles().join("; "),
        };
        let unknown = self.active_is_unknown.map(|why| {
            format!(
                "; the active spec is unknown ({why}), so nothing is changed until the whole spec is approved"
            )
        });
        format!(
            "{what} {} ({}): {missing}{}; {}",
            change_names(&self.approval.changes),
            self.approvals(),
            unknown.unwrap_or_default(),
            self.remedy::<K>(),
        )
    }

    fn remedy<K: Governed>(&self) -> String {
        let ObjectRef { kind, namespace, name } = &self.subject.object;
        match self.action {
            ApprovalAction::Apply => {
                format!("see the change with: eventctl diff {kind} {name} -n {namespace}")
            }
            ApprovalAction::Delete => format!("or {}", K::KEEP_DATA),
        }
    }
}

/// The names of changes. `Any` is omitted if there are others.
#[must_use]
pub fn change_names<'a>(changes: impl IntoIterator<Item = &'a GovernedChange>) -> String {
    let changes: Vec<&GovernedChange> = changes.into_iter().collect();
    let is_shown = |change: &&&GovernedChange| changes.len() == 1 || ***change != GovernedChange::Any;
    let names: Vec<String> = changes.iter().filter(is_shown).map(|change| format!("{change:?}")).collect();
    names.join(", ")
}

fn distinct_people(request: &ChangeRequest) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for person in request.people() {
        if !people.iter().any(|other| other == person) {
            people.push(person.to_owned());
        }
    }
    people
}

/// A ChangeApproval that approves a change, for `kubectl create -f -`.
#[must_use]
pub fn approval_manifest(
    object: &ObjectRef,
    action: ApprovalAction,
    hash: &SpecHash,
    takeover_hash: Option<&str>,
) -> String {
    let ObjectRef { kind, namespace, name } = object;
    let takeover = takeover_hash.map(|hash| format!("  takeoverHash: {hash}\n")).unwrap_or_default();
    format!(
        "apiVersion: eventcenter.io/v1alpha1\n\
         kind: ChangeApproval\n\
         metadata:\n  generateName: {name}-\n  namespace: {namespace}\n\
         spec:\n  target:\n    kind: {kind}\n    name: {name}\n  action: {action:?}\n  specHash: {hash}\n{takeover}  decision: {:?}\n",
        Decision::Approve
    )
}

impl ApprovalState {
    /// Adds the approval state to the status of the reconciled spec. `before` is the previous status, `generation` that
    /// of the declared spec.
    #[must_use]
    pub fn apply_to<K: Governed>(
        &self,
        mut status: K::Status,
        before: Option<&K::Status>,
        generation: Option<i64>,
        now: Timestamp,
    ) -> K::Status {
        let previous = before.map(|before| before.conditions()).unwrap_or_default();
        let mut conditions = Conditions::from_previous(previous, generation, now);
        let reconciled = std::mem::take(status.conditions_mut());
        match self {
            Self::Unchanged => {
                reconciled.into_iter().for_each(|condition| conditions.push(condition));
                conditions.keep(APPROVED);
            }
            Self::NotGoverned => {
                reconciled.into_iter().for_each(|condition| conditions.push(condition));
                status.set_pending(None);
            }
            Self::Inactive => {
                reconciled.into_iter().for_each(|condition| conditions.push(condition));
                status.set_pending(None);
                status.set_approved(None);
            }
            Self::Approved => {
                reconciled.into_iter().for_each(|condition| conditions.push(condition));
                conditions.set(APPROVED, true, Reason::Available, "The declared spec is approved");
                status.set_pending(None);
            }
            Self::Pending(pending) => {
                *status.observed_generation_mut() = generation;
                conditions.set_health(&pending.health(&reconciled));
                for mut condition in reconciled {
                    if ![READY, RECONCILING, STALLED, APPROVED].contains(&condition.type_.as_str()) {
                        K::describe_active(&mut condition);
                        conditions.push(condition);
                    }
                }
                let refusal = &pending.refusal;
                conditions.set(APPROVED, false, refusal.reason, &refusal.message());
                status.set_pending(Some(pending.change.clone()));
            }
        }
        *status.conditions_mut() = conditions.finish();
        status
    }
}

impl PendingStatus {
    /// `Ready` reports the pending change, unless the active spec has a problem: then `Ready` reports that problem, and the condition `Approved` the pending change.
    fn health(&self, reconciled: &[Condition]) -> Health {
        let problem = |type_: &str| {
            let condition =
                condition::find(reconciled, type_).filter(|condition| condition.status == "True")?;
            Some((condition.reason.parse::<Reason>().ok()?, condition.message.clone()))
        };
        let with_hint =
            |message: String| format!("{message} (a change is pending too, see the condition Approved)");
        match (problem(RECONCILING), problem(STALLED)) {
            (Some((reason, message)), _) | (_, Some((reason, message))) if is_pending(reason) => {
                Health::of(&Refusal::new(self.refusal.reason, message))
            }
            (Some((reason, message)), _) => Health::Reconciling(reason, with_hint(message)),
            (None, Some((reason, message))) => Health::Stalled(reason, with_hint(message)),
            (None, None) => Health::of(&self.refusal),
        }
    }
}

fn is_pending(reason: Reason) -> bool {
    matches!(reason, Reason::AwaitingApproval | Reason::ChangeRejected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, EventTopicStatus, Rejection};
    use crate::domain::approval::authorization::UNKNOWN_REQUESTER;
    use crate::domain::approval::rules::MissingApprovals;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn pending(missing: &[MissingApprovals]) -> PendingApproval {
        PendingApproval {
            changes: vec![GovernedChange::ReduceRetention, GovernedChange::AddPartitions],
            have: 0,
            need: 1,
            missing: missing.to_vec(),
            obstacle: None,
            rejected: None,
            expires: None,
        }
    }

    fn one_approval() -> MissingApprovals {
        MissingApprovals {
            changes: vec![GovernedChange::ReduceRetention, GovernedChange::AddPartitions],
            count: 1,
            groups: vec!["platform-approvers".into()],
        }
    }

    fn report(
        approval: &PendingApproval,
        action: ApprovalAction,
        active_is_unknown: Option<&str>,
    ) -> PendingStatus {
        let orders = topic("{}");
        let (subject, hash) = (Revisioned::of(&orders), SpecHash::of(&orders.spec));
        let input = PendingInput {
            subject: &subject,
            action,
            hash: &hash,
            takeover_hash: None,
            approval,
            request: None,
            diff: &[],
            active_is_unknown,
        };
        input.to_status::<EventTopic>(None, Timestamp::UNIX_EPOCH)
    }

    fn check(approval: &PendingApproval, action: ApprovalAction, unknown: Option<&str>, expected: Expect) {
        expected.assert_eq(&report(approval, action, unknown).refusal.to_string());
    }

    #[test]
    fn a_long_diff_counts_the_lines_it_leaves_out() {
        let before = topic("{}");
        let many: String = (0..60).map(|key| format!("key.{key}: 1, ")).collect();
        let orders = topic(&format!("config: {{{many}}}"));
        let (subject, hash) = (Revisioned::of(&orders), SpecHash::of(&orders.spec));
        let diff = crate::domain::topic::diff::diff(Some(&before.spec), &orders.spec, None);
        let (approval, action) = (pending(&[]), ApprovalAction::Apply);
        let input = PendingInput {
            subject: &subject,
            action,
            hash: &hash,
            takeover_hash: None,
            approval: &approval,
            request: None,
            diff: &diff,
            active_is_unknown: None,
        };
        let diff = input.to_status::<EventTopic>(None, Timestamp::UNIX_EPOCH).change.diff;
        assert_eq!(diff.last().map(String::as_str), Some("and 10 more"));
    }

    #[test]
    fn a_pending_change_names_its_approvers_and_the_remedy() {
        check(
            &pending(&[one_approval()]),
            ApprovalAction::Apply,
            None,
            expect![
                "AwaitingApproval: Waiting for approval of ReduceRetention, AddPartitions (0/1): 1 more from group platform-approvers; see the change with: eventctl diff EventTopic orders -n shop"
            ],
        );
        check(
            &PendingApproval { obstacle: Some(UNKNOWN_REQUESTER), ..pending(&[one_approval()]) },
            ApprovalAction::Apply,
            Some("ControllerRevision x is missing"),
            expect![
                "AwaitingApproval: Waiting for approval of ReduceRetention, AddPartitions (0/1): the requester of this change is unknown, because the webhook did not see it: name its author in the annotation eventcenter.io/authored-by, which makes you the requester; ReduceRetention, AddPartitions need 1 more from group platform-approvers; the active spec is unknown (ControllerRevision x is missing), so nothing is changed until the whole spec is approved; see the change with: eventctl diff EventTopic orders -n shop"
            ],
        );
        let rejected = Rejection { by: "bob".into(), comment: Some("too short".into()) };
        let rejected = PendingApproval { rejected: Some(rejected), ..pending(&[one_approval()]) };
        check(
            &rejected,
            ApprovalAction::Apply,
            None,
            expect![
                "ChangeRejected: Rejected by bob: too short; the active spec stays in force until you change this one, or withdraw it with: eventctl withdraw EventTopic orders -n shop"
            ],
        );
        let delete = PendingApproval {
            changes: vec![GovernedChange::Delete],
            ..pending(&[MissingApprovals {
                changes: vec![GovernedChange::Delete],
                count: 1,
                groups: vec!["a".into()],
            }])
        };
        check(
            &delete,
            ApprovalAction::Delete,
            None,
            expect![
                "AwaitingApproval: Deletion is waiting for approval of Delete (0/1): 1 more from group a; or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data"
            ],
        );
    }

    #[test]
    fn the_manifest_is_a_change_approval() {
        let change = report(&pending(&[one_approval()]), ApprovalAction::Delete, None).change;
        let text = change.approve_with.expect("a manifest");
        let read: crate::api::ChangeApproval = serde_yaml::from_str(&text).expect("a ChangeApproval");
        assert_eq!(read.metadata.generate_name.as_deref(), Some("orders-"));
        assert_eq!(read.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!((read.spec.target.name.as_str(), read.spec.action), ("orders", ApprovalAction::Delete));
        assert_eq!((read.spec.spec_hash, read.spec.decision), (change.hash, Decision::Approve));
    }

    #[test]
    fn since_is_unchanged_for_the_same_change() {
        let orders = topic("{}");
        let approval = pending(&[one_approval()]);
        let at = |second| Timestamp::from_second(second).expect("in range");
        let since = |before: Option<PendingChange>, generation: i64, second| {
            let mut subject = Revisioned::of(&orders);
            subject.generation = generation;
            let hash = SpecHash::of(&orders.spec);
            let (action, approval) = (ApprovalAction::Apply, &approval);
            let input = PendingInput {
                subject: &subject,
                action,
                hash: &hash,
                takeover_hash: None,
                approval,
                request: None,
                diff: &[],
                active_is_unknown: None,
            };
            input.to_status::<EventTopic>(before.as_ref(), at(second)).change
        };
        let first = since(None, 2, 10);
        assert_eq!(since(Some(first.clone()), 2, 20).since, at(10));
        assert_eq!(since(Some(first), 3, 20).since, at(20), "another change");
    }

    /// The conditions while a change is pending beside the active spec, and after its approval.
    fn check_status(inner: Option<Health>, expected: Expect) {
        let print = |status: &EventTopicStatus| {
            let line = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
                format!(
                    "{}={} {} gen {} since {}: {}",
                    c.type_,
                    c.status,
                    c.reason,
                    c.observed_generation.unwrap_or(0),
                    c.last_transition_time.0.as_second(),
                    c.message
                )
            };
            status.conditions.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let at = |second| Timestamp::from_second(second).expect("in range");
        let ready = Health::Ready(Reason::Available, "Kafka has what is declared".into());
        let made = |before: Option<&EventTopicStatus>, health: &Health, generation, second| {
            let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
            let mut conditions = Conditions::from_previous(known, Some(generation), at(second));
            conditions.set_health(health);
            conditions.set("InSync", true, Reason::Available, "Kafka has what is declared");
            let conditions = conditions.finish();
            EventTopicStatus {
                conditions,
                observed_generation: Some(generation),
                ..EventTopicStatus::default()
            }
        };
        let first =
            ApprovalState::Approved.apply_to::<EventTopic>(made(None, &ready, 1, 10), None, Some(1), at(10));
        let state = ApprovalState::Pending(Box::new(report(
            &pending(&[one_approval()]),
            ApprovalAction::Apply,
            None,
        )));
        let health = inner.unwrap_or(ready.clone());
        let pending_status = |before: &EventTopicStatus, second| {
            state.apply_to::<EventTopic>(
                made(Some(before), &health, 1, second),
                Some(before),
                Some(2),
                at(second),
            )
        };
        let second = pending_status(&first, 20);
        assert_eq!(pending_status(&second, 30), second, "unchanged");
        assert_eq!(second.observed_generation, Some(2));
        let third = ApprovalState::Approved.apply_to::<EventTopic>(
            made(Some(&second), &ready, 2, 40),
            Some(&second),
            Some(2),
            at(40),
        );
        assert!(third.pending.is_none());
        expected.assert_eq(&[print(&second), print(&third)].join("\n--\n"));
    }

    #[test]
    fn a_pending_change_is_reported_beside_the_active_spec() {
        check_status(
            None,
            expect![[r#"
                Ready=False AwaitingApproval gen 2 since 20: Waiting for approval of ReduceRetention, AddPartitions (0/1): 1 more from group platform-approvers; see the change with: eventctl diff EventTopic orders -n shop
                Reconciling=True AwaitingApproval gen 2 since 20: Waiting for approval of ReduceRetention, AddPartitions (0/1): 1 more from group platform-approvers; see the change with: eventctl diff EventTopic orders -n shop
                InSync=True Available gen 1 since 10: Kafka has the active spec, which was approved before
                Approved=False AwaitingApproval gen 2 since 20: Waiting for approval of ReduceRetention, AddPartitions (0/1): 1 more from group platform-approvers; see the change with: eventctl diff EventTopic orders -n shop
                --
                Ready=True Available gen 2 since 40: Kafka has what is declared
                InSync=True Available gen 2 since 10: Kafka has what is declared
                Approved=True Available gen 2 since 40: The declared spec is approved"#]],
        );
        check_status(
            Some(Health::Reconciling(Reason::KafkaUnavailable, "no answer".into())),
            expect![[r#"
                Ready=False KafkaUnavailable gen 2 since 20: no answer (a change is pending too, see the condition Approved)
                Reconciling=True KafkaUnavailable gen 2 since 20: no answer (a change is pending too, see the condition Approved)
                InSync=True Available gen 1 since 10: Kafka has the active spec, which was approved before
                Approved=False AwaitingApproval gen 2 since 20: Waiting for approval of ReduceRetention, AddPartitions (0/1): 1 more from group platform-approvers; see the change with: eventctl diff EventTopic orders -n shop
                --
                Ready=True Available gen 2 since 40: Kafka has what is declared
                InSync=True Available gen 2 since 10: Kafka has what is declared
                Approved=True Available gen 2 since 40: The declared spec is approved"#]],
        );
    }
}
