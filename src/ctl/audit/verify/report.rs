//! Renders the conclusion of a verification.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::super::terminal::plain;
use super::super::{render, time_arg};
use crate::domain::audit::verify::{Finding, Verified};
use crate::domain::audit::{LogName, Record};

/// A finding, and its record if it can be read.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) finding: Finding,
    pub(super) record: Option<Value>,
}

/// The conclusion about a log.
#[derive(Clone, Debug)]
pub(super) struct Conclusion {
    log: LogName,
    verified: Option<Verified>,
    found: Vec<Located>,
}

impl Located {
    /// A finding at a record, which may be about that record or another one.
    pub(super) fn at(finding: Finding, body: &[u8]) -> Self {
        let record: Option<Value> = serde_json::from_slice(body).ok();
        let is_subject = |record: &Value| {
            let has_id = id(&finding).is_some_and(|id| record["id"] == *id);
            has_id || seq(&finding).is_some_and(|number| record["seq"] == number)
        };
        let record = record.filter(is_subject);
        Self { finding, record }
    }
}

/// The id of the record that a finding is about.
fn id(finding: &Finding) -> Option<&str> {
    match finding {
        Finding::Edited { id, .. }
        | Finding::Rewritten { id, .. }
        | Finding::ColumnMismatch { id, .. }
        | Finding::Inserted { id, .. } => Some(id),
        _ => None,
    }
}

/// The sequence number of the record that a finding is about.
pub(super) fn seq(finding: &Finding) -> Option<u64> {
    match finding {
        Finding::Unreadable { seq }
        | Finding::Edited { seq, .. }
        | Finding::Rewritten { seq, .. }
        | Finding::ColumnMismatch { seq, .. }
        | Finding::Inserted { seq, .. } => Some(*seq),
        Finding::Swapped { first, .. } => Some(*first),
        _ => None,
    }
}

/// The name of a finding in the JSON output. Programs compare it, so it does not follow the names of the variants.
const fn json_name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Unreadable { .. } => "Unreadable",
        Finding::Edited { .. } => "Edited",
        Finding::Rewritten { .. } => "Rewritten",
        Finding::ColumnMismatch { .. } => "Mislabelled",
        Finding::Missing { .. } => "Missing",
        Finding::Swapped { .. } => "Swapped",
        Finding::Inserted { .. } => "Inserted",
        Finding::Truncated { .. } => "Cut",
        Finding::Surplus { .. } => "Surplus",
        Finding::NodeMismatch { .. } => "Node",
        Finding::NodeMissing { .. } => "Unkept",
        Finding::IndexMismatch { .. } => "Index",
        Finding::RootMismatch { .. } => "Root",
        Finding::UntrustedCheckpoint { .. } => "Forged",
    }
}

impl Conclusion {
    /// Findings in the log come first, then untrusted checkpoints.
    pub(super) fn new(
        log: LogName,
        verified: Option<Verified>,
        mut found: Vec<Located>,
        forged: Vec<Finding>,
    ) -> Self {
        found.extend(forged.into_iter().map(|finding| Located { finding, record: None }));
        Self { log, verified, found }
    }

    /// Whether there is no finding.
    pub(super) fn is_unchanged(&self) -> bool {
        self.found.is_empty()
    }

    /// The log.
    pub(super) fn log(&self) -> &LogName {
        &self.log
    }

    /// Renders text. `checked`: signatures were checked.
    pub(super) fn as_text(&self, checked: bool, zone: &TimeZone) -> String {
        let log = &self.log;
        let mut lines = Vec::new();
        if let Some(verified) = &self.verified {
            let rest = if self.is_unchanged() { "" } else { ", but a checkpoint is not trusted" };
            lines.push(match verified.records {
                0 => format!("{log}: there are no records{rest}"),
                records => {
                    let (first, last) = (verified.first, verified.size.saturating_sub(1));
                    format!("{log}: {records} records ({first} to {last}) are as they were written{rest}")
                }
            });
            let root = verified.root.to_string();
            lines.push(format!("  size {}, root {}…", verified.size, &root[..16]));
            lines.push(describe_signatures(verified, checked));
            if verified.first > 0 {
                lines.push(format!("  the first {} records were dropped by the retention", verified.first));
            }
        }
        for Located { finding, record } in &self.found {
            lines.push(format!("{log}: {}", plain(&finding.to_string())));
            if let Some(record) = record {
                lines.push(format!("  record: {}", brief(record, zone)));
            }
        }
        if let Some(first) = self.found.first() {
            lines.push(format!("  what to do: {}", remedy(&first.finding)));
        }
        lines.join("\n")
    }

