//! Which stamps an EventTopic carries after a change: who has asked for what it declares.
//!
//! Nobody but the webhook says that. Whatever else is written there is put back as it was, so that
//! whoever applies a manifest in whatever way neither forges a stamp nor loses one.

use kube::ResourceExt;

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::request::{Asked, Asker, request};
use super::{ActiveRecord, PublicKeys, Request, Rules, SigningKey, SpecHash, Subject};
use crate::api::{AUTHORED_BY, BREAK_GLASS, EventTopic, GovernedKind, REQUEST, REQUESTED_BY};
use crate::domain::Refusal;

/// The annotations that the webhook alone writes; none is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAnnotations {
    /// For people.
    pub requested_by: Option<String>,
    /// With the seal.
    pub request: Option<String>,
}

impl RequestAnnotations {
    /// Those that a resource carries, whoever wrote them.
    #[must_use]
    pub fn of(resource: &impl kube::Resource) -> Self {
        let annotation = |key| resource.annotations().get(key).cloned();
        Self { requested_by: annotation(REQUESTED_BY), request: annotation(REQUEST) }
    }

    /// The annotations by their keys.
    #[must_use]
    pub fn annotations(&self) -> [(&'static str, Option<&str>); 2] {
        [(REQUESTED_BY, self.requested_by.as_deref()), (REQUEST, self.request.as_deref())]
    }
}

/// Who changes an EventTopic, and by which keys is told what others have said of it.
#[derive(Clone, Copy, Debug)]
pub struct StampContext<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// The tenant's rules.
    pub rules: &'a Rules,
    /// Signs.
    pub key: &'a SigningKey,
    /// Whom to believe about requests.
    pub webhook: &'a PublicKeys,
    /// Whom to believe about what is in force.
    pub controllers: &'a PublicKeys,
    /// When.
    pub now: Timestamp,
}

/// The stamps that an EventTopic of this namespace is to carry.
///
/// # Errors
/// As [`request`]; and a resource whose name is not known yet, because a request is about one resource.
pub fn stamps(
    namespace: &str,
    old: Option<&EventTopic>,
    new: &EventTopic,
    by: &StampContext<'_>,
) -> Result<RequestAnnotations, Refusal> {
    let kept = old.map(RequestAnnotations::of).unwrap_or_default();
    if !by.rules.govern(GovernedKind::EventTopic) || !old.is_none_or(|old| asks(old, new)) {
        return Ok(kept);
    }
    // What a new resource says of its own uid and generation is anybody's word.
    let subject = match old {
        Some(old) => Subject::topic(old),
        None => Subject {
            kind: GovernedKind::EventTopic,
            namespace: namespace.to_owned(),
            name: new.metadata.name.clone().filter(|name| !name.is_empty()).ok_or_else(nameless)?,
            uid: None,
            generation: 0,
            created: None,
        },
    };
    // Whoever had a part in what waits has one in what comes of it.
    let waiting = old
        .filter(|old| waits(old, by.controllers))
        .and_then(|old| Request::authentic(old, &subject, by.webhook));
    let asked = Asked {
        subject: &subject,
        hash: &SpecHash::of(&new.spec),
        asker: by.asker,
        rules: by.rules,
        waiting: waiting.as_ref(),
        now: by.now,
    };
    let request = request(&asked, old, new, by.key)?;
    Ok(RequestAnnotations {
        requested_by: Some(request.asserted.to_string()),
        request: Some(request.value()),
    })
}

/// Whether what an EventTopic declares is not, or not certainly, in force.
fn waits(topic: &EventTopic, controllers: &PublicKeys) -> bool {
    ActiveRecord::verified(topic, controllers).is_none_or(|record| !record.is_of(&SpecHash::of(&topic.spec)))
}

/// Whether an update asks for what the resource then declares. Labels, finalizers, owners and other annotations
/// are often a program's, and a change that nobody is known to have asked for must not become somebody's by
/// accident: it becomes that of whoever says who wrote it.
fn asks(old: &EventTopic, new: &EventTopic) -> bool {
    let differs = |key: &str| old.annotations().get(key) != new.annotations().get(key);
    old.spec != new.spec || differs(AUTHORED_BY) || differs(BREAK_GLASS)
}

