//! Types of stored logs.

use jiff::Timestamp;

use crate::domain::audit::Record;
use crate::domain::audit::merkle::{Hash, Range};
use crate::domain::audit::verify::LEVEL_STEP;
use crate::store::database::Database;

/// Records below a node of the lowest stored level.
pub(super) const BLOCK_RECORDS: u64 = 1 << LEVEL_STEP;

/// Reads logs and stores their checkpoints.
#[derive(Clone, Debug)]
pub struct Audit {
    pub(super) database: Database,
}

impl Audit {
    pub(in crate::store) fn new(database: Database) -> Self {
        Self { database }
    }
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of records, including dropped ones.
    pub size: u64,
    /// The first record that exists.
    pub first: u64,
    /// The compact range of all records.
    pub range: Range,
    /// The hash chain up to the last record.
    pub chain: Hash,
}

/// A record with the hash of its leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The record.
    pub record: Record,
    /// Its canonical JSON, as stored.
    pub body: String,
    /// The hash of the leaf.
    pub hash: Hash,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The position from which the next page continues, if there may be one. A search stops after a number of rows, so a page
    /// can be short or empty without being the last one.
    pub next: Option<u64>,
}

/// A signed checkpoint as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The number of records that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// The time of the signature.
    pub time: Timestamp,
}
