//! What the approval rules have to know about EventTopics.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::status::IN_SYNC;
use super::{Observed, change, diff};
use crate::api::{DeletionPolicy, EventTopic, EventTopicSpec, GovernedChange};
use crate::domain::approval::Governed;

impl Governed for EventTopic {
    /// What Kafka has under the declared name: a new resource may take over a Kafka topic.
    type Facts = Option<Observed>;

    const ALL_CHANGES: &'static [GovernedChange] = &change::ALL_CHANGES;

    const DELETION_FIELD: &'static str = "spec.deletionPolicy";

    const KEEP_DATA: &'static str =
        "set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data";

    fn classify(
        base: Option<&EventTopicSpec>,
        new: &EventTopicSpec,
        existing: &Option<Observed>,
    ) -> BTreeSet<GovernedChange> {
        change::classify(base, new, existing.as_ref())
    }

    fn depends_on_facts(base: Option<&EventTopicSpec>, new: &EventTopicSpec) -> bool {
        base.is_none_or(|base| change::is_renamed(base, new))
    }

    fn facts_in_status(&self) -> Option<Observed> {
        Observed::in_status(self)
    }

    fn diff(base: Option<&EventTopicSpec>, new: &EventTopicSpec, existing: &Option<Observed>) -> Vec<String> {
        diff::diff(base, new, existing.as_ref())
    }

    fn takeover_hash(existing: &Option<Observed>) -> Option<String> {
        existing.as_ref().map(Observed::hash)
    }

    fn destroys_data(spec: &EventTopicSpec) -> bool {
        spec.deletion_policy == DeletionPolicy::Delete
    }

    fn describe_data(&self) -> String {
        match self.status.as_ref().and_then(|status| status.topic_name.as_deref()) {
            Some(name) => format!("the Kafka topic {name} with all its data"),
            None => "the Kafka topic with all its data".into(),
        }
    }

    fn keep_data(spec: &mut EventTopicSpec) {
        spec.deletion_policy = DeletionPolicy::Retain;
    }

    fn describe_active(condition: &mut Condition) {
        if condition.type_ == IN_SYNC && condition.status == "True" {
            condition.message = "Kafka has the active spec, which was approved before".into();
        }
    }
}
