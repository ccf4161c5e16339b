//! Event types without the webhook: what it would refuse, the operator holds.

use serde_json::json;

use crate::support::{Fixture, message};

#[tokio::test]
async fn a_type_has_one_topic_within_a_tenant() {
    let t = Fixture::new("types").await;
    t.made("orders", "eventTypes: [{name: Order.Created.v1}, {name: Order.Paid.v1}]").await;
    t.younger().await;
    t.declare("payments", "eventTypes: [{name: Order.Paid.v1}, {name: Order.Paid.v2}]").await;
    let held = t.condition("payments", "Stalled=True ResourceConflict").await;
    assert_eq!(
        message(&held, "Ready"),
        format!(
            "spec.eventTypes: Order.Paid.v1 is registered by EventTopic {}/orders, which is older: a type has one topic \
             within a tenant, so remove it from one of the two",
            t.namespace
        )
    );
    assert!(t.kafka_topic("payments").await.is_none());

    // When the other lets go of it, nothing has to be applied again.
    t.made("orders", "eventTypes: [{name: Order.Created.v1}]").await;
    t.ready("payments").await;
}

#[tokio::test]
async fn another_tenant_may_have_the_same_type() {
    let (one, other) = (Fixture::new("types").await, Fixture::new("types").await);
    one.made("orders", "eventTypes: [{name: Order.Created.v1}]").await;
    other.made("orders", "eventTypes: [{name: Order.Created.v1}]").await;
}

#[tokio::test]
async fn names_follow_the_tenants_conventions() {
    let t = Fixture::new("types").await;
    t.tenant(json!({"namespaces": [t.namespace], "naming": {"conventions": ["Entity"]}})).await;
    t.declare("orders", "eventTypes: [{name: order.created}]").await;
    let held = t.condition("orders", "Stalled=True InvalidResource").await;
    assert_eq!(
        message(&held, "Ready"),
        "spec.eventTypes: order.created follows the convention Dotted, and the tenant's naming.conventions allow Entity \
         ({Entity}.{Action}.v{N}): rename it"
    );
    t.tenant(json!({"namespaces": [t.namespace], "naming": {"conventions": ["Entity", "Dotted"]}})).await;
    t.ready("orders").await;
}
