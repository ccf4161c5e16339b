//! EventTopics: what the domain says of a change, and what is added at creation.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use kube::ResourceExt;
use serde_json::json;

use super::cache::Known;
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::admission::{self, Change, Verdict};
use crate::domain::topic::attention;
use crate::domain::topic::farewell::wants_finalizer;

pub(super) fn judge(change: &Change<'_, EventTopic>, known: &Known) -> Verdict {
    admission::topic(change, &known.world)
}

/// Our finalizer, where it is needed: the controller then does not have to write it. Nothing if it
/// is there, or if the annotations say nothing that can be read.
pub(super) fn complete(topic: &EventTopic) -> Option<Patch> {
    let wanted = attention(topic).is_ok_and(|attention| wants_finalizer(topic, attention));
    if !wanted || topic.finalizers().iter().any(|known| known == DELETE_FINALIZER) {
        return None;
    }
    let (path, value) = if topic.finalizers().is_empty() {
        (&["metadata", "finalizers"][..], json!([DELETE_FINALIZER]))
    } else {
        (&["metadata", "finalizers", "-"][..], json!(DELETE_FINALIZER))
    };
    let add = AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value };
    Some(Patch(vec![PatchOperation::Add(add)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;

    #[test]
    fn the_finalizer_is_added_where_it_is_needed_and_once() {
        for yaml in [
            "{}",
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/managed: "false"}}"#,
            r#"{deletionPolicy: Delete, annotations: {eventcenter.io/paused: "yes"}}"#,
        ] {
            assert_eq!(complete(&topic(yaml)), None, "{yaml}");
        }
        for others in [&[][..], &["example.com/other"]] {
            let mut topic = topic("deletionPolicy: Delete");
            topic.metadata.finalizers =
                (!others.is_empty()).then(|| others.iter().map(ToString::to_string).collect());
            let mut value = json!(topic);
            json_patch::patch(&mut value, &complete(&topic).expect("it is needed")).expect("it fits");
            let after: EventTopic = serde_json::from_value(value).expect("an EventTopic");
            assert_eq!(after.finalizers().len(), others.len() + 1);
            assert_eq!(complete(&after), None, "it is there");
        }
    }
}
