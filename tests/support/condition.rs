//! Conditions of a resource of any kind.

use serde::Serialize;
use serde_json::Value;

/// The resource as JSON.
pub(super) fn to_json(resource: &impl Serialize) -> Value {
    serde_json::to_value(resource).unwrap_or_default()
}

fn condition(resource: &Value, type_: &str) -> Option<Value> {
    let conditions = resource.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_).cloned()
}

/// Whether the status describes the current generation of the spec.
pub(super) fn is_observed(resource: &Value) -> bool {
    resource
        .pointer("/status/observedGeneration")
        .is_some_and(|observed| Some(observed) == resource.pointer("/metadata/generation"))
}

/// Whether a condition is as described: `Ready=True`, `Ready=False NotSupported`.
pub(crate) fn has_condition(resource: &impl Serialize, description: &str) -> bool {
    let (state, reason) = description.split_once(' ').map_or((description, None), |(s, r)| (s, Some(r)));
    let (type_, status) = state.split_once('=').expect("TYPE=STATUS or TYPE=STATUS REASON");
    condition(&to_json(resource), type_).is_some_and(|condition| {
        condition["status"] == status && reason.is_none_or(|reason| condition["reason"] == reason)
    })
}

/// The message of a condition.
#[track_caller]
pub(crate) fn message(resource: &impl Serialize, type_: &str) -> String {
    let json = to_json(resource);
    let Some(condition) = condition(&json, type_) else {
        panic!("there is no condition {type_}:\n{}", to_yaml(resource))
    };
    condition["message"].as_str().unwrap_or_default().to_owned()
}

/// A resource as a failed test shows it.
pub(crate) fn to_yaml(resource: &impl Serialize) -> String {
    let mut value = to_json(resource);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    serde_yaml::to_string(&value).unwrap_or_default()
}
