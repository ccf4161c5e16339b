//! The author's source, by the way in which the object was written.

use super::*;
use crate::api::EventTopic;
use crate::domain::testing::topic;
use serde_json::json;

const CAROL: &str = "carol";

/// An object with the author, other annotations and managed fields.
fn object(author: Option<&str>, annotations: &[(&str, &str)], managed: &Value) -> EventTopic {
    let mut topic = topic("{}");
    let author = author.map(|author| (AUTHORED_BY, author));
    let all = author.into_iter().chain(annotations.iter().copied());
    topic.metadata.annotations = Some(all.map(|(key, value)| (key.into(), value.into())).collect());
    topic.metadata.managed_fields = serde_json::from_value(managed.clone()).expect("entries");
    topic
}

/// An entry of the manager `gitops`.
fn entry(operation: &str, second: u8, owns_author: bool) -> Value {
    let annotations = if owns_author { json!({format!("f:{AUTHORED_BY}"): {}}) } else { json!({"f:a": {}}) };
    json!({
        "manager": "gitops", "operation": operation, "apiVersion": "eventcenter.io/v1alpha1", "fieldsType": "FieldsV1",
        "time": format!("2026-01-01T00:00:{second:02}Z"),
        "fieldsV1": {"f:metadata": {"f:annotations": annotations}},
    })
}

fn source(old: &EventTopic, new: &EventTopic) -> AuthorSource {
    author_source(Some(old), new, Some("gitops"))
}

fn last_applied(author: &str) -> String {
    json!({"metadata": {"annotations": {AUTHORED_BY: author}}}).to_string()
}

#[test]
fn a_created_or_changed_annotation_is_the_requests() {
    let none = json!([]);
    let carol = object(Some(CAROL), &[], &none);
    assert_eq!(author_source(None, &carol, None), AuthorSource::Request);
    assert_eq!(source(&object(None, &[], &none), &carol), AuthorSource::Request);
    assert_eq!(source(&object(Some("dave"), &[], &none), &carol), AuthorSource::Request);
    assert_eq!(source(&carol, &carol), AuthorSource::Earlier);
}

#[test]
fn a_replaced_object_has_lost_the_stamp() {
    let none = json!([]);
    let stamped = object(Some(CAROL), &[(REQUEST, "{}")], &none);
    assert_eq!(source(&stamped, &object(Some(CAROL), &[], &none)), AuthorSource::Request);
    // A patch with a committed stamp changes it.
    assert_eq!(source(&stamped, &object(Some(CAROL), &[(REQUEST, "{1}")], &none)), AuthorSource::Earlier);
    assert_eq!(
        source(&object(Some(CAROL), &[], &none), &object(Some(CAROL), &[], &none)),
        AuthorSource::Earlier
    );
}

#[test]
fn a_server_side_apply_owns_what_it_applies() {
    let entries = |entries: &[Value]| object(Some(CAROL), &[], &json!(entries));
    let before = entries(&[entry("Apply", 1, true)]);
    assert_eq!(source(&before, &entries(&[entry("Apply", 2, true)])), AuthorSource::Request);
    assert_eq!(source(&before, &entries(&[entry("Apply", 2, false)])), AuthorSource::Earlier);
    // In the same second.
    assert_eq!(source(&before, &entries(&[entry("Apply", 1, true)])), AuthorSource::Request);
    assert_eq!(source(&before, &entries(&[entry("Apply", 1, false)])), AuthorSource::Earlier);
    // The first one after updates.
    let updated = entries(&[entry("Update", 1, true)]);
    let both = entries(&[entry("Update", 1, true), entry("Apply", 2, true)]);
    assert_eq!(source(&updated, &both), AuthorSource::Request);
    // By another manager.
    assert_eq!(
        author_source(Some(&before), &entries(&[entry("Apply", 2, true)]), Some("kubectl")),
        AuthorSource::Earlier
    );
    assert_eq!(
        author_source(Some(&before), &entries(&[entry("Apply", 2, true)]), None),
        AuthorSource::Earlier
    );
}

/// Any user may write an entry for any manager; an update by that manager leaves it as it is.
#[test]
fn an_update_is_no_apply() {
    let entries = |entries: &[Value]| object(Some(CAROL), &[], &json!(entries));
    let forged = entries(&[entry("Apply", 1, true)]);
    let updated = entries(&[entry("Apply", 1, true), entry("Update", 2, false)]);
    assert_eq!(source(&forged, &updated), AuthorSource::Earlier);
    let again = entries(&[entry("Apply", 1, true), entry("Update", 3, false)]);
    assert_eq!(source(&updated, &again), AuthorSource::Earlier);
    // Of the status.
    let mut status = entry("Apply", 2, true);
    status["subresource"] = json!("status");
    assert_eq!(source(&entries(&[]), &entries(&[status])), AuthorSource::Earlier);
}

#[test]
fn a_client_side_apply_contains_the_author() {
    let applied = |author: &str, managed: &Value| {
        object(Some(CAROL), &[(LAST_APPLIED, &last_applied(author))], managed)
    };
    let none = json!([]);
    let before = applied(CAROL, &none);
    assert_eq!(source(&object(Some(CAROL), &[], &none), &before), AuthorSource::Request);
    assert_eq!(source(&applied("dave", &none), &before), AuthorSource::Request);
    assert_eq!(source(&before, &before), AuthorSource::LastApplied, "such as one that restores the spec");
    assert_eq!(source(&before, &applied("dave", &none)), AuthorSource::Earlier);
    for nonsense in ["", "{}", "null", "{\"metadata\": []}"] {
        let other = object(Some(CAROL), &[(LAST_APPLIED, nonsense)], &none);
        assert_eq!(source(&before, &other), AuthorSource::Earlier, "{nonsense}");
    }
    // A manager that applies server-side does not update the manifest of the client-side apply.
    let server_side = applied(CAROL, &json!([entry("Apply", 1, false)]));
    assert_eq!(source(&before, &server_side), AuthorSource::Earlier);
    let updated = applied(CAROL, &json!([entry("Apply", 1, true), entry("Update", 2, false)]));
    assert_eq!(source(&server_side, &updated), AuthorSource::Earlier);
}
