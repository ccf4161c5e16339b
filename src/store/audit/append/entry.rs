//! A record without a position, prepared outside of the transaction.

use uuid::Uuid;

use crate::domain::audit::{Draft, LogName, Record, canonical_json};

/// A record without a position: the canonical JSON around the position, and the indexed values.
#[derive(Clone, Debug)]
pub(in crate::store) struct Entry {
    record: Record,
    time: i64,
    /// The canonical JSON before and after the position.
    before: String,
    after: String,
}

/// The position in the canonical JSON of a draft. The last occurrence is the right one: quotation marks within texts are escaped,
/// and among nested objects only `change` can have such a member, which precedes `seq` in canonical order.
const POSITION: &str = "\"seq\":0";

impl Entry {
    pub(in crate::store) fn new(draft: Draft) -> Self {
        let mut record = draft.at_seq(0);
        let body = String::from_utf8(canonical_json(&record)).expect("JSON is UTF-8");
        let (before, after) = body.rsplit_once(POSITION).expect("a record has a position");
        let (before, after) = (format!("{before}\"seq\":"), after.to_owned());
        // The JSON contains it, and it is large.
        record.change = None;
        Self { time: record.time.as_microsecond(), record, before, after }
    }

    pub(in crate::store) fn log(&self) -> &LogName {
        &self.record.tenant
    }

    pub(in crate::store) fn id(&self) -> Uuid {
        self.record.id
    }

    /// The approximate size in bytes.
    pub(in crate::store) fn size(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The draft as a JSON line of the spool.
    pub(in crate::store) fn to_spool_line(&self) -> String {
        format!("{}0{}\n", self.before, self.after)
    }

    /// Parses a line of the spool.
    pub(in crate::store) fn parse_spool_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line).map(Self::new)
    }

    /// The canonical JSON with a position.
    pub(super) fn body_at(&self, seq: u64) -> String {
        format!("{}{seq}{}", self.before, self.after)
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn time(&self) -> i64 {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::audit::{Action, Actor, Change, Event, Outcome, Via};

    #[test]
    fn an_entry_is_the_canonical_json_with_every_position() {
        let actor =
            Actor { user: r#"","seq":0,"#.to_owned(), groups: vec!["\"seq\":0".to_owned()], via: Via::Api };
        let mut event = Event::new(LogName::of(Some("acme")), actor, Action::Update, Outcome::Allowed);
        event.message = Some(r#"{"seq":0}"#.to_owned());
        event.request = Some(r#"\"seq":0,"target":"#.to_owned());
        event.trace = Some("\"seq\":0".to_owned());
        event.change = Some(Change {
            patch: vec![json!({ "op": "add", "path": "/seq", "value": { "seq": 0 } })],
            paths: Vec::new(),
            before: None,
            after: None,
        });
        let time = "2026-01-02T03:04:05.678901Z".parse().expect("a time");
        let draft = event.into_draft(Uuid::from_u128(7), time, "webhook", "one");
        let entry = Entry::new(draft.clone());
        for seq in [0, 1, 10, 4_294_967_296] {
            assert_eq!(entry.body_at(seq).into_bytes(), canonical_json(&draft.clone().at_seq(seq)));
        }
        let parsed = Entry::parse_spool_line(&entry.to_spool_line()).expect("a spool line");
        assert_eq!(parsed.body_at(12), entry.body_at(12));
    }
}
