//! Which namespace is whose, and what follows from that for its topics.

use crate::support::{Fixture, Place, Stage, cluster_scoped, has, message};
use serde_json::{Value, json};

fn told(object: &Value) -> &str {
    object.pointer("/status/conditions/0/message").and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_namespace_without_a_tenant_waits_for_one() {
    let t = Fixture::without_tenant(Stage::shared(), "tenancy").await;
    t.declare("orders", "{}").await;
    let refused = t.condition("orders", "Ready=False TenantNotFound").await;
    assert!(has(&refused, "Stalled=True TenantNotFound"));
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "namespace {} belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant \
             that is Ready",
            t.namespace
        )
    );
    assert!(t.kafka_topic("orders").await.is_none());
    t.event("orders", "TenantNotFound", "belongs to no tenant").await;
    t.tenant(json!({"namespaces": [t.namespace]})).await;
    t.ready("orders").await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn a_namespace_that_loses_its_tenant_keeps_its_topics() {
    let t = Fixture::new("tenancy").await;
    let before = t.made("orders", "{}").await.status.and_then(|status| status.topic_id);
    t.kube.delete(&Place::ours("Tenant", &t.namespace)).await;
    let lost = t.condition("orders", "Ready=False TenantNotFound").await;
    assert_eq!(lost.status.and_then(|status| status.topic_name), Some(t.name("orders")));
    t.declare("orders", "config: {flush.ms: 1000}").await;
    t.condition("orders", "Ready=False TenantNotFound").await;
    let kafka = t.kafka_topic("orders").await.expect("it stays");
    assert!(kafka.config.is_empty(), "and nothing about it changes");

    t.tenant(json!({"namespaces": [t.namespace]})).await;
    let back = t.ready("orders").await;
    assert_eq!(back.status.and_then(|status| status.topic_id), before);
    t.in_kafka("orders", "changed", |topic| topic.get("flush.ms") == Some("1000")).await;
}

#[tokio::test]
async fn a_namespace_that_moves_to_another_tenant_does_not_take_names_along() {
    let t = Fixture::new("tenancy").await;
    t.made("orders", "{}").await;
    let other = format!("{}-other", t.namespace);
    t.tenant(json!({"namespaces": []})).await;
    t.apply(&cluster_scoped("Tenant", &other, json!({"namespaces": [t.namespace]}))).await;
    let refused = t.condition("orders", "Ready=False NotSupported").await;
    assert!(message(&refused, "Ready").contains(&format!("would now be {other}.orders")));
    // What is new is the other tenant's.
    t.made("products", "{}").await;
    assert!(t.stage.kafka.topic(&format!("{other}.products")).await.is_some());
    assert!(t.kafka_topic("orders").await.is_some(), "and nothing was taken away");
}

#[tokio::test]
async fn a_disputed_namespace_stays_with_the_older_tenant() {
    let t = Fixture::new("tenancy").await;
    t.made("orders", "{}").await;
    t.younger().await;
    let rival = format!("{}-rival", t.namespace);
    t.apply(&cluster_scoped("Tenant", &rival, json!({"namespaces": [t.namespace]}))).await;
    let refused = t.object_is("Tenant", &rival, "Stalled=True ResourceConflict").await;
    assert_eq!(
        told(&refused),
        format!(
            "spec.namespaces: {namespace} belongs to tenant {namespace}, which is older: remove it from one of the two tenants",
            namespace = t.namespace
        )
    );
    t.cluster_event(&rival, "ResourceConflict", "which is older").await;
    t.settled().await;
    assert!(has(&t.get("orders").await, "Ready=True Available"), "nobody loses what they have");
    t.object_is("Tenant", &t.namespace, "Ready=True Available").await;

    t.tenant(json!({"namespaces": []})).await;
    t.object_is("Tenant", &rival, "Ready=True Available").await;
    t.condition("orders", "Ready=False NotSupported").await;
    t.made("products", "{}").await;
    assert!(t.stage.kafka.topic(&format!("{rival}.products")).await.is_some());
}

#[tokio::test]
async fn overlapping_prefixes_are_refused_to_the_younger_tenant() {
    let t = Fixture::new("tenancy").await;
    t.younger().await;
    let inner = format!("{}-inner", t.namespace);
    let prefix = format!("{}eu.", t.prefix);
    let spec = |prefix: &str| json!({"namespaces": [inner], "topicPrefix": prefix});
    t.apply(&cluster_scoped("Tenant", &inner, spec(&prefix))).await;
    let refused = t.object_is("Tenant", &inner, "Stalled=True ResourceConflict").await;
    assert_eq!(
        told(&refused),
        format!(
            "spec.topicPrefix: {prefix} overlaps with {} of tenant {}, which is older: choose a prefix that neither starts with another prefix nor is the start of one",
            t.prefix, t.namespace
        )
    );
    // A topic in its namespace is nobody's until then.
    let inside = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inner}});
    t.apply(&inside).await;
    let mut topic = t.manifest("orders", "{}");
    topic["metadata"]["namespace"] = json!(inner);
    t.apply(&topic).await;
    t.apply(&cluster_scoped("Tenant", &inner, spec(&format!("{inner}_")))).await;
    t.object_is("Tenant", &inner, "Ready=True Available").await;
    t.stage.kafka.wait(&format!("{inner}_orders"), "made", |topic| topic.is_some()).await;
}

#[tokio::test]
async fn a_tenant_counts_its_topics() {
    let t = Fixture::new("tenancy").await;
    for name in ["orders", "products"] {
        t.made(name, "{}").await;
    }
    let place = Place::ours("Tenant", &t.namespace);
    let counted = crate::support::until(async || {
        let tenant: Value = t.kube.get(&place).await.expect("a tenant");
        let status = tenant["status"].clone();
        if status["topics"] == 2 { Ok(status) } else { Err(status.to_string()) }
    });
    let status = counted.await.expect("two topics");
    assert_eq!(status["topicPrefix"], t.prefix);
}
