//! Kafka topics without an EventTopic: counted and reported, never changed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventcenter_sdk::name::ClusterName;

use crate::domain::cluster::Unregistered;

/// The unregistered topics of each cluster at the last resync.
#[derive(Debug, Default)]
pub(super) struct UnregisteredTopics(Mutex<HashMap<ClusterName, Unregistered>>);

impl UnregisteredTopics {
    /// The unregistered topics of a cluster; `None` before its first resync.
    pub(super) fn get(&self, cluster: &ClusterName) -> Option<Unregistered> {
        self.lock().get(cluster).cloned()
    }

    /// Stores the topics of a cluster. Returns whether they have changed.
    pub(super) fn set(&self, cluster: &ClusterName, topics: Unregistered) -> bool {
        let before = self.lock().insert(cluster.clone(), topics.clone());
        before != Some(topics)
    }

    /// Removes and returns the clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) -> Vec<ClusterName> {
        let mut all = self.lock();
        let removed: Vec<ClusterName> = all.keys().filter(|cluster| !declared(cluster)).cloned().collect();
        removed.iter().for_each(|cluster| drop(all.remove(cluster)));
        removed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterName, Unregistered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
