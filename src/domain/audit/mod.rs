//! The audit log: what was asked, approved and done, so that nobody can change it unseen.
//!
//! Each tenant has a log of its own, and the platform has one ([`LogName`]). A log is a sequence of [`record`]s. Their
//! canonical JSON are the leaves of a Merkle tree ([`merkle`], RFC 6962), and a chain of hashes beside it tells which
//! record was touched where the tree can only tell that one was. From time to time the tree's root is signed
//! ([`checkpoint`]) and kept outside of the database, so that a tail that was cut off, or a whole database that was put
//! back, is seen as well. [`mod@verify`] finds what was done to a log, [`export`] is the form in which a log leaves the
//! house with all that is needed to verify it, [`filter`] is what is asked of one, and [`change`] is what a record tells of
//! a resource before and after.
//!
//! Deliberately absent: where logs are kept, and who may read them.

mod canonical;
pub mod change;
pub mod checkpoint;
pub mod export;
pub mod filter;
pub mod merkle;
pub mod record;
#[cfg(test)]
mod testing;
pub mod verify;

pub use change::Change;
pub use filter::Filter;
pub use record::{Action, Actor, Caller, Draft, Event, LogName, Origin, Outcome, Record, Target, Via};
