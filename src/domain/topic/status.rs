//! What an EventTopic's status says.

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::plan::Found;
use super::{Identity, Observed};
use crate::api::{Drift, DriftAction, EventTopic, EventTopicStatus};
use crate::domain::Refusal;
use crate::domain::condition::{self, Conditions, Health, READY};

/// Whether Kafka has what is declared; its `observedGeneration` is the declaration that was last
/// in force, which is how drift is told from a change that was asked for.
pub const IN_SYNC: &str = "InSync";

/// How a visit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Kafka was asked and has been given what it can have.
    Applied {
        /// The Kafka topic.
        identity: Identity,
        /// What Kafka has now; none if drift is only reported and the topic is gone.
        observed: Option<Observed>,
        /// What cannot be done.
        refusals: Vec<Refusal>,
        /// What somebody changed behind the operator's back.
        drift: Option<Found>,
    },
    /// Refused before Kafka was asked: nothing happens until something is changed.
    Refused(Refusal),
    /// Kafka refused or did not answer: it is tried again.
    Failed {
        /// What happened.
        refusal: Refusal,
        /// Whether somebody has to change something before it can succeed.
        stalled: bool,
    },
    /// Left alone for as long as the annotation is there.
    Paused,
    /// Left alone: somebody else manages the Kafka topic.
    Unmanaged,
}

/// Whether this very declaration was in force before.
#[must_use]
pub fn is_applied(topic: &EventTopic) -> bool {
    let Some(status) = &topic.status else { return false };
    condition::find(&status.conditions, IN_SYNC)
        .is_some_and(|in_sync| in_sync.observed_generation == topic.metadata.generation)
}

/// What the status should say after a visit. Equal to what it says already if nothing is new,
/// and then nothing is written.
#[must_use]
pub fn status(topic: &EventTopic, outcome: &Outcome, now: Timestamp) -> EventTopicStatus {
    let before = topic.status.clone().unwrap_or_default();
    let mut conditions = Conditions::after(&before.conditions, topic.metadata.generation, now);
    let mut after = EventTopicStatus { observed_generation: topic.metadata.generation, ..before.clone() };
    match outcome {
        Outcome::Applied { identity, observed, refusals, drift } => {
            after.cluster = Some(identity.cluster.to_string());
            after.topic_name = Some(identity.topic.to_string());
            describe(&mut after, observed.as_ref());
            applied(&mut conditions, observed.is_some(), refusals, drift.as_ref());
            if let Some(found) = drift {
                after.last_drift = Some(noted(before.last_drift.as_ref(), found, now));
            }
        }
        Outcome::Refused(refusal) => {
            conditions.health(&Health::of(refusal));
            conditions.keep(IN_SYNC);
        }
        Outcome::Failed { refusal, stalled } => {
            let health = if *stalled { Health::Stalled } else { Health::Reconciling };
            conditions.health(&health(refusal.reason, refusal.message.clone()));
            conditions.keep(IN_SYNC);
        }
        Outcome::Paused => {
            let ready = condition::find(&before.conditions, READY).is_none_or(|ready| ready.status == "True");
            conditions.set(
                READY,
                ready,
                Reason::Paused,
                "left as it is because of the annotation eventcenter.io/paused",
            );
            conditions.keep(IN_SYNC);
        }
        Outcome::Unmanaged => {
            conditions.set(
                READY,
                true,
                Reason::Unmanaged,
                "left to others because of the annotation eventcenter.io/managed",
            );
            // What others manage is not vouched for.
            after = EventTopicStatus {
                observed_generation: after.observed_generation,
                ..EventTopicStatus::default()
            };
        }
    }
    after.conditions = conditions.finish();
    after
}

fn describe(status: &mut EventTopicStatus, observed: Option<&Observed>) {
    let Some(observed) = observed else { return };
    status.topic_id = (!observed.id.is_empty()).then(|| observed.id.clone());
    status.partitions = Some(observed.partitions);
    status.replicas = (observed.replicas > 0).then_some(observed.replicas);
    status.config.clone_from(&observed.config);
}

