//! Annotations take a resource out of the operator's hands: paused for a while, unmanaged for good.

use crate::support::{Fixture, has, message};

#[tokio::test]
async fn a_paused_change_waits_and_is_made_when_it_is_resumed() {
    let t = Fixture::new("hold").await;
    let before = t.made("orders", "{}").await.status.expect("a status");
    t.annotate("orders", "paused", Some("true")).await;
    t.condition("orders", "Ready=True Paused").await;
    t.declare("orders", "{partitions: 3, config: {flush.ms: 1000}}").await;
    let paused = t.condition("orders", "Ready=True Paused").await;
    assert_eq!(message(&paused, "Ready"), "paused by the annotation eventcenter.io/paused");
    assert_eq!(paused.status.as_ref().and_then(|s| s.topic_id.as_ref()), before.topic_id.as_ref());
    t.settled().await;
    let kafka = t.kafka_topic("orders").await.expect("it is there");
    assert_eq!((kafka.partitions, kafka.config.len()), (1, 0));
    t.event("orders", "Paused", "paused by the annotation").await;

    t.annotate("orders", "paused", None).await;
    let resumed = t.ready("orders").await;
    t.in_kafka("orders", "changed", |topic| topic.partitions == 3 && topic.get("flush.ms") == Some("1000"))
        .await;
    assert!(resumed.status.expect("a status").last_drift.is_none(), "the change was asked for");
}

#[tokio::test]
async fn one_paused_from_the_beginning_is_not_made() {
    let t = Fixture::new("hold").await;
    let mut manifest = t.manifest("orders", "{}");
    manifest["metadata"]["annotations"] = serde_json::json!({"eventcenter.io/paused": "true"});
    t.apply(&manifest).await;
    t.condition("orders", "Ready=True Paused").await;
    t.settled().await;
    assert!(t.kafka_topic("orders").await.is_none());
    t.annotate("orders", "paused", Some("false")).await;
    t.ready("orders").await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn drift_of_a_paused_one_is_left_alone() {
    let t = Fixture::new("hold").await;
    t.made("orders", "config: {segment.ms: 3600000}").await;
    t.annotate("orders", "paused", Some("true")).await;
    t.condition("orders", "Ready=True Paused").await;
    t.stage.kafka.set(&t.name("orders"), "segment.ms", "7200000").await;
    t.settled().await;
    assert_eq!(t.kafka_topic("orders").await.expect("it is there").get("segment.ms"), Some("7200000"));
    t.annotate("orders", "paused", None).await;
    t.in_kafka("orders", "put back", |topic| topic.get("segment.ms") == Some("3600000")).await;
}

#[tokio::test]
async fn one_recreated_while_paused_is_known_by_its_new_identifier() {
    let t = Fixture::new("hold").await;
    let before = t.made("orders", "{}").await.status.and_then(|status| status.topic_id);
    t.annotate("orders", "paused", Some("true")).await;
    t.condition("orders", "Ready=True Paused").await;
    t.stage.kafka.delete(&t.name("orders")).await;
    let id = t.stage.kafka.create(&t.name("orders"), 1, &[]).await.id;
    assert_ne!(Some(&id), before.as_ref());
    t.annotate("orders", "paused", None).await;
    t.wait("orders", "told the new identifier", |topic| {
        has(topic, "Ready=True Available")
            && topic.status.as_ref().is_some_and(|status| status.topic_id.as_ref() == Some(&id))
    })
    .await;
}

#[tokio::test]
async fn deletion_of_a_paused_one_waits() {
    let t = Fixture::new("hold").await;
    t.made("orders", "deletionPolicy: Delete").await;
    t.annotate("orders", "paused", Some("true")).await;
    t.condition("orders", "Ready=True Paused").await;
    t.delete("orders").await;
    let waiting = t.condition("orders", "Ready=False Paused").await;
    let told = message(&waiting, "Ready");
    assert!(
        told.starts_with(
            "deletion waits because the resource is paused: remove the annotation eventcenter.io/paused"
        ),
        "{told}"
    );
    t.settled().await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.annotate("orders", "paused", None).await;
    t.gone("orders").await;
    t.deleted("orders").await;
}

#[tokio::test]
async fn a_paused_one_that_retains_its_topic_goes_at_once() {
    let t = Fixture::new("hold").await;
    t.made("orders", "{}").await;
    t.annotate("orders", "paused", Some("true")).await;
    t.remove("orders").await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn an_unmanaged_one_is_never_touched() {
    let t = Fixture::new("hold").await;
    t.made("orders", "deletionPolicy: Delete").await;
    t.annotate("orders", "managed", Some("false")).await;
    let unmanaged = t.condition("orders", "Ready=True Unmanaged").await;
    let status = unmanaged.status.as_ref().expect("a status");
    assert!(
        status.topic_name.is_none() && status.topic_id.is_none(),
        "what others manage is not vouched for"
    );
    assert!(unmanaged.metadata.finalizers.is_none(), "nothing is to be done when it goes");
    t.declare("orders", "{partitions: 3, config: {flush.ms: 1000}, deletionPolicy: Delete}").await;
    let changed = t.condition("orders", "Ready=True Unmanaged").await;
    t.stage.kafka.set(&t.name("orders"), "segment.ms", "7200000").await;
    t.settled().await;
    let kafka = t.kafka_topic("orders").await.expect("it is there");
    assert_eq!(kafka.partitions, 1);
    assert_eq!(kafka.config.keys().collect::<Vec<_>>(), ["segment.ms"]);
    assert_eq!(
        t.get("orders").await.metadata.resource_version,
        changed.metadata.resource_version,
        "its status is not written again and again"
    );
    t.remove("orders").await;
    assert_eq!(t.kafka_topic("orders").await, Some(kafka));
}

#[tokio::test]
async fn one_that_is_managed_again_is_put_right() {
    let t = Fixture::new("hold").await;
    let mut manifest = t.manifest("orders", "config: {flush.ms: 1000}");
    manifest["metadata"]["annotations"] = serde_json::json!({"eventcenter.io/managed": "false"});
    t.apply(&manifest).await;
    t.condition("orders", "Ready=True Unmanaged").await;
    t.settled().await;
    assert!(t.kafka_topic("orders").await.is_none());
    let id = t.stage.kafka.create(&t.name("orders"), 1, &[]).await.id;
    t.annotate("orders", "managed", Some("true")).await;
    let topic = t.ready("orders").await;
    t.in_kafka("orders", "put right", |topic| topic.get("flush.ms") == Some("1000")).await;
    let status = topic.status.expect("a status");
    assert_eq!((status.topic_name, status.topic_id), (Some(t.name("orders")), Some(id)));
}

#[tokio::test]
async fn a_value_that_says_neither_is_refused() {
    let t = Fixture::new("hold").await;
    t.made("orders", "deletionPolicy: Delete").await;
    for key in ["paused", "managed"] {
        t.annotate("orders", key, Some("yes")).await;
        let refused = t.condition("orders", "Stalled=True InvalidResource").await;
        assert_eq!(
            message(&refused, "Ready"),
            format!(
                "metadata.annotations[eventcenter.io/{key}]: the value is \"true\" or \"false\"; correct or remove it"
            )
        );
        t.annotate("orders", key, None).await;
        t.ready("orders").await;
    }
    // Guessing what was meant could delete data.
    t.annotate("orders", "managed", Some("no")).await;
    t.condition("orders", "Stalled=True InvalidResource").await;
    t.delete("orders").await;
    t.settled().await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.annotate("orders", "managed", Some("false")).await;
    t.gone("orders").await;
    assert!(t.kafka_topic("orders").await.is_some());
}
