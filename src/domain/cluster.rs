//! Which Kafka clusters there are, and which of them is the default.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use jiff::Timestamp;
use kube::ResourceExt;

use super::Refusal;
use super::condition::{Conditions, Health};
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
                let age = super::age(cluster);
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
    }
}
