//! The ACLs in Kafka after the last reconciles.
//!
//! Topics without access have no entry here and cost nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventcenter_sdk::name::ClusterName;

use super::last_seen::LastSeen;
use crate::domain::topic::Identity;
use crate::domain::topic::access::{AclBinding, ResourcePattern};

/// The ACLs of each topic after its last reconcile.
#[derive(Debug, Default)]
pub(super) struct SeenAcls(Mutex<HashMap<Identity, TopicAcls>>);

/// The ACLs of one topic after its last reconcile.
#[derive(Clone, Debug)]
pub(super) struct TopicAcls {
    /// Consumer groups with ACLs of the topic.
    pub(super) groups: BTreeSet<ResourcePattern>,
    /// The ACLs, or nothing if Kafka has no authorizer.
    pub(super) acls: LastSeen<BTreeSet<AclBinding>>,
}

impl SeenAcls {
    /// The ACLs of a topic after its last reconcile.
    pub(super) fn get(&self, identity: &Identity) -> Option<LastSeen<BTreeSet<AclBinding>>> {
        self.lock().get(identity).map(|seen| seen.acls.clone())
    }

    /// Stores the ACLs after a reconcile.
    pub(super) fn set(&self, identity: &Identity, acls: TopicAcls) {
        self.lock().insert(identity.clone(), acls);
    }

    /// Removes a topic that no longer declares access, or whose ACLs are unknown.
    pub(super) fn remove(&self, identity: &Identity) {
        self.lock().remove(identity);
    }

    /// Removes the topics of clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) {
        self.lock().retain(|identity, _| declared(&identity.cluster));
    }

    /// The topics of a cluster that have access.
    pub(super) fn list(&self, cluster: &ClusterName) -> Vec<(Identity, TopicAcls)> {
        let all = self.lock();
        let of = all.iter().filter(|(identity, _)| identity.cluster == *cluster);
        of.map(|(identity, acls)| (identity.clone(), acls.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, TopicAcls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
