//! The finalizer of EventTopics.

use kube::ResourceExt;

use super::super::context::Context;
use super::super::effect::EffectError;
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::audit::Action;
use crate::domain::management::management_mode;
use crate::domain::topic::deletion::wants_finalizer;
use crate::kubernetes::WriteError;

const FINALIZER_ADDED: &str = "the resource is deleted only after its cleanup in Kafka";
pub(super) const FINALIZER_REMOVED: &str = "the cleanup in Kafka is complete";

pub(super) fn has_finalizer(topic: &impl kube::Resource) -> bool {
    topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER)
}

/// Adds or removes the finalizer.
pub(super) async fn sync_finalizer(
    topic: &EventTopic,
    context: &Context,
) -> Result<(), EffectError<WriteError>> {
    let is_wanted = management_mode(topic).is_ok_and(|mode| wants_finalizer(topic, mode));
    match (is_wanted, has_finalizer(topic)) {
        (true, false) => {
            let add = context.services.kubernetes.add_finalizer(topic, DELETE_FINALIZER);
            context.services.effect(topic, Action::AddFinalizer, FINALIZER_ADDED, add).await
        }
        (false, true) => release(topic, context).await,
        _ => Ok(()),
    }
}

/// Removes the finalizer, if the resource has it.
pub(super) async fn release(topic: &EventTopic, context: &Context) -> Result<(), EffectError<WriteError>> {
    if !has_finalizer(topic) {
        return Ok(());
    }
    let remove = context.services.kubernetes.remove_finalizer(topic, DELETE_FINALIZER);
    context.services.effect(topic, Action::RemoveFinalizer, FINALIZER_REMOVED, remove).await
}
