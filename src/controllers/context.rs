//! The state that the product's controllers share.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef as StoreRef;

use super::approval::GovernedQueues;
use super::connections::Connections;
use super::options::Options;
use super::runtime::Informer;
use super::seen_acls::SeenAcls;
use super::services::Services;
use super::task::{CronJobs, TaskMetrics, TaskRegistry};
use super::unregistered::UnregisteredTopics;
use crate::api::{EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};
use crate::domain::ObjectRef;
use crate::domain::topic::Identity;
use crate::store::Runs;

/// The state of all controllers.
pub(super) struct Context {
    pub(super) services: Arc<Services>,
    /// The queues of all governed kinds.
    pub(super) governed: GovernedQueues,
    pub(super) tenants: Informer<Tenant>,
    pub(super) clusters: Informer<KafkaCluster>,
    pub(super) topics: Informer<EventTopic>,
    pub(super) templates: Informer<TaskTemplate>,
    pub(super) tasks: Informer<ScheduledTask>,
    pub(super) task_registry: TaskRegistry,
    pub(super) cron_jobs: CronJobs,
    pub(super) task_metrics: TaskMetrics,
    /// The stored runs of tasks.
    pub(super) runs: Runs,
    pub(super) connections: Connections,
    pub(super) access: SeenAcls,
    pub(super) unregistered: UnregisteredTopics,
    pub(super) options: Options,
}

impl Context {
    /// Whether another resource still records an active spec of a Kafka topic. Its owner waits until that is removed:
    /// otherwise the other resource would trust an outdated record when it becomes the owner again.
    pub(super) fn is_recorded_elsewhere(&self, identity: &Identity, topic: &EventTopic) -> bool {
        let this = ObjectRef::of(topic);
        let catalog = self.services.catalog.lock();
        let is_recorded = |other: &ObjectRef| {
            let reference = StoreRef::new(&other.name).within(&other.namespace);
            let other = self.topics.objects.get(&reference);
            let other = other.as_ref().and_then(|other| other.0.as_ref().ok());
            // A resource under deletion never becomes the owner again.
            other
                .filter(|other| other.metadata.deletion_timestamp.is_none())
                .is_some_and(|other| other.status.as_ref().is_some_and(|status| status.approved.is_some()))
        };
        catalog.other_recorders(identity, &this).any(is_recorded)
    }

    pub(super) fn enqueue_topics(&self, topics: impl IntoIterator<Item = ObjectRef>) {
        for topic in topics {
            self.topics.queue.enqueue(Some(&topic.namespace), &topic.name);
        }
    }

    pub(super) fn enqueue_tasks(&self, tasks: impl IntoIterator<Item = ObjectRef>) {
        for task in tasks {
            self.tasks.queue.enqueue(Some(&task.namespace), &task.name);
        }
    }
}
