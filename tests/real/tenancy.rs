//! The tenant of a namespace, and its effect on the topics.

use crate::stage;
use crate::support::{Fixture, has_condition, message};
use eventcenter::api::Tenant;
use serde_json::json;

#[tokio::test]
async fn a_namespace_without_a_tenant_waits_for_one() {
    let t = Fixture::without_tenant(stage::shared(), "tenancy").await;
    t.topic("orders").apply("{}").await;
    let refused = t.topic("orders").wait_for_condition("Ready=False TenantNotFound").await;
    assert!(has_condition(&refused, "Stalled=True TenantNotFound"));
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "namespace {} belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant \
             that is Ready",
            t.namespace
        )
    );
    assert!(t.kafka_topic("orders").await.is_none());
    t.topic("orders").wait_for_event("TenantNotFound", "belongs to no tenant").await;
    t.apply_tenant(json!({"namespaces": [t.namespace]})).await;
    t.topic("orders").wait_until_ready().await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn a_namespace_that_loses_its_tenant_keeps_its_topics() {
    let t = Fixture::new("tenancy").await;
    let before = t.topic("orders").apply_and_wait("{}").await.status.and_then(|status| status.topic_id);
    t.kube.delete(t.tenant().path()).await;
    let lost = t.topic("orders").wait_for_condition("Ready=False TenantNotFound").await;
    assert_eq!(lost.status.and_then(|status| status.topic_name), Some(t.kafka_name("orders")));
    t.topic("orders").apply("config: {flush.ms: 1000}").await;
    t.topic("orders").wait_for_condition("Ready=False TenantNotFound").await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert!(kafka.config.is_empty(), "its configuration does not change");

    t.apply_tenant(json!({"namespaces": [t.namespace]})).await;
    let back = t.topic("orders").wait_until_ready().await;
    assert_eq!(back.status.and_then(|status| status.topic_id), before);
    t.wait_for_kafka_topic("orders", "flush.ms is set", |topic| topic.get("flush.ms") == Some("1000")).await;
}

#[tokio::test]
async fn topics_of_a_namespace_that_changes_tenants_keep_their_names() {
    let t = Fixture::new("tenancy").await;
    t.topic("orders").apply_and_wait("{}").await;
    let other = format!("{}-other", t.namespace);
    t.apply_tenant(json!({"namespaces": []})).await;
    t.resource::<Tenant>(&other).apply(json!({"namespaces": [t.namespace]})).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    assert!(message(&refused, "Ready").contains(&format!("would now be {other}.orders")));
    // A new topic belongs to the other tenant.
    t.topic("products").apply_and_wait("{}").await;
    assert!(t.stage.kafka.topic(&format!("{other}.products")).await.is_some());
    assert!(t.kafka_topic("orders").await.is_some(), "the existing Kafka topic is kept");
}

#[tokio::test]
async fn a_disputed_namespace_stays_with_the_older_tenant() {
    let t = Fixture::new("tenancy").await;
    t.topic("orders").apply_and_wait("{}").await;
    t.wait_for_next_second().await;
    let rival = format!("{}-rival", t.namespace);
    t.resource::<Tenant>(&rival).apply(json!({"namespaces": [t.namespace]})).await;
    let refused = t.resource::<Tenant>(&rival).wait_for_condition("Stalled=True ResourceConflict").await;
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "spec.namespaces: {namespace} belongs to tenant {namespace}, which is older: remove it from one of the two tenants",
            namespace = t.namespace
        )
    );
    t.resource::<Tenant>(&rival).wait_for_event("ResourceConflict", "which is older").await;
    t.wait_for_resync().await;
    assert!(
        has_condition(&t.topic("orders").get().await, "Ready=True Available"),
        "the dispute does not affect existing topics"
    );
    t.resource::<Tenant>(&t.namespace).wait_for_condition("Ready=True Available").await;

    t.apply_tenant(json!({"namespaces": []})).await;
    t.resource::<Tenant>(&rival).wait_for_condition("Ready=True Available").await;
    t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    t.topic("products").apply_and_wait("{}").await;
    assert!(t.stage.kafka.topic(&format!("{rival}.products")).await.is_some());
}

#[tokio::test]
async fn overlapping_prefixes_are_refused_to_the_younger_tenant() {
    let t = Fixture::new("tenancy").await;
    t.wait_for_next_second().await;
    let inner = format!("{}-inner", t.namespace);
    let prefix = format!("{}eu.", t.prefix);
    let spec = |prefix: &str| json!({"namespaces": [inner], "topicPrefix": prefix});
    t.resource::<Tenant>(&inner).apply(spec(&prefix)).await;
    let refused = t.resource::<Tenant>(&inner).wait_for_condition("Stalled=True ResourceConflict").await;
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "spec.topicPrefix: {prefix} overlaps with {} of tenant {}, which is older: choose a prefix that neither starts with another prefix nor is the start of one",
            t.prefix, t.namespace
        )
    );
    // The tenant is not Ready, so a topic in its namespace has no tenant until the prefix is corrected.
    let inside = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inner}});
    t.apply(&inside).await;
    let mut topic = t.topic("orders").manifest("{}");
    topic["metadata"]["namespace"] = json!(inner);
    t.apply(&topic).await;
    t.resource::<Tenant>(&inner).apply(spec(&format!("{inner}_"))).await;
    t.resource::<Tenant>(&inner).wait_for_condition("Ready=True Available").await;
    t.stage.kafka.wait(&format!("{inner}_orders"), "created", |topic| topic.is_some()).await;
}

#[tokio::test]
async fn a_tenant_counts_its_topics() {
    let t = Fixture::new("tenancy").await;
    for name in ["orders", "products"] {
        t.topic(name).apply_and_wait("{}").await;
    }
    let topics = |tenant: &Tenant| tenant.status.as_ref().and_then(|status| status.topics);
    let tenant = t.tenant().wait_for("status.topics is 2", |tenant| topics(tenant) == Some(2)).await;
    assert_eq!(tenant.status.and_then(|status| status.topic_prefix), Some(t.prefix.clone()));
}
