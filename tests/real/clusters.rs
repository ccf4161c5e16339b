//! The Kafka cluster of a topic.

use eventcenter::api::KafkaCluster;
use serde_json::json;

use crate::support::{Fixture, has_condition, message, to_yaml};

#[tokio::test]
async fn a_cluster_reports_its_id() {
    let t = Fixture::new("clusters").await;
    let main = t.resource::<KafkaCluster>("main").wait_for_condition("Ready=True Available").await;
    let status = main.status.expect("a status");
    assert_eq!(status.brokers, Some(1));
    assert_eq!(status.cluster_id.map(|id| id.len()), Some(22));
}

#[tokio::test]
async fn an_unreachable_cluster_is_retried() {
    let t = Fixture::new("clusters").await;
    t.apply_tenant(json!({"namespaces": [t.namespace], "clusters": [t.namespace]})).await;
    t.topic("orders").apply(&format!("cluster: {}", t.namespace)).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False ClusterNotFound").await;
    assert!(
        has_condition(&refused, "Reconciling=True ClusterNotFound"),
        "the KafkaCluster may be created later"
    );
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "spec.cluster: there is no KafkaCluster {}: correct the name, or create the KafkaCluster",
            t.namespace
        )
    );
    t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.topic("orders").wait_until_ready().await;
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_recreated_cluster_resource_keeps_its_topics() {
    let t = Fixture::new("clusters").await;
    let spec = json!({"bootstrapServers": [t.stage.kafka.bootstrap()]});
    let cluster = t.create_cluster(spec.clone()).await;
    let before = t
        .topic("orders")
        .apply_and_wait(&format!("cluster: {cluster}"))
        .await
        .status
        .and_then(|s| s.topic_id);
    t.delete_cluster().await;
    t.topic("orders").wait_for_condition("Ready=False ClusterNotFound").await;
    t.topic("orders").apply(&format!("{{cluster: {cluster}, partitions: 2}}")).await;
    t.topic("orders").wait_for_condition("Ready=False ClusterNotFound").await;
    t.create_cluster(spec).await;
    let back = t.topic("orders").wait_until_ready().await;
    assert_eq!(back.status.and_then(|status| status.topic_id), before);
    t.wait_for_kafka_topic("orders", "2 partitions", |topic| topic.partitions == 2).await;
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_corrected_address_is_used() {
    let t = Fixture::new("clusters").await;
    let unreachable = format!("127.0.0.1:{}", xtask::port::free().expect("a free port"));
    t.own_cluster().apply(json!({"bootstrapServers": [unreachable]})).await;
    let refused = t.own_cluster().wait_for_condition("Ready=False KafkaUnavailable").await;
    let reported = message(&refused, "Ready");
    assert!(reported.contains(&unreachable), "{reported}");
    let cluster = t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=True Available").await;
    t.topic("orders").apply_and_wait(&format!("cluster: {cluster}")).await;
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_tenant_uses_only_its_allowed_clusters() {
    let t = Fixture::new("clusters").await;
    let cluster = t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    // The tenant may use only that cluster, so the default cluster is refused, whether named or not.
    for (name, spec) in [("named", "cluster: main"), ("unnamed", "{}")] {
        t.topic(name).apply(spec).await;
        let refused = t.topic(name).wait_for_condition("Stalled=True ClusterNotAllowed").await;
        assert_eq!(
            message(&refused, "Ready"),
            format!(
                "spec.cluster: tenant {} may not use cluster main: name another one, or ask the platform's administrator \
                 to add it to spec.clusters of the Tenant",
                t.namespace
            )
        );
    }
    assert!(t.kafka_topic("named").await.is_none() && t.kafka_topic("unnamed").await.is_none());
    t.apply_tenant(json!({"namespaces": [t.namespace], "clusters": [cluster, "main"]})).await;
    t.topic("named").wait_until_ready().await;
    t.topic("unnamed").wait_until_ready().await;
    // A topic in a cluster that is no longer allowed is kept.
    t.topic("orders").apply_and_wait(&format!("cluster: {cluster}")).await;
    t.apply_tenant(json!({"namespaces": [t.namespace], "clusters": ["main"]})).await;
    t.topic("orders").wait_for_condition("Ready=False ClusterNotAllowed").await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.delete_cluster().await;
}

#[tokio::test]
async fn of_two_defaults_the_older_one_counts() {
    let t = Fixture::new("clusters").await;
    let spec = json!({"default": true, "bootstrapServers": [t.stage.kafka.bootstrap()]});
    t.own_cluster().apply(spec).await;
    let second = t.own_cluster().wait_for_condition("Default=False ResourceConflict").await;
    assert_eq!(
        message(&second, "Default"),
        "an older KafkaCluster is the default: set spec.default: false in one of the two"
    );
    t.own_cluster().wait_for_condition("Ready=True Available").await;
    let topic = t.topic("orders").apply_and_wait("{}").await;
    assert_eq!(topic.status.and_then(|status| status.cluster).as_deref(), Some("main"));

    let spec = json!({"bootstrapServers": [t.stage.kafka.bootstrap()]});
    t.own_cluster().apply(spec).await;
    let after = t.own_cluster().wait_for_condition("Ready=True Available").await;
    assert!(!to_yaml(&after.status).contains("ResourceConflict"), "{}", to_yaml(&after));
    t.delete_cluster().await;
    assert!(t.own_cluster().find().await.is_none());
}
