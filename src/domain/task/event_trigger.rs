//! Which events a task runs for, and what its target may contain of them.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::reference::Reference;
use super::timing::Timing;
use crate::api::{EventTarget, EventTrigger, ScheduledTaskSpec};
use crate::domain::Refusal;

/// Where the events of a task are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventSource {
    /// Name of the KafkaCluster.
    pub cluster: ClusterName,
    /// Name of the Kafka topic.
    pub topic: TopicName,
}

impl EventSource {
    /// The name under which positions in the topic are stored.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.topic)
    }
}

/// Whether a task runs for events of a type.
#[must_use]
pub fn matches(trigger: &EventTrigger, event_type: &str) -> bool {
    trigger.types.is_empty() || trigger.types.iter().any(|one| one == event_type)
}

/// Checks what only tasks that run for events may declare, and that a task does not run for the events that it publishes.
/// `event_target` is its target if that is an event.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(
    spec: &ScheduledTaskSpec,
    timing: &Timing,
    event_target: Option<&EventTarget>,
    references: &BTreeSet<Reference>,
) -> Result<(), Refusal> {
    let Timing::OnEvent(trigger) = timing else {
        let of_event = references.iter().find(|reference| matches!(reference, Reference::Event(_)));
        let Some(reference) = of_event else { return Ok(()) };
        return Err(Refusal::at(
            Reason::InvalidResource,
            "spec.schedule",
            format!("{reference} needs an event: set onEvent, or remove the reference from the target"),
        ));
    };
    let of_target = event_target.map(|event| ("spec.target.event", event));
    let of_failure = spec.on_failure.as_ref().and_then(|action| action.event.as_deref());
    let of_failure = of_failure.map(|event| ("spec.onFailure.event", event));
    let is_own = |event: &EventTarget| event.topic == trigger.topic && matches(trigger, &event.event_type);
    match of_target.into_iter().chain(of_failure).find(|(_, event)| is_own(event)) {
        None => Ok(()),
        Some((field, event)) => Err(Refusal::at(
            Reason::InvalidResource,
            "spec.schedule.onEvent",
            format!(
                "{field} publishes {} to topic {}, for which the task would run again: name other types in onEvent.types, or \
                 publish to another topic",
                event.event_type, event.topic
            ),
        )),
    }
}

#[cfg(test)]
#[path = "event_trigger_tests.rs"]
mod tests;
