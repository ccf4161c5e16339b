//! Audit logs that reveal tampering.
//!
//! Each tenant has a log, and so has the platform ([`LogName`]). A log is a sequence of [`record`]s. Their canonical JSON forms
//! are the leaves of a Merkle tree ([`merkle`], RFC 6962). A hash chain beside it identifies the changed record where the tree
//! only shows that some record changed. The root of the tree is signed periodically ([`checkpoint`]) and published outside of
//! the database, which reveals a truncated log and a restored old database. [`mod@verify`] detects tampering, [`export`] is the
//! file format with everything that verification needs, [`cursor`] encodes where a page of records begins, [`mod@drop`] proves that
//! the retention dropped records, and [`change`] computes the difference of a resource that a record contains.
//!
//! The types of records, filters and proofs are in the SDK ([`eventcenter_sdk::rest::audit`]), because REST clients use them.
//!
//! Deliberately absent: storage of logs, and authorization of readers.

mod canonical;
pub mod change;
pub mod checkpoint;
pub mod cursor;
pub mod drop;
pub mod export;
pub mod record;
#[cfg(test)]
mod testing;
pub mod verify;

pub use change::change_between;
pub use eventcenter_sdk::merkle;
pub use eventcenter_sdk::rest::audit::{
    Action, Actor, Change, Filter, LogName, Origin, Outcome, Record, Target, Via,
};
pub use record::{Caller, Draft, Event, canonical_json};