    /// Renders JSON. `checked`: signatures were checked.
    pub(super) fn as_json(&self, checked: bool) -> Value {
        let found = self.found.iter().map(|Located { finding, record }| {
            json!({"finding": json_name(finding), "message": finding.to_string(), "seq": seq(finding), "record": record})
        });
        let verified = self.verified.as_ref().map(|verified| {
            json!({
                "first": verified.first, "records": verified.records, "size": verified.size, "root": verified.root,
                "checkpoints": verified.checkpoints, "signed": verified.signed,
            })
        });
        json!({
            "log": self.log, "right": self.is_unchanged(), "signaturesChecked": checked, "verified": verified,
            "findings": found.collect::<Vec<_>>(),
        })
    }
}

/// Describes the signatures.
fn describe_signatures(verified: &Verified, checked: bool) -> String {
    let after = verified.size.saturating_sub(verified.signed);
    let by = if checked { "signed by a known key" } else { "whose signatures were not checked" };
    match (verified.checkpoints, after) {
        (0, _) => {
            "  no checkpoint: the number of records is not signed, so a truncation would not be detected"
                .into()
        }
        (count, 0) => format!("  {}, {by}, and all records are covered", checkpoints(count)),
        (count, after) => format!(
            "  {}, {by}, up to {} records; the {after} records after them are not signed yet",
            checkpoints(count),
            verified.signed
        ),
    }
}

fn checkpoints(count: usize) -> String {
    if count == 1 { "1 checkpoint".into() } else { format!("{count} checkpoints") }
}

/// Renders a short reference to a record, as far as it can be parsed.
fn brief(record: &Value, zone: &TimeZone) -> String {
    match serde_json::from_value::<Record>(record.clone()) {
        Ok(record) => format!(
            "{}, {}, {}, {} {}, {}",
            record.id,
            time_arg::render(record.time, zone),
            plain(&record.actor.user),
            plain(&record.action),
            render::target(record.target.as_ref()),
            record.outcome
        ),
        Err(_) => plain(&record.to_string()),
    }
}

