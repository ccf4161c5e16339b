//! The Kafka topics of the EventTopics to which events are published, and from which they are read.

use kube::runtime::reflector::ObjectRef as StoreRef;

use super::super::context::Context;
use crate::api::EventTopicSpec;
use crate::domain::task::work::Destination;
use crate::domain::topic::Identity;
use crate::domain::topic::identity::identity;
use crate::domain::{ObjectRef, condition};

/// An EventTopic that is Ready, and the Kafka topic that it owns. Users may be able to write its status, so that names nothing: the
/// Kafka topic is the one that the spec and the tenant determine.
pub(super) fn find_topic(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Option<(EventTopicSpec, Destination)> {
    let topic = context.topics.objects.get(&StoreRef::new(name).within(namespace))?;
    let topic = topic.0.as_ref().ok()?;
    let status = topic.status.as_ref()?;
    condition::find(&status.conditions, condition::READY).filter(|ready| ready.status == "True")?;
    let catalog = context.services.catalog.lock();
    let identity = identity(topic, catalog.tenants(), catalog.clusters()).ok()?;
    catalog.claims().owner(&identity).filter(|owner| **owner == ObjectRef::of(topic))?;
    let Identity { cluster, topic: in_kafka } = identity;
    Some((topic.spec.clone(), Destination { cluster, topic: in_kafka }))
}
