//! The result of a verification as text and JSON.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::super::terminal::plain;
use super::super::{render, time_arg};
use crate::domain::audit::verify::{Assessment, DropEvidence, Finding, Unverified, Verified};
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
    unverified: Vec<Unverified>,
    /// The filter that the user accepts.
    accepted_filter: Option<Unverified>,
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
        | Finding::FilterMismatch { id, .. }
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
        | Finding::FilterMismatch { seq, .. }
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
        Finding::TimesMismatch { .. } => "Times",
        Finding::EndMismatch { .. } => "End",
        Finding::Omitted { .. } => "Omitted",
        Finding::FilterMismatch { .. } => "Filter",
        Finding::DropNotRecorded { .. } => "Drop",
        Finding::RootMismatch { .. } => "Root",
        Finding::UntrustedCheckpoint { .. } => "Forged",
    }
}

/// The name of a reason in the JSON output.
const fn json_reason(unverified: &Unverified) -> &'static str {
    match unverified {
        Unverified::NoCheckpoint { .. } => "NoCheckpoint",
        Unverified::NotSigned { .. } => "NotSigned",
        Unverified::DropNotSigned { .. } => "DropNotSigned",
        Unverified::DropOmitted { .. } => "DropOmitted",
        Unverified::Filtered { .. } => "Filtered",
    }
}

impl LogReport {
    /// Reports a log whose records match its checkpoints, with the checkpoints that are not trusted. `accepted_filter` is the
    /// filter of an export that the user accepts.
    pub(super) fn of_verified(
        verified: Verified,
        assessment: Assessment,
        untrusted: Vec<Finding>,
        accepted_filter: Option<Unverified>,
    ) -> Self {
        let Assessment { mut findings, unverified } = assessment;
        findings.extend(untrusted);
        let findings = findings.into_iter().map(|finding| LocatedFinding { finding, record: None }).collect();
        Self { log: verified.log.clone(), verified: Some(verified), findings, unverified, accepted_filter }
    }

    /// Reports the finding in a log, and the checkpoints that are not trusted.
    pub(super) fn of_finding(log: LogName, finding: LocatedFinding, untrusted: Vec<Finding>) -> Self {
        let untrusted = untrusted.into_iter().map(|finding| LocatedFinding { finding, record: None });
        let findings = std::iter::once(finding).chain(untrusted).collect();
        Self { log, verified: None, findings, unverified: Vec::new(), accepted_filter: None }
    }

    /// Whether something shows that the log was tampered with.
    pub(super) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether everything that is required of the log is known.
    pub(super) fn is_verified(&self) -> bool {
        self.unverified.is_empty()
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
            lines.push(format!("{log}: {}", self.intact_records(verified, has_keys)));
            let root = verified.root.to_string();
            lines.push(format!("  size {}, root {}…", verified.size, &root[..16]));
            lines.extend(signature_lines(verified, has_keys));
            if let DropEvidence::Recorded { seq } = verified.drop
                && (!has_keys || seq < verified.signed)
            {
                let first = verified.first;
                lines.push(format!(
                    "  record {seq} shows that the retention dropped the first {first} records"
                ));
            }
            lines.extend(
                self.accepted_filter.iter().map(|filter| format!("  {}", plain(&filter.to_string()))),
            );
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
        for unverified in &self.unverified {
            lines.push(format!("{log}: {}", plain(&unverified.to_string())));
            lines.push(format!("  what to do: {}", verification_remedy(unverified)));
        }
        lines.join("\n")
    }

    /// Which records are intact. Records that are not signed do not count if signatures are verified.
    fn intact_records(&self, verified: &Verified, has_keys: bool) -> String {
        let Verified { first, records, size, signed, signed_records, .. } = *verified;
        let (count, end) = if has_keys { (signed_records, signed) } else { (records, size) };
        let caveat = match (self.findings.first().map(|located| &located.finding), has_keys) {
            (Some(Finding::UntrustedCheckpoint { .. }), _) => ", but a checkpoint is not trusted",
            (Some(_), _) => ", but the log was tampered with",
            (None, _) => "",
        };
        match count {
            0 if records == 0 && size == first => format!("there are no records{caveat}"),
            0 => format!("no record is known to be intact{caveat}"),
            count => {
                let are = if has_keys { "are intact" } else { "are consistent; no signature was verified" };
                format!("{count} records ({first} to {}) {are}{caveat}", end.saturating_sub(1))
            }
        }
    }

