//! EventTopics: what the domain says of a change, and what is written into it.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::cache::Snapshot;
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::admission::{self, Change, Verdict};
use crate::domain::approval::annotations::RequestAnnotations;
use crate::domain::topic::deletion::wants_finalizer;
use crate::domain::topic::management_mode;

pub(super) fn judge(change: &Change<'_, EventTopic>, known: &Snapshot) -> Verdict {
    admission::topic(change, &known.catalog)
}

/// Our finalizer, where it is needed: the controller then does not have to write it. Nothing if it
/// is there, or if the annotations say nothing that can be read.
pub(super) fn finalized(topic: &EventTopic) -> Option<PatchOperation> {
    let wanted = management_mode(topic).is_ok_and(|attention| wants_finalizer(topic, attention));
    if !wanted || topic.finalizers().iter().any(|known| known == DELETE_FINALIZER) {
        return None;
    }
    Some(if topic.finalizers().is_empty() {
        add(&["metadata", "finalizers"], json!([DELETE_FINALIZER]))
    } else {
        add(&["metadata", "finalizers", "-"], json!(DELETE_FINALIZER))
    })
}

/// The stamps as they are to be, and all other annotations as they are.
pub(super) fn stamped(topic: &EventTopic, stamps: &RequestAnnotations) -> Vec<PatchOperation> {
    let Some(present) = &topic.metadata.annotations else {
        let stamps = stamps.annotations().into_iter();
        let all: Map<String, Value> =
            stamps.filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect();
        return if all.is_empty() { Vec::new() } else { vec![add(&["metadata", "annotations"], json!(all))] };
    };
    let operation = |(key, value): (&str, Option<&str>)| match (present.get(key).map(String::as_str), value) {
        (before, after) if before == after => None,
        (_, Some(value)) => Some(add(&["metadata", "annotations", key], json!(value))),
        (_, None) => Some(remove(&["metadata", "annotations", key])),
    };
    stamps.annotations().into_iter().filter_map(operation).collect()
}

/// Sets a field, whether or not it is there.
pub(super) fn add(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

/// Takes a field away that is there.
pub(super) fn remove(path: &[&str]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(path.iter().copied()) })
}

#[cfg(test)]
mod tests {
    use json_patch::Patch;

    use super::*;
    use crate::api::{REQUEST, REQUESTED_BY};
    use crate::domain::testing::topic;

    fn patched(topic: &EventTopic, operations: Vec<PatchOperation>) -> EventTopic {
        let mut value = json!(topic);
        json_patch::patch(&mut value, &Patch(operations)).expect("it fits");
        serde_json::from_value(value).expect("an EventTopic")
    }

    #[test]
    fn stamps_become_what_they_are_to_be() {
        let some = |text: &str| Some(text.to_owned());
        let ways = [
            RequestAnnotations::default(),
            RequestAnnotations { requested_by: some("alice"), request: some("{}") },
            RequestAnnotations { requested_by: some("bob"), request: None },
        ];
        for annotations in [None, Some(&[][..]), Some(&["other"]), Some(&["other", REQUEST, REQUESTED_BY])] {
            let mut topic = topic("{}");
            topic.metadata.annotations = annotations
                .map(|keys| keys.iter().map(|key| ((*key).to_owned(), "forged".to_owned())).collect());
            for wanted in &ways {
                let after = patched(&topic, stamped(&topic, wanted));
                assert_eq!(RequestAnnotations::of(&after), *wanted);
                assert_eq!(after.annotations().get("other"), topic.annotations().get("other"));
                assert!(stamped(&after, wanted).is_empty(), "they are right");
            }
        }
    }

    #[test]
    fn the_finalizer_is_added_where_it_is_needed_and_once() {
        for yaml in [
            "{}",
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/managed: "false"}}"#,
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/paused: "yes"}}"#,
        ] {
            assert_eq!(finalized(&topic(yaml)), None, "{yaml}");
        }
        for others in [&[][..], &["example.com/other"]] {
            let mut topic = topic("deletionPolicy: Delete");
            topic.metadata.finalizers =
                (!others.is_empty()).then(|| others.iter().map(ToString::to_string).collect());
            let after = patched(&topic, vec![finalized(&topic).expect("it is needed")]);
            assert_eq!(after.finalizers().len(), others.len() + 1);
            assert_eq!(finalized(&after), None, "it is there");
        }
    }
}
