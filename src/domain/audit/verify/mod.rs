//! Detects tampering with a log.
//!
//! A log is read once, from the first record on, and all redundant values are compared: a record with the columns that it is
//! searched by, its content with its hash, its hash with the chain, stored nodes with the nodes that follow from the records,
//! roots with signed checkpoints. Verification stops at the first finding, because later values depend on earlier ones.

mod batch;
mod body;
mod checkpoints;
mod finding;
mod index;
mod misplaced;
mod stored;
mod verifier;

pub use batch::{Batch, Mismatch};
pub use checkpoints::TrustedCheckpoints;
pub use finding::Finding;
pub(super) use finding::printable;
pub use stored::{Columns, LEVEL_STEP, MAX_LISTED_POSITIONS, Posting, Row, SEGMENT_RECORDS, StoredValues};
pub use verifier::{Verified, Verifier};

#[cfg(test)]
mod tests;
