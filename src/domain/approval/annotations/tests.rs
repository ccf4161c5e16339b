//! Requesters and authors after a sequence of updates.

use super::*;
use crate::api::{Approval, EventTopic};
use crate::domain::testing::topic;
use expect_test::{Expect, expect};

const RULES: &str =
    "{rules: [{changes: [Any], groups: [approvers]}], automation: [argo], breakGlass: [oncall]}";

struct TestKeys {
    webhook: SigningKey,
    controllers: SigningKey,
}

fn keys() -> TestKeys {
    let key = |digit: &str| SigningKey::from_seed(&digit.repeat(64)).expect("a key");
    TestKeys { webhook: key("1"), controllers: key("2") }
}

fn rules(yaml: &str) -> Rules {
    let declared: Approval = serde_yaml::from_str(yaml).expect("rules");
    Rules::parse(Some(&declared)).expect("rules")
}

fn annotate(
    rules: &Rules,
    old: Option<&EventTopic>,
    new: &EventTopic,
    who: &str,
) -> Result<RequestAnnotations, Refusal> {
    let keys = keys();
    let public = |key: &SigningKey| PublicKeys::parse(&key.public_key());
    let by = AnnotationContext {
        requester: Requester { username: who, groups: &["oncall".to_owned()] },
        field_manager: None,
        rules,
        key: &keys.webhook,
        webhook: &public(&keys.webhook),
        controllers: &public(&keys.controllers),
        now: "2026-01-01T00:00:01Z".parse().expect("a time"),
    };
    request_annotations("shop", old, new, &by)
}

fn with(mut topic: EventTopic, annotations: &RequestAnnotations) -> EventTopic {
    for (key, value) in annotations.entries() {
        let annotations = topic.annotations_mut();
        match value {
            Some(value) => drop(annotations.insert(key.into(), value.into())),
            None => drop(annotations.remove(key)),
        }
    }
    topic
}

fn approved(mut topic: EventTopic) -> EventTopic {
    let (hash, at) = (SpecHash::of(&topic.spec), "2026-01-01T00:00:02Z".parse().expect("a time"));
    let record = ActiveRecord::seal(&Revisioned::of(&topic), &hash, None, at, &keys().controllers);
    topic.status.get_or_insert_default().approved = Some(record.as_status().clone());
    topic
}

