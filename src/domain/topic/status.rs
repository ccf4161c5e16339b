//! The status of an EventTopic.

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::access::{ACCESS_IN_FORCE, AccessReport};
use super::plan::Drift;
use super::{Identity, Observed};
use crate::api::{self, DriftAction, EventTopic, EventTopicStatus, RegisteredType};
use crate::domain::condition::{self, Conditions, Health, READY};
use crate::domain::{Failure, Refusal};

/// Whether Kafka matches the spec; its `observedGeneration` is the generation that was last applied, which distinguishes
/// drift from a requested change.
pub const IN_SYNC: &str = "InSync";

/// Whether the declared schemas are valid and compatible with the registered ones.
pub const SCHEMA_COMPATIBLE: &str = "SchemaCompatible";

/// The schemas of a topic after a reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schemas {
    /// The registered revisions of the declared types.
    pub registered: Vec<RegisteredType>,
    /// Why declared schemas are refused.
    pub refusals: Vec<Refusal>,
}

/// The outcome of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The supported changes were applied to Kafka.
    Applied {
        /// The Kafka topic.
        identity: Identity,
        /// The state of the Kafka topic; `None` if it is missing and drift is only reported.
        observed: Option<Observed>,
        /// Changes that are not supported.
        refusals: Vec<Refusal>,
        /// Changes in Kafka that the operator did not make.
        drift: Option<Drift>,
        /// Its schemas; `None` if it has none.
        schemas: Option<Schemas>,
    },
    /// Refused without a request to Kafka, until something changes.
    Refused(Refusal),
    /// Kafka refused a request or did not answer: the operator retries.
    Failed(Failure),
    /// Paused by the annotation.
    Paused,
    /// Not managed by the operator.
    Unmanaged,
}

/// Whether the current generation was applied before.
#[must_use]
pub fn is_applied(topic: &EventTopic) -> bool {
    let Some(status) = &topic.status else { return false };
    condition::find(&status.conditions, IN_SYNC)
        .is_some_and(|in_sync| in_sync.observed_generation == topic.metadata.generation)
}

/// When the operator last changed the Kafka topic or its ACLs, as far as the status tells: the activation of the spec, the
/// correction of drift, or the end of a failure.
#[must_use]
pub fn last_change(topic: &EventTopic) -> Option<Timestamp> {
    let status = topic.status.as_ref()?;
    let activated = status.approved.as_ref().map(|approved| approved.at);
    let corrected = status.last_drift.as_ref().filter(|drift| drift.action == DriftAction::Corrected);
    let ready = condition::find(&status.conditions, READY).filter(|ready| ready.status == "True");
    activated.max(corrected.map(|drift| drift.time)).max(ready.map(|ready| ready.last_transition_time.0))
}

/// The status after a reconcile. Equal to the current one if nothing has changed, and then nothing is written.
#[must_use]
pub fn status(
    topic: &EventTopic,
    outcome: &Outcome,
    access: Option<&AccessReport>,
    now: Timestamp,
) -> EventTopicStatus {
    let before = topic.status.clone().unwrap_or_default();
    let mut conditions = Conditions::from_previous(&before.conditions, topic.metadata.generation, now);
    let mut after = EventTopicStatus { observed_generation: topic.metadata.generation, ..before.clone() };
    match outcome {
        Outcome::Applied { identity, observed, refusals, drift, schemas } => {
            after.cluster = Some(identity.cluster.to_string());
            after.topic_name = Some(identity.topic.to_string());
            describe(&mut after, observed.as_ref());
            let drift = merge_drift(drift.as_ref(), access);
            let refusals = Refusals {
                topic: refusals,
                schemas: schemas.as_ref().map(|s| &s.refusals[..]).unwrap_or_default(),
            };
            set_applied(&mut conditions, observed.is_some(), &refusals, drift.as_ref(), access);
            after.event_types =
                schemas.as_ref().map(|schemas| schemas.registered.clone()).unwrap_or_default();
            match (refusals.schemas.first(), schemas) {
                (Some(first), _) => {
                    conditions.set(SCHEMA_COMPATIBLE, false, first.reason, &joined(refusals.schemas))
                }
                (None, Some(_)) => {
                    conditions.set(SCHEMA_COMPATIBLE, true, Reason::Available, "all schemas are registered")
                }
                (None, None) => {}
            }
            if let Some(found) = &drift {
                after.last_drift = Some(drift_status(before.last_drift.as_ref(), found, now));
            }
        }
        Outcome::Refused(refusal) => {
            conditions.set_health(&Health::of(refusal));
            conditions.keep(IN_SYNC);
            conditions.keep(SCHEMA_COMPATIBLE);
        }
        Outcome::Failed(failure) => {
            conditions.set_health(&Health::after_failure(failure));
            conditions.keep(IN_SYNC);
            conditions.keep(SCHEMA_COMPATIBLE);
        }
        Outcome::Paused => {
            // A topic that was never ready does not become ready by being paused.
            let ready =
                condition::find(&before.conditions, READY).is_some_and(|ready| ready.status == "True");
            conditions.set(READY, ready, Reason::Paused, "paused by the annotation eventcenter.io/paused");
            conditions.keep(IN_SYNC);
            conditions.keep(SCHEMA_COMPATIBLE);
        }
        Outcome::Unmanaged => {
            conditions.set(
                READY,
                true,
                Reason::Unmanaged,
                "not managed because of the annotation eventcenter.io/managed",
            );
            // An unmanaged resource has no other status.
            after = EventTopicStatus {
                observed_generation: after.observed_generation,
                ..EventTopicStatus::default()
            };
        }
    }
    match (access, outcome) {
        (Some(access), _) => set_access(&mut after, &mut conditions, access),
        (None, Outcome::Applied { .. } | Outcome::Unmanaged) => {
            after.acls.clear();
            after.foreign_acls.clear();
        }
        (None, _) => conditions.keep(ACCESS_IN_FORCE),
    }
    after.conditions = conditions.finish();
    after
}

