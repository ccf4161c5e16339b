//! What of a topic can change, and what cannot: partitions, replicas, name, cluster.

use crate::support::{Fixture, has, message};
use serde_json::json;

#[tokio::test]
async fn partitions_grow() {
    let t = Fixture::new("shape").await;
    let before = t.made("orders", "partitions: 2").await.status.expect("a status");
    let after = t.made("orders", "{partitions: 3, config: {flush.ms: 1000}}").await.status.expect("a status");
    let kafka = t.in_kafka("orders", "grown", |topic| topic.partitions == 3).await;
    assert_eq!(kafka.get("flush.ms"), Some("1000"), "both changes were made");
    assert_eq!(after.partitions, Some(3));
    assert_eq!(after.topic_id, before.topic_id);
}

#[tokio::test]
async fn fewer_partitions_are_refused_at_once() {
    let t = Fixture::new("shape").await;
    t.made("orders", "partitions: 3").await;
    t.rejects(
        "orders",
        "partitions: 2",
        "spec.partitions cannot be reduced: Kafka cannot remove partitions. Create a new EventTopic with fewer",
    )
    .await;
    t.rejects("orders", "{}", "spec.partitions cannot be reduced").await;
    assert_eq!(t.kafka_topic("orders").await.map(|topic| topic.partitions), Some(3));
}

#[tokio::test]
async fn partitions_that_somebody_added_are_told_and_other_changes_go_on() {
    let t = Fixture::new("shape").await;
    t.made("orders", "partitions: 2").await;
    t.stage.kafka.grow(&t.name("orders"), 4).await;
    let refused = t.condition("orders", "Ready=False NotSupported").await;
    let told = message(&refused, "Stalled");
    assert!(
        told.starts_with(
            "spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4"
        ),
        "{told}"
    );
    assert_eq!(
        refused.status.and_then(|status| status.partitions),
        Some(4),
        "the status tells what Kafka has"
    );
    t.event("orders", "NotSupported", "set spec.partitions: 4").await;

    t.declare("orders", "{partitions: 2, config: {compression.type: snappy}}").await;
    t.in_kafka("orders", "configured", |topic| topic.get("compression.type") == Some("snappy")).await;
    t.condition("orders", "Ready=False NotSupported").await;
    t.declare("orders", "{partitions: 4, config: {compression.type: snappy}}").await;
    let ready = t.ready("orders").await;
    assert!(!has(&ready, "Stalled=True") && has(&ready, "InSync=True"));
}

#[tokio::test]
async fn replicas_do_not_change() {
    let t = Fixture::new("shape").await;
    t.made("orders", "{partitions: 2, replicas: 1}").await;
    t.declare("orders", "{partitions: 2, replicas: 2, config: {flush.ms: 1000}}").await;
    let refused = t.condition("orders", "Ready=False NotSupported").await;
    let told = message(&refused, "Ready");
    assert!(told.contains("set spec.replicas: 1") && told.contains("kafka-reassign-partitions"), "{told}");
    t.in_kafka("orders", "configured", |topic| topic.get("flush.ms") == Some("1000") && topic.replicas == 1)
        .await;
    t.made("orders", "{partitions: 2, replicas: 1}").await;
}

#[tokio::test]
async fn a_topic_is_not_renamed_and_does_not_move() {
    let t = Fixture::new("shape").await;
    let (name, other) = (t.name("first"), t.name("second"));
    t.made("orders", &format!("topicName: {name}")).await;
    let immutable = "spec.topicName is immutable: Kafka cannot rename a topic. Make a new EventTopic and move producers \
                     and consumers to it";
    t.rejects("orders", &format!("topicName: {other}"), immutable).await;
    t.rejects("orders", "{}", immutable).await;

    t.made("products", "{}").await;
    t.rejects("products", &format!("topicName: {other}"), immutable).await;
    let stays = "spec.cluster is immutable: a topic cannot move between Kafka clusters. Make a new EventTopic in the \
                 other cluster";
    t.rejects("products", "cluster: elsewhere", stays).await;
    // Writing down what it is already changes nothing, and cannot be taken back.
    t.made("products", &format!("{{topicName: {}, cluster: main}}", t.name("products"))).await;
    t.rejects("products", &format!("topicName: {}", t.name("products")), stays).await;
    assert!(t.kafka_topic("second").await.is_none());
}

#[tokio::test]
async fn a_topic_stays_what_it_is_when_the_prefix_changes() {
    let t = Fixture::new("shape").await;
    let before = t.made("orders", "{}").await.status.expect("a status");
    let name = t.name("orders");
    let other = format!("other-{}.", t.namespace);
    t.tenant(json!({"namespaces": [t.namespace], "topicPrefix": other})).await;
    let refused = t.condition("orders", "Ready=False NotSupported").await;
    assert_eq!(
        message(&refused, "Stalled"),
        format!(
            "spec.topicName: the Kafka topic is {name} and would now be {other}orders, and Kafka cannot rename a topic: \
             set spec.topicName: {name} if the tenant's prefix allows it, or create a new EventTopic and move producers and \
             consumers to it"
        )
    );
    assert!(t.stage.kafka.topic(&format!("{other}orders")).await.is_none(), "no second topic is made");
    assert_eq!(refused.status.and_then(|status| status.topic_name), Some(name));

    t.tenant(json!({"namespaces": [t.namespace]})).await;
    let after = t.ready("orders").await.status.expect("a status");
    assert_eq!((after.topic_name, after.topic_id), (before.topic_name, before.topic_id));
}
