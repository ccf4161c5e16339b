//! The annotations that name the requesters of a resource's spec.
//!
//! Only the webhook writes them. It reverts other changes, so that a manifest neither forges nor removes them, however
//! it is applied.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::governed::Governed;
use super::request::{ChangeRequest, RequestContext, Requester, seal_request};
use super::{ActiveRecord, Rules, SpecHash};
use crate::api::{AUTHORED_BY, BREAK_GLASS, Kind, REQUEST, REQUESTED_BY};
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::{ObjectRef, Refusal, Revisioned};

/// The annotations that only the webhook writes. `None`: the annotation is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAnnotations {
    /// [`REQUESTED_BY`], for people.
    pub requested_by: Option<String>,
    /// [`REQUEST`], sealed.
    pub request: Option<String>,
}

impl RequestAnnotations {
    /// The annotations that a resource carries, not verified.
    #[must_use]
    pub fn of(resource: &impl kube::Resource) -> Self {
        let annotation = |key| resource.annotations().get(key).cloned();
        Self { requested_by: annotation(REQUESTED_BY), request: annotation(REQUEST) }
    }

    /// Keys and values.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, Option<&str>); 2] {
        [(REQUESTED_BY, self.requested_by.as_deref()), (REQUEST, self.request.as_deref())]
    }
}

/// Who changes a resource, and the keys that seal and verify.
#[derive(Clone, Copy, Debug)]
pub struct AnnotationContext<'a> {
    /// The requester.
    pub requester: Requester<'a>,
    /// The rules of the tenant.
    pub rules: &'a Rules,
    /// The webhook's own key.
    pub key: &'a SigningKey,
    /// The keys that requests are verified with.
    pub webhook: &'a PublicKeys,
    /// The keys that active records are verified with.
    pub controllers: &'a PublicKeys,
    /// The time of the change.
    pub now: Timestamp,
}

/// The annotations that a resource of this namespace must carry after a change.
///
/// # Errors
/// As [`seal_request`]; and a new resource without a name, because a request is about one resource.
pub fn request_annotations<K: Governed>(
    namespace: &str,
    old: Option<&K>,
    new: &K,
    context: &AnnotationContext<'_>,
) -> Result<RequestAnnotations, Refusal> {
    let current = old.map(RequestAnnotations::of).unwrap_or_default();
    if !context.rules.govern(&Kind::of::<K>()) || !old.is_none_or(|old| is_request(old, new)) {
        return Ok(current);
    }
    // Uid and generation of a new resource are not trusted.
    let subject = match old {
        Some(old) => Revisioned::of(old),
        None => {
            let name = new.meta().name.as_deref().filter(|name| !name.is_empty()).ok_or_else(unnamed)?;
            Revisioned::absent(ObjectRef::new::<K>(namespace, name))
        }
    };
    // The requesters of a pending change are also requesters of the change that replaces it.
    let pending = old
        .filter(|old| is_pending(*old, context.controllers))
        .and_then(|old| ChangeRequest::authentic(old, &subject, context.webhook));
    let request = RequestContext {
        subject: &subject,
        hash: &SpecHash::of(new.spec()),
        requester: context.requester,
        rules: context.rules,
        pending: pending.as_ref(),
        now: context.now,
    };
    let request = seal_request(&request, old, new, context.key)?;
    Ok(RequestAnnotations {
        requested_by: Some(request.claims.to_string()),
        request: Some(request.to_annotation()),
    })
}

/// Whether the spec of a resource is not active, or may not be.
fn is_pending<K: Governed>(resource: &K, controllers: &PublicKeys) -> bool {
    ActiveRecord::verified(resource, controllers)
        .is_none_or(|record| !record.is_of(&SpecHash::of(resource.spec())))
}

/// Whether an update requests the spec. Programs often write labels, finalizers, owners and other annotations; they
/// must not become the requester of a change whose requester is unknown. Its requester is the user who names its
/// author.
fn is_request<K: Governed>(old: &K, new: &K) -> bool {
    let differs = |key: &str| old.annotations().get(key) != new.annotations().get(key);
    old.spec() != new.spec() || differs(AUTHORED_BY) || differs(BREAK_GLASS)
}

fn unnamed() -> Refusal {
    Refusal::at(
        Reason::InvalidResource,
        "metadata.generateName",
        "the request of a governed change is sealed for one resource and needs its name: write metadata.name",
    )
}

#[cfg(test)]
mod tests {
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
            let annotations =
                annotate(&rules, Some(old), &topic("partitions: 2"), "bob").expect("annotations");
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
}
