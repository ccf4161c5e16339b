//! A suspended tenant without the webhook: the operator refuses what the webhook would have refused.

use serde_json::json;

use crate::support::{Fixture, has_condition, message};

#[tokio::test]
async fn a_suspended_tenant_keeps_its_topics_unchanged() {
    let t = Fixture::new("suspended").await;
    t.topic("orders").apply_and_wait("config: {segment.ms: 3600000}").await;
    // A difference within the settle time is corrected without being drift, and the tenant's change starts a reconcile at once.
    t.wait_for_resync().await;
    let spec = |suspended: bool| json!({"namespaces": [t.namespace], "suspended": suspended});
    t.apply_tenant(spec(true)).await;

    // Drift is corrected: it is not a change by the tenant.
    t.stage.kafka.set(&t.kafka_name("orders"), "segment.ms", "7200000").await;
    t.topic("orders")
        .wait_for_status("status.lastDrift is set", |topic| {
            topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
        })
        .await;

    t.topic("products").apply("{}").await;
    let held = t.topic("products").wait_for_condition("Stalled=True TenantSuspended").await;
    let expected = format!(
        "tenant {} is suspended, so its resources cannot be created or changed: ask the platform's administrator to set \
         spec.suspended: false in the Tenant",
        t.namespace
    );
    assert_eq!(message(&held, "Ready"), expected);
    t.topic("orders").apply("config: {segment.ms: 1800000}").await;
    let held = t.topic("orders").wait_for_condition("Stalled=True TenantSuspended").await;
    assert_eq!(message(&held, "Ready"), expected);
    assert_eq!(
        t.kafka_topic("orders").await.expect("the Kafka topic exists").config["segment.ms"],
        "3600000"
    );
    assert!(t.kafka_topic("products").await.is_none());

    t.apply_tenant(spec(false)).await;
    t.topic("products").wait_until_ready().await;
    t.topic("orders").wait_until_ready().await;
    t.wait_for_kafka_topic("orders", "segment.ms is changed", |topic| {
        topic.config["segment.ms"] == "1800000"
    })
    .await;
}

#[tokio::test]
async fn a_stopped_tenant_keeps_its_data_and_reports_it() {
    let t = Fixture::new("suspended").await;
    t.topic("orders").apply_and_wait("{}").await;
    let spec = |suspended: bool| json!({"namespaces": [t.namespace], "suspended": suspended, "whenSuspended": "Stop"});
    t.apply_tenant(spec(true)).await;
    let stopped = t.topic("orders").wait_for_condition("Ready=False TenantSuspended").await;
    assert!(has_condition(&stopped, "Stalled=True TenantSuspended"));
    assert!(t.kafka_topic("orders").await.is_some(), "the Kafka topic is kept");
    t.apply_tenant(spec(false)).await;
    t.topic("orders").wait_until_ready().await;
}
