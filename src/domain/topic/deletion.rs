//! Plans what happens to a Kafka topic when its resource is deleted.

use eventcenter_sdk::Reason;

use super::{Identity, access};
use crate::api::{DeletionPolicy, EventTopic};
use crate::domain::ObjectRef;
use crate::domain::Refusal;
use crate::domain::management::ManagementMode;

/// How to finalize a resource that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionPlan {
    /// Delete the Kafka topic, then remove the finalizer.
    DeleteKafkaTopic(Identity),
    /// Remove the finalizer and keep the Kafka topic, for this reason.
    Release(String),
    /// Keep both until something changes.
    Wait(Refusal),
}

/// Whether a resource needs the finalizer: only if its deletion requires an action. Its ACLs are deleted also if the Kafka
/// topic is kept.
#[must_use]
pub fn wants_finalizer(topic: &EventTopic, mode: ManagementMode) -> bool {
    let needs_cleanup = topic.spec.deletion_policy == DeletionPolicy::Delete || access::manages_access(topic);
    needs_cleanup && mode != ManagementMode::Unmanaged
}

/// Plans the deletion. Data is deleted only if the resource requests it, owns the topic, may still name it, and no other
/// resource claims the same topic.
#[must_use]
pub fn plan_deletion(
    topic: &EventTopic,
    mode: &Result<ManagementMode, Refusal>,
    identity: Result<Identity, Refusal>,
    owner: Option<&ObjectRef>,
    heir: Option<&ObjectRef>,
    this: &ObjectRef,
) -> DeletionPlan {
    if topic.spec.deletion_policy == DeletionPolicy::Retain {
        return DeletionPlan::Release("spec.deletionPolicy is Retain".into());
    }
    match mode {
        Ok(ManagementMode::Unmanaged) => return DeletionPlan::Release("the topic is not managed".into()),
        Ok(ManagementMode::Paused) => {
            return DeletionPlan::Wait(Refusal::new(
                Reason::Paused,
                "deletion waits because the resource is paused: remove the annotation eventcenter.io/paused to go on, \
                 or set spec.deletionPolicy: Retain to keep the Kafka topic",
            ));
        }
        Ok(ManagementMode::Managed) => {}
        Err(refusal) => return DeletionPlan::Wait(refusal.clone()),
    }
    let identity = match identity {
        Ok(identity) => identity,
        Err(refusal) => {
            return DeletionPlan::Release(format!(
                "cannot determine which Kafka topic to delete ({refusal})"
            ));
        }
    };
    match (owner, heir) {
        (Some(owner), _) if owner != this => {
            DeletionPlan::Release(format!("the topic belongs to EventTopic {owner}"))
        }
        (_, Some(heir)) => DeletionPlan::Release(format!("EventTopic {heir} takes the topic over")),
        _ => DeletionPlan::DeleteKafkaTopic(identity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::management::management_mode;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(yaml: &str, identity: Result<(), Refusal>, owner: &str, heir: Option<&str>, expected: Expect) {
        let topic = topic(yaml);
        let resource = |name: &str| ObjectRef::new::<crate::api::EventTopic>("shop", name);
        let identity = identity.map(|()| Identity {
            cluster: "main".parse().expect("a name"),
            topic: "shop.orders".parse().expect("a name"),
        });
        let verdict = plan_deletion(
            &topic,
            &management_mode(&topic),
            identity,
            Some(&resource(owner)),
            heir.map(resource).as_ref(),
            &resource("orders"),
        );
        expected.assert_eq(&match verdict {
            DeletionPlan::DeleteKafkaTopic(identity) => format!("delete {identity}"),
            DeletionPlan::Release(why) => format!("release: {why}"),
            DeletionPlan::Wait(refusal) => format!("wait: {refusal}"),
        });
    }

    #[test]
    fn data_is_deleted_only_if_its_owner_requests_it() {
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
    fn a_topic_that_the_tenant_may_not_name_is_not_deleted() {
        let gone = Refusal::new(Reason::TenantNotFound, "no tenant");
        check(
            "{deletionPolicy: Delete}",
            Err(gone),
            "orders",
            None,
            expect!["release: cannot determine which Kafka topic to delete (TenantNotFound: no tenant)"],
        );
    }

    #[test]
    fn annotations_pause_or_release() {
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
