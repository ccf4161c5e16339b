//! Approvals: which changes need approval by whom, and whether they have it.
//!
//! The module is independent of kinds: a kind classifies its changes by implementing [`governed::Governed`].
//!
//! - [`rules`]: what a tenant requires.
//! - [`hash`]: the identity of a spec. [`person`], [`identity`]: which names may be one person.
//! - [`author`], [`authorship`]: the author of a change, and which request has named them.
//! - [`claims`], [`request`], [`annotations`]: who requested a spec. [`deletion`]: who deletes. [`decision`]: who decided.
//! - [`eligibility`]: whether a user may decide. [`authorization`]: whether a change may take effect.
//! - [`active`]: the active spec. [`pending`]: the report of a pending change.
//! - [`statement`]: statements that one role seals and another verifies.
//!
//! Webhook and controllers call the same functions. The webhook knows the user and seals who requests and decides; the
//! controllers trust only sealed statements, and decide again.

pub mod active;
pub mod annotations;
pub mod author;
pub mod authorization;
pub mod authorship;
pub mod claims;
pub mod decision;
pub mod deletion;
pub mod eligibility;
pub mod governed;
pub mod hash;
pub mod identity;
pub mod pending;
pub mod person;
pub mod request;
pub mod rules;
pub mod statement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod v0;

pub use active::{ActiveRecord, ActiveSpec};
pub use authorization::{Attribution, Authorization, authorize};
pub use decision::VerifiedDecision;
pub use deletion::DeletionRequest;
pub use governed::Governed;
pub use hash::{SPEC_HASH_CAUSE, SpecHash};
pub use pending::ApprovalState;
pub use request::ChangeRequest;
pub use rules::Rules;
pub use statement::Statement;
