//! What all declarations together say.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use eventcenter_sdk::name::{ClusterName, TopicName};

use crate::api::EventTopic;
use crate::domain::Refusal;
use crate::domain::cluster::Clusters;
use crate::domain::condition::Health;
use crate::domain::tenant::Tenants;
use crate::domain::topic::claim::{Claim, Resource};
use crate::domain::topic::farewell::{Farewell, farewell};
use crate::domain::topic::right::claimed;
use crate::domain::topic::{Claims, Right, attention, identity, right};

/// Tenants, clusters and claims, changed together so that they never contradict each other.
#[derive(Debug, Default)]
pub(super) struct World(Mutex<Declarations>);

#[derive(Debug, Default)]
struct Declarations {
    tenants: Tenants,
    clusters: Clusters,
    claims: Claims,
    /// Whether topics came, changed or went since somebody asked.
    topics_changed: bool,
}

impl Declarations {
    fn claim(&mut self, topic: &EventTopic) -> Vec<Resource> {
        let identity = claimed(topic, &self.tenants, &self.clusters);
        self.claims.set(&Claim::of(topic), identity)
    }
}

impl World {
    fn lock(&self) -> std::sync::MutexGuard<'_, Declarations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator may do for a topic.
    pub(super) fn right(&self, topic: &EventTopic) -> Result<Right, Refusal> {
        let world = self.lock();
        right(topic, &world.tenants, &world.clusters, &world.claims)
    }

    /// What to do for a topic that is being deleted.
    pub(super) fn farewell(&self, topic: &EventTopic) -> Farewell {
        let world = self.lock();
        let this = Resource::of(topic);
        let identity = identity::identity(topic, &world.tenants, &world.clusters);
        let (owner, heir) = match &identity {
            Ok(identity) => (world.claims.owner(identity), world.claims.heir(identity, &this)),
            Err(_) => (None, None),
        };
        let (owner, heir) = (owner.cloned(), heir.cloned());
        farewell(topic, &attention(topic), identity, owner.as_ref(), heir.as_ref(), &this)
    }

    /// A topic was made or changed. Returns the others that this concerns.
    pub(super) fn seen(&self, topic: &EventTopic) -> Vec<Resource> {
        let mut world = self.lock();
        world.topics_changed = true;
        world.claim(topic)
    }

    /// A topic is gone. Returns the others that this concerns.
    pub(super) fn gone(&self, topic: &Resource) -> Vec<Resource> {
        let mut world = self.lock();
        world.topics_changed = true;
        world.claims.remove(topic)
    }

    /// These are all topics: those that are not among them went while nobody watched.
    pub(super) fn all<'a>(&self, topics: impl Iterator<Item = &'a EventTopic>) -> Vec<Resource> {
        let mut world = self.lock();
        world.topics_changed = true;
        let mut known = HashSet::new();
        let mut concerned = Vec::new();
        for topic in topics {
            known.insert(Resource::of(topic));
            concerned.extend(world.claim(topic));
        }
        let went: Vec<Resource> =
            world.claims.resources().filter(|resource| !known.contains(*resource)).cloned().collect();
        for resource in went {
            concerned.extend(world.claims.remove(&resource));
        }
        concerned
    }

    /// The tenants have changed. Returns the topics that this concerns.
    pub(super) fn set_tenants<'a>(
        &self,
        tenants: Tenants,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> Vec<Resource> {
        let mut world = self.lock();
        let before = std::mem::replace(&mut world.tenants, tenants);
        let moved: HashSet<String> = world.tenants.moved(&before).into_iter().map(String::from).collect();
        let mut concerned = Vec::new();
        for topic in topics {
            let resource = Resource::of(topic);
            if moved.contains(&resource.namespace) {
                concerned.extend(world.claim(topic));
                concerned.push(resource);
            }
        }
        concerned
    }

    /// The clusters have changed. Returns the topics that this concerns: those that stand for
    /// something else than before, or may not for another reason.
    pub(super) fn set_clusters<'a>(
        &self,
        clusters: Clusters,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> Vec<Resource> {
        let mut world = self.lock();
        if world.clusters == clusters {
            return Vec::new();
        }
        let before = std::mem::replace(&mut world.clusters, clusters);
        let mut concerned = Vec::new();
        for topic in topics {
            let stood_for = identity::identity(topic, &world.tenants, &before);
            if stood_for != identity::identity(topic, &world.tenants, &world.clusters) {
                concerned.extend(world.claim(topic));
                concerned.push(Resource::of(topic));
            }
        }
        concerned
    }

    /// How a tenant is doing.
    pub(super) fn tenant(&self, name: &str) -> Health {
        self.lock().tenants.health(name)
    }

    /// Whether topics came, changed or went since this was asked before.
    pub(super) fn take_topics_changed(&self) -> bool {
        std::mem::take(&mut self.lock().topics_changed)
    }

    /// The tenant that owns a namespace, for logs.
    pub(super) fn tenant_of(&self, namespace: &str) -> Option<String> {
        self.lock().tenants.of_namespace(namespace).ok().map(|tenant| tenant.name.to_string())
    }

    /// The Kafka topics in one cluster that a resource owns, and who.
    pub(super) fn owned(&self, cluster: &ClusterName) -> Vec<(TopicName, Resource)> {
        let world = self.lock();
        let owned = world.claims.owned().filter(|(identity, _)| identity.cluster == *cluster);
        owned.map(|(identity, owner)| (identity.topic.clone(), owner.clone())).collect()
    }

    /// Whether a cluster is the one that topics live in which name none.
    pub(super) fn default_cluster(&self) -> Option<ClusterName> {
        self.lock().clusters.default().cloned()
    }
}
