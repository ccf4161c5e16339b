//! A suspended tenant, without the webhook: what it would refuse, the operator holds.

use serde_json::json;

use crate::support::{Fixture, has, message};

#[tokio::test]
async fn what_it_has_goes_on_and_nothing_changes() {
    let t = Fixture::new("suspended").await;
    t.made("orders", "config: {segment.ms: 3600000}").await;
    let spec = |suspended: bool| json!({"namespaces": [t.namespace], "suspended": suspended});
    t.tenant(spec(true)).await;

    // Drift is put right: that is no change that the tenant makes.
    t.stage.kafka.set(&t.name("orders"), "segment.ms", "7200000").await;
    t.wait("orders", "put right", |topic| {
        topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
    })
    .await;

    t.declare("products", "{}").await;
    let held = t.condition("products", "Stalled=True TenantSuspended").await;
    let said = format!(
        "tenant {} is suspended, so nothing of it can be made or changed: ask the platform's administrator to set \
         spec.suspended: false in the Tenant",
        t.namespace
    );
    assert_eq!(message(&held, "Ready"), said);
    t.declare("orders", "config: {segment.ms: 1800000}").await;
    let held = t.condition("orders", "Stalled=True TenantSuspended").await;
    assert_eq!(message(&held, "Ready"), said);
    assert_eq!(t.kafka_topic("orders").await.expect("it stays").config["segment.ms"], "3600000");
    assert!(t.kafka_topic("products").await.is_none());

    t.tenant(spec(false)).await;
    t.ready("products").await;
    t.ready("orders").await;
    t.in_kafka("orders", "changed", |topic| topic.config["segment.ms"] == "1800000").await;
}

#[tokio::test]
async fn one_that_is_stopped_keeps_its_data_and_says_so() {
    let t = Fixture::new("suspended").await;
    t.made("orders", "{}").await;
    let spec = |suspended: bool| json!({"namespaces": [t.namespace], "suspended": suspended, "whenSuspended": "Stop"});
    t.tenant(spec(true)).await;
    let stopped = t.condition("orders", "Ready=False TenantSuspended").await;
    assert!(has(&stopped, "Stalled=True TenantSuspended"));
    assert!(t.kafka_topic("orders").await.is_some(), "data stays");
    t.tenant(spec(false)).await;
    t.ready("orders").await;
}
