//! The operator is killed between any two of its writes of ACLs, and no ACL remains that no operator deletes.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use eventcenter_kafka_admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType,
};
use kube::ResourceExt;
use serde_json::json;
use xtask::operator::Operator;

use crate::fixture::{FaultFixture, assert_no_drift};
use crate::proxy::{CREATE_ACLS, DELETE_ACLS, Mode};
use crate::support::has_condition;

fn alice_reads() -> serde_json::Value {
    json!({"access": [{"principal": "User:alice", "operations": ["Read"]}]})
}

fn acl(principal: &str, topic: String) -> AclBinding {
    AclBinding {
        resource_type: ResourceType::Topic,
        name: topic,
        pattern_type: PatternType::Literal,
        principal: principal.into(),
        host: "*".into(),
        operation: AclOperation::Read,
        permission_type: AclPermissionType::Allow,
    }
}

/// The ACLs are compared at the start only. Otherwise a comparison may create the ACL of one topic while the proxy waits for that
/// of another, and every request behind it waits too.
const NO_RESYNC: &[&str] = &["--resync-interval", "10m"];

/// An operator that leads. Each topic has an ACL of another user: where there is no ACL at all, the operator finds out by an
/// empty CreateAcls whether the broker has an authorizer.
async fn start_operator(t: &FaultFixture, topics: &[&str]) -> Result<Operator> {
    let others: Vec<AclBinding> = topics.iter().map(|topic| acl("User:other", t.kafka_name(topic))).collect();
    t.stage.kafka.create_acls(&others).await;
    let operator = t.parts.start_operator("a", NO_RESYNC)?;
    t.cluster().wait_for_condition("Ready=True Available").await;
    Ok(operator)
}

/// The topics that alice may read.
async fn readable_topics(t: &FaultFixture) -> BTreeSet<String> {
    let filter = AclBindingFilter { principal: Some("User:alice".into()), ..AclBindingFilter::default() };
    t.stage.kafka.acls(&filter).await.into_iter().map(|acl| acl.name).collect()
}

