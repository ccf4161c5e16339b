//! Four eyes: which changes need whose approval, and whether they have it.
//!
//! [`rules`] are what a tenant demands, [`topic`] finds out what a change of an EventTopic touches and `difference`
//! how that reads, [`hash`] names a content exactly, [`person`] tells when two names are one person,
//! [`request`] is who asked and [`stamp`] where that stands, [`review`] whether somebody may decide, and
//! [`mod@gate`] whether a change may take effect. [`record`] is what is in force, and [`pending`] what is said of
//! what is not. What one process tells another through Kubernetes carries a [`seal`], so that nobody else can
//! say it.
//!
//! Webhook and controllers call the same functions. The webhook knows who asks and signs that; the
//! controllers believe only what is signed, and decide again.

pub mod active;
pub mod annotations;
pub mod authorization;
pub mod eligibility;
pub mod hash;
pub mod pending;
pub mod person;
pub mod request;
pub mod rules;
pub mod statement;
#[cfg(test)]
mod testing;

pub use active::{ActiveRecord, ActiveSpec};
pub use authorization::{Authorization, authorize};
pub use hash::SpecHash;
pub use pending::ApprovalState;
pub use request::Request;
pub use rules::Rules;
pub use statement::{PublicKeys, SigningKey, Statement};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{EventTopic, GovernedKind};

/// The resource that something is said of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its kind.
    pub kind: GovernedKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; none if it does not exist yet.
    pub uid: Option<String>,
    /// Its `metadata.generation`; 0 if it does not exist yet.
    pub generation: i64,
    /// When it was made; none if it does not exist yet.
    pub created: Option<Timestamp>,
}

impl Subject {
    /// An EventTopic.
    #[must_use]
    pub fn topic(topic: &EventTopic) -> Self {
        Self {
            kind: GovernedKind::EventTopic,
            namespace: topic.namespace().unwrap_or_default(),
            name: topic.name_any(),
            uid: topic.uid(),
            generation: topic.metadata.generation.unwrap_or_default(),
            created: topic.metadata.creation_timestamp.as_ref().map(|time| time.0),
        }
    }
}