fn set_access(after: &mut EventTopicStatus, conditions: &mut Conditions<'_>, access: &AccessReport) {
    after.acls = access.acls.iter().cloned().collect();
    if let Some(foreign) = &access.foreign {
        after.foreign_acls.clone_from(foreign);
    }
    let reported = access.drift.as_ref().filter(|found| found.action == DriftAction::Reported);
    match (&access.failure, reported) {
        // A temporary failure keeps the condition.
        (Some(Failure { refusal, is_stalled: false }), _) if refusal.reason != Reason::AuthorizerMissing => {
            conditions.keep(ACCESS_IN_FORCE);
        }
        (Some(Failure { refusal, .. }), _) => {
            conditions.set(ACCESS_IN_FORCE, false, refusal.reason, &refusal.message());
        }
        (None, Some(found)) => {
            conditions.set(ACCESS_IN_FORCE, false, Reason::Drifted, &found.describe().join("; "));
        }
        // No access is declared any more.
        (None, None) if access.acls.is_empty() => {}
        (None, None) => {
            conditions.set(ACCESS_IN_FORCE, true, Reason::Available, "Kafka has the ACLs that are declared");
        }
    }
}

/// The drift of a topic and of its access.
#[must_use]
pub fn merge_drift(topic: Option<&Drift>, access: Option<&AccessReport>) -> Option<Drift> {
    let access = access.and_then(|access| access.drift.as_ref());
    match (topic, access) {
        (Some(topic), Some(access)) => {
            let corrected = [topic.action, access.action].contains(&DriftAction::Corrected);
            let action = if corrected { DriftAction::Corrected } else { DriftAction::Reported };
            let differences = [&topic.differences[..], &access.differences].concat();
            Some(Drift { action, recreated: topic.recreated.clone(), differences })
        }
        (one, other) => one.or(other).cloned(),
    }
}

fn describe(status: &mut EventTopicStatus, observed: Option<&Observed>) {
    let Some(observed) = observed else { return };
    status.topic_id = (!observed.id.is_empty()).then(|| observed.id.clone());
    status.partitions = Some(observed.partitions);
    status.replicas = (observed.replicas > 0).then_some(observed.replicas);
    status.config.clone_from(&observed.config);
}

/// Refusals of the topic itself and of its schemas.
struct Refusals<'a> {
    topic: &'a [Refusal],
    schemas: &'a [Refusal],
}

fn joined(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| refusal.message()).collect::<Vec<_>>().join("; ")
}

fn set_applied(
    conditions: &mut Conditions<'_>,
    exists: bool,
    refusals: &Refusals<'_>,
    drift: Option<&Drift>,
    access: Option<&AccessReport>,
) {
    let obstacle = access.and_then(AccessReport::blocking_failure);
    let reported =
        drift.filter(|found| found.action == DriftAction::Reported && !found.differences.is_empty());
    let differences = reported.map(|found| found.describe().join("; ")).unwrap_or_default();
    let health = match refusals.topic.first().or(refusals.schemas.first()) {
        Some(first) => {
            let message = joined(if refusals.topic.is_empty() { refusals.schemas } else { refusals.topic });
            Health::of(&Refusal::new(first.reason, message))
        }
        None if !exists => Health::Stalled(
            Reason::Drifted,
            format!("{differences}: set spec.driftPolicy: Correct to recreate it, or delete this resource"),
        ),
        None => match obstacle {
            Some(failure) => Health::after_failure(failure),
            None if access.is_some_and(AccessReport::is_unenforced) => Health::Ready(
                Reason::Available,
                "Kafka has what is declared and enforces no access, see the condition AccessInForce".into(),
            ),
            None => Health::Ready(Reason::Available, "Kafka has what is declared".into()),
        },
    };
    // Drift that is only reported does not affect Ready.
    conditions.set_health(&match (health, reported) {
        (Health::Ready(reason, _), Some(_)) => {
            Health::Ready(reason, "Kafka differs from what is declared, see the condition InSync".into())
        }
        (health, _) => health,
    });
    match (reported, refusals.topic.first().or(obstacle.map(|failure| &failure.refusal))) {
        (Some(_), _) => conditions.set(IN_SYNC, false, Reason::Drifted, &differences),
        (None, Some(first)) => conditions.set(IN_SYNC, false, first.reason, &first.message()),
        (None, None) => conditions.set(IN_SYNC, true, Reason::Available, "Kafka has what is declared"),
    }
}

