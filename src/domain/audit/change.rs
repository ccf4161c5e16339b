//! Computes the difference of a resource that a record contains.

use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::Change;
use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::SCHEMA_LABEL;

/// Maximum size of a patch, in bytes of canonical JSON. A larger change is recorded by paths and hashes.
const MAX_PATCH_BYTES: usize = 32 * 1024;

/// Maximum number of recorded paths.
const MAX_PATHS: usize = 100;

/// Maximum length of a recorded path, in bytes.
const MAX_PATH_BYTES: usize = 256;

/// Prefix of the annotations that are recorded.
const ANNOTATION_PREFIX: &str = "eventcenter.io/";

/// Replaces a secret. A hash would not do: that of a short secret can be guessed.
const REDACTED: &str = "[redacted]";

/// Replaces a secret whose value changed.
const REDACTED_CHANGED: &str = "[redacted, changed]";

/// Compares two Kubernetes objects; `None` stands for an object that does not exist. Compared are the spec, and of the metadata the
/// labels, the finalizers and the annotations of eventcenter; never the status. Returns `None` if these are equal.
#[must_use]
pub fn change_between(before: Option<&Value>, after: Option<&Value>) -> Option<Change> {
    let includes_data = [before, after].into_iter().flatten().any(is_schema_config_map);
    let compared = |object: Option<&Value>| object.map(|object| compared_fields(object, includes_data));
    let (mut before, mut after) = (compared(before), compared(after));
    redact(before.as_mut().and_then(config), after.as_mut().and_then(config));
    match (&before, &after) {
        (None, None) => None,
        (None, Some(after)) => {
            let patch = vec![json!({"op": "add", "path": "", "value": after})];
            Some(bounded(patch, None, Some(after)))
        }
        (Some(before), None) => {
            let test = json!({"op": "test", "path": "", "value": before});
            Some(bounded(vec![test, json!({"op": "remove", "path": ""})], Some(before), None))
        }
        (Some(before), Some(after)) => {
            (before != after).then(|| bounded(diff(before, after), Some(before), Some(after)))
        }
    }
}

/// A change with this patch, or with paths and hashes if the patch is too large.
fn bounded(patch: Vec<Value>, before: Option<&Value>, after: Option<&Value>) -> Change {
    if canonical(&patch).len() <= MAX_PATCH_BYTES {
        return Change { patch, paths: Vec::new(), before: None, after: None };
    }
    let hash = |object: Option<&Value>| object.map(|object| Hash::over(&[&canonical(object)]).to_string());
    Change {
        patch: Vec::new(),
        paths: changed_paths(before, after, &patch),
        before: hash(before),
        after: hash(after),
    }
}

/// Whether this is a ConfigMap with schemas, whose data is recorded. The data of other objects never is.
fn is_schema_config_map(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    object["kind"] == "ConfigMap" && labels.is_some_and(|labels| labels.contains_key(SCHEMA_LABEL))
}

/// The fields of an object that are compared, in the structure of the object.
fn compared_fields(object: &Value, includes_data: bool) -> Value {
    let mut metadata = Map::new();
    for key in ["labels", "finalizers"] {
        let value = object.pointer(&format!("/metadata/{key}")).filter(|value| !value.is_null());
        metadata.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(annotations) = object.pointer("/metadata/annotations").and_then(Value::as_object) {
        let recorded = annotations.iter().filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX));
        let recorded: Map<String, Value> =
            recorded.map(|(key, value)| (key.clone(), value.clone())).collect();
        metadata.extend((!recorded.is_empty()).then(|| ("annotations".to_owned(), Value::Object(recorded))));
    }
    let mut fields = Map::new();
    fields.extend((!metadata.is_empty()).then(|| ("metadata".to_owned(), Value::Object(metadata))));
    let data = (includes_data && object["kind"] == "ConfigMap").then_some("data");
    for key in ["spec"].into_iter().chain(data) {
        let value = object.get(key).filter(|value| !value.is_null());
        fields.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
    Value::Object(fields)
}

/// The only part of an object that can contain secrets.
fn config(object: &mut Value) -> Option<&mut Value> {
    object.pointer_mut("/spec/config")
}

/// Replaces the secrets of both values, so that the result shows only whether they are equal.
fn redact(mut before: Option<&mut Value>, mut after: Option<&mut Value>) {
    let keys = |value: &Option<&mut Value>| match value {
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    };
    let mut all: Vec<String> = [keys(&before), keys(&after)].concat();
    all.sort_unstable();
    all.dedup();
    for key in all {
        let (old, new) = (member(&mut before, &key), member(&mut after, &key));
        if !is_secret(&key) {
            redact(old, new);
            continue;
        }
        let is_changed = old.is_some() && new.is_some() && old != new;
        if let Some(old) = old {
            *old = Value::from(REDACTED);
        }
        if let Some(new) = new {
            *new = Value::from(if is_changed { REDACTED_CHANGED } else { REDACTED });
        }
    }
}

fn member<'a>(value: &'a mut Option<&mut Value>, key: &str) -> Option<&'a mut Value> {
    match value {
        Some(Value::Object(members)) => members.get_mut(key),
        Some(Value::Array(items)) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Whether the name of a configuration key suggests that its value is a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["password", "secret", "jaas", "token", "credential", "private"];
    words.iter().any(|word| key.contains(word)) || key.ends_with(".key")
}

/// A JSON Patch with a `test` operation before each operation that replaces or removes a value.
fn diff(before: &Value, after: &Value) -> Vec<Value> {
    let mut current = before.clone();
    let mut patch = Vec::new();
    for operation in json_patch::diff(before, after).0 {
        let path = match &operation {
            PatchOperation::Replace(replace) => Some(&replace.path),
            PatchOperation::Remove(remove) => Some(&remove.path),
            _ => None,
        };
        if let Some(path) = path {
            // The path is valid at this point of the patch: removals shift the items of an array.
            patch.push(json!({"op": "test", "path": path, "value": current.pointer(path.as_str())}));
        }
        patch.push(json!(operation));
        json_patch::patch(&mut current, &[operation])
            .expect("a diff applies to the value it was created from");
    }
    patch
}

/// The paths of the patch; for a created or deleted object the paths of its fields at the second level.
fn changed_paths(before: Option<&Value>, after: Option<&Value>, patch: &[Value]) -> Vec<String> {
    let mut paths: Vec<String> = match (before, after) {
        (Some(_), Some(_)) => {
            patch.iter().filter_map(|operation| operation["path"].as_str()).map(str::to_owned).collect()
        }
        (before, after) => {
            let sections = before.or(after).and_then(Value::as_object).into_iter().flatten();
            sections
                .flat_map(|(section, value)| {
                    let keys = value.as_object().into_iter().flat_map(Map::keys);
                    keys.map(move |key| format!("/{section}/{}", key.replace('~', "~0").replace('/', "~1")))
                })
                .collect()
        }
    };
    paths.dedup();
    for path in paths.iter_mut().filter(|path| path.len() > MAX_PATH_BYTES) {
        path.truncate(path.floor_char_boundary(MAX_PATH_BYTES));
        path.push('…');
    }
    if paths.len() > MAX_PATHS {
        let more = paths.len() - (MAX_PATHS - 1);
        paths.truncate(MAX_PATHS - 1);
        paths.push(format!("…and {more} more"));
    }
    paths
}

fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("JSON")
}

#[cfg(test)]
mod tests;
