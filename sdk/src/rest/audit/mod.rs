//! Audit logs: records, filters, signed checkpoints and proofs.
//!
//! Each tenant has a log, and the platform has one ([`LogName`]). A log is a sequence of [`Record`]s whose canonical JSON
//! (RFC 8785) are the leaves of a Merkle tree ([`merkle`](crate::merkle)).

mod filter;
mod log_name;
mod page;
mod record;
mod string_enum;

pub use filter::Filter;
pub use log_name::{InvalidLogName, LogName};
pub use page::{Checkpoints, ExportFormat, Page, RecordDetail, RecordProof, SignedCheckpoint, TreeHead};
pub use record::{Actor, Change, Origin, RawRecord, Record, Target};
pub use string_enum::{Action, Outcome, UnknownValue, Via};
