//! Plans the changes in Kafka that bring a topic to its desired state.

use std::collections::BTreeMap;
use std::fmt;

use eventcenter_sdk::Reason;

use serde_json::json;

use super::{Declared, value};
use crate::api::{DriftAction, DriftPolicy, EventTopic};
use crate::domain::Refusal;
use crate::domain::approval::SpecHash;

/// The observed state of a Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Topic ID in Kafka (KIP-516).
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas of each partition; the minimum if they differ.
    pub replicas: i32,
    /// Configuration set on the topic itself, without defaults.
    pub config: BTreeMap<String, String>,
}

impl Observed {
    /// SHA-256 of what a takeover may change, in hexadecimal. It does not include the replicas, which reassignments change for a
    /// moment.
    #[must_use]
    pub fn hash(&self) -> String {
        let Self { id, partitions, config, replicas: _ } = self;
        SpecHash::of(&json!({"id": id, "partitions": partitions, "config": config})).to_string()
    }

    /// The state in the status of a resource, observed when the status was last written; `None` if Kafka had no topic.
    #[must_use]
    pub fn in_status(topic: &EventTopic) -> Option<Self> {
        let status = topic.status.as_ref().filter(|status| status.topic_name.is_some())?;
        Some(Self {
            id: status.topic_id.clone().unwrap_or_default(),
            partitions: status.partitions?,
            replicas: status.replicas?,
            config: status.config.clone(),
        })
    }
}

/// A change of a Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create the topic.
    Create {
        /// Number of partitions.
        partitions: i32,
        /// Number of replicas of each partition. `None` is the default of the Kafka cluster.
        replicas: Option<i32>,
        /// Configuration.
        config: BTreeMap<String, String>,
    },
    /// Set a configuration key.
    Set {
        /// Kafka's name of the key.
        key: String,
        /// The previous value set on the topic.
        from: Option<String>,
        /// The desired value.
        to: String,
    },
    /// Reset a configuration key to the default of the Kafka cluster.
    Reset {
        /// Kafka's name of the key.
        key: String,
        /// The previous value set on the topic.
        from: String,
    },
    /// Add partitions.
    AddPartitions {
        /// The current number.
        from: i32,
        /// The desired number.
        to: i32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { partitions, replicas, config } => {
                write!(f, "create with {}", count(*partitions, "partition"))?;
                if let Some(replicas) = replicas {
                    write!(f, ", {}", count(*replicas, "replica"))?;
                }
                config.iter().try_for_each(|(key, value)| write!(f, ", {key}={value}"))
            }
            Self::Set { key, from: Some(from), to } => write!(f, "{key}: {from} -> {to}"),
            Self::Set { key, from: None, to } => write!(f, "{key}: default -> {to}"),
            Self::Reset { key, from } => write!(f, "{key}: {from} -> default"),
            Self::AddPartitions { from, to } => write!(f, "partitions: {from} -> {to}"),
        }
    }
}

fn count(number: i32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Drift: a difference from Kafka that the spec did not cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// How it is handled.
    pub action: DriftAction,
    /// Whether the Kafka topic was deleted and created again. Alone, this is reported but is no difference.
    pub recreated: Option<Recreated>,
    /// Differences, one sentence each.
    pub differences: Vec<String>,
}

impl Drift {
    /// All that has drifted, one sentence each.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let recreated = self.recreated.iter().map(ToString::to_string);
        recreated.chain(self.differences.iter().cloned()).collect()
    }
}

/// A Kafka topic that was deleted and created again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recreated {
    /// The previous topic ID.
    pub from: String,
    /// The current topic ID.
    pub to: String,
}

impl fmt::Display for Recreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the topic was deleted and created again: id {} -> {}", self.from, self.to)
    }
}

/// Changes of a Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Independent changes, to be applied together.
    pub changes: Vec<Change>,
    /// Unsupported differences. The changes are applied nevertheless, so that one unsupported value does not block the
    /// others.
    pub refusals: Vec<Refusal>,
    /// Drift, if there is any.
    pub drift: Option<Drift>,
}

/// Compares the desired state with the observed one.
///
/// `is_applied` tells whether the current generation was applied before: then a difference is drift, otherwise it is a
/// requested change. `known_id` is the last observed topic ID.
#[must_use]
pub fn plan(
    declared: &Declared,
    observed: Option<&Observed>,
    is_applied: bool,
    known_id: Option<&str>,
) -> Plan {
    let mut changes = find_changes(declared, observed);
    let refusals = observed.map(|observed| find_unsupported(declared, observed)).unwrap_or_default();
    let mut drift = None;
    if is_applied {
        let differences: Vec<String> =
            changes.iter().map(|change| describe_drift(change, observed)).collect();
        let recreated = observed.zip(known_id).filter(|(observed, known)| observed.id != *known);
        let recreated =
            recreated.map(|(observed, known)| Recreated { from: known.into(), to: observed.id.clone() });
        let action = match declared.drift {
            DriftPolicy::Correct if !changes.is_empty() => DriftAction::Corrected,
            DriftPolicy::Correct | DriftPolicy::Report => DriftAction::Reported,
        };
        if action == DriftAction::Reported {
            changes.clear();
        }
        if recreated.is_some() || !differences.is_empty() {
            drift = Some(Drift { action, recreated, differences });
        }
    }
    Plan { changes, refusals, drift }
}

