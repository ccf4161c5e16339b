//! What is said of a change that waits for approval, and of one that does not.

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::authorization::PendingApproval;
use super::{Request, SpecHash, Subject};
use crate::api::{ApprovalAction, Decision, EventTopicStatus, GovernedChange, PendingChange};
use crate::domain::Refusal;
use crate::domain::condition::{self, Conditions, Health, READY, RECONCILING, STALLED};
use crate::domain::topic::status::IN_SYNC;

/// Whether everything that is declared is approved. Absent where no rule is about the resource.
pub const APPROVED: &str = "Approved";

/// How a resource stands with approvals.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalState {
    /// That was not asked: what was said before stays.
    Unchanged,
    /// No rule is about it.
    NotGoverned,
    /// All that it declares is approved.
    Approved,
    /// Something waits.
    Pending(Box<PendingStatus>),
}

/// A change that waits, and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingStatus {
    /// What is said to programs and approvers.
    pub pending: PendingChange,
    /// What is said to whoever asked.
    pub refusal: Refusal,
    /// When an approval that counts now will lapse.
    pub lapses: Option<Timestamp>,
}

/// A change that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The resource.
    pub subject: &'a Subject,
    /// What is to be done.
    pub action: ApprovalAction,
    /// The content.
    pub hash: &'a SpecHash,
    /// What it waits for.
    pub held: &'a PendingApproval,
    /// Who has asked.
    pub request: Option<&'a Request>,
    /// What would change, a line each; no more than people read.
    pub diff: &'a [String],
    /// Why it is not known what is in force.
    pub lost: Option<&'a str>,
}

impl Waiting<'_> {
    /// Spells it out. The same change waits since it was first said to.
    #[must_use]
    pub fn told(&self, before: Option<&EventTopicStatus>, now: Timestamp) -> PendingStatus {
        let Self { subject, action, hash, held, .. } = *self;
        let before = before.and_then(|before| before.pending.as_ref());
        let same = before.filter(|before| {
            (before.hash.as_str(), before.generation, before.action)
                == (hash.as_str(), subject.generation, action)
        });
        let whole_seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let pending = PendingChange {
            hash: hash.to_string(),
            generation: subject.generation,
            action,
            changes: held.changes.clone(),
            requested_by: self.request.map(people).unwrap_or_default(),
            since: same.map_or(whole_seconds, |same| same.since),
            approvals: self.approvals(),
            missing: held.missing.clone(),
            rejected: held.rejected.clone(),
            diff: self.diff.to_vec(),
            approve_with: Some(approve_with(subject, action, hash)),
        };
        PendingStatus { pending, refusal: self.refusal(), lapses: held.lapses }
    }

    fn approvals(&self) -> String {
        format!("{}/{}", self.held.have, self.held.need)
    }

    fn refusal(&self) -> Refusal {
        let Subject { kind, name, namespace, .. } = self.subject;
        let way_out = match self.action {
            ApprovalAction::Apply => format!("see it with: eventctl diff {kind:?} {name} -n {namespace}"),
            ApprovalAction::Delete => {
                "or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data".into()
            }
        };
        if let Some(rejected) = &self.held.rejected {
            let comment =
                rejected.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
            let way_out = match self.action {
                ApprovalAction::Apply => format!(
                    "what was in force before stays so until this is changed, or withdrawn with: eventctl withdraw \
                     {kind:?} {name} -n {namespace}"
                ),
                ApprovalAction::Delete => way_out,
            };
            let message = format!("rejected by {}{comment}; {way_out}", rejected.by);
            return Refusal::new(Reason::ChangeRejected, message);
        }
        let what = match self.action {
            ApprovalAction::Apply => "waits",
            ApprovalAction::Delete => "deletion waits",
        };
        let missing: Vec<&str> = match self.held.missing.as_slice() {
            [one] => vec![without_changes(one)],
            several => several.iter().map(String::as_str).collect(),
        };
        let lost = self.lost.map(|why| {
            format!(
                "it is not known what was approved last ({why}), so Kafka stays as it is until all that is declared is \
                 approved; "
            )
        });
        Refusal::new(
            Reason::AwaitingApproval,
            format!(
                "{what} for approval: {} ({}): {}; {}{way_out}",
                named(&self.held.changes),
                self.approvals(),
                missing.join("; "),
                lost.unwrap_or_default(),
            ),
        )
    }
}

