//! Every decision of the product, as pure functions.
//!
//! Deliberately absent: async, clocks, randomness, clients. A decision depends only on its arguments, the time
//! included, so that webhook, controllers and tests call the same functions and get the same result. A refusal is a
//! value ([`Refusal`]): retrying cannot succeed until the facts change.

pub mod admission;
pub mod age;
pub mod approval;
pub mod audit;
pub mod backoff;
pub mod callback;
pub mod catalog;
mod cel_value;
pub mod cluster;
pub mod condition;
pub mod delivery;
pub mod event_filter;
pub mod event_type;
pub mod lint;
pub mod management;
pub mod object_ref;
pub mod ownership;
pub mod quantity;
pub mod quota;
pub mod refusal;
pub mod registration;
pub mod schema;
pub mod signature;
pub mod spec_diff;
pub mod task;
pub mod tenant;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic;

pub use catalog::Catalog;
pub use object_ref::{ObjectRef, Revisioned};
pub use refusal::{Failure, Refusal};
