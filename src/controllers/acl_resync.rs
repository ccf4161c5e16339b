//! Comparing all ACLs in Kafka with what the last reconciles left there.
//!
//! Topics without access have no entry here and cost nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use tokio::time::Instant;

use super::context::Context;
use super::last_seen::LastSeen;
use crate::domain::topic::Identity;
use crate::domain::topic::access::{AclBinding, ResourcePattern};
use crate::kafka::{AclScope, Kafka};

/// What the last reconcile of each topic left of its ACLs.
#[derive(Debug, Default)]
pub(super) struct SeenAcls(Mutex<HashMap<Identity, TopicAcls>>);

/// What the last reconcile of one topic left.
#[derive(Clone, Debug)]
pub(super) struct TopicAcls {
    /// Consumer groups with ACLs of the topic.
    pub(super) groups: BTreeSet<ResourcePattern>,
    /// The ACLs, or nothing if Kafka has no authorizer.
    pub(super) acls: LastSeen<BTreeSet<AclBinding>>,
}

impl SeenAcls {
    /// Whether Kafka's answers about a topic's ACLs are reliable: nothing changed a moment ago.
    pub(super) fn is_settled(&self, identity: &Identity, now: Instant, settle_time: Duration) -> bool {
        self.lock().get(identity).is_none_or(|seen| seen.acls.is_settled(now, settle_time))
    }

    /// Stores what a reconcile left.
    pub(super) fn set(&self, identity: &Identity, acls: TopicAcls) {
        self.lock().insert(identity.clone(), acls);
    }

    /// Removes a topic that has no access any more, or whose ACLs are unknown.
    pub(super) fn remove(&self, identity: &Identity) {
        self.lock().remove(identity);
    }

    /// Removes the topics of clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) {
        self.lock().retain(|identity, _| declared(&identity.cluster));
    }

    fn list(&self, cluster: &ClusterName) -> Vec<(Identity, TopicAcls)> {
        let all = self.lock();
        let of = all.iter().filter(|(identity, _)| identity.cluster == *cluster);
        of.map(|(identity, acls)| (identity.clone(), acls.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, TopicAcls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enqueues the topics whose ACLs differ from what their last reconcile left.
pub(super) async fn resync(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    let started = Instant::now();
    let known = context.access.list(cluster);
    if known.is_empty() {
        return;
    }
    let scope = match known.iter().all(|(_, seen)| seen.groups.is_empty()) {
        true => AclScope::Topics,
        false => AclScope::TopicsAndGroups,
    };
    let current = match kafka.describe_all_acls(scope).await {
        Ok(acls) => Some(acls),
        Err(error) if error.reason() == Reason::AuthorizerMissing => None,
        // Reconciles of the topics report the failure.
        Err(_) => return,
    };
    let mut enqueued = 0_usize;
    for (identity, seen) in &known {
        let acls = current.as_ref().map(|current| current.select(&identity.topic, &seen.groups));
        if !seen.acls.differs(acls.as_ref(), started, context.options.settle_time) {
            continue;
        }
        let owner = context.services.catalog.lock().claims().owner(identity).cloned();
        match owner {
            Some(owner) => {
                enqueued += 1;
                context.topics.queue.enqueue(Some(&owner.namespace), &owner.name);
            }
            None => context.access.remove(identity),
        }
    }
    tracing::debug!(%cluster, topics = known.len(), enqueued, took = ?started.elapsed(), "compared all ACLs");
}
