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
    /// It does not exist, or cannot be deserialized.
    #[error("there is no EventTopic {name} in namespace {namespace}: create it")]
    Missing { namespace: String, name: String },
    /// It is refused, unmanaged, or another one owns the Kafka topic.
    #[error("EventTopic {name} in namespace {namespace} owns no Kafka topic: see its condition Ready")]
    Unowned { namespace: String, name: String },
    /// Its Kafka topic may not exist yet, or differ from its spec at the moment.
    #[error("EventTopic {name} in namespace {namespace} is not Ready: see its condition Ready")]
    NotReady { namespace: String, name: String },
}

/// An EventTopic that is Ready, and the Kafka topic that it owns. Users may be able to write its status, so that names nothing: the
/// Kafka topic is the one that the spec and the tenant determine.
pub(super) fn find_topic(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<(EventTopicSpec, Destination), TopicError> {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let object = context.topics.objects.get(&StoreRef::new(&name).within(&namespace));
    let Some(topic) = object.as_ref().and_then(|object| object.0.as_ref().ok()) else {
        return Err(TopicError::Missing { namespace, name });
    };
    let catalog = context.services.catalog.lock();
    let identity = identity(topic, catalog.tenants(), catalog.clusters()).ok();
    let is_own = |identity: &Identity| catalog.claims().owner(identity) == Some(&ObjectRef::of(topic));
    let Some(Identity { cluster, topic: in_kafka }) = identity.filter(is_own) else {
        return Err(TopicError::Unowned { namespace, name });
    };
    let conditions = topic.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if condition::find(conditions, condition::READY).is_none_or(|ready| ready.status != "True") {
        return Err(TopicError::NotReady { namespace, name });
    }
    Ok((topic.spec.clone(), Destination { cluster, topic: in_kafka }))
}
