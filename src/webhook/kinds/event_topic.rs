//! EventTopics.

use json_patch::PatchOperation;
use kube::ResourceExt;
use serde_json::json;

use super::super::cache::Snapshot;
use super::super::context::ReviewContext;
use super::super::patch::add;
use super::super::request::User;
use super::super::schema;
use super::{Admit, AdmitGoverned};
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::admission::{self, Change, Verdict};
use crate::domain::management::management_mode;
use crate::domain::topic::deletion::wants_finalizer;

impl Admit for EventTopic {
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        admission::topic(change, &snapshot.catalog)
    }

    async fn inspect(change: &Change<'_, Self>, _: &User, context: &ReviewContext) -> Verdict {
        Verdict { refusals: schema::judge_topic(change, context).await, warnings: Vec::new() }
    }
}

impl AdmitGoverned for EventTopic {
    fn defaults(&self) -> Vec<PatchOperation> {
        finalizer(self).into_iter().collect()
    }

    /// The finalizer, which a manifest that replaces the whole object does not contain.
    fn restore(&self, old: &Self) -> Vec<PatchOperation> {
        finalizer(self).filter(|_| has_finalizer(old)).into_iter().collect()
    }
}

fn has_finalizer(topic: &EventTopic) -> bool {
    topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER)
}

/// Adds the finalizer if it is needed, which saves the controller a request. `None` if it exists, or if the annotations
/// are invalid.
fn finalizer(topic: &EventTopic) -> Option<PatchOperation> {
    let is_wanted = management_mode(topic).is_ok_and(|mode| wants_finalizer(topic, mode));
    if !is_wanted || has_finalizer(topic) {
        return None;
    }
    Some(if topic.finalizers().is_empty() {
        add(&["metadata", "finalizers"], json!([DELETE_FINALIZER]))
    } else {
        add(&["metadata", "finalizers", "-"], json!(DELETE_FINALIZER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;

    #[test]
    fn the_finalizer_is_added_once_if_needed() {
        for yaml in [
            "{}",
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/managed: "false"}}"#,
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/paused: "yes"}}"#,
        ] {
            assert_eq!(finalizer(&topic(yaml)), None, "{yaml}");
        }
        for existing in [&[][..], &["example.com/other"]] {
            let mut topic = topic("deletionPolicy: Delete");
            topic.metadata.finalizers =
                (!existing.is_empty()).then(|| existing.iter().map(ToString::to_string).collect());
            let mut value = json!(topic);
            let patch = json_patch::Patch(vec![finalizer(&topic).expect("it is needed")]);
            json_patch::patch(&mut value, &patch).expect("the patch applies");
            let after: EventTopic = serde_json::from_value(value).expect("an EventTopic");
            assert_eq!(after.finalizers().len(), existing.len() + 1);
            assert_eq!(finalizer(&after), None, "it exists");
        }
    }
}
