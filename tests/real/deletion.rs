//! A resource goes, and its Kafka topic goes or stays.

use crate::support::{Fixture, Place, has, message, until};
use eventcenter::api::EventTopic;
use serde_json::{Value, json};
use std::sync::Arc;
use xtask::kafka::{BrokerOptions, KafkaBroker, Profile};

const FINALIZER: &str = "eventcenter.io/clean-up-kafka";

fn finalizers(topic: &EventTopic) -> &[String] {
    topic.metadata.finalizers.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn the_topic_stays_by_default() {
    let t = Fixture::new("deletion").await;
    let topic = t.made("orders", "config: {flush.ms: 1000}").await;
    assert!(finalizers(&topic).is_empty(), "nothing is to be done, so nothing holds it");
    let before = t.kafka_topic("orders").await;
    t.remove("orders").await;
    t.settled().await;
    assert_eq!(t.kafka_topic("orders").await, before);
    // And is taken over by whoever declares it again.
    let again = t.made("orders", "config: {flush.ms: 1000}").await;
    assert_eq!(again.status.and_then(|status| status.topic_id), before.map(|topic| topic.id));
}

#[tokio::test]
async fn the_topic_goes_along_where_that_is_declared() {
    let t = Fixture::new("deletion").await;
    let topic = t.made("orders", "deletionPolicy: Delete").await;
    assert_eq!(finalizers(&topic), [FINALIZER]);
    t.remove("orders").await;
    t.deleted("orders").await;
    t.event("orders", "Deleted", &format!("deleted Kafka topic {} in cluster main", t.name("orders"))).await;
}

#[tokio::test]
async fn a_topic_that_is_gone_already_holds_nothing_up() {
    let t = Fixture::new("deletion").await;
    t.made("orders", "deletionPolicy: Delete").await;
    t.stage.kafka.delete(&t.name("orders")).await;
    t.remove("orders").await;
}

#[tokio::test]
async fn the_finalizer_is_there_exactly_while_it_is_needed() {
    let t = Fixture::new("deletion").await;
    t.made("orders", "deletionPolicy: Delete").await;
    let patch = json!({"metadata": {"finalizers": null}});
    t.kube.merge(&t.place("orders"), &patch).await;
    t.wait("orders", "held again", |topic| finalizers(topic) == [FINALIZER]).await;

    // Beside another's, which stays.
    let patch = json!({"metadata": {"finalizers": ["example.com/other"]}});
    t.kube.merge(&t.place("orders"), &patch).await;
    t.wait("orders", "held by both", |topic| finalizers(topic) == ["example.com/other", FINALIZER]).await;

    t.made("orders", "deletionPolicy: Retain").await;
    t.wait("orders", "let go", |topic| finalizers(topic) == ["example.com/other"]).await;
    t.kube.merge(&t.place("orders"), &json!({"metadata": {"finalizers": null}})).await;
    t.remove("orders").await;
    assert!(t.kafka_topic("orders").await.is_some());
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let t = Fixture::new("deletion").await;
    for (name, policy) in [("kept", "Retain"), ("deleted", "Delete")] {
        t.declare(name, &format!("deletionPolicy: {policy}")).await;
    }
    t.ready("kept").await;
    t.ready("deleted").await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": t.namespace}});
    let place = Place::of(&namespace);
    t.kube.delete(&place).await;
    let gone = until(async || match t.kube.get::<Value>(&place).await {
        None => Ok(()),
        Some(still) => Err(still.to_string()),
    });
    if let Err(seen) = gone.await {
        t.fail("the namespace is not gone", &seen);
    }
    assert!(t.kafka_topic("kept").await.is_some());
    t.deleted("deleted").await;
}

#[tokio::test]
async fn what_may_no_longer_be_named_is_not_deleted() {
    let t = Fixture::new("deletion").await;
    t.made("orders", "deletionPolicy: Delete").await;
    t.tenant(json!({"namespaces": []})).await;
    t.condition("orders", "Ready=False TenantNotFound").await;
    t.remove("orders").await;
    t.event("orders", "Retained", "cannot determine which Kafka topic to delete (TenantNotFound").await;
    assert!(t.kafka_topic("orders").await.is_some());
}

/// A broker of its own that is told not to delete anything.
#[tokio::test]
async fn a_broker_that_does_not_delete_is_quoted_and_the_way_out_works() {
    let t = Fixture::new("deletion").await;
    let folder = tempfile::tempdir().expect("a folder");
    let options = BrokerOptions {
        properties: vec![("delete.topic.enable".into(), "false".into())],
        ..BrokerOptions::default()
    };
    let libs = crate::support::Stage::environment().libs();
    let path = folder.path().to_owned();
    let broker =
        tokio::task::spawn_blocking(move || KafkaBroker::start(&path, &libs, Profile::Plaintext, &options));
    let broker = Arc::new(broker.await.expect("no panic").expect("a broker"));
    let cluster = t.own_cluster(json!({"bootstrapServers": [broker.bootstrap()]})).await;

    t.made("orders", &format!("{{cluster: {cluster}, deletionPolicy: Delete}}")).await;
    t.delete("orders").await;
    let refused = t.condition("orders", "Ready=False KafkaError").await;
    assert!(has(&refused, "Stalled=True KafkaError"));
    let told = message(&refused, "Ready");
    assert!(
        told.starts_with(&format!("deleting Kafka topic {}: DeleteTopics: ", t.name("orders")))
            && told.contains("if their delete.topic.enable is false")
            && told
                .ends_with("Set spec.deletionPolicy: Retain to delete only the resource and keep the topic"),
        "{told}"
    );
    t.declare("orders", &format!("{{cluster: {cluster}, deletionPolicy: Retain}}")).await;
    t.gone("orders").await;
    let kafka = crate::support::Broker::plaintext(&broker.bootstrap());
    assert!(kafka.topic(&t.name("orders")).await.is_some());
    t.drop_cluster().await;
}
