//! KafkaClusters and the default among them.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use jiff::Timestamp;
use kube::ResourceExt;

use super::age::age;
use super::condition::{Conditions, Health};
use super::refusal::Refusal;
use crate::api::{KafkaCluster, KafkaClusterStatus};

/// Condition: whether the cluster is the default, if its spec requests that.
pub const DEFAULT: &str = "Default";

/// All KafkaClusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    names: BTreeSet<ClusterName>,
    default: Option<ClusterName>,
}

impl Clusters {
    /// Collects KafkaClusters. If several are marked as default, the oldest is the default.
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

    /// Whether a cluster exists.
    #[must_use]
    pub fn contains(&self, name: &ClusterName) -> bool {
        self.names.contains(name)
    }

    /// The cluster of topics that name none.
    #[must_use]
    pub fn default(&self) -> Option<&ClusterName> {
        self.default.as_ref()
    }
}

/// Kafka's internal topics.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Maximum number of names in a status.
const MAX_UNREGISTERED_NAMES: usize = 100;

/// Kafka topics of a cluster without an EventTopic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unregistered {
    /// Their number.
    pub count: i64,
    /// The first of their names, in alphabetical order.
    pub names: Vec<String>,
}

impl Unregistered {
    /// Selects the topics without an EventTopic. Internal topics do not count.
    #[must_use]
    pub fn of(all: Vec<String>, is_registered: impl Fn(&str) -> bool) -> Self {
        let mut names = Self::registrable_names(all);
        names.retain(|name| !is_registered(name));
        let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
        names.truncate(MAX_UNREGISTERED_NAMES);
        Self { count, names }
    }

    /// All topics that can have an EventTopic, in alphabetical order.
    #[must_use]
    pub fn registrable_names(mut all: Vec<String>) -> Vec<String> {
        all.retain(|name| !INTERNAL.contains(&name.as_str()));
        all.sort_unstable();
        all
    }

    /// Writes the result to a status.
    pub fn write_to(self, status: &mut KafkaClusterStatus) {
        status.unregistered_topics = Some(self.count);
        status.unregistered = self.names;
    }
}

/// Builds the status of a cluster from its ID and number of brokers, or from the reason why they are unknown.
#[must_use]
pub fn build_status(
    cluster: &KafkaCluster,
    facts: Result<&(String, i32), &Refusal>,
    other_is_default: bool,
    now: Timestamp,
) -> KafkaClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let mut conditions = Conditions::from_previous(&before.conditions, cluster.metadata.generation, now);
    conditions.set_health(&match facts {
        Ok(_) => Health::Ready(Reason::Available, "Kafka answers".into()),
        Err(refusal) => Health::of(refusal),
    });
    if other_is_default {
        let message = "an older KafkaCluster is the default: set spec.default: false in one of the two";
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
    fn unregistered_topics_are_counted_and_the_first_are_listed() {
        let names =
            ["b", "__consumer_offsets", "a", "shop.orders", "__transaction_state", "__share_group_state"];
        let found = Unregistered::of(names.map(String::from).to_vec(), |name| name.starts_with("shop."));
        assert_eq!(found, Unregistered { count: 2, names: vec!["a".into(), "b".into()] });

        let many = (0..250).rev().map(|number| format!("{number:03}")).collect();
        let found = Unregistered::of(many, |_| false);
        assert_eq!((found.count, found.names.len()), (250, 100));
        assert_eq!(found.names.last().map(String::as_str), Some("099"));
    }
}
