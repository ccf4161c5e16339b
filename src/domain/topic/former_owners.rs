//! Resources that do not claim a Kafka topic any more and still record what they had in force there.
//!
//! Such a record is outdated as soon as another resource changes the Kafka topic. So the new owner waits until the record is
//! removed, and a resource that becomes the owner again is compared with Kafka like any other takeover.

use std::collections::{BTreeSet, HashMap};

use super::Identity;
use crate::domain::ObjectRef;

/// The resources, by Kafka topic.
#[derive(Debug, Default)]
pub struct FormerOwners {
    by_topic: HashMap<Identity, BTreeSet<ObjectRef>>,
    by_resource: HashMap<ObjectRef, Identity>,
}

impl FormerOwners {
    /// Sets the Kafka topic that a resource formerly owned; `None` if there is none, or no record of it. Returns the previous
    /// one.
    pub fn set(&mut self, resource: &ObjectRef, identity: Option<Identity>) -> Option<Identity> {
        let before = self.by_resource.remove(resource);
        if let Some(before) = &before
            && let Some(resources) = self.by_topic.get_mut(before)
        {
            resources.remove(resource);
            if resources.is_empty() {
                self.by_topic.remove(before);
            }
        }
        if let Some(identity) = identity {
            self.by_topic.entry(identity.clone()).or_default().insert(resource.clone());
            self.by_resource.insert(resource.clone(), identity);
        }
        before
    }

    /// The former owners of a Kafka topic.
    pub fn of(&self, identity: &Identity) -> impl Iterator<Item = &ObjectRef> {
        self.by_topic.get(identity).into_iter().flatten()
    }
}
