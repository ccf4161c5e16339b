//! The state that the product's controllers share.

use std::sync::Arc;

use super::approval::GovernedQueues;
use super::connections::Connections;
use super::options::Options;
use super::runtime::Informer;
use super::seen_acls::SeenAcls;
use super::services::Services;
use super::unregistered::UnregisteredTopics;
use crate::api::{EventTopic, KafkaCluster, Tenant};
use crate::domain::ObjectRef;

/// The state of all controllers.
pub(super) struct Context {
    pub(super) services: Arc<Services>,
    /// The queues of all governed kinds.
    pub(super) governed: GovernedQueues,
    pub(super) tenants: Informer<Tenant>,
    pub(super) clusters: Informer<KafkaCluster>,
    pub(super) topics: Informer<EventTopic>,
    pub(super) connections: Connections,
    pub(super) access: SeenAcls,
    pub(super) unregistered: UnregisteredTopics,
    pub(super) options: Options,
}

impl Context {
    pub(super) fn enqueue_topics(&self, topics: impl IntoIterator<Item = ObjectRef>) {
        for topic in topics {
            self.topics.queue.enqueue(Some(&topic.namespace), &topic.name);
        }
    }
}
