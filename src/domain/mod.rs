//! Every decision of the product, pure: values in, values out.
//!
//! Deliberately absent: async, clocks, randomness, clients. What a decision needs to know is an
//! argument, the time included, so that webhook, controllers and tests call the same functions
//! and get the same answer. A refusal is a value ([`Refusal`]), never a panic and never an `Err`
//! that somebody could retry without a change of the facts.

pub mod admission;
pub mod approval;
pub mod audit;
pub mod backoff;
pub mod catalog;
pub mod cluster;
pub mod condition;
pub mod event_type;
pub mod lint;
pub mod management;
pub mod object_ref;
pub mod ownership;
pub mod quota;
pub mod refusal;
pub mod registration;
pub mod schema;
pub mod signature;
pub mod tenant;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic;

pub use catalog::Catalog;
pub use object_ref::{ObjectRef, Revisioned};
pub use refusal::{Failure, Refusal};

use jiff::Timestamp;
use kube::ResourceExt;

/// What decides who came first: the time the API server noted, then the uid, which no one chooses.
#[must_use]
pub fn age(resource: &impl kube::Resource) -> (Timestamp, String) {
    let created = resource.meta().creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    (created, resource.uid().unwrap_or_default())
}