fn describe_drift(change: &Change, observed: Option<&Observed>) -> String {
    match (change, observed) {
        (Change::Create { .. }, _) => "the topic does not exist in Kafka".into(),
        (Change::Set { key, from, to }, _) => {
            format!("{key} is {} instead of {to}", from.as_deref().unwrap_or("the default"))
        }
        (Change::Reset { key, from }, _) => format!("{key} is {from} instead of the default"),
        (Change::AddPartitions { from, to }, _) => format!("{} instead of {to}", count(*from, "partition")),
    }
}

fn find_changes(declared: &Declared, observed: Option<&Observed>) -> Vec<Change> {
    let Some(observed) = observed else {
        return vec![Change::Create {
            partitions: declared.partitions,
            replicas: declared.replicas,
            config: declared.config.clone(),
        }];
    };
    let set = declared.config.iter().filter_map(|(key, to)| {
        let from = observed.config.get(key);
        let is_equal = from.is_some_and(|from| value::is_equal(from, to));
        (!is_equal).then(|| Change::Set { key: key.clone(), from: from.cloned(), to: to.clone() })
    });
    let reset = observed
        .config
        .iter()
        .filter(|(key, _)| !declared.config.contains_key(*key) && !declared.ignored.contains(*key))
        .map(|(key, from)| Change::Reset { key: key.clone(), from: from.clone() });
    let grow = (declared.partitions > observed.partitions)
        .then_some(Change::AddPartitions { from: observed.partitions, to: declared.partitions });
    set.chain(reset).chain(grow).collect()
}

fn find_unsupported(declared: &Declared, observed: &Observed) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if declared.partitions < observed.partitions {
        refusals.push(Refusal::at(
            Reason::NotSupported,
            "spec.partitions",
            format!(
                "Kafka has {} and cannot remove any: set spec.partitions: {}, or create a \
                 new EventTopic with {} and move producers and consumers to it",
                count(observed.partitions, "partition"),
                observed.partitions,
                declared.partitions
            ),
        ));
    }
    if let Some(replicas) = declared.replicas.filter(|replicas| *replicas != observed.replicas) {
        refusals.push(Refusal::at(
            Reason::NotSupported,
            "spec.replicas",
            format!(
                "Kafka keeps {} and the operator does not move replicas: set spec.replicas: {}, \
                 or reassign the partitions to {replicas} brokers each with kafka-reassign-partitions",
                count(observed.replicas, "replica"),
                observed.replicas
            ),
        ));
    }
    refusals
}

