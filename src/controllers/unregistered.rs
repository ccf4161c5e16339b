//! Kafka topics without an EventTopic: counted and reported, never changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventcenter_sdk::name::ClusterName;

use super::context::Context;
use crate::domain::cluster::Unregistered;
use crate::kafka::Kafka;

/// The unregistered topics of each cluster at the last resync.
#[derive(Debug, Default)]
pub(super) struct UnregisteredTopics(Mutex<HashMap<ClusterName, Unregistered>>);

impl UnregisteredTopics {
    /// The unregistered topics of a cluster; `None` before its first resync.
    pub(super) fn get(&self, cluster: &ClusterName) -> Option<Unregistered> {
        self.lock().get(cluster).cloned()
    }

    /// Stores the topics of a cluster. Returns whether they have changed.
    fn set(&self, cluster: &ClusterName, topics: Unregistered) -> bool {
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

/// Lists the topics of a cluster that have no EventTopic. Does nothing before all EventTopics have been listed.
pub(super) async fn refresh(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    if !context.topics.is_synced() {
        return;
    }
    // An EventTopic may be created or deleted during the request.
    let mut registered = registered_names(context, cluster);
    let Ok(all) = kafka.list_topics().await else { return };
    registered.extend(registered_names(context, cluster));
    let unregistered = Unregistered::of(all, |name| registered.contains(name));
    context.services.metrics.set_unregistered(cluster, unregistered.number);
    if context.unregistered.set(cluster, unregistered) {
        context.clusters.queue.enqueue(None, cluster.as_ref());
    }
}

fn registered_names(context: &Context, cluster: &ClusterName) -> HashSet<String> {
    let topics = context.topics.objects.state();
    let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    context.services.catalog.lock().registered(cluster, topics).into_iter().map(String::from).collect()
}