/// Changes by their names. That anything changes at all goes without saying beside what does.
#[must_use]
pub fn named<'a>(changes: impl IntoIterator<Item = &'a GovernedChange>) -> String {
    let mut names: Vec<String> = changes.into_iter().map(|change| format!("{change:?}")).collect();
    let any = format!("{:?}", GovernedChange::Any);
    if names.len() > 1 {
        names.retain(|name| *name != any);
    }
    names.join(", ")
}

/// Of a single rule it need not be said twice which changes it is about.
fn without_changes(missing: &str) -> &str {
    let (_, rest) = missing.split_once(": ").unwrap_or(("", missing));
    if rest.contains(" more of ") { rest } else { missing }
}

fn people(request: &Request) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for person in request.people() {
        if !people.iter().any(|known| known == person) {
            people.push(person.to_owned());
        }
    }
    people
}

/// The ChangeApproval that approves a change, for `kubectl create -f -`.
#[must_use]
pub fn approve_with(subject: &Subject, action: ApprovalAction, hash: &SpecHash) -> String {
    let Subject { kind, name, namespace, .. } = subject;
    format!(
        "apiVersion: eventcenter.io/v1alpha1\n\
         kind: ChangeApproval\n\
         metadata:\n  generateName: {name}-\n  namespace: {namespace}\n\
         spec:\n  target:\n    kind: {kind:?}\n    name: {name}\n  action: {action:?}\n  specHash: {hash}\n  decision: {:?}\n",
        Decision::Approve
    )
}

impl ApprovalState {
    /// Says it in a status that was made for what is acted on: `before` is the status as it was, `generation` that of
    /// the resource as it is.
    #[must_use]
    pub fn told(
        &self,
        before: Option<&EventTopicStatus>,
        mut after: EventTopicStatus,
        generation: Option<i64>,
        now: Timestamp,
    ) -> EventTopicStatus {
        let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
        let mut conditions = Conditions::after(known, generation, now);
        let inner = std::mem::take(&mut after.conditions);
        match self {
            Self::Unchanged => {
                inner.into_iter().for_each(|condition| conditions.take(condition));
                conditions.keep(APPROVED);
            }
            Self::NotGoverned => {
                inner.into_iter().for_each(|condition| conditions.take(condition));
                after.pending = None;
            }
            Self::Approved => {
                inner.into_iter().for_each(|condition| conditions.take(condition));
                conditions.set(APPROVED, true, Reason::Available, "everything that is declared is approved");
                after.pending = None;
            }
            Self::Pending(withheld) => {
                after.observed_generation = generation;
                conditions.health(&withheld.health(&inner));
                let others = [READY, RECONCILING, STALLED, APPROVED];
                for mut condition in inner {
                    if others.contains(&condition.type_.as_str()) {
                        continue;
                    }
                    if condition.type_ == IN_SYNC && condition.status == "True" {
                        condition.message = "Kafka has what was approved last".into();
                    }
                    conditions.take(condition);
                }
                let refusal = &withheld.refusal;
                conditions.set(APPROVED, false, refusal.reason, &refusal.message());
                after.pending = Some(Box::new(withheld.pending.clone()));
            }
        }
        after.conditions = conditions.finish();
        after
    }
}

