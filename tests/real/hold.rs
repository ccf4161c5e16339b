//! Resources that annotations pause or exclude from management.

use crate::support::{Fixture, has_condition, message};

#[tokio::test]
async fn a_change_of_a_paused_topic_is_applied_when_it_is_resumed() {
    let t = Fixture::new("hold").await;
    let before = t.topic("orders").apply_and_wait("{}").await.status.expect("a status");
    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").wait_for_condition("Ready=True Paused").await;
    t.topic("orders").apply("{partitions: 3, config: {flush.ms: 1000}}").await;
    let paused = t.topic("orders").wait_for_condition("Ready=True Paused").await;
    assert_eq!(message(&paused, "Ready"), "paused by the annotation eventcenter.io/paused");
    assert_eq!(paused.status.as_ref().and_then(|s| s.topic_id.as_ref()), before.topic_id.as_ref());
    t.wait_for_resync().await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert_eq!((kafka.partitions, kafka.config.len()), (1, 0));
    t.topic("orders").wait_for_event("Paused", "paused by the annotation").await;

    t.topic("orders").annotate("paused", None).await;
    let resumed = t.topic("orders").wait_until_ready().await;
    t.wait_for_kafka_topic("orders", "the spec is applied", |topic| {
        topic.partitions == 3 && topic.get("flush.ms") == Some("1000")
    })
    .await;
    assert!(resumed.status.expect("a status").last_drift.is_none(), "an applied change is no drift");
}

