//! Two resources that declare one Kafka topic.

use crate::support::{Fixture, has_condition, message};

async fn owner_and_other(spec: &str) -> Fixture {
    let t = Fixture::new("conflict").await;
    let spec = format!("{{topicName: {}, {spec}}}", t.kafka_name("shared"));
    t.topic("older").apply_and_wait(&spec).await;
    t.wait_for_next_second().await;
    t.topic("younger").apply(&spec).await;
    t.topic("younger").wait_for_condition("Ready=False ResourceConflict").await;
    t
}

#[tokio::test]
async fn the_older_resource_owns_the_topic_and_the_other_reports_a_conflict() {
    let t = owner_and_other("partitions: 2").await;
    let younger = t.topic("younger").get().await;
    assert_eq!(
        message(&younger, "Stalled"),
        format!(
            "Kafka topic {} in cluster main belongs to EventTopic {}/older, which is older: delete one of the two, or set \
             another spec.topicName in a new EventTopic",
            t.kafka_name("shared"),
            t.namespace
        )
    );
    assert!(
        has_condition(&t.topic("older").get().await, "Ready=True Available"),
        "the conflict does not affect the owner"
    );
    t.topic("younger").wait_for_event("ResourceConflict", "belongs to EventTopic").await;
    // The spec of the younger resource is not applied.
    let spec =
        format!("{{topicName: {}, partitions: 5, config: {{flush.ms: 1000}}}}", t.kafka_name("shared"));
    t.topic("younger").apply(&spec).await;
    t.topic("younger").wait_for_condition("Ready=False ResourceConflict").await;
    t.wait_for_resync().await;
    let kafka = t.kafka_topic("shared").await.expect("the Kafka topic exists");
    assert_eq!((kafka.partitions, kafka.config.len()), (2, 0));
}

#[tokio::test]
async fn a_default_name_conflicts_like_an_explicit_one() {
    let t = Fixture::new("conflict").await;
    t.topic("orders").apply_and_wait("{}").await;
    t.wait_for_next_second().await;
    t.topic("same").apply(&format!("topicName: {}", t.kafka_name("orders"))).await;
    t.topic("same").wait_for_condition("Ready=False ResourceConflict").await;

    t.topic("other").apply_and_wait(&format!("topicName: {}", t.kafka_name("products"))).await;
    t.wait_for_next_second().await;
    t.topic("products").apply("{}").await;
    let refused = t.topic("products").wait_for_condition("Ready=False ResourceConflict").await;
    assert!(message(&refused, "Ready").contains(&format!("{}/other", t.namespace)));
}

#[tokio::test]
async fn deleting_the_conflicting_resource_keeps_the_topic() {
    let t = owner_and_other("deletionPolicy: Delete").await;
    let before = t.kafka_topic("shared").await;
    t.topic("younger").delete_and_wait().await;
    t.wait_for_resync().await;
    assert_eq!(t.kafka_topic("shared").await, before);
    assert!(has_condition(&t.topic("older").get().await, "Ready=True Available"));
}

#[tokio::test]
async fn the_next_resource_owns_the_topic_after_the_owner_is_deleted() {
    let t = owner_and_other("deletionPolicy: Delete").await;
    let before = t.kafka_topic("shared").await.expect("the Kafka topic exists");
    t.topic("older").delete_and_wait().await;
    let new_owner = t.topic("younger").wait_until_ready().await;
    assert_eq!(
        new_owner.status.and_then(|status| status.topic_id),
        Some(before.id.clone()),
        "the Kafka topic is not recreated"
    );
    assert_eq!(t.kafka_topic("shared").await, Some(before));
    t.topic("older")
        .wait_for_event("Retained", &format!("EventTopic {}/younger takes the topic over", t.namespace))
        .await;
    // The new owner deletes the Kafka topic.
    t.topic("younger").delete_and_wait().await;
    t.wait_until_kafka_topic_deleted("shared").await;
}

#[tokio::test]
async fn the_next_resource_owns_the_topic_after_the_owner_is_unmanaged() {
    let t = owner_and_other("partitions: 1").await;
    // The owner adds partitions and is then unmanaged: Kafka has more partitions than the next owner declares.
    t.topic("older")
        .apply_and_wait(&format!("{{topicName: {}, partitions: 3}}", t.kafka_name("shared")))
        .await;
    t.topic("older").annotate("managed", Some("false")).await;
    t.topic("older").wait_for_condition("Ready=True Unmanaged").await;
    let new_owner = t.topic("younger").wait_for_condition("Ready=False NotSupported").await;
    assert!(message(&new_owner, "Ready").contains("set spec.partitions: 3"));
    t.topic("younger")
        .apply_and_wait(&format!("{{topicName: {}, partitions: 3}}", t.kafka_name("shared")))
        .await;
    // The older resource owns the topic again when it is managed again.
    t.topic("older").annotate("managed", None).await;
    t.topic("older").wait_for_condition("Ready=True Available").await;
    t.topic("younger").wait_for_condition("Ready=False ResourceConflict").await;
}

#[tokio::test]
async fn exactly_one_of_two_simultaneous_resources_owns_the_topic() {
    let t = Fixture::new("conflict").await;
    for round in 0..5 {
        let name = t.kafka_name(&format!("shared-{round}"));
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        let spec = format!("topicName: {name}");
        let configured = format!("{{{spec}, config: {{flush.ms: 1}}}}");
        let (first, second) = (t.topic(&one), t.topic(&other));
        tokio::join!(first.apply(&spec), second.apply(&configured));
        let settled = |topic: &eventcenter::api::EventTopic| {
            has_condition(topic, "Ready=True Available")
                || has_condition(topic, "Ready=False ResourceConflict")
        };
        // The first resource may be Ready for a moment, until the operator receives the other one, which is older.
        let (owner, loser) = loop {
            let (a, b) = (
                t.topic(&one).wait_for_status("ready or in conflict", settled).await,
                t.topic(&other).wait_for_status("ready or in conflict", settled).await,
            );
            match (has_condition(&a, "Ready=True"), has_condition(&b, "Ready=True")) {
                (true, false) => break (&one, b),
                (false, true) => break (&other, a),
                _ => tokio::time::sleep(crate::support::POLL_INTERVAL).await,
            }
        };
        let reported = message(&loser, "Ready");
        assert!(reported.contains(&format!("{}/{owner}, which is older", t.namespace)), "{reported}");
        t.topic(owner).delete_and_wait().await;
        t.topic(&loser.metadata.name.expect("a name")).wait_until_ready().await;
    }
}
