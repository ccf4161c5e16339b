//! Where events are published.

use kube::runtime::reflector::ObjectRef as StoreRef;

use super::super::context::Context;
use crate::api::EventTopicSpec;
use crate::domain::condition;
use crate::domain::task::work::Destination;

/// An EventTopic that is Ready, and its Kafka topic.
pub(super) fn find_topic(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Option<(EventTopicSpec, Destination)> {
    let topic = context.topics.objects.get(&StoreRef::new(name).within(namespace))?;
    let topic = topic.0.as_ref().ok()?;
    let status = topic.status.as_ref()?;
    condition::find(&status.conditions, condition::READY).filter(|ready| ready.status == "True")?;
    let cluster = status.cluster.as_ref()?.parse().ok()?;
    let destination = Destination { cluster, topic: status.topic_name.as_ref()?.parse().ok()? };
    Some((topic.spec.clone(), destination))
}