fn applied(conditions: &mut Conditions<'_>, exists: bool, refusals: &[Refusal], drift: Option<&Found>) {
    let reported = drift.filter(|found| found.action == DriftAction::Reported && !only_made_again(found));
    let differences = reported.map(|found| found.differences.join("; ")).unwrap_or_default();
    let health = match refusals.first() {
        Some(first) => {
            let messages: Vec<_> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
            Health::Stalled(first.reason, messages.join("; "))
        }
        None if !exists => Health::Stalled(
            Reason::Drifted,
            format!("{differences}: set spec.driftPolicy: Correct to make it again, or delete this resource"),
        ),
        None => Health::Ready(Reason::Available, "Kafka has what is declared".into()),
    };
    // A difference that is only reported leaves the declaration fine, so it stays Ready.
    conditions.health(&match (health, reported) {
        (Health::Ready(reason, _), Some(_)) => {
            Health::Ready(reason, "Kafka differs from what is declared, see the condition InSync".into())
        }
        (health, _) => health,
    });
    match (reported, refusals.first()) {
        (Some(_), _) => conditions.set(IN_SYNC, false, Reason::Drifted, &differences),
        (None, Some(first)) => conditions.set(IN_SYNC, false, first.reason, &first.message),
        (None, None) => conditions.set(IN_SYNC, true, Reason::Available, "Kafka has what is declared"),
    }
}

/// A topic that somebody deleted and made again just as it is declared: worth a note, no difference.
fn only_made_again(found: &Found) -> bool {
    found.differences.len() == 1 && found.differences[0].starts_with("the topic was deleted and made again")
}