/// Each step is an update by a user, followed by the requesters afterwards.
fn check(steps: &[(&str, &str)], expected: Expect) {
    let rules = rules(RULES);
    let mut text = String::new();
    let mut old: Option<EventTopic> = None;
    for (who, yaml) in steps {
        let mut new = topic(yaml);
        new.status = old.as_ref().and_then(|old| old.status.clone());
        match annotate(&rules, old.as_ref(), &new, who) {
            Ok(annotations) => {
                text.push_str(&format!(
                    "{who}: {}\n",
                    annotations.requested_by.clone().unwrap_or_else(|| "-".into())
                ));
                let new = with(new, &annotations);
                old = Some(if *who == "approved" { approved(old.unwrap_or(new)) } else { new });
            }
            Err(refusal) => text.push_str(&format!("{who}: {refusal}\n")),
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn requesters_accumulate_until_their_spec_is_active() {
    check(
        &[
            ("alice", "partitions: 1"),
            ("bob", "partitions: 2"),
            ("alice", "partitions: 3"),
            ("argo", "partitions: 4"),
            ("argo", "{partitions: 4, annotations: {eventcenter.io/authored-by: carol}}"),
            ("dave", "{partitions: 4, annotations: {eventcenter.io/authored-by: carol, other: x}}"),
        ],
        expect![[r#"
            alice: alice
            bob: alice, bob
            alice: alice, bob
            argo: ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: argo applies changes written by others and must name the author: have the pipeline set the annotation from the commit
            argo: alice, bob, argo for carol
            dave: alice, bob, argo for carol
        "#]],
    );
}

#[test]
fn an_active_spec_has_no_requesters() {
    let rules = rules(RULES);
    let first = topic("partitions: 1");
    let stored = with(first.clone(), &annotate(&rules, None, &first, "alice").expect("annotations"));
    let after = |old: &EventTopic| {
        let annotations = annotate(&rules, Some(old), &topic("partitions: 2"), "bob").expect("annotations");
        annotations.requested_by.expect("a requester")
    };
    assert_eq!(after(&approved(stored.clone())), "bob");
    assert_eq!(after(&stored), "alice, bob");
    // What anybody else has written there does not count.
    let mut forged = approved(stored);
    if let Some(approved) = forged.status.as_mut().and_then(|status| status.approved.as_mut()) {
        approved.generation = 2;
    }
    assert_eq!(after(&forged), "alice, bob");
}

#[test]
fn stamps_are_put_back() {
    let rules = rules(RULES);
    let first = topic("{}");
    let annotations = annotate(&rules, None, &first, "alice").expect("annotations");
    let stored = with(first.clone(), &annotations);
    let forged = RequestAnnotations { requested_by: Some("bob".into()), request: Some("{}".into()) };
    for new in [first.clone(), with(first.clone(), &forged)] {
        assert_eq!(annotate(&rules, Some(&stored), &new, "bob"), Ok(annotations.clone()));
    }
    // Where there were none, there are none.
    assert_eq!(
        annotate(&rules, Some(&first), &with(first.clone(), &forged), "bob"),
        Ok(RequestAnnotations::default())
    );
    // Without rules annotations stay as they are.
    let none = Rules::default();
    assert_eq!(
        annotate(&none, None, &with(topic("{partitions: 2}"), &forged), "bob"),
        Ok(RequestAnnotations::default())
    );
    assert_eq!(annotate(&none, Some(&stored), &topic("{partitions: 2}"), "bob"), Ok(annotations));
}

/// A change without the webhook has no requester until a user names its author.
#[test]
fn naming_the_author_requests_an_unrequested_change() {
    let rules = rules(RULES);
    let old = topic("{}");
    let with_annotation = |key: &str| topic(&format!("annotations: {{{key}: carol}}"));
    let other = with_annotation("example.com/mine");
    assert_eq!(annotate(&rules, Some(&old), &other, "bob"), Ok(RequestAnnotations::default()));
    let claimed = with_annotation(AUTHORED_BY);
    let annotations = annotate(&rules, Some(&old), &claimed, "bob").expect("annotations");
    assert_eq!(annotations.requested_by.as_deref(), Some("bob for carol"));
}

#[test]
fn a_resource_without_a_name_is_refused_where_there_are_rules() {
    let mut new = topic("{}");
    new.metadata.name = None;
    assert!(annotate(&rules(RULES), None, &new, "alice").is_err());
    assert_eq!(annotate(&Rules::default(), None, &new, "alice"), Ok(RequestAnnotations::default()));
}

/// Each step is a patch by a user, which leaves the webhook's annotations in place, followed by the requesters afterwards.
/// The first one creates the resource. The user `approved` stands for the controllers.
fn check_patches(steps: &[(&str, &str)], expected: Expect) {
    let rules = rules(RULES);
    let mut text = String::new();
    let mut old: Option<EventTopic> = None;
    for (who, yaml) in steps {
        if *who == "approved" {
            old = old.map(approved);
            continue;
        }
        let mut new = topic(yaml);
        if let Some(old) = &old {
            new.status.clone_from(&old.status);
            new = with(new, &RequestAnnotations::of(old));
        }
        match annotate(&rules, old.as_ref(), &new, who) {
            Ok(annotations) => {
                let requested_by = annotations.requested_by.clone().unwrap_or_else(|| "-".into());
                text.push_str(&format!("{who}: {requested_by}\n"));
                old = Some(with(new, &annotations));
            }
            Err(refusal) => text.push_str(&format!("{who}: {refusal}\n")),
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn another_author_of_requested_content_adds_nobody() {
    check_patches(
        &[
            ("argo", "{partitions: 2, annotations: {eventcenter.io/authored-by: carol}}"),
            ("argo", "{partitions: 2, annotations: {eventcenter.io/authored-by: dave}}"),
            ("erin", "{partitions: 2, annotations: {eventcenter.io/authored-by: erin}}"),
            ("argo", "partitions: 2"),
            ("erin", "{partitions: 2, annotations: {eventcenter.io/authored-by: 'a, b'}}"),
            ("approved", ""),
            ("argo", "{partitions: 2, annotations: {eventcenter.io/authored-by: frank}}"),
            ("argo", "{partitions: 3, annotations: {eventcenter.io/authored-by: grace}}"),
            (
                "erin",
                "{partitions: 3, annotations: {eventcenter.io/authored-by: grace, eventcenter.io/break-glass: fire}}",
            ),
        ],
        expect![[r#"
            argo: argo for carol
            argo: argo for carol
            erin: argo for carol
            argo: argo for carol
            erin: ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: "a, b" does not name exactly one person: it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            argo: argo for carol
            argo: argo for grace
            erin: argo, erin for grace
        "#]],
    );
}

#[test]
fn an_author_whom_an_earlier_request_named_is_not_believed() {
    check_patches(
        &[
            ("argo", "{partitions: 1, annotations: {eventcenter.io/authored-by: carol}}"),
            ("argo", "{partitions: 2, annotations: {eventcenter.io/authored-by: carol}}"),
            ("approved", ""),
            ("dave", "{partitions: 3, annotations: {eventcenter.io/authored-by: carol}}"),
            ("dave", "{partitions: 4, annotations: {eventcenter.io/authored-by: erin}}"),
            ("dave", "{partitions: 5}"),
            ("argo", "{partitions: 6}"),
        ],
        expect![[r#"
            argo: argo for carol
            argo: ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: somebody else set this author ("carol"), and argo applies a manifest without one: have the pipeline set the annotation in the manifest, from the commit
            dave: dave
            dave: dave for erin
            dave: dave for erin
            argo: ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: argo applies changes written by others and must name the author: have the pipeline set the annotation from the commit
        "#]],
    );
}

/// Returning to the active spec needs no approval, so any number of people can have changed the pending one.
#[test]
fn anybody_withdraws_a_change_of_many_requesters() {
    let rules = rules(RULES);
    let mut old = approved(topic("partitions: 1"));
    let change = |old: &EventTopic, partitions: u32, who: &str| {
        let mut new = with(topic(&format!("partitions: {partitions}")), &RequestAnnotations::of(old));
        new.status.clone_from(&old.status);
        annotate(&rules, Some(old), &new, who).map(|annotations| with(new, &annotations))
    };
    for number in 0..32 {
        old = change(&old, 2 + number, &format!("user{number}")).expect("annotations");
    }
    let refusal = change(&old, 50, "last").expect_err("too many").to_string();
    assert!(refusal.contains("more than 32 people"), "{refusal}");
    let withdrawn = change(&old, 1, "last").expect("annotations");
    let again = change(&withdrawn, 3, "last").expect("annotations");
    assert_eq!(again.annotations()[REQUESTED_BY], "last");
}

/// Stamps in a manifest, as `kubectl get -o yaml` prints them.
#[test]
fn committed_stamps_are_ignored() {
    let rules = rules(RULES);
    let author = |partitions: u32, author: &str| {
        topic(&format!("{{partitions: {partitions}, annotations: {{{AUTHORED_BY}: {author}}}}}"))
    };
    let first = author(1, "carol");
    let committed = annotate(&rules, None, &first, "argo").expect("annotations");
    let stored = with(first, &committed);
    let second = with(author(2, "dave"), &committed);
    let annotations = annotate(&rules, Some(&stored), &second, "argo").expect("annotations");
    assert_eq!(annotations.requested_by.as_deref(), Some("argo for carol, dave"));
    let stored = with(second.clone(), &annotations);
    assert_eq!(annotate(&rules, Some(&stored), &second, "argo"), Ok(annotations));
    // In a new object they are replaced.
    let created = annotate(&rules, None, &with(author(3, "dave"), &committed), "argo").expect("annotations");
    assert_eq!(created.requested_by.as_deref(), Some("argo for dave"));
}
