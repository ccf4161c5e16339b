//! The Kafka topics of the EventTopics to which events are published, and from which they are read.

use kube::runtime::reflector::ObjectRef as StoreRef;

use super::super::context::Context;
use crate::api::EventTopicSpec;
use crate::domain::task::work::Destination;
use crate::domain::topic::Identity;
use crate::domain::topic::identity::identity;
use crate::domain::{ObjectRef, condition};

/// Why an EventTopic cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum TopicError {
    /// It does not exist, is invalid, or owns no Kafka topic.
    #[error("there is no EventTopic {name} in namespace {namespace} that owns a Kafka topic")]
    NotFound { namespace: String, name: String },
    /// Its Kafka topic may not exist yet, or differ from its spec at the moment.
    #[error("EventTopic {name} in namespace {namespace} is not Ready")]
    NotReady { namespace: String, name: String },
}

/// An EventTopic that is Ready, and the Kafka topic that it owns. Users may be able to write its status, so that names nothing: the
/// Kafka topic is the one that the spec and the tenant determine.
pub(super) fn find_topic(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<(EventTopicSpec, Destination), TopicError> {
    let not_found = || TopicError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
    let topic = context.topics.objects.get(&StoreRef::new(name).within(namespace)).ok_or_else(not_found)?;
    let topic = topic.0.as_ref().map_err(|_| not_found())?;
    let catalog = context.services.catalog.lock();
    let identity = identity(topic, catalog.tenants(), catalog.clusters()).map_err(|_| not_found())?;
    if catalog.claims().owner(&identity) != Some(&ObjectRef::of(topic)) {
        return Err(not_found());
    }
    let conditions = topic.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if condition::find(conditions, condition::READY).is_none_or(|ready| ready.status != "True") {
        return Err(TopicError::NotReady { namespace: namespace.to_owned(), name: name.to_owned() });
    }
    let Identity { cluster, topic: in_kafka } = identity;
    Ok((topic.spec.clone(), Destination { cluster, topic: in_kafka }))
}
