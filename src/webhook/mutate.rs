//! Completes governed resources: the annotations that name their requesters.
//!
//! Nothing is checked here that can be checked later: the object has not been validated against its schema yet, which reports
//! errors better.

use json_patch::{Patch, PatchOperation};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::context::ReviewContext;
use super::outcome::Outcome;
use super::patch::{add, remove};
use super::request::Request;
use crate::api::Kind;
use crate::domain::approval::annotations::{AnnotationContext, RequestAnnotations, request_annotations};
use crate::domain::approval::{Governed, Rules};

/// Completes a governed resource, with what its kind adds.
pub(super) async fn complete_governed<K: Governed + DeserializeOwned>(
    request: &Request<'_>,
    context: &ReviewContext,
    of_kind: impl FnOnce(Option<&K>, &K) -> Vec<PatchOperation>,
) -> Outcome {
    let Some(Ok(new)) = request.object::<K>() else { return Outcome::Allowed(Vec::new()) };
    let old = request.old_object::<K>().and_then(Result::ok);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let tenant = match context.tenant_of(namespace).await {
        Ok(tenant) => tenant,
        Err(not_ready) => return not_ready.into(),
    };
    let none = Rules::default();
    let rules = tenant.as_ref().map_or(&none, |tenant| &tenant.approval);
    // Without rules neither requesters nor keys matter.
    let annotations = if rules.govern(&Kind::of::<K>()) {
        let Some((key, trusted)) = context.seal_keys.get() else { return Outcome::NotReady };
        let annotation_context = AnnotationContext {
            requester: request.user_info.requester(),
            field_manager: request.field_manager(),
            rules,
            key,
            webhook: &trusted.webhook,
            controllers: &trusted.controllers,
            now: context.now(),
        };
        match request_annotations(namespace, old.as_ref(), &new, &annotation_context) {
            Ok(annotations) => annotations,
            Err(refusal) => return Outcome::Refused(vec![refusal]),
        }
    } else {
        old.as_ref().map(RequestAnnotations::of).unwrap_or_default()
    };
    let operations: Vec<PatchOperation> =
        annotate(&new, &annotations).into_iter().chain(of_kind(old.as_ref(), &new)).collect();
    match operations.is_empty() {
        true => Outcome::Allowed(Vec::new()),
        false => Outcome::Patched(Patch(operations)),
    }
}

/// Sets these annotations and keeps all others.
fn annotate(resource: &impl kube::Resource, annotations: &RequestAnnotations) -> Vec<PatchOperation> {
    let Some(present) = &resource.meta().annotations else {
        let wanted: Map<String, Value> = annotations
            .entries()
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value?))))
            .collect();
        return match wanted.is_empty() {
            true => Vec::new(),
            false => vec![add(&["metadata", "annotations"], json!(wanted))],
        };
    };
    let operation = |(key, value): (&str, Option<&str>)| match (present.get(key).map(String::as_str), value) {
        (before, after) if before == after => None,
        (_, Some(value)) => Some(add(&["metadata", "annotations", key], json!(value))),
        (_, None) => Some(remove(&["metadata", "annotations", key])),
    };
    annotations.entries().into_iter().filter_map(operation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, REQUEST, REQUESTED_BY};
    use crate::domain::testing::topic;
    use kube::ResourceExt;

    fn patched(topic: &EventTopic, operations: Vec<PatchOperation>) -> EventTopic {
        let mut value = json!(topic);
        json_patch::patch(&mut value, &Patch(operations)).expect("the patch applies");
        serde_json::from_value(value).expect("an EventTopic")
    }

    #[test]
    fn annotations_are_set_with_and_without_existing_ones() {
        let some = |text: &str| Some(text.to_owned());
        let wanted = [
            RequestAnnotations::default(),
            RequestAnnotations { requested_by: some("alice"), request: some("{}") },
            RequestAnnotations { requested_by: some("bob"), request: None },
        ];
        for annotations in [None, Some(&[][..]), Some(&["other"]), Some(&["other", REQUEST, REQUESTED_BY])] {
            let mut topic = topic("{}");
            topic.metadata.annotations = annotations
                .map(|keys| keys.iter().map(|key| ((*key).to_owned(), "forged".to_owned())).collect());
            for wanted in &wanted {
                let after = patched(&topic, annotate(&topic, wanted));
                assert_eq!(RequestAnnotations::of(&after), *wanted);
                assert_eq!(after.annotations().get("other"), topic.annotations().get("other"));
                assert!(annotate(&after, wanted).is_empty(), "no further change");
            }
        }
    }
}
