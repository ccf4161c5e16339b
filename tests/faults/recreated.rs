//! A topic is deleted and created in Kafka by others.

use anyhow::Result;
use eventcenter::api::{Drift, DriftAction, EventTopic};

use crate::fixture::FaultFixture;
use crate::proxy::Mode;
use crate::support::{KafkaTopic, has_condition};

/// Deletes and creates a topic while the operator's requests to Kafka are held, so that it never sees the topic missing.
async fn recreate(t: &FaultFixture, name: &str, config: &[(&str, &str)]) -> KafkaTopic {
    t.parts.kafka_proxy.set(Mode::HoldRequests);
    t.stage.kafka.delete(&t.kafka_name(name)).await;
    let topic = t.stage.kafka.create(&t.kafka_name(name), 1, config).await;
    t.parts.kafka_proxy.set(Mode::Pass);
    topic
}

async fn wait_for_drift(t: &FaultFixture, name: &str) -> (EventTopic, Drift) {
    let drift = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.last_drift.clone());
    let topic = t.topic(name).wait_for_status("status.lastDrift", |topic| drift(topic).is_some()).await;
    let drift = drift(&topic).expect("status.lastDrift is set");
    (topic, drift)
}

#[tokio::test]
async fn a_recreated_topic_is_drift() -> Result<()> {
    let t = FaultFixture::new("recreated").await?;
    let _operator = t.parts.start_operator("a", &[])?;
    let before = t.topic("orders").apply_and_wait("config: {segment.ms: 3600000}").await;
    let before = before.status.and_then(|status| status.topic_id).expect("an id");
    let after = recreate(&t, "orders", &[("segment.ms", "3600000")]).await.id;
    let (topic, drift) = wait_for_drift(&t, "orders").await;
    assert_eq!(drift.changes, [format!("the topic was deleted and created again: id {before} -> {after}")]);
    assert_eq!(topic.status.as_ref().and_then(|status| status.topic_id.as_ref()), Some(&after));
    // Kafka does not differ from the spec in any other way.
    assert!(has_condition(&topic, "Ready=True Available") && has_condition(&topic, "InSync=True"));
    t.topic("orders").wait_for_event("Drifted", "deleted and created again").await;
    Ok(())
}

#[tokio::test]
async fn a_recreated_topic_with_fewer_partitions_grows() -> Result<()> {
    let t = FaultFixture::new("recreated-small").await?;
    let _operator = t.parts.start_operator("a", &[])?;
    t.topic("orders").apply_and_wait("partitions: 3").await;
    recreate(&t, "orders", &[]).await;
    let (_, drift) = wait_for_drift(&t, "orders").await;
    assert_eq!(drift.action, DriftAction::Corrected);
    assert!(drift.changes.contains(&"1 partition instead of 3".to_owned()), "{:?}", drift.changes);
    t.wait_for_kafka_topic("orders", "of 3 partitions", |topic| topic.partitions == 3).await;
    Ok(())
}
