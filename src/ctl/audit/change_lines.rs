//! The change in a record as text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::terminal::plain;
use crate::domain::audit::Change;

/// A change, a line for each value: `~ path: before → after`, `+ path: after`, `- path: before`.
pub(super) fn change_lines(change: &Change) -> Vec<String> {
    if change.patch.is_empty() {
        let hash = |hash: &Option<String>| hash.as_deref().map_or_else(|| "nothing".into(), plain);
        let paths = change.paths.iter().map(|path| format!("~ {}", field_path(path)));
        let whole = format!("SHA-256 {} → {}", hash(&change.before), hash(&change.after));
        return paths.chain([whole]).collect();
    }
    let mut lines = Vec::new();
    // The old value, which a `test` states before the operation on the same path.
    let mut before: BTreeMap<&str, &Value> = BTreeMap::new();
    for operation in &change.patch {
        let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let (path, value) = (text("path"), operation.get("value"));
        match (text("op"), value) {
            ("test", Some(value)) => drop(before.insert(path, value)),
            ("add", Some(value)) => match before.remove(path) {
                Some(old) => replaced(path, old, value, &mut lines),
                None => added_or_removed("+", path, value, &mut lines),
            },
            ("replace", Some(value)) => match before.remove(path) {
                Some(old) => replaced(path, old, value, &mut lines),
                None => lines.push(format!("~ {}: → {}", field_path(path), value_text(value))),
            },
            ("remove", _) => match before.remove(path) {
                Some(old) => added_or_removed("-", path, old, &mut lines),
                None => lines.push(format!("- {}", field_path(path))),
            },
            // Another version may write other operations.
            _ => lines.push(plain(&operation.to_string())),
        }
    }
    lines
}

/// A replaced value. Parts that are equal are left out.
fn replaced(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                let path = child(path, key);
                match after.get(key) {
                    Some(new) if new == old => {}
                    Some(new) => replaced(&path, old, new, lines),
                    None => added_or_removed("-", &path, old, lines),
                }
            }
            for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                added_or_removed("+", &child(path, key), new, lines);
            }
        }
        (Value::Null, new) => added_or_removed("+", path, new, lines),
        (old, Value::Null) => added_or_removed("-", path, old, lines),
        _ => lines.push(format!("~ {}: {} → {}", field_path(path), value_text(old), value_text(new))),
    }
}

/// An added or removed value, a line for each value in it.
fn added_or_removed(mark: &str, path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| added_or_removed(mark, &child(path, key), value, lines));
        }
        _ => lines.push(format!("{mark} {}: {}", field_path(path), value_text(value))),
    }
}

fn child(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A JSON pointer (RFC 6901) as a field path, such as `spec.retention.time`; keys with dots are in brackets.
fn field_path(pointer: &str) -> String {
    let mut text = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match (is_number || part.contains(['.', '/', ' ']), text.is_empty()) {
            (true, _) => text.push_str(&format!("[{}]", plain(&part))),
            (false, true) => text.push_str(&plain(&part)),
            (false, false) => text.push_str(&format!(".{}", plain(&part))),
        }
    }
    if text.is_empty() { "the whole object".into() } else { text }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        value => plain(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(change: Value, expected: &Expect) {
        let change: Change = serde_json::from_value(change).expect("a change");
        expected.assert_eq(&change_lines(&change).join("\n"));
    }

    #[test]
    fn a_patch_is_rendered_with_old_and_new_values() {
        check(
            json!({"patch": [
                {"op": "test", "path": "/spec/partitions", "value": 3},
                {"op": "replace", "path": "/spec/partitions", "value": 6},
                {"op": "add", "path": "/metadata/labels/team", "value": "a\u{1b}[2K"},
                {"op": "test", "path": "/spec/config", "value": {"cleanup.policy": "delete", "x": [1]}},
                {"op": "remove", "path": "/spec/config"},
                {"op": "replace", "path": "/spec/owner/team", "value": "b"},
                {"op": "test", "path": "/metadata/annotations/eventcenter.io~1paused", "value": "true"},
                {"op": "remove", "path": "/metadata/annotations/eventcenter.io~1paused"},
                {"op": "remove", "path": "/spec/eventTypes/0"},
                {"op": "copy", "from": "/a", "path": "/b"},
            ]}),
            &expect![[r#"
                ~ spec.partitions: 3 → 6
                + metadata.labels.team: a�[2K
                - spec.config[cleanup.policy]: delete
                - spec.config.x: [1]
                ~ spec.owner.team: → b
                - metadata.annotations[eventcenter.io/paused]: true
                - spec.eventTypes[0]
                {"from":"/a","op":"copy","path":"/b"}"#]],
        );
    }

    #[test]
    fn a_new_object_is_rendered_value_by_value() {
        check(
            json!({"patch": [{"op": "add", "path": "", "value": {"spec": {"partitions": 3, "config": {}}}}]}),
            &expect![[r#"
                + spec.config: {}
                + spec.partitions: 3"#]],
        );
        check(
            json!({"patch": [
                {"op": "test", "path": "", "value": {"spec": {"partitions": 3, "replicas": 1}, "metadata": {"labels": {"a": "b"}}}},
                {"op": "replace", "path": "", "value": {"spec": {"partitions": 4, "replicas": 1, "cluster": "x"}}},
            ]}),
            &expect![[r#"
                - metadata.labels.a: b
                ~ spec.partitions: 3 → 4
                + spec.cluster: x"#]],
        );
    }

    #[test]
    fn a_change_without_a_patch_is_rendered_with_paths_and_hashes() {
        check(
            json!({"paths": ["/data/a.json"], "before": "00aa", "after": "11bb"}),
            &expect![[r#"
                ~ data[a.json]
                SHA-256 00aa → 11bb"#]],
        );
        check(
            json!({"paths": ["/spec"], "after": "11bb"}),
            &expect![[r#"
            ~ spec
            SHA-256 nothing → 11bb"#]],
        );
    }
}
