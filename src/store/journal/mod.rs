//! Writes the audit log: many records in one transaction.
//!
//! One task takes all waiting records, assigns each its position, and commits them together. [`Recorder::record`] waits for the
//! commit. While the database is unavailable, records of the controllers wait in the spool file.
//!
//! The module is limited to batching, retries, the spool and the policy for outages. It does not interpret records,
//! does not filter, and never reads a log. Anything that depends on the content of a record belongs to the caller; SQL
//! belongs to `store::audit::append`.

mod id;
mod indexing;
mod outcome;
mod pending;
mod recorder;
mod writer;

pub use outcome::{Policy, RecordError, WriteOutcome};
pub use recorder::{Journal, Options, Recorder};
