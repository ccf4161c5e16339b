//! Event types without the webhook: the operator refuses what the webhook would have refused.

use serde_json::json;

use crate::support::{Fixture, message};

#[tokio::test]
async fn an_event_type_has_one_topic_within_a_tenant() {
    let t = Fixture::new("types").await;
    t.topic("orders").apply_and_wait("eventTypes: [{name: Order.Created.v1}, {name: Order.Paid.v1}]").await;
    t.wait_for_next_second().await;
    t.topic("payments").apply("eventTypes: [{name: Order.Paid.v1}, {name: Order.Paid.v2}]").await;
    let held = t.topic("payments").wait_for_condition("Stalled=True ResourceConflict").await;
    assert_eq!(
        message(&held, "Ready"),
        format!(
            "spec.eventTypes: Order.Paid.v1 is registered by EventTopic {}/orders, which is older: a type has one topic \
             within a tenant, so remove it from one of the two",
            t.namespace
        )
    );
    assert!(t.kafka_topic("payments").await.is_none());

    // After the other topic removes the type, the operator reconciles this one without another apply.
    t.topic("orders").apply_and_wait("eventTypes: [{name: Order.Created.v1}]").await;
    t.topic("payments").wait_until_ready().await;
}

#[tokio::test]
async fn another_tenant_can_have_the_same_event_type() {
    let (one, other) = (Fixture::new("types").await, Fixture::new("types").await);
    one.topic("orders").apply_and_wait("eventTypes: [{name: Order.Created.v1}]").await;
    other.topic("orders").apply_and_wait("eventTypes: [{name: Order.Created.v1}]").await;
}

#[tokio::test]
async fn event_type_names_follow_the_tenants_conventions() {
    let t = Fixture::new("types").await;
    t.apply_tenant(json!({"namespaces": [t.namespace], "naming": {"conventions": ["Entity"]}})).await;
    t.topic("orders").apply("eventTypes: [{name: order.created}]").await;
    let held = t.topic("orders").wait_for_condition("Stalled=True InvalidResource").await;
    assert_eq!(
        message(&held, "Ready"),
        "spec.eventTypes: order.created follows the convention Dotted, and the tenant's naming.conventions allow Entity \
         ({Entity}.{Action}.v{N}): rename it"
    );
    t.apply_tenant(json!({"namespaces": [t.namespace], "naming": {"conventions": ["Entity", "Dotted"]}}))
        .await;
    t.topic("orders").wait_until_ready().await;
}
