//! Reading an EventTopic's state.

use eventcenter::api::EventTopic;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A resource's condition, if it has it.
pub(crate) fn condition<'a>(topic: &'a EventTopic, type_: &str) -> Option<&'a Condition> {
    topic.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the status speaks of the declaration as it is now.
pub(crate) fn is_observed(topic: &EventTopic) -> bool {
    topic.status.as_ref().is_some_and(|status| status.observed_generation == topic.metadata.generation)
}

/// Whether a condition is as described: `Ready=True`, `Ready=False NotSupported`.
pub(crate) fn has(topic: &EventTopic, description: &str) -> bool {
    let (state, reason) = description.split_once(' ').map_or((description, None), |(s, r)| (s, Some(r)));
    let (type_, status) = state.split_once('=').expect("TYPE=STATUS, and REASON if it matters");
    condition(topic, type_).is_some_and(|condition| {
        condition.status == status && reason.is_none_or(|reason| condition.reason == reason)
    })
}

/// What a condition says.
#[track_caller]
pub(crate) fn message(topic: &EventTopic, type_: &str) -> String {
    condition(topic, type_).expect("the condition is there").message.clone()
}

/// A resource as a failed test shows it.
pub(crate) fn print(object: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    serde_yaml::to_string(&value).unwrap_or_default()
}