/// Drift that is still only reported keeps the time of its first report.
fn drift_status(before: Option<&api::Drift>, found: &Drift, now: Timestamp) -> api::Drift {
    match before {
        Some(known)
            if found.action == DriftAction::Reported
                && known.action == DriftAction::Reported
                && known.changes == found.describe() =>
        {
            known.clone()
        }
        _ => api::Drift { time: now, action: found.action, changes: found.describe() },
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

    fn applied(drift: Option<Drift>) -> Outcome {
        Outcome::Applied {
            identity: identity(),
            observed: Some(observed("id-1")),
            refusals: vec![],
            drift,
            schemas: None,
        }
    }

    fn found(action: DriftAction, difference: &str) -> Option<Drift> {
        Some(Drift { action, recreated: None, differences: vec![difference.into()] })
    }

    /// The status after each outcome in turn, a second apart.
    fn check(yaml: &str, outcomes: &[Outcome], expected: Expect) {
        let mut topic = topic(yaml);
        let mut text = String::new();
        for (second, outcome) in (0_i64..).zip(outcomes) {
            let now = Timestamp::from_second(second).expect("in range");
            let after = status(&topic, outcome, None, now);
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
        let down =
            Outcome::Failed(Failure::retryable(Refusal::new(Reason::KafkaUnavailable, "no broker answers")));
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
            schemas: None,
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
    fn a_missing_topic_with_policy_report_is_not_ready() {
        let outcome = Outcome::Applied {
            identity: identity(),
            observed: None,
            refusals: vec![],
            drift: found(DriftAction::Reported, "the topic does not exist in Kafka"),
            schemas: None,
        };
        check(
            "{driftPolicy: Report}",
            &[applied(None), outcome],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=False Drifted @1 gen 1: the topic does not exist in Kafka: set spec.driftPolicy: Correct to recreate it, or delete this resource
            Stalled=True Drifted @1 gen 1: the topic does not exist in Kafka: set spec.driftPolicy: Correct to recreate it, or delete this resource
            InSync=False Drifted @1 gen 1: the topic does not exist in Kafka
            last drift @1 Reported ["the topic does not exist in Kafka"]
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
        "#]],
        );
    }

    #[test]
    fn paused_keeps_the_status_and_unmanaged_clears_it() {
        check(
            "{}",
            &[applied(None), Outcome::Paused, Outcome::Unmanaged],
            expect![[r#"
            Ready=True Available @0 gen 1: Kafka has what is declared
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Paused @0 gen 1: paused by the annotation eventcenter.io/paused
            InSync=True Available @0 gen 1: Kafka has what is declared
            Some("shop.orders") Some("id-1") Some(3) {"a": "1"}
            --
            Ready=True Unmanaged @0 gen 1: not managed because of the annotation eventcenter.io/managed
            None None None {}
            --
        "#]],
        );
    }

    #[test]
    fn only_the_generation_in_sync_counts_as_applied() {
        let mut topic = topic("{generation: 4}");
        assert!(!is_applied(&topic));
        topic.status = Some(status(&topic, &applied(None), None, Timestamp::UNIX_EPOCH));
        assert!(is_applied(&topic));
        topic.metadata.generation = Some(5);
        assert!(!is_applied(&topic));
        let refused = Outcome::Refused(Refusal::new(Reason::InvalidResource, "no"));
        topic.status = Some(status(&topic, &refused, None, Timestamp::UNIX_EPOCH));
        assert!(!is_applied(&topic), "a refusal keeps the generation that was in sync");
    }

    #[test]
    fn an_unchanged_state_gives_an_equal_status() {
        let mut topic = topic("{}");
        topic.status = Some(status(&topic, &applied(None), None, Timestamp::UNIX_EPOCH));
        let later = Timestamp::from_second(3600).expect("in range");
        assert_eq!(Some(status(&topic, &applied(None), None, later)), topic.status);
    }

    fn access_report(failure: Option<Failure>, drift: Option<Drift>) -> AccessReport {
        let acl = crate::api::TopicAcl {
            principal: "User:a".into(),
            operation: crate::api::AccessOperation::Read,
            group: None,
        };
        AccessReport {
            acls: [acl].into(),
            foreign: Some(vec!["User:eve Allow Write from *".into()]),
            drift,
            failure,
        }
    }

    /// Checks the conditions and the drift after a reconcile with this access.
    fn check_access(access: Option<&AccessReport>, drift: Option<Drift>, expected: Expect) {
        let after = status(&topic("{}"), &applied(drift), access, Timestamp::UNIX_EPOCH);
        let mut lines: Vec<String> = after
            .conditions
            .iter()
            .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
            .collect();
        lines.push(format!("{} owned, {} foreign", after.acls.len(), after.foreign_acls.len()));
        lines.extend(after.last_drift.map(|drift| format!("{:?} {:?}", drift.action, drift.changes)));
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn access_is_reported_if_declared() {
        check_access(
            None,
            None,
            expect![[r#"
                Ready=True Available: Kafka has what is declared
                InSync=True Available: Kafka has what is declared
                0 owned, 0 foreign"#]],
        );
        check_access(
            Some(&access_report(None, None)),
            None,
            expect![[r#"
                Ready=True Available: Kafka has what is declared
                InSync=True Available: Kafka has what is declared
                AccessInForce=True Available: Kafka has the ACLs that are declared
                1 owned, 1 foreign"#]],
        );
    }

    #[test]
    fn a_missing_authorizer_keeps_the_topic_ready_and_a_missing_permission_does_not() {
        let unenforced = super::super::access::authorizer_missing();
        check_access(
            Some(&access_report(Some(Failure::retryable(unenforced)), None)),
            None,
            expect![[r#"
            Ready=True Available: Kafka has what is declared and enforces no access, see the condition AccessInForce
            InSync=True Available: Kafka has what is declared
            AccessInForce=False AuthorizerMissing: Kafka has no authorizer, so every client may use the topic: set authorizer.class.name on the brokers, or remove spec.access
            1 owned, 1 foreign"#]],
        );
        let missing = Refusal::new(Reason::NotAuthorized, "DescribeAcls: no");
        check_access(
            Some(&access_report(Some(Failure::stalled(missing)), None)),
            None,
            expect![[r#"
                Ready=False NotAuthorized: DescribeAcls: no
                Stalled=True NotAuthorized: DescribeAcls: no
                InSync=False NotAuthorized: DescribeAcls: no
                AccessInForce=False NotAuthorized: DescribeAcls: no
                1 owned, 1 foreign"#]],
        );
    }

    #[test]
    fn drift_of_access_and_of_the_topic_is_merged() {
        let access = access_report(None, found(DriftAction::Reported, "User:a lost Read"));
        check_access(
            Some(&access),
            found(DriftAction::Reported, "a is 2 instead of 1"),
            expect![[r#"
                Ready=True Available: Kafka differs from what is declared, see the condition InSync
                InSync=False Drifted: a is 2 instead of 1; User:a lost Read
                AccessInForce=False Drifted: User:a lost Read
                1 owned, 1 foreign
                Reported ["a is 2 instead of 1", "User:a lost Read"]"#]],
        );
    }

    /// The last change according to a status in YAML, in seconds.
    fn last_change_of(status: &str) -> Option<i64> {
        let mut topic = topic("{}");
        topic.status = Some(serde_yaml::from_str(status).expect("a status"));
        last_change(&topic).map(Timestamp::as_second)
    }

    #[test]
    fn the_last_change_is_the_latest_that_the_status_shows() {
        let approved = "approved: {at: '1970-01-01T00:00:10Z', generation: 1, hash: a, seal: b}";
        let drift = |action: &str| {
            format!("lastDrift: {{time: '1970-01-01T00:00:20Z', action: {action}, changes: []}}")
        };
        let ready = |status: &str| {
            format!(
                "conditions: [{{type: Ready, status: '{status}', reason: A, message: '', lastTransitionTime: '1970-01-01T00:00:30Z'}}]"
            )
        };
        assert_eq!(last_change_of("{}"), None);
        assert_eq!(last_change_of(approved), Some(10));
        assert_eq!(last_change_of(&format!("{approved}\n{}", drift("Corrected"))), Some(20));
        // Reported drift changes nothing in Kafka.
        assert_eq!(last_change_of(&format!("{approved}\n{}", drift("Reported"))), Some(10));
        assert_eq!(last_change_of(&format!("{approved}\n{}", ready("True"))), Some(30));
        assert_eq!(last_change_of(&format!("{approved}\n{}", ready("False"))), Some(10));
    }
}
