//! Decisions about EventTopics.
//!
//! - [`mod@identity`]: the Kafka topic of a resource. [`mod@validate`]: whether the operator may act on it.
//! - [`declaration`]: the desired state of the Kafka topic. [`mod@plan`]: what to change in Kafka; [`value`]: equality of configuration values.
//! - [`access`]: ACLs; [`grants`]: the ACLs of several resources together.
//! - [`change`], [`diff`]: a change of the spec, for approval rules and for people; `governed` ties them to the rules.
//! - `schema_history`: where registered schemas are stored. `former_owners`: outdated records of active specs. [`deletion`]: what to delete. [`mod@status`]: what to report. [`adopt`]: the resource for an existing Kafka topic.

pub mod access;
pub mod adopt;
pub mod change;
pub mod declaration;
pub mod deletion;
pub mod diff;
mod former_owners;
mod governed;
pub mod grants;
pub mod identity;
pub mod plan;
pub mod quota;
mod schema_history;
pub mod status;
pub mod validate;
pub mod value;

pub use declaration::Declared;
pub use former_owners::FormerOwners;
pub use grants::Grants;
pub use identity::Identity;
pub use plan::{Change, Observed, Plan, plan};
pub use schema_history::SchemaHistory;
pub use validate::{Permission, ValidatedTopic, permission, validate};
