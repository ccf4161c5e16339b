//! The audit log: what was asked, approved and done, so that nobody can change it unseen.
//!
//! Each tenant has a log of its own, and the platform has one ([`LogName`]). A log is a sequence of [`record`]s. Their
//! canonical JSON are the leaves of a Merkle tree ([`merkle`], RFC 6962), and a hash chain beside it locates a modified
//! record where the tree only shows that one was modified. The root of the tree is signed regularly ([`checkpoint`]) and kept
//! outside of the database, so that a truncated log or a restored older database is detected as well. [`mod@verify`] finds
//! what was done to a log, [`export`] is the format of exports, which can be verified without a server, [`cursor`] is where a
//! page of records begins, and [`change`] computes what a record says of a resource before and after.
//!
//! The types of records, filters and proofs are the SDK's ([`eventcenter_sdk::rest::audit`]), because REST clients read them.
//!
//! Deliberately absent: where logs are kept, and who may read them.

mod canonical;
pub mod change;
pub mod checkpoint;
pub mod cursor;
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
