//! The result of a verification without a finding.

use super::finding::Finding;
use super::stored::{StoredEnd, Times};
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::LogName;

/// A log without findings: its records, hashes and checkpoints match one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The name of the log.
    pub log: LogName,
    /// The first record that exists.
    pub first: u64,
    /// The number of verified records.
    pub records: u64,
    /// The number of records that an export leaves out, of which only hashes are known.
    pub omitted: u64,
    /// The number of records of the log, including omitted and dropped ones.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// The hash chain up to the last record; `None` for an export, which has no chain.
    pub chain: Option<Hash>,
    /// The number of checkpoints that match.
    pub checkpoints: usize,
    /// The size of the largest of these checkpoints; later records are not signed.
    pub signed: u64,
    /// The number of verified records among the signed ones.
    pub signed_records: u64,
    /// The times of the verified records that are not signed.
    pub unsigned_times: Option<Times>,
    /// The times of the records after the last node of the lowest stored level.
    pub last_times: Option<Times>,
    /// What shows that the retention dropped the records before the first one.
    pub drop: DropEvidence,
}

/// What shows that the retention dropped the records that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropEvidence {
    /// Every record exists.
    NothingDropped,
    /// A record of the drop.
    Recorded {
        /// Its position.
        seq: u64,
    },
    /// Nothing: all later records exist, and none of them records the drop.
    NotRecorded,
    /// The export leaves records out, and may have left out the record of the drop.
    Unknown,
}

impl Verified {
    /// Compares what the database states about the end of the log, if it is about the same number of records. It reveals a
    /// rewritten end of the log, after the last checkpoint and the last node.
    ///
    /// # Errors
    /// They differ.
    pub fn verify_end(self, stored: &StoredEnd) -> Result<Self, Finding> {
        if stored.size != self.size {
            return Ok(self);
        }
        let mismatch = |column| Err(Finding::EndMismatch { size: self.size, column });
        if stored.range.end() != self.size || stored.range.root() != Some(self.root) {
            // All signed records are unchanged: then it is the range that was changed.
            return match self.signed == self.size {
                true => mismatch("range_hashes"),
                false => Err(Finding::NodeMismatch { from: self.signed, to: self.size }),
            };
        }
        if self.chain.is_some_and(|chain| chain != stored.chain) {
            return mismatch("chain");
        }
        match (stored.times, self.last_times) {
            (stored, found) if stored == found => Ok(self),
            (Some((earliest, _)), Some((expected, _))) if earliest != expected => mismatch("earliest"),
            _ => mismatch("latest"),
        }
    }
}
