//! The audit log as it is kept.

pub(super) mod append;
mod checkpoint;
mod head;
mod page;
mod posting;
mod proof;
mod record;
mod retention;
mod rows;
mod search;
mod verify;

use jiff::Timestamp;

use super::database::Database;
use crate::domain::audit::Record;
use crate::domain::audit::merkle::{Hash, Range};
use crate::domain::audit::verify::STEP;

/// Records below a node of the lowest level that is kept.
const BLOCK: u64 = 1 << STEP;

/// Reads logs, and keeps what is said of them.
#[derive(Clone, Debug)]
pub struct Audit {
    database: Database,
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of records, those that were dropped included.
    pub size: u64,
    /// The first record that is there.
    pub first: u64,
    /// The compact range of all of them.
    pub range: Range,
    /// The chain up to the last.
    pub chain: Hash,
}

/// A record with the hash of its leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Its canonical JSON, as it is kept.
    pub body: String,
    /// Its hash.
    pub hash: Hash,
}

/// Some records, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<Stored>,
    /// Where to go on: there may be more before this place. A page can be short, or empty, and not be the last one: a
    /// search looks at so many records and then says where it has come to.
    pub next: Option<u64>,
}

/// A signed checkpoint as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The number of records that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub time: Timestamp,
}

impl Audit {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }
}

/// Databases count with a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
