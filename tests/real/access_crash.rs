//! The operator is killed between any two of its effects on access, and no ACL is left that nobody takes away again.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use eventcenter_kafka_admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType,
};
use kube::ResourceExt;
use serde_json::json;
use xtask::operator::Operator;

use crate::support::proxy::{CREATE_ACLS, DELETE_ACLS, Mode};
use crate::support::site::{CLUSTER, LIMIT, Site, condition};

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

/// An operator that works. Somebody else's ACL is on each of the topics: where there is none at all, the client asks by a
/// CreateAcls that changes nothing whether there could be.
async fn working(site: &Site, topics: &[&str]) -> Result<Operator> {
    site.forget_acls().await?;
    let others: Vec<AclBinding> =
        topics.iter().map(|topic| acl("User:other", site.kafka_name(topic))).collect();
    for answer in site.admin()?.create_acls(&others, LIMIT).await? {
        answer?;
    }
    let operator = site.operator("a", &[])?;
    site.cluster_is(CLUSTER, "Available").await;
    Ok(operator)
}

/// The topics that alice may read.
async fn readable(site: &Site) -> BTreeSet<String> {
    let filter = AclBindingFilter { principal: Some("User:alice".into()), ..AclBindingFilter::default() };
    let found = site.admin().expect("a client").describe_acls(&filter, LIMIT).await.expect("Kafka answers");
    found.into_iter().map(|acl| acl.name).collect()
}

async fn wait_for(site: &Site, what: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| site.kafka_name(name)).collect();
    site.eventually(what, LIMIT, async || {
        let found = readable(site).await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

async fn in_force(site: &Site, name: &str) -> EventTopic {
    let is_so = |topic: &EventTopic| {
        condition(topic, "AccessInForce").is_some_and(|(status, ..)| status == "True")
            && crate::support::site::is_ready(topic)
    };
    site.topic(name, "open to alice", LIMIT, is_so).await
}

async fn on_its_way(site: &Site, kind: i16, before: usize) {
    site.eventually("the request is on its way", LIMIT, async || {
        if site.kafka.arrived(kind) > before { Ok(()) } else { Err("no") }
    })
    .await;
}

fn release(site: &Site) {
    for proxy in [&site.api, &site.kafka] {
        proxy.reset();
        proxy.set(Mode::Pass);
    }
}

fn no_drift(topic: &EventTopic) {
    assert_eq!(topic.status.as_ref().and_then(|status| status.last_drift.as_ref()), None);
}

/// Declares a topic and waits until its access is written down and the request to make it is held on its way.
async fn held(site: &Site, name: &str) -> Result<()> {
    let before = site.kafka.arrived(CREATE_ACLS);
    site.kafka.set(Mode::HoldKafka(CREATE_ACLS));
    site.declare(name, alice_reads()).await?;
    let written = |topic: &EventTopic| topic.status.as_ref().is_some_and(|status| status.acls.len() == 1);
    let topic = site.topic(name, "written down", LIMIT, written).await;
    assert_eq!(topic.finalizers(), [DELETE_FINALIZER]);
    on_its_way(site, CREATE_ACLS, before).await;
    Ok(())
}

#[tokio::test]
async fn after_it_is_written_down_and_before_it_is_made() -> Result<()> {
    let site = Site::new("access-ahead").await?;
    let mut operator = working(&site, &["kept", "dropped"]).await?;
    held(&site, "kept").await?;
    operator.kill()?;
    release(&site);
    assert!(readable(&site).await.is_empty());
    operator = site.operator("a", &[])?;
    no_drift(&in_force(&site, "kept").await);
    wait_for(&site, "one is readable", &["kept"]).await;

    held(&site, "dropped").await?;
    operator.kill()?;
    site.delete("dropped").await?;
    release(&site);
    let _operator = site.operator("a", &[])?;
    site.gone("dropped").await;
    wait_for(&site, "one is readable", &["kept"]).await;
    Ok(())
}

#[tokio::test]
async fn after_it_is_made_and_before_the_status() -> Result<()> {
    let site = Site::new("access-made").await?;
    let mut operator = working(&site, &["kept", "dropped"]).await?;
    held(&site, "kept").await?;
    site.api.set(Mode::HoldRequests);
    site.kafka.set(Mode::Pass);
    wait_for(&site, "it is readable", &["kept"]).await;
    operator.kill()?;
    release(&site);
    let requests = site.kafka.arrived(CREATE_ACLS);
    operator = site.operator("a", &[])?;
    no_drift(&in_force(&site, "kept").await);
    assert_eq!(site.kafka.arrived(CREATE_ACLS), requests, "nothing is made twice");

    held(&site, "dropped").await?;
    site.api.set(Mode::HoldRequests);
    site.kafka.set(Mode::Pass);
    wait_for(&site, "both are readable", &["kept", "dropped"]).await;
    operator.kill()?;
    site.delete("dropped").await?;
    release(&site);
    let _operator = site.operator("a", &[])?;
    site.gone("dropped").await;
    wait_for(&site, "one is readable", &["kept"]).await;
    Ok(())
}

#[tokio::test]
async fn after_it_is_taken_away_and_before_the_status() -> Result<()> {
    let site = Site::new("access-taken").await?;
    let operator = working(&site, &["orders"]).await?;
    site.declare("orders", alice_reads()).await?;
    in_force(&site, "orders").await;
    site.api.set(Mode::HoldRequests);
    site.change("orders", json!({"access": null})).await?;
    wait_for(&site, "nothing is readable", &[]).await;
    operator.kill()?;
    release(&site);
    let still = site.topics().get("orders").await?;
    assert_eq!(still.status.as_ref().map(|status| status.acls.len()), Some(1), "not yet forgotten");

    let _operator = site.operator("a", &[])?;
    let forgotten = |topic: &EventTopic| {
        topic.status.as_ref().is_some_and(|status| status.acls.is_empty()) && topic.finalizers().is_empty()
    };
    no_drift(&site.topic("orders", "without access", LIMIT, forgotten).await);
    Ok(())
}

#[tokio::test]
async fn around_the_withdrawal_when_a_resource_goes() -> Result<()> {
    let site = Site::new("access-going").await?;
    let mut operator = working(&site, &["before", "after"]).await?;
    for name in ["before", "after"] {
        site.declare(name, alice_reads()).await?;
        in_force(&site, name).await;
    }

    let requests = site.kafka.arrived(DELETE_ACLS);
    site.kafka.set(Mode::HoldKafka(DELETE_ACLS));
    site.delete("before").await?;
    on_its_way(&site, DELETE_ACLS, requests).await;
    operator.kill()?;
    release(&site);
    assert_eq!(readable(&site).await.len(), 2, "nothing was taken away");
    assert_eq!(site.topics().get("before").await?.finalizers(), [DELETE_FINALIZER]);
    operator = site.operator("a", &[])?;
    site.gone("before").await;
    wait_for(&site, "one is readable", &["after"]).await;

    site.api.set(Mode::HoldRequests);
    site.delete("after").await?;
    wait_for(&site, "nothing is readable", &[]).await;
    operator.kill()?;
    release(&site);
    assert_eq!(site.topics().get("after").await?.finalizers(), [DELETE_FINALIZER]);
    let _operator = site.operator("a", &[])?;
    site.gone("after").await;
    assert!(site.in_kafka("after").await.is_some(), "the topic stays");
    Ok(())
}
