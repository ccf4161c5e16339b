//! What the API server demands of `metadata`: names, labels and annotations; and annotations that belong to no manifest.
//!
//! The syntax is that of the Kubernetes documentation ("Object Names and IDs", "Labels and Selectors"): RFC 1123 for
//! names, a qualified name for keys.

use serde_json::Value;

use super::field_path::FieldPath;
use crate::api::{DELETION_REQUEST, REQUEST, REQUESTED_BY};

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Checks `metadata`. Returns each field that is wrong, and what is wrong with it.
pub(super) fn check(object: &Value, is_namespaced: bool) -> Vec<(FieldPath, String)> {
    let field = FieldPath::default().key("metadata");
    let mut wrong = Vec::new();
    let Some(metadata) = object.get("metadata").and_then(Value::as_object) else {
        return vec![(field.clone(), format!("{field}: a mapping with a name is required"))];
    };
    let mut check_text = |key: &str, check: fn(&str) -> Result<(), String>| match metadata.get(key) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            if let Err(rule) = check(text) {
                wrong.push((field.key(key), format!("{}: {text:?}: {rule}", field.key(key))));
            }
        }
        Some(other) => wrong.push((field.key(key), not_text(&field.key(key), other))),
    };
    check_text("name", check_subdomain);
    if is_namespaced {
        check_text("namespace", check_label);
    }
    if [metadata.get("name"), metadata.get("generateName")]
        .iter()
        .all(|name| matches!(name, None | Some(Value::Null)))
    {
        wrong.push((field.clone(), format!("{}: a name is required", field.key("name"))));
    }
    check_map(metadata.get("labels"), &field.key("labels"), check_label_value, &mut wrong);
    check_map(metadata.get("annotations"), &field.key("annotations"), |_| Ok(()), &mut wrong);
    let stamps =
        STAMPS.iter().filter(|key| metadata.get("annotations").is_some_and(|all| all.get(key).is_some()));
    wrong.extend(stamps.map(|key| {
        let field = field.key("annotations").key(key);
        let rule = format!(
            "{field}: only the webhook writes it, for one object and one content: in a manifest it is ignored, and Argo CD \
             reports a difference that never ends: remove it (kubectl get -o yaml prints it)"
        );
        (field, rule)
    }));
    wrong
}

/// The annotations that only the webhook writes.
const STAMPS: [&str; 3] = [REQUEST, REQUESTED_BY, DELETION_REQUEST];

fn check_map(
    map: Option<&Value>,
    field: &FieldPath,
    check_value: fn(&str) -> Result<(), String>,
    wrong: &mut Vec<(FieldPath, String)>,
) {
    let entries = match map {
        None | Some(Value::Null) => return,
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            return wrong.push((field.clone(), format!("{field}: a mapping of text to text is required")));
        }
    };
    for (key, value) in entries {
        let field = field.key(key);
        if let Err(rule) = check_qualified_name(key) {
            wrong.push((field.clone(), format!("{field}: {rule}")));
        }
        match value {
            Value::String(text) => {
                if let Err(rule) = check_value(text) {
                    wrong.push((field.clone(), format!("{field}: {text:?}: {rule}")));
                }
            }
            other => wrong.push((field.clone(), not_text(&field, other))),
        }
    }
}

fn not_text(field: &FieldPath, value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => format!("{field}: {value} is not text: write \"{value}\""),
        _ => format!("{field}: {value} is not text: write a string"),
    }
}

fn is_lower_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| is_lower_alphanumeric(c) || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A DNS label of RFC 1123, as a namespace is named.
fn check_label(text: &str) -> Result<(), String> {
    if is_label(text) && text.len() <= MAX_LABEL {
        return Ok(());
    }
    Err(format!(
        "use at most {MAX_LABEL} lower-case letters, digits and '-', with a letter or digit at both ends (RFC 1123)"
    ))
}

/// A DNS subdomain of RFC 1123, as most resources are named.
fn check_subdomain(text: &str) -> Result<(), String> {
    if text.split('.').all(is_label) && text.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!(
        "use at most {MAX_NAME} lower-case letters, digits, '-' and '.', with a letter or digit at both ends of every \
         part (RFC 1123)"
    ))
}

/// A word of labels: empty, or letters, digits, `-`, `_` and `.` with a letter or digit at both ends.
fn check_label_value(text: &str) -> Result<(), String> {
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if is_word && text.len() <= MAX_LABEL && is_end(text.chars().next()) && is_end(text.chars().next_back()) {
        return Ok(());
    }
    Err(format!(
        "use at most {MAX_LABEL} letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    ))
}

/// A key of labels or annotations: a word, with or without a DNS subdomain and a slash before it.
fn check_qualified_name(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.is_empty() || prefix.is_some_and(|prefix| check_subdomain(prefix).is_err()) {
        return Err("a key is a name, or a DNS subdomain, '/' and a name".into());
    }
    check_label_value(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check_metadata(metadata: Value, expected: Expect) {
        let wrong = check(&json!({"metadata": metadata}), true);
        let lines: Vec<String> =
            wrong.into_iter().map(|(field, message)| format!("{field} | {message}")).collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn metadata_that_the_api_server_accepts() {
        for metadata in [
            json!({"name": "orders"}),
            json!({"name": "a.b-c.0", "namespace": "shop-1"}),
            json!({"generateName": "orders-"}),
            json!({"name": "a", "labels": {"app.kubernetes.io/name": "A.b_c-1", "team": ""}}),
            json!({"name": "a", "annotations": {"eventcenter.io/paused": "true", "note": "any text\n at all"}}),
            json!({"name": "a", "labels": null, "annotations": null}),
            json!({"name": "x".repeat(253)}),
        ] {
            check_metadata(metadata, expect![""]);
        }
    }

    #[test]
    fn metadata_that_the_api_server_refuses() {
        check_metadata(
            json!({"name": "Bad_Name", "namespace": "shop.eu"}),
            expect![[r#"
                metadata.name | metadata.name: "Bad_Name": use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of every part (RFC 1123)
                metadata.namespace | metadata.namespace: "shop.eu": use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends (RFC 1123)"#]],
        );
        check_metadata(json!({}), expect!["metadata | metadata.name: a name is required"]);
        check_metadata(json!(7), expect!["metadata | metadata: a mapping with a name is required"]);
        check_metadata(
            json!({"name": 7}),
            expect![[r#"metadata.name | metadata.name: 7 is not text: write "7""#]],
        );
        check_metadata(
            json!({"name": "a", "labels": {"-x": "a", "a/b/c": "a", "ok": "-a", "n": 1}, "annotations": {"eventcenter.io/paused": true, "x": {}}}),
            expect![[r#"
                metadata.labels.-x | metadata.labels.-x: use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends
                metadata.labels[a/b/c] | metadata.labels[a/b/c]: use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends
                metadata.labels.n | metadata.labels.n: 1 is not text: write "1"
                metadata.labels.ok | metadata.labels.ok: "-a": use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends
                metadata.annotations[eventcenter.io/paused] | metadata.annotations[eventcenter.io/paused]: true is not text: write "true"
                metadata.annotations.x | metadata.annotations.x: {} is not text: write a string"#]],
        );
        for name in ["", "a.", ".a", "-a", "a-", "a..b", "A", "ä", &"x".repeat(254)] {
            assert!(!check(&json!({"metadata": {"name": name}}), true).is_empty(), "{name}");
        }
    }
}
