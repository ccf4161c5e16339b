//! The tables of the audit log.

pub(super) mod append;
mod checkpoint;
mod convert;
mod get;
mod head;
mod log;
mod page;
mod posting;
mod proof;
mod query;
mod retention;
mod rows;
mod verify;

pub use log::{Audit, Head, Page, StoredCheckpoint, StoredRecord};