#[tokio::test]
async fn a_topic_paused_from_the_start_is_not_created() {
    let t = Fixture::new("hold").await;
    let mut manifest = t.topic("orders").manifest("{}");
    manifest["metadata"]["annotations"] = serde_json::json!({"eventcenter.io/paused": "true"});
    t.apply(&manifest).await;
    // Nobody may take it for a finished topic.
    t.topic("orders").wait_for_condition("Ready=False Paused").await;
    t.wait_for_resync().await;
    assert!(t.kafka_topic("orders").await.is_none());
    t.topic("orders").annotate("paused", Some("false")).await;
    t.topic("orders").wait_until_ready().await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn drift_of_a_paused_topic_is_not_corrected() {
    let t = Fixture::new("hold").await;
    t.topic("orders").apply_and_wait("config: {segment.ms: 3600000}").await;
    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").wait_for_condition("Ready=True Paused").await;
    t.stage.kafka.set(&t.kafka_name("orders"), "segment.ms", "7200000").await;
    t.wait_for_resync().await;
    assert_eq!(
        t.kafka_topic("orders").await.expect("the Kafka topic exists").get("segment.ms"),
        Some("7200000")
    );
    t.topic("orders").annotate("paused", None).await;
    t.wait_for_kafka_topic("orders", "segment.ms is corrected", |topic| {
        topic.get("segment.ms") == Some("3600000")
    })
    .await;
}

#[tokio::test]
async fn a_topic_recreated_while_paused_has_its_new_id() {
    let t = Fixture::new("hold").await;
    let before = t.topic("orders").apply_and_wait("{}").await.status.and_then(|status| status.topic_id);
    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").wait_for_condition("Ready=True Paused").await;
    t.stage.kafka.delete(&t.kafka_name("orders")).await;
    let id = t.stage.kafka.create(&t.kafka_name("orders"), 1, &[]).await.id;
    assert_ne!(Some(&id), before.as_ref());
    t.topic("orders").annotate("paused", None).await;
    t.topic("orders")
        .wait_for_status("status.topicId is the new id", |topic| {
            has_condition(topic, "Ready=True Available")
                && topic.status.as_ref().is_some_and(|status| status.topic_id.as_ref() == Some(&id))
        })
        .await;
}

#[tokio::test]
async fn the_deletion_of_a_paused_topic_waits() {
    let t = Fixture::new("hold").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").wait_for_condition("Ready=True Paused").await;
    t.topic("orders").delete().await;
    let waiting = t.topic("orders").wait_for_condition("Ready=False Paused").await;
    let reported = message(&waiting, "Ready");
    assert!(
        reported.starts_with(
            "deletion waits because the resource is paused: remove the annotation eventcenter.io/paused"
        ),
        "{reported}"
    );
    t.wait_for_resync().await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.topic("orders").annotate("paused", None).await;
    t.topic("orders").wait_until_deleted().await;
    t.wait_until_kafka_topic_deleted("orders").await;
}

#[tokio::test]
async fn a_paused_resource_that_retains_its_topic_is_deleted_at_once() {
    let t = Fixture::new("hold").await;
    t.topic("orders").apply_and_wait("{}").await;
    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").delete_and_wait().await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn an_unmanaged_topic_is_never_changed() {
    let t = Fixture::new("hold").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    t.topic("orders").annotate("managed", Some("false")).await;
    let unmanaged = t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    let status = unmanaged.status.as_ref().expect("a status");
    assert!(
        status.topic_name.is_none() && status.topic_id.is_none(),
        "the status of an unmanaged topic does not describe Kafka"
    );
    assert!(unmanaged.metadata.finalizers.is_none(), "its deletion requires no cleanup");
    t.topic("orders").apply("{partitions: 3, config: {flush.ms: 1000}, deletionPolicy: Delete}").await;
    let changed = t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    t.stage.kafka.set(&t.kafka_name("orders"), "segment.ms", "7200000").await;
    t.wait_for_resync().await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert_eq!(kafka.partitions, 1);
    assert_eq!(kafka.config.keys().collect::<Vec<_>>(), ["segment.ms"]);
    assert_eq!(
        t.topic("orders").get().await.metadata.resource_version,
        changed.metadata.resource_version,
        "a resync does not write its status"
    );
    t.topic("orders").delete_and_wait().await;
    assert_eq!(t.kafka_topic("orders").await, Some(kafka));
}

#[tokio::test]
async fn a_topic_that_is_managed_again_is_corrected() {
    let t = Fixture::new("hold").await;
    let mut manifest = t.topic("orders").manifest("config: {flush.ms: 1000}");
    manifest["metadata"]["annotations"] = serde_json::json!({"eventcenter.io/managed": "false"});
    t.apply(&manifest).await;
    t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    t.wait_for_resync().await;
    assert!(t.kafka_topic("orders").await.is_none());
    let id = t.stage.kafka.create(&t.kafka_name("orders"), 1, &[]).await.id;
    t.topic("orders").annotate("managed", Some("true")).await;
    let topic = t.topic("orders").wait_until_ready().await;
    t.wait_for_kafka_topic("orders", "flush.ms is as declared", |topic| {
        topic.get("flush.ms") == Some("1000")
    })
    .await;
    let status = topic.status.expect("a status");
    assert_eq!((status.topic_name, status.topic_id), (Some(t.kafka_name("orders")), Some(id)));
}

#[tokio::test]
async fn an_annotation_value_other_than_true_or_false_is_refused() {
    let t = Fixture::new("hold").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    for key in ["paused", "managed"] {
        t.topic("orders").annotate(key, Some("yes")).await;
        let refused = t.topic("orders").wait_for_condition("Stalled=True InvalidResource").await;
        assert_eq!(
            message(&refused, "Ready"),
            format!(
                "metadata.annotations[eventcenter.io/{key}]: the value is \"true\" or \"false\"; correct or remove it"
            )
        );
        t.topic("orders").annotate(key, None).await;
        t.topic("orders").wait_until_ready().await;
    }
    // Another interpretation of the value could delete data.
    t.topic("orders").annotate("managed", Some("no")).await;
    t.topic("orders").wait_for_condition("Stalled=True InvalidResource").await;
    t.topic("orders").delete().await;
    t.wait_for_resync().await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.topic("orders").annotate("managed", Some("false")).await;
    t.topic("orders").wait_until_deleted().await;
    assert!(t.kafka_topic("orders").await.is_some());
}
