//! Somebody changes Kafka directly.

use crate::support::{Fixture, has, message};
use eventcenter::api::{Drift, DriftAction, EventTopic};

fn drift(topic: &EventTopic) -> Option<&Drift> {
    topic.status.as_ref()?.last_drift.as_ref()
}

#[tokio::test]
async fn configuration_is_put_back_and_told() {
    let t = Fixture::new("drift").await;
    t.made("orders", "config: {segment.ms: 3600000}").await;
    let name = t.name("orders");
    t.stage.kafka.set(&name, "segment.ms", "7200000").await;
    t.stage.kafka.set(&name, "flush.ms", "1000").await;
    let topic = t.wait("orders", "put back", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("it is told");
    assert_eq!(drift.action, DriftAction::Corrected);
    assert_eq!(
        drift.changes,
        ["segment.ms is 7200000 instead of 3600000", "flush.ms is 1000 instead of the default"]
    );
    assert!(has(&topic, "Ready=True Available") && has(&topic, "InSync=True Available"));
    let kafka = t.in_kafka("orders", "put back", |topic| topic.get("segment.ms") == Some("3600000")).await;
    assert_eq!(kafka.config.len(), 1, "{kafka:?}");
    t.event("orders", "Drifted", "Corrected: segment.ms is 7200000 instead of 3600000; flush.ms").await;

    // A key that was taken away comes back, and is another drift.
    t.stage.kafka.reset(&name, "segment.ms").await;
    t.wait("orders", "put back again", |topic| {
        self::drift(topic)
            .is_some_and(|drift| drift.changes == ["segment.ms is the default instead of 3600000"])
    })
    .await;
    t.in_kafka("orders", "put back", |topic| topic.get("segment.ms") == Some("3600000")).await;
    t.event("orders", "Drifted", "Corrected: segment.ms is the default instead of 3600000").await;
}

#[tokio::test]
async fn configuration_is_only_told_where_that_is_wanted() {
    let t = Fixture::new("drift").await;
    t.made("orders", "{config: {segment.ms: 3600000}, driftPolicy: Report}").await;
    t.stage.kafka.set(&t.name("orders"), "segment.ms", "7200000").await;
    let topic = t.condition("orders", "InSync=False Drifted").await;
    assert_eq!(message(&topic, "InSync"), "segment.ms is 7200000 instead of 3600000");
    assert!(has(&topic, "Ready=True Available"), "what is declared is fine");
    assert_eq!(message(&topic, "Ready"), "Kafka differs from what is declared, see the condition InSync");
    assert_eq!(drift(&topic).expect("it is told").action, DriftAction::Reported);
    assert_eq!(
        topic.status.as_ref().and_then(|s| s.config.get("segment.ms")).map(String::as_str),
        Some("7200000")
    );
    t.event("orders", "Drifted", "Reported: segment.ms is 7200000 instead of 3600000").await;

    t.settled().await;
    let kafka = t.kafka_topic("orders").await.expect("it is there");
    assert_eq!(kafka.get("segment.ms"), Some("7200000"), "nothing was changed");
    let later = t.get("orders").await;
    assert_eq!(drift(&later), drift(&topic), "and the time at which it was first seen stays");

    // A change of the resource is asked for, and puts all of it in force.
    t.declare("orders", "{config: {segment.ms: 3600000, flush.ms: 1000}, driftPolicy: Report}").await;
    t.condition("orders", "InSync=True Available").await;
    let is_so = |topic: &crate::support::KafkaTopic| {
        topic.get("segment.ms") == Some("3600000") && topic.get("flush.ms") == Some("1000")
    };
    t.in_kafka("orders", "as declared", is_so).await;
}

#[tokio::test]
async fn somebody_who_takes_it_back_himself_is_seen() {
    let t = Fixture::new("drift").await;
    t.made("orders", "driftPolicy: Report").await;
    t.stage.kafka.set(&t.name("orders"), "flush.ms", "1000").await;
    t.condition("orders", "InSync=False Drifted").await;
    t.stage.kafka.reset(&t.name("orders"), "flush.ms").await;
    let topic = t.condition("orders", "InSync=True Available").await;
    assert!(drift(&topic).is_some(), "the note of the last one stays");
}

#[tokio::test]
async fn a_deleted_topic_is_made_again() {
    let t = Fixture::new("drift").await;
    let before =
        t.made("orders", "{partitions: 2, config: {segment.ms: 3600000}}").await.status.expect("a status");
    t.stage.kafka.delete(&t.name("orders")).await;
    let topic = t.wait("orders", "made again", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("it is told");
    assert_eq!(
        (drift.action, drift.changes.as_slice()),
        (DriftAction::Corrected, &["the topic does not exist in Kafka".to_owned()][..])
    );
    let kafka = t.in_kafka("orders", "made again", |topic| topic.partitions == 2).await;
    assert_eq!(kafka.get("segment.ms"), Some("3600000"));
    assert_ne!(Some(&kafka.id), before.topic_id.as_ref());
    t.wait("orders", "told its new identifier", |topic| {
        has(topic, "Ready=True Available")
            && topic.status.as_ref().is_some_and(|status| status.topic_id.as_ref() == Some(&kafka.id))
    })
    .await;
    t.event("orders", "Drifted", "Corrected: the topic does not exist in Kafka").await;
}

#[tokio::test]
async fn a_deleted_topic_is_only_told_where_that_is_wanted() {
    let t = Fixture::new("drift").await;
    t.made("orders", "driftPolicy: Report").await;
    t.stage.kafka.delete(&t.name("orders")).await;
    let topic = t.condition("orders", "Ready=False Drifted").await;
    assert!(has(&topic, "Stalled=True Drifted") && has(&topic, "InSync=False Drifted"));
    assert_eq!(
        message(&topic, "Ready"),
        "the topic does not exist in Kafka: set spec.driftPolicy: Correct to recreate it, or delete this resource"
    );
    t.settled().await;
    assert!(t.kafka_topic("orders").await.is_none(), "nothing was made");

    t.made("orders", "driftPolicy: Correct").await;
    t.in_kafka("orders", "made again", |_| true).await;
}

#[tokio::test]
async fn a_topic_that_was_made_again_is_noticed() {
    let t = Fixture::new("drift").await;
    let before = t
        .made("orders", "config: {segment.ms: 3600000}")
        .await
        .status
        .and_then(|s| s.topic_id)
        .expect("an id");
    // What was visited a moment ago is not looked at yet, so the operator never sees it gone.
    t.stage.kafka.delete(&t.name("orders")).await;
    let after = t.stage.kafka.create(&t.name("orders"), 1, &[("segment.ms", "3600000")]).await.id;
    let topic = t.wait("orders", "told its new identifier", |topic| drift(topic).is_some()).await;
    assert_eq!(
        drift(&topic).expect("it is told").changes,
        [format!("the topic was deleted and created again: id {before} -> {after}")]
    );
    assert_eq!(topic.status.as_ref().and_then(|status| status.topic_id.as_ref()), Some(&after));
    assert!(has(&topic, "Ready=True Available") && has(&topic, "InSync=True"), "it is just what is declared");
    t.event("orders", "Drifted", "deleted and created again").await;
}

#[tokio::test]
async fn fewer_partitions_of_one_made_again_grow() {
    let t = Fixture::new("drift").await;
    t.made("orders", "partitions: 3").await;
    t.stage.kafka.delete(&t.name("orders")).await;
    t.stage.kafka.create(&t.name("orders"), 1, &[]).await;
    let topic = t.wait("orders", "put right", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("it is told");
    assert_eq!(drift.action, DriftAction::Corrected);
    assert!(drift.changes.contains(&"1 partition instead of 3".to_owned()), "{:?}", drift.changes);
    t.in_kafka("orders", "grown", |topic| topic.partitions == 3).await;
}

#[tokio::test]
async fn fewer_partitions_are_only_told_where_that_is_wanted() {
    let t = Fixture::new("drift").await;
    t.made("orders", "{partitions: 3, driftPolicy: Report}").await;
    t.stage.kafka.delete(&t.name("orders")).await;
    t.stage.kafka.create(&t.name("orders"), 1, &[]).await;
    let topic = t.condition("orders", "InSync=False Drifted").await;
    assert!(message(&topic, "InSync").ends_with("1 partition instead of 3"), "{}", message(&topic, "InSync"));
    t.settled().await;
    assert_eq!(t.kafka_topic("orders").await.map(|topic| topic.partitions), Some(1));
}
