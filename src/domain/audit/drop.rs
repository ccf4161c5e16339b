//! Drops of old records by the retention, and the records that prove them.
//!
//! A drop is recorded in its log before it begins, at a later position than the records that it drops. So a record of the newest
//! drop exists in every log whose first record is not 0. The operator drops no further records of a log whose earlier drops are
//! not recorded: the newest record therefore proves the earlier drops as well, whose records may have been dropped since.

use eventcenter_sdk::rest::audit::{Action, Actor, Change, LogName, Outcome, Record, Via};
use jiff::Timestamp;
use serde_json::json;

use super::record::Event;

/// The path of the position of a log's first record in the `change` of a record.
const FIRST: &str = "/first";

/// Records that the retention drops: those from `from` up to, not including, `until`. Those before `from` were dropped earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedRecords {
    /// The first of them.
    pub from: u64,
    /// The first record that is retained.
    pub until: u64,
}

impl DroppedRecords {
    /// The event that is recorded before a replica drops these records, which are older than a time.
    #[must_use]
    pub fn to_event(self, log: LogName, older_than: Timestamp, instance: &str) -> Event {
        let Self { from, until } = self;
        let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
        let patch = vec![
            json!({"op": "test", "path": FIRST, "value": from}),
            json!({"op": "replace", "path": FIRST, "value": until}),
        ];
        let last = until.saturating_sub(1);
        Event {
            message: Some(format!("records {from} to {last}, which are older than {older_than:.0}")),
            change: Some(Change { patch, paths: Vec::new(), before: None, after: None }),
            ..Event::new(log, actor, Action::DropRecords, Outcome::Started)
        }
    }

    /// Parses the record of the start of a drop. Returns `None` for any other record, and for one that cannot be true: by somebody
    /// else than the operator, or at a position before the records that it names.
    #[must_use]
    pub fn parse(record: &Record) -> Option<Self> {
        let is_start = record.action == Action::DropRecords.as_str()
            && record.outcome == Outcome::Started
            && record.actor.via == Via::Controllers;
        let dropped = match &record.change {
            Some(change) => Self::parse_change(change),
            None => Self::parse_message(record.message.as_deref()?),
        };
        dropped.filter(|dropped| is_start && dropped.from < dropped.until && dropped.until <= record.seq)
    }

    fn parse_change(change: &Change) -> Option<Self> {
        let value = |operation: &str| {
            let mut operations = change.patch.iter();
            operations.find(|one| one["op"] == operation && one["path"] == FIRST)?["value"].as_u64()
        };
        Some(Self { from: value("test")?, until: value("replace")? })
    }

    /// Parses the message of a record before the `change` was recorded. Later messages have the same beginning.
    fn parse_message(message: &str) -> Option<Self> {
        let (range, _) = message.strip_prefix("records ")?.split_once(", which are older than ")?;
        let (from, last) = range.split_once(" to ")?;
        Some(Self { from: from.parse().ok()?, until: last.parse::<u64>().ok()?.checked_add(1)? })
    }
}

#[cfg(test)]
mod tests;
