//! The audit log: `logs` shows pages and single records, `export` streams all of them, `checkpoints` tells what was signed
//! and proves that a log was only added to. `filter` reads what is asked for, `csv` and `shape` are about form,
//! `described` is about all of them.
//!
//! Each handler begins alike: who asks, what they ask for, which log that is about; it records that it is read, and reads
//! from that log only. Checkpoints and proofs of consistency show no record, and witnesses ask for them all the time, so
//! they are not recorded.

pub(super) mod checkpoints;
mod csv;
mod described;
pub(super) mod export;
mod filter;
pub(super) mod logs;
#[cfg(test)]
mod tests;

pub(super) use checkpoints::KEYS_LAST;