    /// The result as JSON. `has_keys` states whether signatures were verified.
    pub(super) fn to_json(&self, has_keys: bool) -> Value {
        let findings = self.findings.iter().map(|LocatedFinding { finding, record }| {
            json!({"finding": json_name(finding), "message": finding.to_string(), "seq": position(finding), "record": record})
        });
        let verified = self.verified.as_ref().map(|verified| {
            json!({
                "first": verified.first, "records": verified.records, "size": verified.size, "root": verified.root,
                "checkpoints": verified.checkpoints, "signed": verified.signed, "omitted": verified.omitted,
            })
        });
        let unverified = self
            .unverified
            .iter()
            .map(|unverified| json!({"reason": json_reason(unverified), "message": unverified.to_string()}));
        json!({
            "log": self.log, "right": !self.has_findings() && self.is_verified(), "signaturesChecked": has_keys,
            "verified": verified, "findings": findings.collect::<Vec<_>>(),
            "unverified": unverified.collect::<Vec<_>>(),
            "filter": self.accepted_filter.as_ref().map(ToString::to_string),
        })
    }
}

/// How many records are covered by signed checkpoints.
fn signature_lines(verified: &Verified, has_keys: bool) -> Vec<String> {
    let by = if has_keys { "signed by a trusted key" } else { "whose signatures were not verified" };
    let (count, unsigned) = (checkpoints(verified.checkpoints), verified.unsigned());
    match (verified.checkpoints, unsigned) {
        (0, _) => vec!["  no checkpoint: nothing shows that the records are as they were written".into()],
        (_, 0) => vec![format!("  {count}, {by}, and all records are covered")],
        (_, unsigned) => {
            let last = match unsigned {
                1 => "record yet: nothing shows that it is as it was written".to_owned(),
                unsigned => {
                    format!("{unsigned} records yet: nothing shows that they are as they were written")
                }
            };
            vec![
                format!("  {count}, {by}, up to {} records", verified.signed),
                format!("  no checkpoint covers the last {last}"),
            ]
        }
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
        Finding::TimesMismatch { .. } => {
            "the records up to there are intact, but searches and exports by time may have missed some, and the retention \
             may drop too many: find out who could write to the database, then restore the columns earliest and latest of \
             audit_node from a backup, or from the records"
        }
        Finding::EndMismatch { .. } => {
            "the records are intact, but records that are added from now on will not match them: stop the operator, find out \
             who could write to the database, and restore the row of audit_head from a backup, or from the last record"
        }
        Finding::Omitted { .. } | Finding::FilterMismatch { .. } => {
            "keep the file as evidence, find out who could change it, and export the log again"
        }
        Finding::DropNotRecorded { .. } => {
            "keep the database, its backups and the checkpoints unchanged, as evidence. Look for the missing records in an \
             older export or copy of the database, and find out who could write to the database"
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

/// The remedy of what is not known of a log.
fn verification_remedy(unverified: &Unverified) -> &'static str {
    match unverified {
        Unverified::NoCheckpoint { .. } | Unverified::NotSigned { .. } => {
            "compare with the published checkpoint (--cluster), or with one that you have kept (--checkpoint); for a log that \
             was written just now, try again after the next checkpoint. If the operator signs less often, set --signing-delay. \
             Otherwise checkpoints were removed, or the log is no longer signed"
        }
        Unverified::DropNotSigned { .. } => {
            "verify again after the next checkpoint, or with one that covers that record (--cluster, --checkpoint)"
        }
        Unverified::DropOmitted { .. } => {
            "export the log again, because an earlier version left that record out; or verify an export without a filter"
        }
        Unverified::Filtered { .. } => {
            "verify an export without a filter; or accept with --filtered that only the records in this one are verified"
        }
    }
}

#[cfg(test)]
mod tests;
