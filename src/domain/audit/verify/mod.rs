//! Detects tampering with a log.
//!
//! A log is read once, from the first record on, and all redundant values are compared: a record with the columns that it is
//! searched by, its content with its hash, its hash with the chain, stored nodes with the nodes that follow from the records,
//! roots with signed checkpoints. Verification stops at the first finding, because later values depend on earlier ones.
//!
//! A log without a finding is consistent with itself. Whether that shows that it is as it was written depends on its signatures,
//! its filter and its drops: [`Verified::assess`] names what is missing.

mod assessment;
mod batch;
mod body;
mod checkpoints;
mod finding;
mod index;
mod misplaced;
mod stored;
mod times;
mod verified;
mod verifier;

pub use assessment::{Assessment, Requirements, Unverified};
pub use batch::{Batch, Mismatch};
pub use checkpoints::TrustedCheckpoints;
pub use finding::Finding;
pub(super) use finding::printable;
pub use stored::{
    Columns, LEVEL_STEP, MAX_LISTED_POSITIONS, Posting, Row, SEGMENT_RECORDS, StoredEnd, StoredNode,
    StoredValues, Times,
};
pub use verified::{DropEvidence, Verified};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
