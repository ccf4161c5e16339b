//! Changes that others make in Kafka.

use crate::support::{Fixture, has_condition, message};
use eventcenter::api::{Drift, DriftAction, EventTopic};

fn drift(topic: &EventTopic) -> Option<&Drift> {
    topic.status.as_ref()?.last_drift.as_ref()
}

#[tokio::test]
async fn configuration_drift_is_corrected_and_reported() {
    let t = Fixture::new("drift").await;
    t.topic("orders").apply_and_wait("config: {segment.ms: 3600000}").await;
    let name = t.kafka_name("orders");
    t.stage.kafka.set(&name, "segment.ms", "7200000").await;
    t.stage.kafka.set(&name, "flush.ms", "1000").await;
    let topic =
        t.topic("orders").wait_for_status("status.lastDrift is set", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("drift is reported");
    assert_eq!(drift.action, DriftAction::Corrected);
    assert_eq!(
        drift.changes,
        ["segment.ms is 7200000 instead of 3600000", "flush.ms is 1000 instead of the default"]
    );
    assert!(has_condition(&topic, "Ready=True Available") && has_condition(&topic, "InSync=True Available"));
    let kafka = t
        .wait_for_kafka_topic("orders", "segment.ms is corrected", |topic| {
            topic.get("segment.ms") == Some("3600000")
        })
        .await;
    assert_eq!(kafka.config.len(), 1, "{kafka:?}");
    t.topic("orders")
        .wait_for_event("Drifted", "Corrected: segment.ms is 7200000 instead of 3600000; flush.ms")
        .await;

    // A removed key is set again and reported as another drift.
    t.stage.kafka.reset(&name, "segment.ms").await;
    t.topic("orders")
        .wait_for_status("status.lastDrift is the new drift", |topic| {
            self::drift(topic)
                .is_some_and(|drift| drift.changes == ["segment.ms is the default instead of 3600000"])
        })
        .await;
    t.wait_for_kafka_topic("orders", "segment.ms is corrected", |topic| {
        topic.get("segment.ms") == Some("3600000")
    })
    .await;
    t.topic("orders")
        .wait_for_event("Drifted", "Corrected: segment.ms is the default instead of 3600000")
        .await;
}

#[tokio::test]
async fn configuration_drift_is_only_reported_with_drift_policy_report() {
    let t = Fixture::new("drift").await;
    t.topic("orders").apply_and_wait("{config: {segment.ms: 3600000}, driftPolicy: Report}").await;
    t.stage.kafka.set(&t.kafka_name("orders"), "segment.ms", "7200000").await;
    let topic = t.topic("orders").wait_for_condition("InSync=False Drifted").await;
    assert_eq!(message(&topic, "InSync"), "segment.ms is 7200000 instead of 3600000");
    assert!(has_condition(&topic, "Ready=True Available"), "drift does not affect Ready");
    assert_eq!(message(&topic, "Ready"), "Kafka differs from what is declared, see the condition InSync");
    assert_eq!(drift(&topic).expect("drift is reported").action, DriftAction::Reported);
    assert_eq!(
        topic.status.as_ref().and_then(|s| s.config.get("segment.ms")).map(String::as_str),
        Some("7200000")
    );
    t.topic("orders").wait_for_event("Drifted", "Reported: segment.ms is 7200000 instead of 3600000").await;

    t.wait_for_resync().await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert_eq!(kafka.get("segment.ms"), Some("7200000"), "the drift is not corrected");
    let later = t.topic("orders").get().await;
    assert_eq!(drift(&later), drift(&topic), "its first observation stays");

    // A change of the spec applies the whole spec.
    t.topic("orders").apply("{config: {segment.ms: 3600000, flush.ms: 1000}, driftPolicy: Report}").await;
    t.topic("orders").wait_for_condition("InSync=True Available").await;
    let is_as_declared = |topic: &crate::support::KafkaTopic| {
        topic.get("segment.ms") == Some("3600000") && topic.get("flush.ms") == Some("1000")
    };
    t.wait_for_kafka_topic("orders", "segment.ms and flush.ms are as declared", is_as_declared).await;
}

#[tokio::test]
async fn reported_drift_that_is_reverted_is_cleared() {
    let t = Fixture::new("drift").await;
    t.topic("orders").apply_and_wait("driftPolicy: Report").await;
    t.stage.kafka.set(&t.kafka_name("orders"), "flush.ms", "1000").await;
    t.topic("orders").wait_for_condition("InSync=False Drifted").await;
    t.stage.kafka.reset(&t.kafka_name("orders"), "flush.ms").await;
    let topic = t.topic("orders").wait_for_condition("InSync=True Available").await;
    assert!(drift(&topic).is_some(), "status.lastDrift stays");
}

#[tokio::test]
async fn a_deleted_topic_is_recreated() {
    let t = Fixture::new("drift").await;
    let before = t
        .topic("orders")
        .apply_and_wait("{partitions: 2, config: {segment.ms: 3600000}}")
        .await
        .status
        .expect("a status");
    t.stage.kafka.delete(&t.kafka_name("orders")).await;
    let topic =
        t.topic("orders").wait_for_status("status.lastDrift is set", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("drift is reported");
    assert_eq!(
        (drift.action, drift.changes.as_slice()),
        (DriftAction::Corrected, &["the topic does not exist in Kafka".to_owned()][..])
    );
    let kafka = t.wait_for_kafka_topic("orders", "recreated", |topic| topic.partitions == 2).await;
    assert_eq!(kafka.get("segment.ms"), Some("3600000"));
    assert_ne!(Some(&kafka.id), before.topic_id.as_ref());
    t.topic("orders")
        .wait_for_status("status.topicId is the new id", |topic| {
            has_condition(topic, "Ready=True Available")
                && topic.status.as_ref().is_some_and(|status| status.topic_id.as_ref() == Some(&kafka.id))
        })
        .await;
    t.topic("orders").wait_for_event("Drifted", "Corrected: the topic does not exist in Kafka").await;
}

#[tokio::test]
async fn a_deleted_topic_is_only_reported_with_drift_policy_report() {
    let t = Fixture::new("drift").await;
    t.topic("orders").apply_and_wait("driftPolicy: Report").await;
    t.stage.kafka.delete(&t.kafka_name("orders")).await;
    let topic = t.topic("orders").wait_for_condition("Ready=False Drifted").await;
    assert!(has_condition(&topic, "Stalled=True Drifted") && has_condition(&topic, "InSync=False Drifted"));
    assert_eq!(
        message(&topic, "Ready"),
        "the topic does not exist in Kafka: set spec.driftPolicy: Correct to recreate it, or delete this resource"
    );
    t.wait_for_resync().await;
    assert!(t.kafka_topic("orders").await.is_none(), "the topic is not recreated");

    t.topic("orders").apply_and_wait("driftPolicy: Correct").await;
    t.wait_for_kafka_topic("orders", "recreated", |_| true).await;
}

#[tokio::test]
async fn fewer_partitions_are_only_reported_with_drift_policy_report() {
    let t = Fixture::new("drift").await;
    t.topic("orders").apply_and_wait("{partitions: 3, driftPolicy: Report}").await;
    t.stage.kafka.delete(&t.kafka_name("orders")).await;
    t.stage.kafka.create(&t.kafka_name("orders"), 1, &[]).await;
    // Meanwhile the operator may report that the topic does not exist.
    t.topic("orders")
        .wait_for_status("InSync=False Drifted, 1 partition instead of 3", |topic| {
            has_condition(topic, "InSync=False Drifted")
                && message(topic, "InSync").ends_with("1 partition instead of 3")
        })
        .await;
    t.wait_for_resync().await;
    assert_eq!(t.kafka_topic("orders").await.map(|topic| topic.partitions), Some(1));
}
