//! Kafka topics that no EventTopic stands for: counted, told, and otherwise left alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventcenter_sdk::name::ClusterName;

use super::Context;
use crate::domain::cluster::Unregistered;
use crate::kafka::Kafka;

/// What was found in each cluster when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<HashMap<ClusterName, Unregistered>>);

impl Found {
    /// What there is in a cluster, if that is known.
    pub(super) fn of(&self, cluster: &ClusterName) -> Option<Unregistered> {
        self.lock().get(cluster).cloned()
    }

    /// Notes what was found. Returns whether it is news.
    fn note(&self, cluster: &ClusterName, found: Unregistered) -> bool {
        let before = self.lock().insert(cluster.clone(), found.clone());
        before != Some(found)
    }

    /// Forgets the clusters that are no longer declared, and returns them.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) -> Vec<ClusterName> {
        let mut all = self.lock();
        let gone: Vec<ClusterName> = all.keys().filter(|cluster| !declared(cluster)).cloned().collect();
        gone.iter().for_each(|cluster| drop(all.remove(cluster)));
        gone
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterName, Unregistered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the names of all topics in a cluster. Before all EventTopics have been read nothing is known.
pub(super) async fn look(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    if !context.topics.is_synced() {
        return;
    }
    // A resource may come or go while Kafka is asked.
    let mut registered = names(context, cluster);
    let Ok(all) = kafka.list_topics().await else { return };
    registered.extend(names(context, cluster));
    let found = Unregistered::of(all, |name| registered.contains(name));
    context.services.metrics.unregistered(cluster, found.number);
    if context.unregistered.note(cluster, found) {
        context.clusters.queue.enqueue(None, cluster.as_ref());
    }
}

fn names(context: &Context, cluster: &ClusterName) -> HashSet<String> {
    let topics = context.topics.objects.state();
    let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    context.services.catalog.lock().registered(cluster, topics).into_iter().map(String::from).collect()
}
