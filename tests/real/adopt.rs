//! A topic is in Kafka before it is declared.

use crate::support::{Fixture, has, message};

#[tokio::test]
async fn one_that_is_as_declared_is_taken_over_as_it_is() {
    let t = Fixture::new("adopt").await;
    let before = t.stage.kafka.create(&t.name("orders"), 3, &[("segment.ms", "7200000")]).await;
    let topic = t.made("orders", "{partitions: 3, config: {segment.ms: 7200000}}").await;
    assert_eq!(t.kafka_topic("orders").await, Some(before.clone()));
    let status = topic.status.expect("a status");
    assert_eq!(status.topic_id, Some(before.id));
    assert_eq!(status.config, before.config);
    assert!(status.last_drift.is_none(), "what is declared for the first time is no drift");
}

#[tokio::test]
async fn one_with_another_configuration_gets_what_is_declared() {
    let t = Fixture::new("adopt").await;
    let config = [("segment.ms", "7200000"), ("flush.ms", "1000"), ("retention.ms", "5000000")];
    let before = t.stage.kafka.create(&t.name("orders"), 1, &config).await;
    t.declare("orders", "{config: {segment.ms: 3600000}, ignoreConfig: [flush.ms]}").await;
    let topic = t.ready("orders").await;
    let after = t.in_kafka("orders", "as declared", |topic| topic.get("segment.ms") == Some("3600000")).await;
    assert_eq!(after.id, before.id, "it is the same topic");
    assert_eq!(after.get("flush.ms"), Some("1000"), "others manage it");
    assert_eq!(after.get("retention.ms"), None, "it is not declared");
    assert!(topic.status.expect("a status").last_drift.is_none());
}

#[tokio::test]
async fn one_with_fewer_partitions_grows() {
    let t = Fixture::new("adopt").await;
    let before = t.stage.kafka.create(&t.name("orders"), 2, &[]).await;
    t.made("orders", "partitions: 5").await;
    let after = t.in_kafka("orders", "grown", |topic| topic.partitions == 5).await;
    assert_eq!(after.id, before.id);
}

#[tokio::test]
async fn one_with_more_partitions_is_refused_with_the_way_out() {
    let t = Fixture::new("adopt").await;
    t.stage.kafka.create(&t.name("orders"), 4, &[]).await;
    t.declare("orders", "{partitions: 2, config: {segment.ms: 3600000}}").await;
    let refused = t.condition("orders", "Ready=False NotSupported").await;
    assert!(has(&refused, "Stalled=True NotSupported") && has(&refused, "InSync=False NotSupported"));
    assert_eq!(
        message(&refused, "Ready"),
        "spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4, or make a new EventTopic \
         with 2 and move producers and consumers to it"
    );
    let kafka = t.in_kafka("orders", "configured", |topic| topic.get("segment.ms").is_some()).await;
    assert_eq!(kafka.partitions, 4, "one impossible wish does not hold up the others");
    t.declare("orders", "{partitions: 4, config: {segment.ms: 3600000}}").await;
    let ready = t.ready("orders").await;
    assert!(!has(&ready, "Stalled=True"));
}

#[tokio::test]
async fn one_with_other_replicas_is_refused_with_the_way_out() {
    let t = Fixture::new("adopt").await;
    t.stage.kafka.create(&t.name("orders"), 1, &[]).await;
    t.declare("orders", "replicas: 2").await;
    let refused = t.condition("orders", "Stalled=True NotSupported").await;
    assert_eq!(
        message(&refused, "Ready"),
        "spec.replicas: Kafka keeps 1 replica and the operator does not move replicas: set spec.replicas: 1, or reassign \
         the partitions to 2 brokers each with kafka-reassign-partitions"
    );
    t.made("orders", "replicas: 1").await;
}