fn nameless() -> Refusal {
    Refusal::at(
        Reason::InvalidResource,
        "metadata.generateName",
        "who asks for a change is noted for one resource, so where changes need approval it is \
         named by whoever makes it: write metadata.name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Approval;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    const RULES: &str =
        "{rules: [{changes: [Any], groups: [approvers]}], automation: [argo], breakGlass: [oncall]}";

    struct Keys {
        webhook: SigningKey,
        controllers: SigningKey,
    }

    fn keys() -> Keys {
        let key = |digit: &str| SigningKey::of_seed(&digit.repeat(64)).expect("a key");
        Keys { webhook: key("1"), controllers: key("2") }
    }

    fn rules(yaml: &str) -> Rules {
        let declared: Approval = serde_yaml::from_str(yaml).expect("rules");
        Rules::read(Some(&declared)).expect("rules")
    }

    fn stamped(
        rules: &Rules,
        old: Option<&EventTopic>,
        new: &EventTopic,
        who: &str,
    ) -> Result<RequestAnnotations, Refusal> {
        let keys = keys();
        let public = |key: &SigningKey| PublicKeys::read(&key.public());
        let by = StampContext {
            asker: Asker { username: who, groups: &["oncall".to_owned()] },
            rules,
            key: &keys.webhook,
            webhook: &public(&keys.webhook),
            controllers: &public(&keys.controllers),
            now: "2026-01-01T00:00:01Z".parse().expect("a time"),
        };
        stamps("shop", old, new, &by)
    }

    fn with(mut topic: EventTopic, stamps: &RequestAnnotations) -> EventTopic {
        for (key, value) in stamps.annotations() {
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
        let record = ActiveRecord::of(&Subject::topic(&topic), &hash, None, at, &keys().controllers);
        topic.status.get_or_insert_default().approved = Some(record.as_status().clone());
        topic
    }

    /// Each step is an update by somebody; what is said after it is who has asked.
    fn check(steps: &[(&str, &str)], expected: Expect) {
        let rules = rules(RULES);
        let mut told = String::new();
        let mut old: Option<EventTopic> = None;
        for (who, yaml) in steps {
            let mut new = topic(yaml);
            new.status = old.as_ref().and_then(|old| old.status.clone());
            match stamped(&rules, old.as_ref(), &new, who) {
                Ok(stamps) => {
                    told.push_str(&format!(
                        "{who}: {}\n",
                        stamps.requested_by.clone().unwrap_or_else(|| "-".into())
                    ));
                    let new = with(new, &stamps);
                    old = Some(if *who == "approved" { approved(old.unwrap_or(new)) } else { new });
                }
                Err(refusal) => told.push_str(&format!("{who}: {refusal}\n")),
            }
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn requesters_add_up_until_what_they_asked_for_is_in_force() {
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
                argo: ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: argo applies what others have written, so it has to say who did: have the pipeline set it from the commit
                argo: alice, bob, argo for carol
                dave: alice, bob, argo for carol
            "#]],
        );
    }

    #[test]
    fn what_is_in_force_has_no_requesters_any_more() {
        let rules = rules(RULES);
        let first = topic("partitions: 1");
        let stored = with(first.clone(), &stamped(&rules, None, &first, "alice").expect("stamps"));
        let after = |old: &EventTopic| {
            let stamps = stamped(&rules, Some(old), &topic("partitions: 2"), "bob").expect("stamps");
            stamps.requested_by.expect("a stamp")
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
        let stamps = stamped(&rules, None, &first, "alice").expect("stamps");
        let stored = with(first.clone(), &stamps);
        let forged = RequestAnnotations { requested_by: Some("bob".into()), request: Some("{}".into()) };
        for new in [first.clone(), with(first.clone(), &forged)] {
            assert_eq!(stamped(&rules, Some(&stored), &new, "bob"), Ok(stamps.clone()));
        }
        // Where there were none, there are none.
        assert_eq!(
            stamped(&rules, Some(&first), &with(first.clone(), &forged), "bob"),
            Ok(RequestAnnotations::default())
        );
        // Without rules nothing is stamped and nothing is lost.
        let none = Rules::default();
        assert_eq!(
            stamped(&none, None, &with(topic("{partitions: 2}"), &forged), "bob"),
            Ok(RequestAnnotations::default())
        );
        assert_eq!(stamped(&none, Some(&stored), &topic("{partitions: 2}"), "bob"), Ok(stamps));
    }

    /// A change that was made while the webhook was away is nobody's, until somebody says whose it is.
    #[test]
    fn what_nobody_asked_for_is_asked_for_by_saying_who_wrote_it() {
        let rules = rules(RULES);
        let old = topic("{}");
        let with_annotation = |key: &str| topic(&format!("annotations: {{{key}: carol}}"));
        let other = with_annotation("example.com/mine");
        assert_eq!(stamped(&rules, Some(&old), &other, "bob"), Ok(RequestAnnotations::default()));
        let claimed = with_annotation(AUTHORED_BY);
        let stamps = stamped(&rules, Some(&old), &claimed, "bob").expect("stamps");
        assert_eq!(stamps.requested_by.as_deref(), Some("bob for carol"));
    }

    #[test]
    fn a_resource_without_a_name_is_refused_where_there_are_rules() {
        let mut new = topic("{}");
        new.metadata.name = None;
        assert!(stamped(&rules(RULES), None, &new, "alice").is_err());
        assert_eq!(stamped(&Rules::default(), None, &new, "alice"), Ok(RequestAnnotations::default()));
    }
}
