//! Changes of partitions, replicas, name and cluster.

use crate::support::{Fixture, has_condition, message};
use serde_json::json;

#[tokio::test]
async fn partitions_grow() {
    let t = Fixture::new("shape").await;
    let before = t.topic("orders").apply_and_wait("partitions: 2").await.status.expect("a status");
    let after = t
        .topic("orders")
        .apply_and_wait("{partitions: 3, config: {flush.ms: 1000}}")
        .await
        .status
        .expect("a status");
    t.wait_for_kafka_topic("orders", "3 partitions, and flush.ms is set", |topic| {
        topic.partitions == 3 && topic.get("flush.ms") == Some("1000")
    })
    .await;
    assert_eq!(after.partitions, Some(3));
    assert_eq!(after.topic_id, before.topic_id);
}

#[tokio::test]
async fn fewer_partitions_are_refused_at_once() {
    let t = Fixture::new("shape").await;
    t.topic("orders").apply_and_wait("partitions: 3").await;
    t.topic("orders").assert_rejected("partitions: 2", "spec.partitions cannot be reduced: Kafka cannot remove partitions. Create a new EventTopic with fewer")
    .await;
    t.topic("orders").assert_rejected("{}", "spec.partitions cannot be reduced").await;
    t.wait_for_partitions("orders", 3).await;
}

#[tokio::test]
async fn added_partitions_are_reported_and_other_changes_are_applied() {
    let t = Fixture::new("shape").await;
    t.topic("orders").apply_and_wait("partitions: 2").await;
    t.stage.kafka.add_partitions(&t.kafka_name("orders"), 4).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    let reported = message(&refused, "Stalled");
    assert!(
        reported.starts_with(
            "spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4"
        ),
        "{reported}"
    );
    assert_eq!(
        refused.status.and_then(|status| status.partitions),
        Some(4),
        "status.partitions is Kafka's number"
    );
    t.topic("orders").wait_for_event("NotSupported", "set spec.partitions: 4").await;

    t.topic("orders").apply("{partitions: 2, config: {compression.type: snappy}}").await;
    t.wait_for_kafka_topic("orders", "compression.type is set", |topic| {
        topic.get("compression.type") == Some("snappy")
    })
    .await;
    t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    t.topic("orders").apply("{partitions: 4, config: {compression.type: snappy}}").await;
    let ready = t.topic("orders").wait_until_ready().await;
    assert!(!has_condition(&ready, "Stalled=True") && has_condition(&ready, "InSync=True"));
}

#[tokio::test]
async fn replicas_do_not_change() {
    let t = Fixture::new("shape").await;
    t.topic("orders").apply_and_wait("{partitions: 2, replicas: 1}").await;
    t.topic("orders").apply("{partitions: 2, replicas: 2, config: {flush.ms: 1000}}").await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    let reported = message(&refused, "Ready");
    assert!(
        reported.contains("set spec.replicas: 1") && reported.contains("kafka-reassign-partitions"),
        "{reported}"
    );
    t.wait_for_kafka_topic("orders", "flush.ms is set", |topic| {
        topic.get("flush.ms") == Some("1000") && topic.replicas == 1
    })
    .await;
    t.topic("orders").apply_and_wait("{partitions: 2, replicas: 1}").await;
}

#[tokio::test]
async fn a_topic_is_not_renamed_and_does_not_move() {
    let t = Fixture::new("shape").await;
    let (name, other) = (t.kafka_name("first"), t.kafka_name("second"));
    t.topic("orders").apply_and_wait(&format!("topicName: {name}")).await;
    let immutable = "spec.topicName is immutable: Kafka cannot rename a topic. Create a new EventTopic and move producers \
                     and consumers to it";
    t.topic("orders").assert_rejected(&format!("topicName: {other}"), immutable).await;
    t.topic("orders").assert_rejected("{}", immutable).await;

    t.topic("products").apply_and_wait("{}").await;
    t.topic("products").assert_rejected(&format!("topicName: {other}"), immutable).await;
    let immutable_cluster = "spec.cluster is immutable: a topic cannot move between Kafka clusters. Create a new EventTopic in the \
                 other cluster";
    t.topic("products").assert_rejected("cluster: elsewhere", immutable_cluster).await;
    // The current name and cluster can be added to the spec, and cannot be removed again.
    t.topic("products")
        .apply_and_wait(&format!("{{topicName: {}, cluster: main}}", t.kafka_name("products")))
        .await;
    t.topic("products")
        .assert_rejected(&format!("topicName: {}", t.kafka_name("products")), immutable_cluster)
        .await;
    assert!(t.kafka_topic("second").await.is_none());
}

#[tokio::test]
async fn a_topic_keeps_its_name_when_the_prefix_changes() {
    let t = Fixture::new("shape").await;
    let before = t.topic("orders").apply_and_wait("{}").await.status.expect("a status");
    let name = t.kafka_name("orders");
    let other = format!("other-{}.", t.namespace);
    t.apply_tenant(json!({"namespaces": [t.namespace], "topicPrefix": other})).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    assert_eq!(
        message(&refused, "Stalled"),
        format!(
            "spec.topicName: the Kafka topic is {name} and would now be {other}orders, and Kafka cannot rename a topic: \
             set spec.topicName: {name} if the tenant's prefix allows it, or create a new EventTopic and move producers and \
             consumers to it"
        )
    );
    assert!(t.stage.kafka.topic(&format!("{other}orders")).await.is_none(), "no second topic is created");
    assert_eq!(refused.status.and_then(|status| status.topic_name), Some(name));

    t.apply_tenant(json!({"namespaces": [t.namespace]})).await;
    let after = t.topic("orders").wait_until_ready().await.status.expect("a status");
    assert_eq!((after.topic_name, after.topic_id), (before.topic_name, before.topic_id));
}
