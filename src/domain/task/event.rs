//! Event targets.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::EventTypeName;
use serde_json::Value;

use super::reference::{Reference, Values, references_of};
use crate::api::EventTarget;
use crate::domain::Refusal;

/// Maximum size of the declared data, in bytes.
const MAX_DATA_BYTES: usize = 256 * 1024;

/// Checks an event target by itself.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(field: &str, target: &EventTarget) -> Result<(), Refusal> {
    target
        .event_type
        .parse::<EventTypeName>()
        .map_err(|error| Refusal::at(Reason::InvalidResource, format!("{field}.type"), error.to_string()))?;
    let size = target.data.as_ref().map_or(0, |data| data.to_string().len());
    if size > MAX_DATA_BYTES {
        return Err(Refusal::at(
            Reason::InvalidResource,
            format!("{field}.data"),
            format!("has {size} bytes, the maximum is {MAX_DATA_BYTES}: shorten it"),
        ));
    }
    Ok(())
}

/// The references in an event target.
///
/// # Errors
/// A reference names a property that does not exist.
pub fn references(field: &str, target: &EventTarget) -> Result<BTreeSet<Reference>, Refusal> {
    let mut all = BTreeSet::new();
    if let Some(key) = &target.key {
        all.extend(references_of(&format!("{field}.key"), key)?);
    }
    if let Some(data) = &target.data {
        collect(&format!("{field}.data"), data, &mut all)?;
    }
    Ok(all)
}

fn collect(field: &str, value: &Value, all: &mut BTreeSet<Reference>) -> Result<(), Refusal> {
    match value {
        Value::String(text) => all.extend(references_of(field, text)?),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{field}[{index}]"), item, all)?;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                collect(&format!("{field}.{name}"), member, all)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// The key and the data of the event of a run.
#[must_use]
pub fn render(target: &EventTarget, values: &Values<'_>) -> (String, Value) {
    let key =
        target.key.as_deref().map_or_else(|| values.task.to_owned(), |key| values.render(key, |value| value));
    let mut data = target.data.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    values.render_json(&mut data);
    (key, data)
}
