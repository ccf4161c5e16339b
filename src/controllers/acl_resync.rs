//! Compares all ACLs in Kafka with the ACLs after the last reconcile of each topic.

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use tokio::time::Instant;

use super::context::Context;
use crate::kafka::{AclScope, Kafka};

/// Enqueues the topics whose ACLs differ from those after their last reconcile.
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
