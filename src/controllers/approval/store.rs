//! Keys, decisions and active records that this process has read or written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::object::HasStatus;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::api::{ChangeApproval, HasApproval};
use crate::domain::approval::{ActiveRecord, SpecHash, VerifiedDecision};
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::{ObjectRef, Revisioned};
use crate::kubernetes::TrustedKeys;

/// Keys, decisions and active records.
#[derive(Debug)]
pub struct ApprovalStore {
    key: SigningKey,
    trusted: RwLock<TrustedKeys>,
    decisions: Mutex<DecisionIndex>,
    /// By the uid of the resource.
    records: Mutex<HashMap<String, RememberedRecord>>,
    synced: watch::Sender<Synced>,
}

/// What this process knows about the active record of a resource.
#[derive(Clone, Debug)]
enum RememberedRecord {
    /// It has written or verified this one.
    Active(ActiveRecord),
    /// None that is not later than this time is valid: the resource did not own its data. The status may still be the one
    /// before.
    InactiveSince(Timestamp),
}

/// Which lists have been read since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    keys: bool,
    decisions: bool,
}

/// The ChangeApprovals by target.
#[derive(Debug, Default)]
struct DecisionIndex {
    by_target: HashMap<ObjectRef, BTreeMap<String, Arc<ChangeApproval>>>,
    targets: HashMap<ObjectRef, ObjectRef>,
}

impl DecisionIndex {
    /// Adds a ChangeApproval. Returns its target.
    fn insert(&mut self, approval: ChangeApproval) -> ObjectRef {
        let this = ObjectRef::of(&approval);
        let target = ObjectRef {
            kind: approval.spec.target.kind.clone(),
            namespace: this.namespace.clone(),
            name: approval.spec.target.name.as_str().into(),
        };
        // Its target never changes, but another approval may have taken its name.
        self.remove(&this);
        self.targets.insert(this.clone(), target.clone());
        self.by_target.entry(target.clone()).or_default().insert(this.name.to_string(), Arc::new(approval));
        target
    }

    /// Removes a ChangeApproval. Returns its target.
    fn remove(&mut self, this: &ObjectRef) -> Option<ObjectRef> {
        let target = self.targets.remove(this)?;
        if let Some(approvals) = self.by_target.get_mut(&target) {
            approvals.remove(&*this.name);
            if approvals.is_empty() {
                self.by_target.remove(&target);
            }
        }
        Some(target)
    }
}

impl ApprovalStore {
    /// An empty store with the controllers' own key.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self {
            key,
            trusted: RwLock::default(),
            decisions: Mutex::default(),
            records: Mutex::default(),
            synced: watch::Sender::default(),
        }
    }

    /// Waits until keys and decisions have been read: before that, approved changes would look unapproved.
    pub(in crate::controllers) async fn wait_until_synced(&self) {
        // The sender is owned by `self`, so it is never closed.
        drop(self.synced.subscribe().wait_for(|synced| synced.keys && synced.decisions).await);
    }

    /// The controllers' own key.
    pub(in crate::controllers) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The keys of the webhook, which seals requests and decisions.
    pub(in crate::controllers) fn webhook_keys(&self) -> PublicKeys {
        self.trusted.read().webhook.clone()
    }

    /// The sealed decisions on one spec of a resource. Decisions on other specs stay as long as the resource, and their
    /// seals are not worth verifying each time.
    pub(in crate::controllers) fn decisions_on(
        &self,
        subject: &Revisioned,
        hash: &SpecHash,
        keys: &PublicKeys,
    ) -> Vec<VerifiedDecision> {
        let approvals: Vec<Arc<ChangeApproval>> = {
            let index = self.decisions.lock();
            index
                .by_target
                .get(&subject.object)
                .map(|approvals| approvals.values().cloned().collect())
                .unwrap_or_default()
        };
        let on_this = approvals.iter().filter(|approval| approval.spec.spec_hash == hash.as_str());
        on_this.filter_map(|approval| VerifiedDecision::verify(approval, subject, keys)).collect()
    }

    /// The active record of a resource: that in its status, or what this process wrote later. The status may be older
    /// than the last write, or an old one may have been restored.
    pub(in crate::controllers) fn active_record<K>(&self, resource: &K) -> Option<ActiveRecord>
    where
        K: kube::Resource<DynamicType = ()> + HasStatus<Status: HasApproval>,
    {
        let in_status = ActiveRecord::verified(resource, &self.trusted.read().controllers);
        match self.records.lock().get(&resource.uid().unwrap_or_default()).cloned() {
            Some(RememberedRecord::Active(record)) => ActiveRecord::newer(Some(record), in_status),
            Some(RememberedRecord::InactiveSince(time)) => {
                in_status.filter(|record| record.as_status().at > time)
            }
            None => in_status,
        }
    }

    /// Whether this process has written, or verified, the active record of a resource.
    pub(in crate::controllers) fn remembers(&self, resource: &impl kube::Resource) -> bool {
        let records = self.records.lock();
        matches!(records.get(&resource.uid().unwrap_or_default()), Some(RememberedRecord::Active(_)))
    }

    /// Remembers the active record of a resource.
    pub(in crate::controllers) fn remember(&self, resource: &impl kube::Resource, record: ActiveRecord) {
        self.records.lock().insert(resource.uid().unwrap_or_default(), RememberedRecord::Active(record));
    }

    /// Remembers that a resource has no active spec at this time.
    pub(in crate::controllers) fn remember_inactive(&self, resource: &impl kube::Resource, now: Timestamp) {
        let uid = resource.uid().unwrap_or_default();
        self.records.lock().insert(uid, RememberedRecord::InactiveSince(now));
    }

    /// Removes the active record of a resource that was deleted, or needs no approval.
    pub(in crate::controllers) fn forget(&self, resource: &impl kube::Resource) {
        if let Some(uid) = resource.uid() {
            self.records.lock().remove(&uid);
        }
    }

    /// Replaces the trusted keys. Returns whether they changed.
    pub(super) fn set_trusted(&self, mut trusted: TrustedKeys) -> bool {
        // The controllers trust their own key even if the ConfigMap lacks it.
        trusted.controllers.extend(&self.key.public_key());
        let before = std::mem::replace(&mut *self.trusted.write(), trusted.clone());
        self.synced.send_modify(|synced| synced.keys = true);
        before != trusted
    }

    /// Adds a ChangeApproval. Returns its target.
    pub(super) fn insert_decision(&self, approval: ChangeApproval) -> ObjectRef {
        self.decisions.lock().insert(approval)
    }

    /// Removes a ChangeApproval. Returns its target.
    pub(super) fn remove_decision(&self, approval: &ObjectRef) -> Option<ObjectRef> {
        self.decisions.lock().remove(approval)
    }

    /// Removes the ChangeApprovals that are not in a complete list. Returns their targets.
    pub(super) fn retain_decisions(&self, listed: &HashSet<ObjectRef>) -> Vec<ObjectRef> {
        let targets = {
            let mut index = self.decisions.lock();
            let removed: Vec<ObjectRef> =
                index.targets.keys().filter(|approval| !listed.contains(*approval)).cloned().collect();
            removed.iter().filter_map(|approval| index.remove(approval)).collect()
        };
        self.synced.send_modify(|synced| synced.decisions = true);
        targets
    }
}
