//! What to change in Kafka so that a topic becomes what is declared.

use std::collections::BTreeMap;
use std::fmt;

use eventcenter_sdk::Reason;

use super::{Declared, value};
use crate::api::{DriftAction, DriftPolicy, EventTopic};
use crate::domain::Refusal;

/// What Kafka has under a topic's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Kafka's identifier of the topic (KIP-516).
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each partition, the fewest where they differ.
    pub replicas: i32,
    /// What is set on the topic itself; defaults are left out.
    pub config: BTreeMap<String, String>,
}

impl Observed {
    /// What Kafka had when the status of a resource was written; `None` if it had no topic.
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

/// One change in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make the topic.
    Create {
        /// Number of partitions.
        partitions: i32,
        /// Copies of each; none means what Kafka has as its default.
        replicas: Option<i32>,
        /// What is set on it.
        config: BTreeMap<String, String>,
    },
    /// Set one configuration key.
    Set {
        /// Kafka's name of it.
        key: String,
        /// What was set on the topic before.
        from: Option<String>,
        /// What is declared.
        to: String,
    },
    /// Give one configuration key back to the cluster's default.
    Reset {
        /// Kafka's name of it.
        key: String,
        /// What was set on the topic before.
        from: String,
    },
    /// Add partitions.
    AddPartitions {
        /// How many there are.
        from: i32,
        /// How many there will be.
        to: i32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { partitions, replicas, config } => {
                write!(f, "create with {}", counted(*partitions, "partition"))?;
                if let Some(replicas) = replicas {
                    write!(f, ", {}", counted(*replicas, "replica"))?;
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

fn counted(number: i32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A difference that nobody declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What is done about it.
    pub action: DriftAction,
    /// What differs, a sentence each.
    pub differences: Vec<String>,
}

/// What is to be done, and what cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All of them at once: none depends on another.
    pub changes: Vec<Change>,
    /// What Kafka cannot do. The changes are made all the same, so that one impossible wish does
    /// not hold up the others.
    pub refusals: Vec<Refusal>,
    /// What somebody changed behind the operator's back.
    pub drift: Option<Drift>,
}

/// Compares what is declared with what Kafka has.
///
/// `applied` says whether this very declaration was in force before: then a difference is drift,
/// and otherwise it is what the declaration asks for. `known_id` is the identifier under which the
/// topic was last seen.
#[must_use]
pub fn plan(declared: &Declared, observed: Option<&Observed>, applied: bool, known_id: Option<&str>) -> Plan {
    let mut changes = differences(declared, observed);
    let refusals = observed.map(|observed| impossible(declared, observed)).unwrap_or_default();
    let mut drift = None;
    if applied {
        let mut differences: Vec<String> = changes.iter().map(|change| sentence(change, observed)).collect();
        if let (Some(observed), Some(known)) =
            (observed, known_id.filter(|known| observed.is_some_and(|o| o.id != *known)))
        {
            differences
                .insert(0, format!("the topic was deleted and made again: id {known} -> {}", observed.id));
        }
        let action = match declared.drift {
            DriftPolicy::Correct if !changes.is_empty() => DriftAction::Corrected,
            DriftPolicy::Correct | DriftPolicy::Report => DriftAction::Reported,
        };
        if action == DriftAction::Reported {
            changes.clear();
        }
        drift = (!differences.is_empty()).then_some(Drift { action, differences });
    }
    Plan { changes, refusals, drift }
}

fn sentence(change: &Change, observed: Option<&Observed>) -> String {
    match (change, observed) {
        (Change::Create { .. }, _) => "the topic is gone from Kafka".into(),
        (Change::Set { key, from, to }, _) => {
            format!("{key} is {} instead of {to}", from.as_deref().unwrap_or("the default"))
        }
        (Change::Reset { key, from }, _) => format!("{key} is {from} instead of the default"),
        (Change::AddPartitions { from, to }, _) => format!("{} instead of {to}", counted(*from, "partition")),
    }
}

fn differences(declared: &Declared, observed: Option<&Observed>) -> Vec<Change> {
    let Some(observed) = observed else {
        return vec![Change::Create {
            partitions: declared.partitions,
            replicas: declared.replicas,
            config: declared.config.clone(),
        }];
    };
    let set = declared.config.iter().filter_map(|(key, to)| {
        let from = observed.config.get(key);
        let is_so = from.is_some_and(|from| value::same(from, to));
        (!is_so).then(|| Change::Set { key: key.clone(), from: from.cloned(), to: to.clone() })
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

fn impossible(declared: &Declared, observed: &Observed) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if declared.partitions < observed.partitions {
        refusals.push(Refusal::at(
            Reason::NotSupported,
            "spec.partitions",
            format!(
                "Kafka has {} and cannot remove any: set spec.partitions: {}, or make a \
                 new EventTopic with {} and move producers and consumers to it",
                counted(observed.partitions, "partition"),
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
                counted(observed.replicas, "replica"),
                observed.replicas
            ),
        ));
    }
    refusals
}

/// What Kafka has once changes were made, so that nobody has to ask again: after a change a
/// describe may still return the old value for a while.
#[must_use]
pub fn after(observed: &Observed, changes: &[Change]) -> Observed {
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
        if let Some(found) = &plan.drift {
            lines.extend(
                found.differences.iter().map(|difference| format!("{:?} {difference}", found.action)),
            );
        }
        if lines.is_empty() { "nothing".into() } else { lines.join("\n") }
    }

    fn declared(yaml: &str) -> Declared {
        Declared::read(&topic(yaml)).expect("a good declaration")
    }

    /// A declaration that is new.
    fn check(yaml: &str, kafka: &str, expected: Expect) {
        expected.assert_eq(&print(&plan(&declared(yaml), observed(kafka).as_ref(), false, None)));
    }

    /// A declaration that was in force before.
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
    fn an_existing_topic_is_adopted_as_it_is() {
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
    fn a_value_that_kafka_only_writes_otherwise_is_no_difference() {
        check(
            r#"{config: {a: 1, b: "TRUE", c: "x, y", d: "0.50"}}"#,
            "1x1 a=1.0 b=true c=x,y d=0.5",
            expect!["nothing"],
        );
    }

    #[test]
    fn partitions_grow_and_never_shrink() {
        check("{partitions: 6}", "3x1", expect!["change partitions: 3 -> 6"]);
        check(
            "{partitions: 2, config: {a: 1}}",
            "3x1",
            expect![[r#"
            change a: default -> 1
            refuse NotSupported: spec.partitions: Kafka has 3 partitions and cannot remove any: set spec.partitions: 3, or make a new EventTopic with 2 and move producers and consumers to it"#]],
        );
    }

    #[test]
    fn replicas_stay() {
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
            Corrected the topic is gone from Kafka"#]],
        );
        check_applied("{driftPolicy: Report}", "", expect!["Reported the topic is gone from Kafka"]);
        check_applied(
            "{partitions: 2}",
            "4x1",
            expect![
                "refuse NotSupported: spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4, or make a new EventTopic with 2 and move producers and consumers to it"
            ],
        );
    }

    #[test]
    fn a_topic_made_again_is_noticed() {
        check_applied(
            "{}",
            "1x1 id=id-2",
            expect!["Reported the topic was deleted and made again: id id-1 -> id-2"],
        );
        check_applied(
            "{config: {a: 1}}",
            "1x1 id=id-2",
            expect![[r#"
            change a: default -> 1
            Corrected the topic was deleted and made again: id id-1 -> id-2
            Corrected a is the default instead of 1"#]],
        );
    }

    fn config() -> impl proptest::strategy::Strategy<Value = BTreeMap<String, String>> {
        proptest::collection::btree_map("[a-e]", "[0-2]", 0..5)
    }

    proptest::proptest! {
        /// Applying a plan to what was observed leaves nothing to do.
        #[test]
        fn a_plan_reaches_its_goal(
            (partitions, has) in (1..5_i32, 1..5_i32),
            (wanted, found) in (config(), config()),
            exists: bool,
            applied: bool,
        ) {
            let declared = Declared { config: wanted, partitions, ..declared("{}") };
            let kafka = Observed { id: "id-1".into(), partitions: has, replicas: 1, config: found };
            let first = plan(&declared, exists.then_some(&kafka), applied, Some("id-1"));
            let reached = after(&kafka, &first.changes);
            let second = plan(&declared, Some(&reached), applied, Some("id-1"));
            proptest::prop_assert_eq!(second.changes, vec![]);
            proptest::prop_assert!(reached.partitions >= partitions);
        }
    }
}
