//! Which Kafka clusters there are, and which of them is the default.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use jiff::Timestamp;
use kube::ResourceExt;

use super::age::age;
use super::condition::{Conditions, Health};
use super::refusal::Refusal;
use crate::api::{KafkaCluster, KafkaClusterStatus};

/// Whether topics that name no cluster live here, as the declaration asks for.
pub const DEFAULT: &str = "Default";

/// The Kafka clusters that are declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    names: BTreeSet<ClusterName>,
    default: Option<ClusterName>,
}

impl Clusters {
    /// Reads all declarations. Of several defaults the oldest counts.
    pub fn of<'a>(clusters: impl IntoIterator<Item = &'a KafkaCluster>) -> Self {
        let mut names = BTreeSet::new();
        let mut default: Option<((Timestamp, String), ClusterName)> = None;
        for cluster in clusters {
            let Ok(name) = cluster.name_any().parse::<ClusterName>() else { continue };
            if cluster.spec.default {
                let age = age(cluster);
                if default.as_ref().is_none_or(|(oldest, _)| age < *oldest) {
                    default = Some((age, name.clone()));
                }
            }
            names.insert(name);
        }
        Self { names, default: default.map(|(_, name)| name) }
    }

    /// Whether a cluster of that name is declared.
    #[must_use]
    pub fn contains(&self, name: &ClusterName) -> bool {
        self.names.contains(name)
    }

    /// Where topics live that name no cluster.
    #[must_use]
    pub fn default(&self) -> Option<&ClusterName> {
        self.default.as_ref()
    }
}

/// Kafka's own topics, which nobody registers.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// How many names a status has.
const NAMED: usize = 100;

/// The Kafka topics of a cluster that no EventTopic stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unregistered {
    /// How many there are.
    pub number: i64,
    /// The first of their names, in order.
    pub first: Vec<String>,
}

impl Unregistered {
    /// Those of all topics in a cluster that are not registered, nor Kafka's own.
    #[must_use]
    pub fn of(all: Vec<String>, is_registered: impl Fn(&str) -> bool) -> Self {
        let mut names = Self::names(all);
        names.retain(|name| !is_registered(name));
        let number = i64::try_from(names.len()).unwrap_or(i64::MAX);
        names.truncate(NAMED);
        Self { number, first: names }
    }

    /// The names that somebody could register, in order: all but Kafka's own.
    #[must_use]
    pub fn names(mut all: Vec<String>) -> Vec<String> {
        all.retain(|name| !INTERNAL.contains(&name.as_str()));
        all.sort_unstable();
        all
    }

    /// Says so in a status.
    pub fn tell(self, status: &mut KafkaClusterStatus) {
        status.unregistered_topics = Some(self.number);
        status.unregistered = self.first;
    }
}

/// What a cluster's status should say, given its identifier and number of brokers, or why they are
/// not known.
#[must_use]
pub fn status(
    cluster: &KafkaCluster,
    facts: Result<&(String, i32), &Refusal>,
    other_is_default: bool,
    now: Timestamp,
) -> KafkaClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let mut conditions = Conditions::after(&before.conditions, cluster.metadata.generation, now);
    conditions.health(&match facts {
        Ok(_) => Health::Ready(Reason::Available, "Kafka answers".into()),
        Err(refusal) => Health::of(refusal),
    });
    if other_is_default {
        let message = "an older KafkaCluster is the default: set spec.default: false here or there";
        conditions.set(DEFAULT, false, Reason::ResourceConflict, message);
    }
    KafkaClusterStatus {
        conditions: conditions.finish(),
        observed_generation: cluster.metadata.generation,
        cluster_id: facts.map_or(before.cluster_id, |(id, _)| Some(id.clone())),
        brokers: facts.map_or(before.brokers, |(_, brokers)| Some(*brokers)),
        unregistered_topics: before.unregistered_topics,
        unregistered: before.unregistered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_declares_is_counted_and_the_first_are_named() {
        let names =
            ["b", "__consumer_offsets", "a", "shop.orders", "__transaction_state", "__share_group_state"];
        let found = Unregistered::of(names.map(String::from).to_vec(), |name| name.starts_with("shop."));
        assert_eq!(found, Unregistered { number: 2, first: vec!["a".into(), "b".into()] });

        let many = (0..250).rev().map(|number| format!("{number:03}")).collect();
        let found = Unregistered::of(many, |_| false);
        assert_eq!((found.number, found.first.len()), (250, 100));
        assert_eq!(found.first.last().map(String::as_str), Some("099"));
    }
}
