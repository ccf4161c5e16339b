//! Deletion of a resource, with or without its Kafka topic.

use crate::stage;
use crate::support::{Fixture, ObjectPath, has_condition, message, until};
use eventcenter::api::EventTopic;
use serde_json::{Value, json};
use std::sync::Arc;
use xtask::kafka::{BrokerOptions, KafkaBroker, Profile};

const FINALIZER: &str = "eventcenter.io/clean-up-kafka";

fn finalizers(topic: &EventTopic) -> &[String] {
    topic.metadata.finalizers.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_topic_is_retained_by_default() {
    let t = Fixture::new("deletion").await;
    let topic = t.topic("orders").apply_and_wait("config: {flush.ms: 1000}").await;
    assert!(finalizers(&topic).is_empty(), "a retained topic requires no finalizer");
    let before = t.kafka_topic("orders").await;
    t.topic("orders").delete_and_wait().await;
    t.wait_for_resync().await;
    assert_eq!(t.kafka_topic("orders").await, before);
    // A new resource adopts the topic.
    let again = t.topic("orders").apply_and_wait("config: {flush.ms: 1000}").await;
    assert_eq!(again.status.and_then(|status| status.topic_id), before.map(|topic| topic.id));
}

#[tokio::test]
async fn a_topic_is_deleted_with_deletion_policy_delete() {
    let t = Fixture::new("deletion").await;
    let topic = t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    assert_eq!(finalizers(&topic), [FINALIZER]);
    t.topic("orders").delete_and_wait().await;
    t.wait_until_kafka_topic_deleted("orders").await;
    t.topic("orders")
        .wait_for_event("Deleted", &format!("deleted Kafka topic {} in cluster main", t.kafka_name("orders")))
        .await;
}

#[tokio::test]
async fn a_missing_topic_does_not_block_the_deletion() {
    let t = Fixture::new("deletion").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    t.stage.kafka.delete(&t.kafka_name("orders")).await;
    t.topic("orders").delete_and_wait().await;
}

#[tokio::test]
async fn the_finalizer_exists_only_while_it_is_needed() {
    let t = Fixture::new("deletion").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    let patch = json!({"metadata": {"finalizers": null}});
    t.kube.merge(t.topic("orders").path(), &patch).await;
    t.topic("orders")
        .wait_for_status("the finalizer is restored", |topic| finalizers(topic) == [FINALIZER])
        .await;

    // The finalizer of another controller stays.
    let patch = json!({"metadata": {"finalizers": ["example.com/other"]}});
    t.kube.merge(t.topic("orders").path(), &patch).await;
    t.topic("orders")
        .wait_for_status("both finalizers exist", |topic| {
            finalizers(topic) == ["example.com/other", FINALIZER]
        })
        .await;

    t.topic("orders").apply_and_wait("deletionPolicy: Retain").await;
    t.topic("orders")
        .wait_for_status("the finalizer is removed", |topic| finalizers(topic) == ["example.com/other"])
        .await;
    t.kube.merge(t.topic("orders").path(), &json!({"metadata": {"finalizers": null}})).await;
    t.topic("orders").delete_and_wait().await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn a_namespace_is_deleted_with_its_topics() {
    let t = Fixture::new("deletion").await;
    for (name, policy) in [("kept", "Retain"), ("deleted", "Delete")] {
        t.topic(name).apply(&format!("deletionPolicy: {policy}")).await;
    }
    t.topic("kept").wait_until_ready().await;
    t.topic("deleted").wait_until_ready().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": t.namespace}});
    let path = ObjectPath::of(&namespace);
    t.kube.delete(&path).await;
    let deleted = until(async || match t.kube.get::<Value>(&path).await {
        None => Ok(()),
        Some(object) => Err(object.to_string()),
    });
    if let Err(seen) = deleted.await {
        t.fail("the namespace still exists", &seen);
    }
    assert!(t.kafka_topic("kept").await.is_some());
    t.wait_until_kafka_topic_deleted("deleted").await;
}

#[tokio::test]
async fn a_topic_without_a_tenant_is_not_deleted() {
    let t = Fixture::new("deletion").await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    t.apply_tenant(json!({"namespaces": []})).await;
    t.topic("orders").wait_for_condition("Ready=False TenantNotFound").await;
    t.topic("orders").delete_and_wait().await;
    t.topic("orders")
        .wait_for_event("Retained", "cannot determine which Kafka topic to delete (TenantNotFound")
        .await;
    assert!(t.kafka_topic("orders").await.is_some());
}

/// A separate broker with `delete.topic.enable=false`.
#[tokio::test]
async fn a_broker_that_refuses_deletion_is_quoted_and_the_remedy_works() {
    let t = Fixture::new("deletion").await;
    let folder = tempfile::tempdir().expect("a folder");
    let options = BrokerOptions {
        properties: vec![("delete.topic.enable".into(), "false".into())],
        ..BrokerOptions::default()
    };
    let libs = stage::environment().libs();
    let path = folder.path().to_owned();
    let broker =
        tokio::task::spawn_blocking(move || KafkaBroker::start(&path, &libs, Profile::Plaintext, &options));
    let broker = Arc::new(broker.await.expect("no panic").expect("a broker"));
    let cluster = t.create_cluster(json!({"bootstrapServers": [broker.bootstrap()]})).await;

    t.topic("orders").apply_and_wait(&format!("{{cluster: {cluster}, deletionPolicy: Delete}}")).await;
    t.topic("orders").delete().await;
    let refused = t.topic("orders").wait_for_condition("Ready=False KafkaError").await;
    assert!(has_condition(&refused, "Stalled=True KafkaError"));
    let reported = message(&refused, "Ready");
    assert!(
        reported.starts_with(&format!("deleting Kafka topic {}: DeleteTopics: ", t.kafka_name("orders")))
            && reported.contains("if their delete.topic.enable is false")
            && reported
                .ends_with("Set spec.deletionPolicy: Retain to delete only the resource and keep the topic"),
        "{reported}"
    );
    t.topic("orders").apply(&format!("{{cluster: {cluster}, deletionPolicy: Retain}}")).await;
    t.topic("orders").wait_until_deleted().await;
    let kafka = crate::support::Broker::plaintext(&broker.bootstrap());
    assert!(kafka.topic(&t.kafka_name("orders")).await.is_some());
    t.delete_cluster().await;
}
