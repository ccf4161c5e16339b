//! The paths about audit logs: `logs` reads pages and single records, `export` streams all records of a log, `checkpoints`
//! has signed checkpoints and consistency proofs. `filter` parses the common parameters, `csv` writes spreadsheets,
//! `documentation` is the common part of the OpenAPI document.
//!
//! Each handler authenticates the caller, parses the query, resolves the log, records the read, and then reads that log only.
//! Checkpoints and consistency proofs contain no records and are polled by witnesses, so reading them is not recorded.

pub(super) mod checkpoints;
mod csv;
mod documentation;
pub(super) mod export;
mod filter;
pub(super) mod logs;
mod root;
#[cfg(test)]
mod tests;

pub use filter::parse_filter;
