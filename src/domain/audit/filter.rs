//! What is asked of a log.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::merkle::Hash;
use super::record::{LogName, Outcome, Record};

/// Which records are wanted: those to which all of this applies. What is absent applies to all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The user, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The word of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The target's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The target's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Only what was started and of which no end is recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// From then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// A text that occurs in the record's user, action, target, reason, message or request id, in whatever case (of ASCII).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How much of a value is told, in characters.
const MOST_OF_VALUE: usize = 100;

impl Filter {
    /// Whether a record passes; `is_completed` says whether another record tells its end.
    #[must_use]
    pub fn passes(&self, record: &Record, is_completed: bool) -> bool {
        let target = record.target.as_ref();
        let is = |wanted: &Option<String>, found: Option<&str>| match wanted {
            Some(wanted) => found == Some(wanted),
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

    /// Whether the text that is looked for occurs in a record.
    #[must_use]
    pub fn matches_text(&self, record: &Record) -> bool {
        let Some(text) = &self.text else { return true };
        let target = record.target.as_ref();
        let looked_at = [
            Some(&record.actor.user),
            Some(&record.action),
            target.map(|target| &target.kind),
            target.and_then(|target| target.namespace.as_ref()),
            target.map(|target| &target.name),
            record.reason.as_ref(),
            record.message.as_ref(),
            record.request_id.as_ref(),
        ];
        looked_at.into_iter().flatten().any(|value| contains(value, text))
    }

    /// What is asked, for people: one line, in which values are quoted and not long.
    #[must_use]
    pub fn words(&self) -> String {
        let quoted =
            |word: &str, value: Option<&String>| value.map(|value| format!("{word} {}", quoted(value)));
        let words = [
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
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() { "all records".to_owned() } else { words.join(", ") }
    }
}

/// A value in quotation marks, cut if it is long.
fn quoted(value: &str) -> String {
    match value.char_indices().nth(MOST_OF_VALUE) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// Whether a text occurs in another, whatever the case of ASCII letters.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    // Windows of no length there are none, and nothing occurs everywhere.
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Where a page ended, for the one after it: newest records come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Records before this place follow.
    pub before: u64,
}

/// A cursor was not made for this question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cursor does not belong to this question: ask with the same log and filter as for the page before, or without a cursor"
)]
pub struct ForeignCursor;

impl Cursor {
    /// As text that belongs to one log and one filter.
    #[must_use]
    pub fn text(&self, log: &LogName, filter: &Filter) -> String {
        URL_SAFE_NO_PAD.encode([question(log, filter), self.before.to_be_bytes()].concat())
    }

    /// Reads one that was made for this log and filter.
    ///
    /// # Errors
    /// It was made for others, or is none.
    pub fn read(text: &str, log: &LogName, filter: &Filter) -> Result<Self, ForeignCursor> {
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| ForeignCursor)?;
        match bytes.split_first_chunk::<8>() {
            Some((asked, before)) if length == bytes.len() && *asked == question(log, filter) => {
                let before = before.try_into().map_err(|_| ForeignCursor)?;
                Ok(Self { before: u64::from_be_bytes(before) })
            }
            _ => Err(ForeignCursor),
        }
    }
}

/// What tells one question from others.
fn question(log: &LogName, filter: &Filter) -> [u8; 8] {
    let question = serde_json_canonicalizer::to_vec(&(log, filter)).expect("a question is JSON");
    let [a, b, c, d, e, f, g, h, ..] = Hash::over(&[&question]).0;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
