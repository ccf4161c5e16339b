//! The difference of two specs for approvers, field by field.
//!
//! Control characters are escaped, so that no value can imitate a line.

use serde::Serialize;
use serde_json::Value;

/// Further lines are only counted.
const MAX_LINES: usize = 50;

/// Longer values are truncated, so that a line has room for two of them.
const MAX_VALUE_CHARS: usize = 100;

/// The differences of two specs, one line for each field; all fields of a first spec. Lines whose path begins with one of
/// `important` come first, so that truncation hides none of them.
#[must_use]
pub fn diff_fields<S: Serialize>(base: Option<&S>, new: &S, important: &[&str]) -> Vec<String> {
    let value = |spec: &S| serde_json::to_value(spec).unwrap_or_default();
    let mut lines = Vec::new();
    collect("", base.map(value).as_ref(), Some(&value(new)), &mut lines);
    let is_important = |path: &str| important.iter().any(|prefix| path.starts_with(prefix));
    lines.sort_by_key(|(path, _)| !is_important(path));
    let more = lines.len().saturating_sub(MAX_LINES);
    let mut lines: Vec<String> = lines.into_iter().take(MAX_LINES).map(|(_, line)| line).collect();
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

fn collect(path: &str, base: Option<&Value>, new: Option<&Value>, lines: &mut Vec<(String, String)>) {
    match (base, new) {
        (base, new) if base == new => {}
        (Some(Value::Object(base)), Some(Value::Object(new))) => {
            let mut keys: Vec<&String> = base.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                collect(&child(path, key), base.get(key), new.get(key), lines);
            }
        }
        (None, Some(Value::Object(new))) if !new.is_empty() => {
            new.iter().for_each(|(key, value)| collect(&child(path, key), None, Some(value), lines));
        }
        (Some(Value::Array(base)), Some(Value::Array(new))) => {
            for index in 0..base.len().max(new.len()) {
                collect(&format!("{path}[{index}]"), base.get(index), new.get(index), lines);
            }
        }
        (None, Some(Value::Array(new))) if new.iter().any(Value::is_object) => {
            for (index, value) in new.iter().enumerate() {
                collect(&format!("{path}[{index}]"), None, Some(value), lines);
            }
        }
        (base, new) => {
            let line = match (base, new) {
                (None, Some(new)) => format!("{}: {}", escape(path), print(new)),
                (Some(_), None) => format!("{}: removed", escape(path)),
                (Some(base), Some(new)) => format!("{}: {} -> {}", escape(path), print(base), print(new)),
                (None, None) => return,
            };
            lines.push((path.to_owned(), line));
        }
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn print(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    truncate(&escape(&text), MAX_VALUE_CHARS)
}

/// Escapes invisible characters: line breaks, control characters and changes of the text direction.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let is_invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if is_invisible || c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Truncates to `max` characters, with an ellipsis at the end.
#[must_use]
pub fn truncate(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(base: Option<&Value>, new: &Value, expected: Expect) {
        expected.assert_eq(&diff_fields(base, new, &["target"]).join("\n"));
    }

    #[test]
    fn each_changed_field_is_a_line() {
        let base = json!({"a": 1, "list": ["x", "y"], "same": {"k": 1}, "target": {"url": "https://a/"}, "z": {"k": true}});
        let new = json!({"a": 2, "list": ["x"], "same": {"k": 1}, "target": {"url": "https://b/\nforged"}, "new": [{"n": 1}]});
        check(
            Some(&base),
            &new,
            expect![[r#"
                target.url: https://a/ -> https://b/\nforged
                a: 1 -> 2
                list[1]: removed
                new[0].n: 1
                z: removed"#]],
        );
        check(
            None,
            &json!({"a": {"b": 1, "c": []}, "target": {"list": ["x", "y"]}}),
            expect![[r#"
            target.list: ["x","y"]
            a.b: 1
            a.c: []"#]],
        );
        check(Some(&base), &base, expect![""]);
    }

    #[test]
    fn many_lines_and_long_values_are_bounded() {
        let new: Value = (0..60)
            .map(|n| (format!("k{n:02}"), json!("v".repeat(1000))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let lines = diff_fields(None, &new, &[]);
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (51, Some("and 10 more")));
        assert!(lines[0].chars().count() < 110);
    }
}