impl PendingStatus {
    /// That something waits is what is most worth knowing, unless what is in force is in trouble: then `Ready` tells
    /// of that, and the condition `Approved` of what waits.
    fn health(&self, inner: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> Health {
        let reason = |condition: &str| {
            let found = condition::find(inner, condition).filter(|found| found.status == "True")?;
            Some((found.reason.parse::<Reason>().ok()?, found.message.clone()))
        };
        let aside =
            |message: String| format!("{message} (besides, a change waits, see the condition Approved)");
        match (reason(RECONCILING), reason(STALLED)) {
            (Some((reason, message)), _) | (_, Some((reason, message))) if is_waiting(reason) => {
                Health::of(&Refusal::new(self.refusal.reason, message))
            }
            (Some((reason, message)), _) => Health::Reconciling(reason, aside(message)),
            (None, Some((reason, message))) => Health::Stalled(reason, aside(message)),
            (None, None) => Health::of(&self.refusal),
        }
    }
}

fn is_waiting(reason: Reason) -> bool {
    matches!(reason, Reason::AwaitingApproval | Reason::ChangeRejected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PendingChange, Rejection};
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn held(missing: &[&str]) -> PendingApproval {
        PendingApproval {
            changes: vec![GovernedChange::ReduceRetention, GovernedChange::AddPartitions],
            have: 0,
            need: 1,
            missing: missing.iter().map(ToString::to_string).collect(),
            rejected: None,
            lapses: None,
        }
    }

    fn told(held: &PendingApproval, action: ApprovalAction, lost: Option<&str>) -> PendingStatus {
        let orders = topic("{}");
        let (subject, hash) = (Subject::topic(&orders), SpecHash::of(&orders.spec));
        let waiting =
            Waiting { subject: &subject, action, hash: &hash, held, request: None, diff: &[], lost };
        waiting.told(None, Timestamp::UNIX_EPOCH)
    }

    fn check(held: &PendingApproval, action: ApprovalAction, lost: Option<&str>, expected: Expect) {
        expected.assert_eq(&told(held, action, lost).refusal.to_string());
    }

    #[test]
    fn that_lines_are_left_out_is_said() {
        let before = topic("{}");
        let many: String = (0..60).map(|key| format!("key.{key}: 1, ")).collect();
        let orders = topic(&format!("config: {{{many}}}"));
        let (subject, hash) = (Subject::topic(&orders), SpecHash::of(&orders.spec));
        let diff = crate::domain::topic::diff::difference(Some(&before.spec), &orders.spec);
        let (held, action) = (held(&[]), ApprovalAction::Apply);
        let waiting = Waiting {
            subject: &subject,
            action,
            hash: &hash,
            held: &held,
            request: None,
            diff: &diff,
            lost: None,
        };
        let told = waiting.told(None, Timestamp::UNIX_EPOCH).pending.diff;
        assert_eq!(told.last().map(String::as_str), Some("and 10 more"));
    }

    const ONE: &str = "ReduceRetention, AddPartitions: 1 more of group platform-approvers";

    #[test]
    fn what_waits_says_for_whom_and_what_to_do() {
        check(
            &held(&[ONE]),
            ApprovalAction::Apply,
            None,
            expect![
                "AwaitingApproval: waits for approval: ReduceRetention, AddPartitions (0/1): 1 more of group platform-approvers; see it with: eventctl diff EventTopic orders -n shop"
            ],
        );
        check(
            &held(&["it is not known who asked: ask again", ONE]),
            ApprovalAction::Apply,
            Some("ControllerRevision x is missing"),
            expect![
                "AwaitingApproval: waits for approval: ReduceRetention, AddPartitions (0/1): it is not known who asked: ask again; ReduceRetention, AddPartitions: 1 more of group platform-approvers; it is not known what was approved last (ControllerRevision x is missing), so Kafka stays as it is until all that is declared is approved; see it with: eventctl diff EventTopic orders -n shop"
            ],
        );
        let rejected = Rejection { by: "bob".into(), comment: Some("too short".into()) };
        let rejected = PendingApproval { rejected: Some(rejected), ..held(&[ONE]) };
        check(
            &rejected,
            ApprovalAction::Apply,
            None,
            expect![
                "ChangeRejected: rejected by bob: too short; what was in force before stays so until this is changed, or withdrawn with: eventctl withdraw EventTopic orders -n shop"
            ],
        );
        let delete =
            PendingApproval { changes: vec![GovernedChange::Delete], ..held(&["Delete: 1 more of group a"]) };
        check(
            &delete,
            ApprovalAction::Delete,
            None,
            expect![
                "AwaitingApproval: deletion waits for approval: Delete (0/1): 1 more of group a; or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data"
            ],
        );
    }

    #[test]
    fn the_approval_that_is_told_is_one_that_kubernetes_takes() {
        let told = told(&held(&[ONE]), ApprovalAction::Delete, None).pending;
        let text = told.approve_with.expect("it is told");
        let read: crate::api::ChangeApproval = serde_yaml::from_str(&text).expect("a ChangeApproval");
        assert_eq!(read.metadata.generate_name.as_deref(), Some("orders-"));
        assert_eq!(read.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!((read.spec.target.name.as_str(), read.spec.action), ("orders", ApprovalAction::Delete));
        assert_eq!((read.spec.spec_hash, read.spec.decision), (told.hash, Decision::Approve));
    }

    #[test]
    fn the_same_change_waits_since_it_was_first_said_to() {
        let orders = topic("{}");
        let held = held(&[ONE]);
        let at = |second| Timestamp::from_second(second).expect("in range");
        let since = |before: Option<PendingChange>, generation: i64, second| {
            let mut subject = Subject::topic(&orders);
            subject.generation = generation;
            let hash = SpecHash::of(&orders.spec);
            let (action, held) = (ApprovalAction::Apply, &held);
            let waiting = Waiting {
                subject: &subject,
                action,
                hash: &hash,
                held,
                request: None,
                diff: &[],
                lost: None,
            };
            let before = EventTopicStatus { pending: before.map(Box::new), ..EventTopicStatus::default() };
            waiting.told(Some(&before), at(second)).pending
        };
        let first = since(None, 2, 10);
        assert_eq!(since(Some(first.clone()), 2, 20).since, at(10));
        assert_eq!(since(Some(first), 3, 20).since, at(20), "another change");
    }

    /// What is said of a change that waits beside what is in force, and then when it is approved.
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
            let mut conditions = Conditions::after(known, Some(generation), at(second));
            conditions.health(health);
            conditions.set("InSync", true, Reason::Available, "Kafka has what is declared");
            let conditions = conditions.finish();
            EventTopicStatus {
                conditions,
                observed_generation: Some(generation),
                ..EventTopicStatus::default()
            }
        };
        let first = ApprovalState::Approved.told(None, made(None, &ready, 1, 10), Some(1), at(10));
        let withheld = ApprovalState::Pending(Box::new(told(&held(&[ONE]), ApprovalAction::Apply, None)));
        let health = inner.unwrap_or(ready.clone());
        let waits = |before: &EventTopicStatus, second| {
            withheld.told(Some(before), made(Some(before), &health, 1, second), Some(2), at(second))
        };
        let second = waits(&first, 20);
        assert_eq!(waits(&second, 30), second, "said once");
        assert_eq!(second.observed_generation, Some(2));
        let third =
            ApprovalState::Approved.told(Some(&second), made(Some(&second), &ready, 2, 40), Some(2), at(40));
        assert!(third.pending.is_none());
        expected.assert_eq(&[print(&second), print(&third)].join("\n--\n"));
    }