/// The state of a topic after changes. Shortly after a change, brokers may still return the old state.
#[must_use]
pub fn state_after(observed: &Observed, changes: &[Change]) -> Observed {
    let mut after = observed.clone();
    for change in changes {
        match change {
            Change::Create { partitions, replicas, config } => {
                after.partitions = *partitions;
                after.replicas = replicas.unwrap_or(after.replicas);
                after.config.clone_from(config);
            }
            Change::Set { key, to, .. } => {
                after.config.insert(key.clone(), to.clone());
            }
            Change::Reset { key, .. } => {
                after.config.remove(key);
            }
            Change::AddPartitions { to, .. } => after.partitions = *to,
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn observed(text: &str) -> Option<Observed> {
        let mut words = text.split_whitespace();
        let (partitions, replicas) = words.next()?.split_once('x').expect("partitions x replicas");
        let mut observed = Observed {
            id: "id-1".into(),
            partitions: partitions.parse().expect("a number"),
            replicas: replicas.parse().expect("a number"),
            config: BTreeMap::new(),
        };
        for word in words {
            match word.split_once('=').expect("key=value") {
                ("id", id) => observed.id = id.into(),
                (key, value) => drop(observed.config.insert(key.into(), value.into())),
            }
        }
        Some(observed)
    }

    fn print(plan: &Plan) -> String {
        let mut lines: Vec<String> = plan.changes.iter().map(|change| format!("change {change}")).collect();
        lines.extend(plan.refusals.iter().map(|refusal| format!("refuse {refusal}")));
        if let Some(drift) = &plan.drift {
            lines.extend(drift.describe().iter().map(|sentence| format!("{:?} {sentence}", drift.action)));
        }
        if lines.is_empty() { "nothing".into() } else { lines.join("\n") }
    }

    fn declared(yaml: &str) -> Declared {
        Declared::read(&topic(yaml)).expect("a valid declaration")
    }

    /// Plans a generation that was not applied before.
    fn check(yaml: &str, kafka: &str, expected: Expect) {
        expected.assert_eq(&print(&plan(&declared(yaml), observed(kafka).as_ref(), false, None)));
    }

    /// Plans a generation that was applied before.
    fn check_applied(yaml: &str, kafka: &str, expected: Expect) {
        expected.assert_eq(&print(&plan(&declared(yaml), observed(kafka).as_ref(), true, Some("id-1"))));
    }

    #[test]
    fn a_missing_topic_is_created() {
        check("{}", "", expect!["change create with 1 partition"]);
        check(
            "{partitions: 6, replicas: 3, retention: {time: 7d}}",
            "",
            expect!["change create with 6 partitions, 3 replicas, retention.ms=604800000"],
        );
    }

    #[test]
    fn an_existing_topic_is_adopted_unchanged() {
        check("{partitions: 3}", "3x2", expect!["nothing"]);
        check(
            "{partitions: 3, replicas: 2, config: {segment.ms: 5}}",
            "3x2 segment.ms=5",
            expect!["nothing"],
        );
    }

    #[test]
    fn configuration_changes_key_by_key() {
        check(
            "{config: {a: 1, b: 2, d: 4}, ignoreConfig: [z]}",
            "1x1 a=1 b=0 c=3 z=26 leader.replication.throttled.replicas=*",
            expect![[r#"
                change b: 0 -> 2
                change d: default -> 4
                change c: 3 -> default"#]],
        );
    }

    #[test]
    fn equal_values_in_another_form_are_no_difference() {
        check(
            r#"{config: {a: 1, b: "TRUE", c: "x, y", d: "0.50"}}"#,
            "1x1 a=1.0 b=true c=x,y d=0.5",
            expect!["nothing"],
        );
    }

    #[test]
    fn partitions_increase_and_never_decrease() {
        check("{partitions: 6}", "3x1", expect!["change partitions: 3 -> 6"]);
        check(
            "{partitions: 2, config: {a: 1}}",
            "3x1",
            expect![[r#"
            change a: default -> 1
            refuse NotSupported: spec.partitions: Kafka has 3 partitions and cannot remove any: set spec.partitions: 3, or create a new EventTopic with 2 and move producers and consumers to it"#]],
        );
    }

    #[test]
    fn replicas_are_not_changed() {
        check(
            "{replicas: 3}",
            "1x1",
            expect![
                "refuse NotSupported: spec.replicas: Kafka keeps 1 replica and the operator does not move replicas: set spec.replicas: 1, or reassign the partitions to 3 brokers each with kafka-reassign-partitions"
            ],
        );
        check("{}", "1x3", expect!["nothing"]);
    }

    #[test]
    fn drift_is_corrected_or_reported() {
        check_applied("{config: {a: 1}}", "1x1 a=1", expect!["nothing"]);
        check_applied(
            "{partitions: 2, config: {a: 1}}",
            "1x1 a=2 b=3",
            expect![[r#"
            change a: 2 -> 1
            change b: 3 -> default
            change partitions: 1 -> 2
            Corrected a is 2 instead of 1
            Corrected b is 3 instead of the default
            Corrected 1 partition instead of 2"#]],
        );
        check_applied(
            "{partitions: 2, config: {a: 1}, driftPolicy: Report}",
            "1x1 a=2 b=3",
            expect![[r#"
            Reported a is 2 instead of 1
            Reported b is 3 instead of the default
            Reported 1 partition instead of 2"#]],
        );
        check_applied(
            "{}",
            "",
            expect![[r#"
            change create with 1 partition
            Corrected the topic does not exist in Kafka"#]],
        );
        check_applied("{driftPolicy: Report}", "", expect!["Reported the topic does not exist in Kafka"]);
        check_applied(
            "{partitions: 2}",
            "4x1",
            expect![
                "refuse NotSupported: spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4, or create a new EventTopic with 2 and move producers and consumers to it"
            ],
        );
    }

    #[test]
    fn a_recreated_topic_is_drift() {
        check_applied(
            "{}",
            "1x1 id=id-2",
            expect!["Reported the topic was deleted and created again: id id-1 -> id-2"],
        );
        check_applied(
            "{config: {a: 1}}",
            "1x1 id=id-2",
            expect![[r#"
            change a: default -> 1
            Corrected the topic was deleted and created again: id id-1 -> id-2
            Corrected a is the default instead of 1"#]],
        );
    }

    fn config() -> impl proptest::strategy::Strategy<Value = BTreeMap<String, String>> {
        proptest::collection::btree_map("[a-e]", "[0-2]", 0..5)
    }

    proptest::proptest! {
        /// Applying a plan leaves nothing to do.
        #[test]
        fn a_plan_reaches_its_goal(
            (partitions, existing_partitions) in (1..5_i32, 1..5_i32),
            (wanted, existing) in (config(), config()),
            exists: bool,
            applied: bool,
        ) {
            let declared = Declared { config: wanted, partitions, ..declared("{}") };
            let kafka = Observed { id: "id-1".into(), partitions: existing_partitions, replicas: 1, config: existing };
            let first = plan(&declared, exists.then_some(&kafka), applied, Some("id-1"));
            let reached = state_after(&kafka, &first.changes);
            let second = plan(&declared, Some(&reached), applied, Some("id-1"));
            proptest::prop_assert_eq!(second.changes, vec![]);
            proptest::prop_assert!(reached.partitions >= partitions);
        }
    }
}