/// The same difference, still only reported, keeps the time at which it was first seen.
fn noted(before: Option<&Drift>, found: &Found, now: Timestamp) -> Drift {
    match before {
        Some(known)
            if found.action == DriftAction::Reported
                && known.action == DriftAction::Reported
                && known.changes == found.differences =>
        {
            known.clone()
        }
        _ => Drift { time: now, action: found.action, changes: found.differences.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn identity() -> Identity {
        Identity { cluster: "main".parse().expect("a name"), topic: "shop.orders".parse().expect("a name") }
    }

    fn observed(id: &str) -> Observed {
        Observed { id: id.into(), partitions: 3, replicas: 1, config: [("a".into(), "1".into())].into() }
    }

    fn applied(drift: Option<Found>) -> Outcome {
        Outcome::Applied { identity: identity(), observed: Some(observed("id-1")), refusals: vec![], drift }
    }

    fn found(action: DriftAction, difference: &str) -> Option<Found> {
        Some(Found { action, differences: vec![difference.into()] })
    }

    /// The status after each outcome in turn, a second apart.
    fn check(yaml: &str, outcomes: &[Outcome], expected: Expect) {
        let mut topic = topic(yaml);
        let mut text = String::new();
        for (second, outcome) in (0_i64..).zip(outcomes) {
            let now = Timestamp::from_second(second).expect("in range");
            let after = status(&topic, outcome, now);
            for c in &after.conditions {
                let line = format!(
                    "{}={} {} @{} gen {}: {}\n",
                    c.type_,
                    c.status,
                    c.reason,
                    c.last_transition_time.0.as_second(),
                    c.observed_generation.unwrap_or(0),
                    c.message
                );
                text.push_str(&line);
            }
            if let Some(drift) = &after.last_drift {
                text.push_str(&format!(
                    "last drift @{} {:?} {:?}\n",
                    drift.time.as_second(),
                    drift.action,
                    drift.changes
                ));
            }
            text.push_str(&format!(
                "{:?} {:?} {:?} {:?}\n--\n",
                after.topic_name, after.topic_id, after.partitions, after.config
            ));
            topic.status = Some(after);
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn ready_then_unavailable_then_ready() {
        let down = Outcome::Failed {
            refusal: Refusal::new(Reason::KafkaUnavailable, "no broker answers"),
            stalled: false,
        };
        check(
            "{}",
            &[applied(None), down, applied(None)],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=False KafkaUnavailable @1 gen 1: no broker answers
            Reconciling=True KafkaUnavailable @1 gen 1: no broker answers
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Available @2 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn drift_keeps_the_time_it_was_first_reported() {
        let reported = || applied(found(DriftAction::Reported, "a is 2 instead of 1"));
        check(
            "{driftPolicy: Report}",
            &[applied(None), reported(), reported(), applied(None)],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Available @0 gen 1: Kafka differs from what is declared, see the condition InSync
            InSync=False Drifted @1 gen 1: a is 2 instead of 1
            last drift @1 Reported ["a is 2 instead of 1"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Available @0 gen 1: Kafka differs from what is declared, see the condition InSync
            InSync=False Drifted @1 gen 1: a is 2 instead of 1
            last drift @1 Reported ["a is 2 instead of 1"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @3 gen 1: Kafka has what is declared
            last drift @1 Reported ["a is 2 instead of 1"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn corrected_drift_is_in_sync() {
        check(
            "{}",
            &[applied(found(DriftAction::Corrected, "a is 2 instead of 1"))],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            last drift @0 Corrected ["a is 2 instead of 1"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn refusals_stall() {
        let outcome = Outcome::Applied {
            identity: identity(),
            observed: Some(observed("id-1")),
            refusals: vec![
                Refusal::new(Reason::NotSupported, "first"),
                Refusal::new(Reason::NotSupported, "second"),
            ],
            drift: None,
        };
        check(
            "{}",
            &[outcome],
            expect![[r#"
            Ready=False NotSupported @0 gen 1: first; second
            Stalled=True NotSupported @0 gen 1: first; second
            InSync=False NotSupported @0 gen 1: first
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn a_topic_that_is_gone_and_only_reported_is_not_ready() {
        let outcome = Outcome::Applied {
            identity: identity(),
            observed: None,
            refusals: vec![],
            drift: found(DriftAction::Reported, "the topic is gone from Kafka"),
        };
        check(
            "{driftPolicy: Report}",
            &[applied(None), outcome],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=False Drifted @1 gen 1: the topic is gone from Kafka: set spec.driftPolicy: Correct to make it again, or delete this resource
            Stalled=True Drifted @1 gen 1: the topic is gone from Kafka: set spec.driftPolicy: Correct to make it again, or delete this resource
            InSync=False Drifted @1 gen 1: the topic is gone from Kafka
            last drift @1 Reported ["the topic is gone from Kafka"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn paused_keeps_what_was_and_unmanaged_forgets_it() {
        check(
            "{}",
            &[applied(None), Outcome::Paused, Outcome::Unmanaged],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Paused @0 gen 1: left as it is because of the annotation eventcenter.io/paused
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Unmanaged @0 gen 1: left to others because of the annotation eventcenter.io/managed
            None None None {}
            --
        "#]],
        );
    }

    #[test]
    fn only_the_generation_that_was_in_force_counts_as_applied() {
        let mut topic = topic("{generation: 4}");
        assert!(!is_applied(&topic));
        topic.status = Some(status(&topic, &applied(None), Timestamp::UNIX_EPOCH));
        assert!(is_applied(&topic));
        topic.metadata.generation = Some(5);
        assert!(!is_applied(&topic));
        let refused = Outcome::Refused(Refusal::new(Reason::InvalidResource, "no"));
        topic.status = Some(status(&topic, &refused, Timestamp::UNIX_EPOCH));
        assert!(!is_applied(&topic), "a refusal leaves the note of what was in force alone");
    }

    #[test]
    fn an_unchanged_state_gives_an_equal_status() {
        let mut topic = topic("{}");
        topic.status = Some(status(&topic, &applied(None), Timestamp::UNIX_EPOCH));
        let later = Timestamp::from_second(3600).expect("in range");
        assert_eq!(Some(status(&topic, &applied(None), later)), topic.status);
    }
}