/// The recommended action after a finding.
fn remedy(finding: &Finding) -> &'static str {
    match finding {
        Finding::UntrustedCheckpoint { .. } => {
            "find out who could write that checkpoint, and whether a key is missing here (--key): keys that were \
             replaced still count for what they signed"
        }
        Finding::Truncated { .. } | Finding::Missing { .. } => {
            "keep the database, its backups and the checkpoints as they are: they are evidence. Look for the missing \
             records in an older export or a copy of the database, and find out whether an older copy was restored"
        }
        Finding::IndexMismatch { .. } => {
            "the records up to there are as they were written, but searches and exports with a filter may have missed some: \
             find out who could write into the database, then rebuild the index (see docs/audit.md)"
        }
        Finding::NodeMissing { .. } => {
            "the records up to there are as they were written: find out who could write into the database, and take the rows of \
             audit_node that are missing from a backup or a copy"
        }
        _ => {
            "keep the database, its backups and the checkpoints as they are: they are evidence. Compare the record with an \
             older export or a copy of the database; records before it are as they were written"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::merkle::Hash;
    use expect_test::expect;

    fn verified() -> Verified {
        Verified {
            log: log(),
            first: 0,
            records: 120,
            size: 120,
            root: Hash::leaf(b"x"),
            checkpoints: 2,
            signed: 100,
        }
    }

    fn log() -> LogName {
        "shop".parse().expect("a log")
    }

    fn record() -> Value {
        json!({
            "id": "019aa5d0-0000-7000-8000-000000000007", "seq": 7, "tenant": "shop", "time": "2026-11-21T10:05:07Z",
            "actor": {"user": "alice\u{1b}[2K", "via": "Admission"}, "action": "Update", "outcome": "Denied",
            "target": {"kind": "EventTopic", "namespace": "shop", "name": "orders"},
            "origin": {"component": "webhook", "instance": "a"},
        })
    }

    #[test]
    fn a_log_that_is_unchanged() {
        let unchanged = Conclusion::new(log(), Some(verified()), Vec::new(), Vec::new());
        assert!(unchanged.is_unchanged());
        expect![[r#"
            shop: 120 records (0 to 119) are as they were written
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, signed by a known key, up to 100 records; the 20 records after them are not signed yet"#]]
        .assert_eq(&unchanged.as_text(true, &TimeZone::UTC));
        let dropped = Verified { first: 20, records: 100, signed: 120, ..verified() };
        let unchanged = Conclusion::new(log(), Some(dropped), Vec::new(), Vec::new());
        expect![[r#"
            shop: 100 records (20 to 119) are as they were written
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, whose signatures were not checked, and all records are covered
              the first 20 records were dropped by the retention"#]]
        .assert_eq(&unchanged.as_text(false, &TimeZone::UTC));
        let alone = Verified { checkpoints: 0, signed: 0, ..verified() };
        let unchanged = Conclusion::new(log(), Some(alone), Vec::new(), Vec::new());
        assert!(unchanged.as_text(true, &TimeZone::UTC).contains("no checkpoint: "));
        expect![[r#"{"findings":[],"log":"shop","right":true,"signaturesChecked":true,"verified":{"checkpoints":0,"first":0,"records":120,"root":"3c7e9bc930dc93f01fa69985ef242d9f9e861f3c5355aa24ce5ef4b4b8a70ccb","signed":0,"size":120}}"#]].assert_eq(&unchanged.as_json(true).to_string());
    }

    #[test]
    fn a_finding_names_the_record_and_the_action() {
        let finding = Finding::Edited { seq: 7, id: "019aa5d0-0000-7000-8000-000000000007".into() };
        let found = Located::at(finding, record().to_string().as_bytes());
        let changed = Conclusion::new(log(), None, vec![found], Vec::new());
        assert!(!changed.is_unchanged());
        expect![[r#"
            shop: record 7 (019aa5d0-0000-7000-8000-000000000007) was edited: its content does not match its hash
              record: 019aa5d0-0000-7000-8000-000000000007, 2026-11-21 10:05:07, alice�[2K, Update EventTopic shop/orders, Denied
              what to do: keep the database, its backups and the checkpoints as they are: they are evidence. Compare the record with an older export or a copy of the database; records before it are as they were written"#]].assert_eq(&changed.as_text(true, &TimeZone::UTC));
        let json = changed.as_json(true);
        assert_eq!(
            (&json["findings"][0]["finding"], &json["findings"][0]["seq"]),
            (&json!("Edited"), &json!(7))
        );
        let other = Finding::Unreadable { seq: 8 };
        assert!(
            Located::at(other, record().to_string().as_bytes()).record.is_none(),
            "it is about another record"
        );
    }

    #[test]
    fn an_untrusted_checkpoint_is_a_finding() {
        let forged = Finding::UntrustedCheckpoint {
            source: "the store's checkpoint of 5 records".into(),
            problem: "why".into(),
        };
        let changed = Conclusion::new(log(), Some(verified()), Vec::new(), vec![forged]);
        expect![[r#"
            shop: 120 records (0 to 119) are as they were written, but a checkpoint is not trusted
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, signed by a known key, up to 100 records; the 20 records after them are not signed yet
            shop: the store's checkpoint of 5 records is not trusted: why
              what to do: find out who could write that checkpoint, and whether a key is missing here (--key): keys that were replaced still count for what they signed"#]].assert_eq(&changed.as_text(true, &TimeZone::UTC));
    }
}
