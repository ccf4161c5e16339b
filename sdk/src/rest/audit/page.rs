//! What the paths about audit logs answer.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RawRecord, UnknownValue};
use crate::merkle::{Hash, Inclusion};

/// A page of records, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The records. A page may have fewer records than the limit, even none, and still a next page: the server examines a
    /// bounded number of records per request.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<super::Record>))]
    pub items: Vec<RawRecord>,
    /// The cursor of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub next: Option<String>,
}

/// A record with the proof that it is in its log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordDetail {
    /// The record. Its canonical JSON (RFC 8785) is a leaf of the log's Merkle tree.
    #[cfg_attr(feature = "openapi", schema(value_type = super::Record))]
    pub record: RawRecord,
    /// The hash of the leaf.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: Hash,
    /// The record of the end, if this record is a start and the end is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = super::Record, required = false, nullable = false))]
    pub completion: Option<RawRecord>,
    /// The proof.
    pub proof: RecordProof,
}

/// The proof that a record is in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordProof {
    /// The path from the leaf to the root.
    pub inclusion: Inclusion,
    /// The signed checkpoint with this root; null if no checkpoint covers the record yet.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub checkpoint: Option<String>,
    /// The root of the tree.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub root: Hash,
}

/// The signed checkpoints of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checkpoints {
    /// The origin of the log's checkpoints: `INSTALLATION/audit/LOG`.
    #[cfg_attr(feature = "openapi", schema(example = "eventcenter/audit/shop"))]
    pub origin: String,
    /// The verifier keys (C2SP signed-note) of the current and previous signing keys.
    pub keys: Vec<String>,
    /// The newest checkpoints, at most 100, newest first.
    pub items: Vec<SignedCheckpoint>,
    /// The current end of the log, which is not signed.
    pub head: TreeHead,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedCheckpoint {
    /// The number of records that the checkpoint covers.
    pub size: u64,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: String,
    /// When it was signed.
    pub time: Timestamp,
}

/// The size and root of a log's Merkle tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TreeHead {
    /// The number of records, including those deleted by the retention.
    pub size: u64,
    /// The root of the tree.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub root: Hash,
}

/// The format of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ExportFormat {
    /// Lines of JSON with everything needed to verify them (`eventctl audit verify --file`).
    #[default]
    Ndjson,
    /// For spreadsheets. It cannot be verified.
    Csv,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: &'static [Self] = &[Self::Ndjson, Self::Csv];

    /// The value of the parameter `format`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ExportFormat {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        let known = || Self::ALL.iter().map(|format| format.as_str());
        let format = Self::ALL.iter().copied().find(|format| format.as_str() == text);
        format.ok_or_else(|| UnknownValue::new(text, known()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw(json: &str) -> RawRecord {
        RawRecord::from_json(json.to_owned()).unwrap()
    }

    fn hash() -> Hash {
        Hash::leaf(b"x")
    }

    #[test]
    fn a_page_has_records_byte_for_byte() {
        let body = r#"{"z":1,"a":{"number":1.0}}"#;
        let page = Page { items: vec![raw(body)], next: None };
        let json = serde_json::to_string(&page).unwrap();
        assert_eq!(json, format!(r#"{{"items":[{body}],"next":null}}"#));
        let read: Page = serde_json::from_str(&json).unwrap();
        assert_eq!((read.items[0].json(), read.next), (body, None));
        let read: Page = serde_json::from_str(r#"{"items":[],"next":"c"}"#).unwrap();
        assert_eq!(read.next.as_deref(), Some("c"));
    }

    #[test]
    fn a_record_has_its_proof() {
        let inclusion = Inclusion { index: 1, size: 3, path: vec![hash()] };
        let proof = RecordProof { inclusion, checkpoint: None, root: hash() };
        let (record, completion) = (raw(r#"{"b":1,"a":2}"#), None);
        let detail = RecordDetail { record, hash: hash(), completion, proof };
        let proof = format!(
            r#"{{"inclusion":{{"index":1,"size":3,"path":["{0}"]}},"checkpoint":null,"root":"{0}"}}"#,
            hash()
        );
        let json = serde_json::to_string(&detail).unwrap();
        assert_eq!(json, format!(r#"{{"record":{{"b":1,"a":2}},"hash":"{}","proof":{proof}}}"#, hash()));
        let completed = RecordDetail { completion: Some(raw("{}")), ..detail.clone() };
        let json = serde_json::to_string(&completed).unwrap();
        assert!(json.contains(r#","completion":{},"proof""#), "{json}");
        let read: RecordDetail = serde_json::from_str(&json).unwrap();
        assert_eq!((read.record.json(), read.hash, read.proof), (r#"{"b":1,"a":2}"#, hash(), detail.proof));
    }

    #[test]
    fn checkpoints_have_keys_and_the_head() {
        let json = json!({
            "origin": "e/audit/shop", "keys": ["k"], "head": {"size": 5, "root": hash()},
            "items": [{"size": 3, "note": "n", "time": "2026-11-21T08:00:00Z"}],
        });
        let checkpoints: Checkpoints = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&checkpoints).unwrap(), json);
        let text = serde_json::to_string(&checkpoints).unwrap();
        let order: Vec<_> = ["origin", "keys", "items", "head"].map(|name| text.find(name)).into();
        assert!(order.is_sorted(), "{text}");
    }

    #[test]
    fn formats_are_read_as_they_are_written() {
        for format in ExportFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
            assert_eq!(serde_json::to_value(format).unwrap(), Value::from(format.as_str()));
        }
        let error = "xml".parse::<ExportFormat>().unwrap_err().to_string();
        assert_eq!(error, r#""xml" is none of: ndjson, csv"#);
    }
}
