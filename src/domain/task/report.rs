//! What a program reports about its run: in the response of an HTTP call, or in the termination message of a container.
//!
//! ```json
//! {"items": 1200, "errors": 3, "message": "3 of 1200 invoices have no address"}
//! ```
//!
//! All members are optional, but at least one of `items` and `errors` makes an object a report. `processed` is another name for
//! `items`. Other members are ignored.

use serde_json::{Map, Value};

/// What a program reports about its run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of items that were processed.
    pub items: Option<i64>,
    /// Number of items that failed.
    pub errors: Option<i64>,
    /// What happened, for people.
    pub message: Option<String>,
}

impl Report {
    /// Reads a report. `None` if the text is none: any other text is legal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.starts_with('{') {
            return None;
        }
        let members: Map<String, Value> = serde_json::from_str(text).ok()?;
        let count = |name: &str| members.get(name).and_then(Value::as_i64).filter(|count| *count >= 0);
        let report = Self {
            items: count("items").or_else(|| count("processed")),
            errors: count("errors"),
            message: members.get("message").and_then(Value::as_str).map(ToOwned::to_owned),
        };
        (report.items.is_some() || report.errors.is_some()).then_some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_an_object_with_a_count() {
        let report = |items, errors, message: Option<&str>| {
            Some(Report { items, errors, message: message.map(ToOwned::to_owned) })
        };
        for (text, expected) in [
            (r#"{"items": 7, "errors": 2, "message": "x"}"#, report(Some(7), Some(2), Some("x"))),
            (r#" {"processed": 7} "#, report(Some(7), None, None)),
            (r#"{"items": 1, "processed": 7}"#, report(Some(1), None, None)),
            (r#"{"errors": 0, "more": [1]}"#, report(None, Some(0), None)),
            (r#"{"message": "only a text"}"#, None),
            (r#"{"items": -1}"#, None),
            (r#"{"items": 1.5}"#, None),
            (r#"{"items": "7"}"#, None),
            (r#"{"errors": [{"code": 1}]}"#, None),
            ("[7]", None),
            ("{\"items\": 7", None),
            ("ok", None),
            ("", None),
        ] {
            assert_eq!(Report::parse(text), expected, "{text}");
        }
    }
}
