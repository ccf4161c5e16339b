//! A record that has no place yet, made ready outside of any transaction.

use uuid::Uuid;

use crate::domain::audit::{Draft, LogName, Record, canonical_json};

/// A record but for its place: the canonical JSON around it and the values it is searched by.
#[derive(Clone, Debug)]
pub(in crate::store) struct Entry {
    record: Record,
    time: i64,
    /// The canonical JSON before the place and after it.
    before: String,
    after: String,
}

/// How the place stands in the canonical JSON of a draft. In a text the quotes would be escaped, and of what is nested only the
/// change can have such a key, which stands before this one: names are sorted.
const PLACE: &str = "\"seq\":0";

impl Entry {
    pub(in crate::store) fn of(draft: Draft) -> Self {
        let mut record = draft.at(0);
        let body = String::from_utf8(canonical_json(&record)).expect("JSON is UTF-8");
        let (before, after) = body.rsplit_once(PLACE).expect("a record has a place");
        let (before, after) = (format!("{before}\"seq\":"), after.to_owned());
        // It is in the JSON, and large.
        record.change = None;
        Self { time: record.time.as_microsecond(), record, before, after }
    }

    pub(in crate::store) fn log(&self) -> &LogName {
        &self.record.tenant
    }

    pub(in crate::store) fn id(&self) -> Uuid {
        self.record.id
    }

    /// About how many bytes are written.
    pub(in crate::store) fn size(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The draft as a line of JSON, for the spool.
    pub(in crate::store) fn line(&self) -> String {
        format!("{}0{}\n", self.before, self.after)
    }

    /// Reads such a line.
    pub(in crate::store) fn read(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line).map(Self::of)
    }

    /// The canonical JSON at a place.
    pub(super) fn at(&self, seq: u64) -> String {
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
    fn an_entry_is_the_canonical_json_at_every_place() {
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
        let draft = event.draft(Uuid::from_u128(7), time, "webhook", "one");
        let entry = Entry::of(draft.clone());
        for seq in [0, 1, 10, 4_294_967_296] {
            assert_eq!(entry.at(seq).into_bytes(), canonical_json(&draft.clone().at(seq)));
        }
        let again = Entry::read(&entry.line()).expect("a line that was written can be read");
        assert_eq!(again.at(12), entry.at(12));
    }
}