/// Waits until alice may read exactly these topics.
async fn wait_for_readable_topics(t: &FaultFixture, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| t.kafka_name(name)).collect();
    t.eventually(&format!("alice may read {expected:?}"), async || {
        let found = readable_topics(t).await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Waits until the topic is ready and its access is in force.
async fn wait_for_access(t: &FaultFixture, name: &str) -> EventTopic {
    t.topic(name)
        .wait_for_status("ready, with its access in force", |topic| {
            has_condition(topic, "AccessInForce=True") && has_condition(topic, "Ready=True")
        })
        .await
}

/// Declares a topic and waits until the status names its ACL and the proxy holds the request that creates it.
async fn hold_creation_of_acl(t: &FaultFixture, name: &str) {
    let before = t.parts.kafka_proxy.received(CREATE_ACLS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(CREATE_ACLS));
    t.topic(name).apply(alice_reads()).await;
    let named = |topic: &EventTopic| topic.status.as_ref().is_some_and(|status| status.acls.len() == 1);
    let topic = t.topic(name).wait_for("status.acls has the ACL", named).await;
    assert_eq!(topic.finalizers(), [DELETE_FINALIZER]);
    t.wait_for_kafka_request(CREATE_ACLS, before).await;
}

#[tokio::test]
async fn killed_after_the_status_and_before_the_acl_is_created() -> Result<()> {
    let t = FaultFixture::new("access-ahead").await?;
    let mut operator = start_operator(&t, &["kept", "dropped"]).await?;
    hold_creation_of_acl(&t, "kept").await;
    operator.kill()?;
    t.parts.release_proxies();
    assert!(readable_topics(&t).await.is_empty());
    operator = t.parts.start_operator("a", NO_RESYNC)?;
    assert_no_drift(&wait_for_access(&t, "kept").await);
    wait_for_readable_topics(&t, &["kept"]).await;

    hold_creation_of_acl(&t, "dropped").await;
    operator.kill()?;
    t.topic("dropped").delete().await;
    t.parts.release_proxies();
    let _operator = t.parts.start_operator("a", NO_RESYNC)?;
    t.topic("dropped").wait_until_deleted().await;
    wait_for_readable_topics(&t, &["kept"]).await;
    Ok(())
}

#[tokio::test]
async fn killed_after_the_acl_is_created_and_before_the_status() -> Result<()> {
    let t = FaultFixture::new("access-created").await?;
    let mut operator = start_operator(&t, &["kept", "dropped"]).await?;
    hold_creation_of_acl(&t, "kept").await;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.parts.kafka_proxy.set(Mode::Pass);
    wait_for_readable_topics(&t, &["kept"]).await;
    operator.kill()?;
    t.parts.release_proxies();
    let requests = t.parts.kafka_proxy.received(CREATE_ACLS);
    operator = t.parts.start_operator("a", NO_RESYNC)?;
    assert_no_drift(&wait_for_access(&t, "kept").await);
    assert_eq!(t.parts.kafka_proxy.received(CREATE_ACLS), requests, "no ACL is created twice");

    hold_creation_of_acl(&t, "dropped").await;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.parts.kafka_proxy.set(Mode::Pass);
    wait_for_readable_topics(&t, &["kept", "dropped"]).await;
    operator.kill()?;
    t.topic("dropped").delete().await;
    t.parts.release_proxies();
    let _operator = t.parts.start_operator("a", NO_RESYNC)?;
    t.topic("dropped").wait_until_deleted().await;
    wait_for_readable_topics(&t, &["kept"]).await;
    Ok(())
}

#[tokio::test]
async fn killed_after_the_acl_is_deleted_and_before_the_status() -> Result<()> {
    let t = FaultFixture::new("access-taken").await?;
    let operator = start_operator(&t, &["orders"]).await?;
    t.topic("orders").apply(alice_reads()).await;
    wait_for_access(&t, "orders").await;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.topic("orders").patch_spec(json!({"access": null})).await;
    wait_for_readable_topics(&t, &[]).await;
    operator.kill()?;
    t.parts.release_proxies();
    let still = t.topic("orders").get().await;
    assert_eq!(still.status.as_ref().map(|status| status.acls.len()), Some(1), "the status still has it");

    let _operator = t.parts.start_operator("a", NO_RESYNC)?;
    let removed = |topic: &EventTopic| {
        topic.status.as_ref().is_some_and(|status| status.acls.is_empty()) && topic.finalizers().is_empty()
    };
    assert_no_drift(&t.topic("orders").wait_for("without access", removed).await);
    Ok(())
}

#[tokio::test]
async fn killed_before_and_after_the_acl_is_deleted_with_its_resource() -> Result<()> {
    let t = FaultFixture::new("access-going").await?;
    let mut operator = start_operator(&t, &["before", "after"]).await?;
    for name in ["before", "after"] {
        t.topic(name).apply(alice_reads()).await;
        wait_for_access(&t, name).await;
    }

    let requests = t.parts.kafka_proxy.received(DELETE_ACLS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(DELETE_ACLS));
    t.topic("before").delete().await;
    t.wait_for_kafka_request(DELETE_ACLS, requests).await;
    operator.kill()?;
    t.parts.release_proxies();
    assert_eq!(readable_topics(&t).await.len(), 2, "no ACL was deleted");
    assert_eq!(t.topic("before").get().await.finalizers(), [DELETE_FINALIZER]);
    operator = t.parts.start_operator("a", NO_RESYNC)?;
    t.topic("before").wait_until_deleted().await;
    wait_for_readable_topics(&t, &["after"]).await;

    t.parts.api_proxy.set(Mode::HoldRequests);
    t.topic("after").delete().await;
    wait_for_readable_topics(&t, &[]).await;
    operator.kill()?;
    t.parts.release_proxies();
    assert_eq!(t.topic("after").get().await.finalizers(), [DELETE_FINALIZER]);
    let _operator = t.parts.start_operator("a", NO_RESYNC)?;
    t.topic("after").wait_until_deleted().await;
    assert!(t.kafka_topic("after").await.is_some(), "the topic stays");
    Ok(())
}
