//! What a record tells of a resource before and after.

use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::Change;
use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::SCHEMA_LABEL;

/// How large a patch may be, in bytes of canonical JSON.
const LARGEST: usize = 32 * 1024;

/// How many paths are told instead of a larger one.
const MOST_PATHS: usize = 100;

/// How long each of them may be, in bytes.
const LONGEST_PATH: usize = 256;

/// What our annotations begin with.
const OURS: &str = "eventcenter.io/";

/// What stands in the place of a secret; hashes of short ones can be guessed.
const REDACTED: &str = "[redacted]";

/// The same for one that is another than before.
const REDACTED_CHANGED: &str = "[redacted, changed]";

/// The change from one object of Kubernetes to another, `None` for an object that does not exist. Returns `None` if nothing
/// governed changed: of the metadata only labels, finalizers and eventcenter's annotations count, and the status never.
#[must_use]
pub fn change_between(before: Option<&Value>, after: Option<&Value>) -> Option<Change> {
    let tells_data = [before, after].into_iter().flatten().any(is_schema);
    let governed = |object: Option<&Value>| object.map(|object| governed(object, tells_data));
    let (mut before, mut after) = (governed(before), governed(after));
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
            (before != after).then(|| bounded(difference(before, after), Some(before), Some(after)))
        }
    }
}

/// A change with this patch, or with paths and hashes if the patch is too large.
fn bounded(patch: Vec<Value>, before: Option<&Value>, after: Option<&Value>) -> Change {
    if canonical(&patch).len() <= LARGEST {
        return Change { patch, paths: Vec::new(), before: None, after: None };
    }
    let hash = |object: Option<&Value>| object.map(|object| Hash::over(&[&canonical(object)]).to_string());
    Change {
        patch: Vec::new(),
        paths: paths(before, after, &patch),
        before: hash(before),
        after: hash(after),
    }
}

/// Whether this is a ConfigMap with schemas, whose data are governed. Data of anything else are nobody's business.
fn is_schema(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    object["kind"] == "ConfigMap" && labels.is_some_and(|labels| labels.contains_key(SCHEMA_LABEL))
}

/// What is governed of an object, in the object's own form.
fn governed(object: &Value, tells_data: bool) -> Value {
    let mut metadata = Map::new();
    for key in ["labels", "finalizers"] {
        let value = object.pointer(&format!("/metadata/{key}")).filter(|value| !value.is_null());
        metadata.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(annotations) = object.pointer("/metadata/annotations").and_then(Value::as_object) {
        let ours = annotations.iter().filter(|(key, _)| key.starts_with(OURS));
        let ours: Map<String, Value> = ours.map(|(key, value)| (key.clone(), value.clone())).collect();
        metadata.extend((!ours.is_empty()).then(|| ("annotations".to_owned(), Value::Object(ours))));
    }
    let mut governed = Map::new();
    governed.extend((!metadata.is_empty()).then(|| ("metadata".to_owned(), Value::Object(metadata))));
    let told = ["spec"].into_iter().chain((tells_data && object["kind"] == "ConfigMap").then_some("data"));
    for key in told {
        let value = object.get(key).filter(|value| !value.is_null());
        governed.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
    Value::Object(governed)
}

/// The part of an object in which secrets can be.
fn config(object: &mut Value) -> Option<&mut Value> {
    object.pointer_mut("/spec/config")
}

/// Takes secrets out of both, such that it shows whether they are the same.
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
        let is_another = old.is_some() && new.is_some() && old != new;
        if let Some(old) = old {
            *old = Value::from(REDACTED);
        }
        if let Some(new) = new {
            *new = Value::from(if is_another { REDACTED_CHANGED } else { REDACTED });
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

/// Whether a key of a configuration sounds as if its value were a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["password", "secret", "jaas", "token", "credential", "private"];
    words.iter().any(|word| key.contains(word)) || key.ends_with(".key")
}

/// The operations, each with a test for what it changes.
fn difference(before: &Value, after: &Value) -> Vec<Value> {
    let mut now = before.clone();
    let mut patch = Vec::new();
    for operation in json_patch::diff(before, after).0 {
        let path = match &operation {
            PatchOperation::Replace(replace) => Some(&replace.path),
            PatchOperation::Remove(remove) => Some(&remove.path),
            _ => None,
        };
        if let Some(path) = path {
            // Paths are those at that point of the patch: what stands in an array moves up.
            patch.push(json!({"op": "test", "path": path, "value": now.pointer(path.as_str())}));
        }
        patch.push(json!(operation));
        json_patch::patch(&mut now, &[operation])
            .expect("a difference can be applied to what it was made from");
    }
    patch
}

/// Which values changed: those of the patch, or, of one that is new or gone, those right below its parts.
fn paths(before: Option<&Value>, after: Option<&Value>, patch: &[Value]) -> Vec<String> {
    let mut paths: Vec<String> = match (before, after) {
        (Some(_), Some(_)) => {
            patch.iter().filter_map(|operation| operation["path"].as_str()).map(str::to_owned).collect()
        }
        (whole, other) => {
            let parts = whole.or(other).and_then(Value::as_object).into_iter().flatten();
            parts
                .flat_map(|(part, value)| {
                    let keys = value.as_object().into_iter().flat_map(Map::keys);
                    keys.map(move |key| format!("/{part}/{}", key.replace('~', "~0").replace('/', "~1")))
                })
                .collect()
        }
    };
    paths.dedup();
    for path in paths.iter_mut().filter(|path| path.len() > LONGEST_PATH) {
        path.truncate(path.floor_char_boundary(LONGEST_PATH));
        path.push('…');
    }
    if paths.len() > MOST_PATHS {
        let more = paths.len() - (MOST_PATHS - 1);
        paths.truncate(MOST_PATHS - 1);
        paths.push(format!("…and {more} more"));
    }
    paths
}

fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("JSON")
}

#[cfg(test)]
mod tests;
