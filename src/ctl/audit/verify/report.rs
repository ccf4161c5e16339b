//! The result of a verification as text and JSON.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::super::terminal::plain;
use super::super::{render, time_arg};
use crate::domain::audit::verify::{Finding, Verified};
use crate::domain::audit::{LogName, Record};

/// A finding, and the record that it is about.
#[derive(Clone, Debug)]
pub(super) struct LocatedFinding {
    pub(super) finding: Finding,
    pub(super) record: Option<Value>,
}

/// The result of the verification of a log.
#[derive(Clone, Debug)]
pub(super) struct LogReport {
    log: LogName,
    verified: Option<Verified>,
    findings: Vec<LocatedFinding>,
}

impl LocatedFinding {
    /// A finding of the verification of a record. It may be about another record, which is then unknown.
    pub(super) fn new(finding: Finding, body: &[u8]) -> Self {
        let record: Option<Value> = serde_json::from_slice(body).ok();
        let is_subject = |record: &Value| {
            let has_id = id(&finding).is_some_and(|id| record["id"] == *id);
            has_id || position(&finding).is_some_and(|seq| record["seq"] == seq)
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
pub(super) fn position(finding: &Finding) -> Option<u64> {
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

impl LogReport {
    /// The findings in the log come before the checkpoints that are not trusted.
    pub(super) fn new(
        log: LogName,
        verified: Option<Verified>,
        mut findings: Vec<LocatedFinding>,
        untrusted: Vec<Finding>,
    ) -> Self {
        findings.extend(untrusted.into_iter().map(|finding| LocatedFinding { finding, record: None }));
        Self { log, verified, findings }
    }

    /// Whether the verification found nothing.
    pub(super) fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    /// The log.
    pub(super) fn log(&self) -> &LogName {
        &self.log
    }

    /// The result as text. `has_keys` states whether signatures were verified.
    pub(super) fn to_text(&self, has_keys: bool, zone: &TimeZone) -> String {
        let log = &self.log;
        let mut lines = Vec::new();
        if let Some(verified) = &self.verified {
            let caveat = if self.is_intact() { "" } else { ", but a checkpoint is not trusted" };
            lines.push(match verified.records {
                0 => format!("{log}: there are no records{caveat}"),
                records => {
                    let (first, last) = (verified.first, verified.size.saturating_sub(1));
                    format!("{log}: {records} records ({first} to {last}) are intact{caveat}")
                }
            });
            let root = verified.root.to_string();
            lines.push(format!("  size {}, root {}…", verified.size, &root[..16]));
            lines.push(signature_line(verified, has_keys));
            if verified.first > 0 {
                lines.push(format!("  the retention deleted the first {} records", verified.first));
            }
        }
        for LocatedFinding { finding, record } in &self.findings {
            lines.push(format!("{log}: {}", plain(&finding.to_string())));
            if let Some(record) = record {
                lines.push(format!("  record: {}", summary(record, zone)));
            }
        }
        if let Some(first) = self.findings.first() {
            lines.push(format!("  what to do: {}", remedy(&first.finding)));
        }
        lines.join("\n")
    }

    /// The result as JSON. `has_keys` states whether signatures were verified.
    pub(super) fn to_json(&self, has_keys: bool) -> Value {
        let findings = self.findings.iter().map(|LocatedFinding { finding, record }| {
            json!({"finding": json_name(finding), "message": finding.to_string(), "seq": position(finding), "record": record})
        });
        let verified = self.verified.as_ref().map(|verified| {
            json!({
                "first": verified.first, "records": verified.records, "size": verified.size, "root": verified.root,
                "checkpoints": verified.checkpoints, "signed": verified.signed,
            })
        });
        json!({
            "log": self.log, "right": self.is_intact(), "signaturesChecked": has_keys, "verified": verified,
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

/// How many records are covered by signed checkpoints.
fn signature_line(verified: &Verified, has_keys: bool) -> String {
    let after = verified.size.saturating_sub(verified.signed);
    let by = if has_keys { "signed by a trusted key" } else { "whose signatures were not verified" };
    match (verified.checkpoints, after) {
        (0, _) => "  no checkpoint: records that are missing at the end cannot be detected".into(),
        (count, 0) => format!("  {}, {by}, and all records are covered", checkpoints(count)),
        (count, after) => format!(
            "  {}, {by}, up to {} records; no checkpoint covers the last {after}",
            checkpoints(count),
            verified.signed
        ),
    }
}

fn checkpoints(count: usize) -> String {
    if count == 1 { "1 checkpoint".into() } else { format!("{count} checkpoints") }
}

/// A record in a few words, or its JSON if it cannot be parsed.
fn summary(record: &Value, zone: &TimeZone) -> String {
    match serde_json::from_value::<Record>(record.clone()) {
        Ok(record) => format!(
            "{}, {}, {}, {} {}, {}",
            record.id,
            time_arg::format(record.time, zone),
            plain(&record.actor.user),
            plain(&record.action),
            render::target_text(record.target.as_ref()),
            record.outcome
        ),
        Err(_) => plain(&record.to_string()),
    }
}

/// The remedy of a finding.
fn remedy(finding: &Finding) -> &'static str {
    match finding {
        Finding::UntrustedCheckpoint { .. } => {
            "find out who could write that checkpoint, and whether a key is missing (--key): replaced keys still verify what \
             they signed"
        }
        Finding::Truncated { .. } | Finding::Missing { .. } => {
            "keep the database, its backups and the checkpoints unchanged, as evidence. Look for the missing records in an \
             older export or copy of the database, and find out whether an older copy was restored"
        }
        Finding::IndexMismatch { .. } => {
            "the records up to there are intact, but searches and filtered exports may have missed some: find out who could \
             write to the database, then rebuild the index (see docs/audit.md)"
        }
        Finding::NodeMissing { .. } => {
            "the records up to there are intact: find out who could write to the database, and restore the missing rows of \
             audit_node from a backup or copy"
        }
        _ => {
            "keep the database, its backups and the checkpoints unchanged, as evidence. Compare the record with an older \
             export or copy of the database; the records before it are intact"
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
    fn an_intact_log() {
        let report = LogReport::new(log(), Some(verified()), Vec::new(), Vec::new());
        assert!(report.is_intact());
        expect![[r#"
            shop: 120 records (0 to 119) are intact
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, signed by a trusted key, up to 100 records; no checkpoint covers the last 20"#]]
        .assert_eq(&report.to_text(true, &TimeZone::UTC));
        let dropped = Verified { first: 20, records: 100, signed: 120, ..verified() };
        let report = LogReport::new(log(), Some(dropped), Vec::new(), Vec::new());
        expect![[r#"
            shop: 100 records (20 to 119) are intact
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, whose signatures were not verified, and all records are covered
              the retention deleted the first 20 records"#]]
        .assert_eq(&report.to_text(false, &TimeZone::UTC));
        let without_checkpoint = Verified { checkpoints: 0, signed: 0, ..verified() };
        let report = LogReport::new(log(), Some(without_checkpoint), Vec::new(), Vec::new());
        assert!(report.to_text(true, &TimeZone::UTC).contains("no checkpoint: "));
        expect![[r#"{"findings":[],"log":"shop","right":true,"signaturesChecked":true,"verified":{"checkpoints":0,"first":0,"records":120,"root":"3c7e9bc930dc93f01fa69985ef242d9f9e861f3c5355aa24ce5ef4b4b8a70ccb","signed":0,"size":120}}"#]].assert_eq(&report.to_json(true).to_string());
    }

    #[test]
    fn a_finding_names_the_record_and_the_remedy() {
        let finding = Finding::Edited { seq: 7, id: "019aa5d0-0000-7000-8000-000000000007".into() };
        let found = LocatedFinding::new(finding, record().to_string().as_bytes());
        let report = LogReport::new(log(), None, vec![found], Vec::new());
        assert!(!report.is_intact());
        expect![[r#"
            shop: record 7 (019aa5d0-0000-7000-8000-000000000007) was edited: its content does not match its hash
              record: 019aa5d0-0000-7000-8000-000000000007, 2026-11-21 10:05:07, alice�[2K, Update EventTopic shop/orders, Denied
              what to do: keep the database, its backups and the checkpoints unchanged, as evidence. Compare the record with an older export or copy of the database; the records before it are intact"#]].assert_eq(&report.to_text(true, &TimeZone::UTC));
        let json = report.to_json(true);
        assert_eq!(
            (&json["findings"][0]["finding"], &json["findings"][0]["seq"]),
            (&json!("Edited"), &json!(7))
        );
        let other = Finding::Unreadable { seq: 8 };
        assert!(
            LocatedFinding::new(other, record().to_string().as_bytes()).record.is_none(),
            "another record"
        );
    }

    #[test]
    fn an_untrusted_checkpoint() {
        let untrusted = Finding::UntrustedCheckpoint {
            source: "the store's checkpoint of 5 records".into(),
            problem: "why".into(),
        };
        let report = LogReport::new(log(), Some(verified()), Vec::new(), vec![untrusted]);
        expect![[r#"
            shop: 120 records (0 to 119) are intact, but a checkpoint is not trusted
              size 120, root 3c7e9bc930dc93f0…
              2 checkpoints, signed by a trusted key, up to 100 records; no checkpoint covers the last 20
            shop: the store's checkpoint of 5 records is not trusted: why
              what to do: find out who could write that checkpoint, and whether a key is missing (--key): replaced keys still verify what they signed"#]].assert_eq(&report.to_text(true, &TimeZone::UTC));
    }
}
