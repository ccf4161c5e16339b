//! The properties of a kind that approvals depend on.

use std::collections::BTreeSet;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::object::{HasSpec, HasStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{GovernedChange, HasApproval};

/// A kind whose changes may need approval.
pub trait Governed:
    kube::Resource<DynamicType = ()>
    + HasSpec<Spec: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync>
    + HasStatus<Status: HasApproval>
    + Clone
    + Debug
{
    /// What the classification of a first spec depends on besides the spec; for a topic, what Kafka has under its name.
    type Facts: Default + Send + Sync;

    /// All changes, for a spec whose active predecessor is unknown.
    const ALL_CHANGES: &'static [GovernedChange];

    /// The field that states whether the data is deleted with the resource.
    const DELETION_FIELD: &'static str;

    /// The remedy for a requester who does not want the data deleted.
    const KEEP_DATA: &'static str;

    /// What a deletion does, in a sentence about the resource.
    const DELETION_EFFECT: &'static str = "deletes its data";

    /// Which governed changes lead from the active spec to a new one. Empty if the specs are equal, and otherwise at
    /// least [`GovernedChange::Any`].
    fn classify(base: Option<&Self::Spec>, new: &Self::Spec, facts: &Self::Facts)
    -> BTreeSet<GovernedChange>;

    /// Whether the classification depends on [`Governed::Facts`].
    fn depends_on_facts(base: Option<&Self::Spec>, new: &Self::Spec) -> bool;

    /// The facts when the status was written.
    fn facts_in_status(&self) -> Self::Facts {
        Self::Facts::default()
    }

    /// The difference between two specs for people, a line each. A first spec is compared with the existing data that it
    /// takes over.
    fn diff(base: Option<&Self::Spec>, new: &Self::Spec, facts: &Self::Facts) -> Vec<String>;

    /// Identifies the existing data that a spec takes over; `None` if there is none.
    fn takeover_hash(_facts: &Self::Facts) -> Option<String> {
        None
    }

    /// Whether deleting a resource with this spec deletes data.
    fn destroys_data(spec: &Self::Spec) -> bool;

    /// The data that is deleted with the resource, for messages.
    fn describe_data(&self) -> String {
        "all its data".into()
    }

    /// Changes a spec so that deleting its resource keeps the data.
    fn keep_data(spec: &mut Self::Spec);

    /// Rewrites a condition of the active spec while another spec is pending approval.
    fn describe_active(_condition: &mut Condition) {}
}
