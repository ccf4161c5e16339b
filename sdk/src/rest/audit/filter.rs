//! Filters for records.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Outcome, Record};

/// How many characters of a value the text of a filter shows.
const MAX_SHOWN_CHARS: usize = 100;

/// Conditions for records. A record matches if it meets all of them; absent ones are met by every record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct Filter {
    /// The user; exact match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(example = "Update"))]
    pub action: Option<String>,
    /// The kind of the target; exact match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(example = "EventTopic"))]
    pub kind: Option<String>,
    /// The namespace of the target; exact match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the target; exact match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Only starts without a recorded end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Only records at or after this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only records before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// A text that occurs in user, action, target, reason, message or request id; the case of ASCII letters is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Filter {
    /// The names of its query parameters.
    pub const PARAMETERS: [&str; 10] =
        ["actor", "action", "kind", "namespace", "name", "outcome", "open", "since", "until", "text"];

    /// The filter as query parameters, not yet percent-encoded.
    #[must_use]
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let Self { actor, action, kind, namespace, name, outcome, open, since, until, text } = self;
        let values = [
            actor.clone(),
            action.clone(),
            kind.clone(),
            namespace.clone(),
            name.clone(),
            outcome.map(|outcome| outcome.to_string()),
            open.then(|| "true".to_owned()),
            since.map(|since| since.to_string()),
            until.map(|until| until.to_string()),
            text.clone(),
        ];
        let pairs = Self::PARAMETERS.into_iter().zip(values);
        pairs.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Whether a record matches. `is_completed`: the log has the record of its end.
    #[must_use]
    pub fn matches(&self, record: &Record, is_completed: bool) -> bool {
        let target = record.target.as_ref();
        let is = |wanted: &Option<String>, value: Option<&str>| match wanted {
            Some(wanted) => value == Some(wanted),
            None => true,
        };
        is(&self.actor, Some(&record.actor.user))
            && is(&self.action, Some(&record.action))
            && is(&self.kind, target.map(|target| &*target.kind))
            && is(&self.namespace, target.and_then(|target| target.namespace.as_deref()))
            && is(&self.name, target.map(|target| &*target.name))
            && self.outcome.is_none_or(|outcome| outcome == record.outcome)
            && (!self.open || (record.outcome == Outcome::Started && !is_completed))
            && self.since.is_none_or(|since| since <= record.time)
            && self.until.is_none_or(|until| record.time < until)
            && self.matches_text(record)
    }

    /// Whether the filter's text occurs in a record.
    #[must_use]
    pub fn matches_text(&self, record: &Record) -> bool {
        let Some(text) = &self.text else { return true };
        let target = record.target.as_ref();
        let searched = [
            Some(&record.actor.user),
            Some(&record.action),
            target.map(|target| &target.kind),
            target.and_then(|target| target.namespace.as_ref()),
            target.map(|target| &target.name),
            record.reason.as_ref(),
            record.message.as_ref(),
            record.request_id.as_ref(),
        ];
        searched.into_iter().flatten().any(|value| contains_ignore_ascii_case(value, text))
    }
}

/// The filter on one line; values are quoted and cut.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |word: &str, value: Option<&String>| value.map(|value| format!("{word} {}", quoted(value)));
        let conditions = [
            quoted("actor", self.actor.as_ref()),
            quoted("action", self.action.as_ref()),
            quoted("kind", self.kind.as_ref()),
            quoted("namespace", self.namespace.as_ref()),
            quoted("name", self.name.as_ref()),
            self.outcome.map(|outcome| format!("outcome {outcome}")),
            self.open.then(|| "not completed".to_owned()),
            self.since.map(|since| format!("since {since}")),
            self.until.map(|until| format!("until {until}")),
            quoted("text", self.text.as_ref()),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        f.write_str(if conditions.is_empty() { "all records" } else { "" })?;
        f.write_str(&conditions.join(", "))
    }
}

fn quoted(value: &str) -> String {
    match value.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

fn contains_ignore_ascii_case(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    // `windows` panics at 0, and the empty text occurs in every text.
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests;
