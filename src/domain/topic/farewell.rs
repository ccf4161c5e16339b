//! What happens to a Kafka topic when its resource goes.

use std::borrow::Cow;

use eventcenter_sdk::Reason;

use super::claim::Resource;
use super::{Attention, Identity, access};
use crate::api::{DeletionPolicy, EventTopic};
use crate::domain::Refusal;
use crate::domain::approval::InForce;

/// What to do for a resource that is being deleted and carries our finalizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Delete the Kafka topic, then let the resource go.
    DeleteKafkaTopic(Identity),
    /// Let the resource go and leave Kafka alone, for this reason.
    Release(String),
    /// Neither, until something is changed.
    Wait(Refusal),
}

/// Whether a resource needs our finalizer: only where something has to be done when it goes. Access
/// goes with the resource, also where the topic stays.
#[must_use]
pub fn wants_finalizer(topic: &EventTopic, attention: Attention) -> bool {
    let has_something = topic.spec.deletion_policy == DeletionPolicy::Delete || access::concerns(topic);
    has_something && attention != Attention::Unmanaged
}

/// A resource as it goes whose changes need approval: data is deleted only if both what it declares and what is in
/// force ask for it. Of what was never approved, and of what is not known any more, nothing is deleted.
#[must_use]
pub fn leaving<'t>(topic: &'t EventTopic, in_force: &InForce) -> Cow<'t, EventTopic> {
    let asks = match in_force {
        InForce::Declared(_) => true,
        InForce::Before(_, base) => base.deletion_policy == DeletionPolicy::Delete,
        InForce::Lost(_) | InForce::Nothing => false,
    };
    if asks || topic.spec.deletion_policy == DeletionPolicy::Retain {
        return Cow::Borrowed(topic);
    }
    let mut leaving = topic.clone();
    leaving.spec.deletion_policy = DeletionPolicy::Retain;
    Cow::Owned(leaving)
}

/// Decides what to do for a resource that is being deleted. Data is deleted only if the resource
/// asks for it, owns the topic, may still name it, and nobody else stands for the same topic.
#[must_use]
pub fn farewell(
    topic: &EventTopic,
    attention: &Result<Attention, Refusal>,
    identity: Result<Identity, Refusal>,
    owner: Option<&Resource>,
    heir: Option<&Resource>,
    this: &Resource,
) -> Farewell {
    if topic.spec.deletion_policy == DeletionPolicy::Retain {
        return Farewell::Release("spec.deletionPolicy is Retain".into());
    }
    match attention {
        Ok(Attention::Unmanaged) => return Farewell::Release("the topic is not managed".into()),
        Ok(Attention::Paused) => {
            return Farewell::Wait(Refusal::new(
                Reason::Paused,
                "deletion waits because the resource is paused: remove the annotation eventcenter.io/paused to go on, \
                 or set spec.deletionPolicy: Retain to keep the Kafka topic",
            ));
        }
        Ok(Attention::Managed) => {}
        Err(refusal) => return Farewell::Wait(refusal.clone()),
    }
    let identity = match identity {
        Ok(identity) => identity,
        Err(refusal) => {
            return Farewell::Release(format!("it is not known which topic may be deleted ({refusal})"));
        }
    };
    match (owner, heir) {
        (Some(owner), _) if owner != this => {
            Farewell::Release(format!("the topic belongs to EventTopic {owner}"))
        }
        (_, Some(heir)) => Farewell::Release(format!("EventTopic {heir} takes the topic over")),
        _ => Farewell::DeleteKafkaTopic(identity),
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention;
    use super::*;
    use crate::domain::approval::{Record, SigningKey, SpecHash, Subject};
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(yaml: &str, identity: Result<(), Refusal>, owner: &str, heir: Option<&str>, expected: Expect) {
        let topic = topic(yaml);
        let resource = |name: &str| Resource { namespace: "shop".into(), name: name.into() };
        let identity = identity.map(|()| Identity {
            cluster: "main".parse().expect("a name"),
            topic: "shop.orders".parse().expect("a name"),
        });
        let verdict = farewell(
            &topic,
            &attention(&topic),
            identity,
            Some(&resource(owner)),
            heir.map(resource).as_ref(),
            &resource("orders"),
        );
        expected.assert_eq(&match verdict {
            Farewell::DeleteKafkaTopic(identity) => format!("delete {identity}"),
            Farewell::Release(why) => format!("release: {why}"),
            Farewell::Wait(refusal) => format!("wait: {refusal}"),
        });
    }

    #[test]
    fn data_is_deleted_only_by_its_owner_who_asks_for_it() {
        check("{deletionPolicy: Delete}", Ok(()), "orders", None, expect!["delete shop.orders in main"]);
        check("{}", Ok(()), "orders", None, expect!["release: spec.deletionPolicy is Retain"]);
        check(
            "{deletionPolicy: Delete}",
            Ok(()),
            "older",
            None,
            expect!["release: the topic belongs to EventTopic shop/older"],
        );
        check(
            "{deletionPolicy: Delete}",
            Ok(()),
            "orders",
            Some("younger"),
            expect!["release: EventTopic shop/younger takes the topic over"],
        );
    }

    #[test]
    fn data_is_deleted_only_if_that_is_in_force() {
        let leaves =
            |declared: &str, in_force: &InForce| leaving(&topic(declared), in_force).spec.deletion_policy;
        let before = |yaml: &str| {
            let before = topic(yaml);
            let key = SigningKey::of_seed(&"1".repeat(64)).expect("a key");
            let (subject, hash) = (Subject::topic(&before), SpecHash::of(&before.spec));
            let record = Record::of(&subject, &hash, None, jiff::Timestamp::UNIX_EPOCH, &key);
            InForce::Before(record, Box::new(before.spec))
        };
        let (delete, retain) = ("deletionPolicy: Delete", "{}");
        assert_eq!(
            leaves(delete, &before("{deletionPolicy: Delete, partitions: 2}")),
            DeletionPolicy::Delete
        );
        assert_eq!(leaves(delete, &before(retain)), DeletionPolicy::Retain, "a change that waits");
        assert_eq!(leaves(retain, &before(delete)), DeletionPolicy::Retain, "the way out");
        assert_eq!(leaves(delete, &InForce::Nothing), DeletionPolicy::Retain);
        assert_eq!(leaves(delete, &InForce::Lost("gone".into())), DeletionPolicy::Retain);
    }

    #[test]
    fn what_may_not_be_named_is_not_deleted() {
        let gone = Refusal::new(Reason::TenantNotFound, "no tenant");
        check(
            "{deletionPolicy: Delete}",
            Err(gone),
            "orders",
            None,
            expect!["release: it is not known which topic may be deleted (TenantNotFound: no tenant)"],
        );
    }

    #[test]
    fn annotations_hold_or_release() {
        let with = |annotation: &str, value: &str| {
            format!("{{deletionPolicy: Delete, annotations: {{eventcenter.io/{annotation}: {value:?}}}}}")
        };
        check(
            &with("paused", "true"),
            Ok(()),
            "orders",
            None,
            expect![
                "wait: Paused: deletion waits because the resource is paused: remove the annotation eventcenter.io/paused to go on, or set spec.deletionPolicy: Retain to keep the Kafka topic"
            ],
        );
        check(
            &with("managed", "false"),
            Ok(()),
            "orders",
            None,
            expect!["release: the topic is not managed"],
        );
        check(
            &with("managed", "no"),
            Ok(()),
            "orders",
            None,
            expect![[
                r#"wait: InvalidResource: metadata.annotations[eventcenter.io/managed]: the value is "true" or "false"; correct or remove it"#
            ]],
        );
    }
}