    #[test]
    fn what_waits_is_told_beside_what_is_in_force() {
        check_status(
            None,
            expect![[r#"
                Ready=False AwaitingApproval gen 2 since 20: waits for approval: ReduceRetention, AddPartitions (0/1): 1 more of group platform-approvers; see it with: eventctl diff EventTopic orders -n shop
                Reconciling=True AwaitingApproval gen 2 since 20: waits for approval: ReduceRetention, AddPartitions (0/1): 1 more of group platform-approvers; see it with: eventctl diff EventTopic orders -n shop
                InSync=True Available gen 1 since 10: Kafka has what was approved last
                Approved=False AwaitingApproval gen 2 since 20: waits for approval: ReduceRetention, AddPartitions (0/1): 1 more of group platform-approvers; see it with: eventctl diff EventTopic orders -n shop
                --
                Ready=True Available gen 2 since 40: Kafka has what is declared
                InSync=True Available gen 2 since 10: Kafka has what is declared
                Approved=True Available gen 2 since 40: everything that is declared is approved"#]],
        );
        check_status(
            Some(Health::Reconciling(Reason::KafkaUnavailable, "no answer".into())),
            expect![[r#"
                Ready=False KafkaUnavailable gen 2 since 20: no answer (besides, a change waits, see the condition Approved)
                Reconciling=True KafkaUnavailable gen 2 since 20: no answer (besides, a change waits, see the condition Approved)
                InSync=True Available gen 1 since 10: Kafka has what was approved last
                Approved=False AwaitingApproval gen 2 since 20: waits for approval: ReduceRetention, AddPartitions (0/1): 1 more of group platform-approvers; see it with: eventctl diff EventTopic orders -n shop
                --
                Ready=True Available gen 2 since 40: Kafka has what is declared
                InSync=True Available gen 2 since 10: Kafka has what is declared
                Approved=True Available gen 2 since 40: everything that is declared is approved"#]],
        );
    }
}
