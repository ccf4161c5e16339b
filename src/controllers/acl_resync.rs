//! What the last visits left of ACLs, and the look at all of them.
//!
//! Topics without access are not known here and cost nothing.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use tokio::time::Instant;

use super::Context;
use super::connections::SETTLED;
use crate::domain::topic::Identity;
use crate::domain::topic::access::{AclBinding, ResourcePattern};
use crate::kafka::{AclScope, Kafka};

/// What each visit left of the ACLs of its topic.
#[derive(Debug, Default)]
pub(super) struct Access(Mutex<HashMap<Identity, Left>>);

/// What one visit left.
#[derive(Clone, Debug)]
pub(super) struct Left {
    /// The consumer groups that belong to it.
    groups: BTreeSet<ResourcePattern>,
    /// A hash of the ACLs, or of there being no authorizer; none if that is not known.
    acls: Option<u64>,
    /// When that was.
    at: Instant,
    /// Whether anything was changed.
    changed: bool,
}

impl Left {
    /// A visit that leaves these ACLs, or found no authorizer.
    pub(super) fn knowing(
        groups: BTreeSet<ResourcePattern>,
        acls: Option<&BTreeSet<AclBinding>>,
        changed: bool,
        at: Instant,
    ) -> Self {
        Self { groups, acls: Some(hash(acls)), at, changed }
    }

    /// A visit that could not trust what Kafka showed.
    pub(super) fn unknown(groups: BTreeSet<ResourcePattern>, changed: bool, at: Instant) -> Self {
        Self { groups, acls: None, at, changed }
    }

    fn is_settled(&self, now: Instant) -> bool {
        !self.changed || now.saturating_duration_since(self.at) >= SETTLED
    }

    /// Whether Kafka was found to have something else by a look that began at that time.
    fn differs(&self, found: Option<&BTreeSet<AclBinding>>, looked: Instant) -> bool {
        self.at <= looked && self.is_settled(looked) && self.acls != Some(hash(found))
    }
}

fn hash(acls: Option<&BTreeSet<AclBinding>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    acls.hash(&mut hasher);
    hasher.finish()
}

impl Access {
    /// Whether what Kafka shows of a topic's ACLs is to be trusted: nothing was changed a moment ago.
    pub(super) fn is_settled(&self, identity: &Identity, now: Instant) -> bool {
        self.lock().get(identity).is_none_or(|left| left.is_settled(now))
    }

    /// Notes what a visit left.
    pub(super) fn visited(&self, identity: &Identity, left: Left) {
        self.lock().insert(identity.clone(), left);
    }

    /// Forgets a topic, because it has no access any more or what it has is not known.
    pub(super) fn forget(&self, identity: &Identity) {
        self.lock().remove(identity);
    }

    /// Forgets the topics in clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) {
        self.lock().retain(|identity, _| declared(&identity.cluster));
    }

    fn of(&self, cluster: &ClusterName) -> Vec<(Identity, Left)> {
        let all = self.lock();
        let of = all.iter().filter(|(identity, _)| identity.cluster == *cluster);
        of.map(|(identity, left)| (identity.clone(), left.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the topics whose ACLs are not what their last visit left.
pub(super) async fn look(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    let begin = Instant::now();
    let known = context.access.of(cluster);
    if known.is_empty() {
        return;
    }
    let scope = match known.iter().all(|(_, left)| left.groups.is_empty()) {
        true => AclScope::Topics,
        false => AclScope::TopicsAndGroups,
    };
    let found = match kafka.describe_all_acls(scope).await {
        Ok(found) => Some(found),
        Err(error) if error.reason() == Reason::AuthorizerMissing => None,
        // The failure is told by the topics that are visited meanwhile, and by the log.
        Err(_) => return,
    };
    let mut woken = 0_usize;
    for (identity, left) in &known {
        let acls = found.as_ref().map(|found| found.select(&identity.topic, &left.groups));
        if !left.differs(acls.as_ref(), begin) {
            continue;
        }
        let owner = context.services.catalog.lock().claims().owner(identity).cloned();
        match owner {
            Some(owner) => {
                woken += 1;
                context.topics.queue.enqueue(Some(&owner.namespace), &owner.name);
            }
            None => context.access.forget(identity),
        }
    }
    tracing::debug!(%cluster, topics = known.len(), woken, took = ?begin.elapsed(), "looked at all access");
}
