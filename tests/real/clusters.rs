//! Which Kafka cluster a topic lives in.

use crate::support::site::{CLUSTER, LIMIT, Site};
use crate::support::{Fixture, Place, cluster_scoped, has, message};
use ::kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

#[tokio::test]
async fn a_cluster_tells_who_it_is() {
    let t = Fixture::new("clusters").await;
    let main = t.object_is("KafkaCluster", "main", "Ready=True Available").await;
    assert_eq!(main["status"]["brokers"], 1);
    assert_eq!(main["status"]["clusterId"].as_str().map(str::len), Some(22));
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_waited_for() {
    let t = Fixture::new("clusters").await;
    t.tenant(json!({"namespaces": [t.namespace], "clusters": [t.namespace]})).await;
    t.declare("orders", &format!("cluster: {}", t.namespace)).await;
    let refused = t.condition("orders", "Ready=False ClusterNotFound").await;
    assert!(has(&refused, "Reconciling=True ClusterNotFound"), "it may come");
    assert_eq!(
        message(&refused, "Ready"),
        format!(
            "spec.cluster: there is no KafkaCluster {}: correct the name, or make the KafkaCluster",
            t.namespace
        )
    );
    t.own_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.ready("orders").await;
    t.drop_cluster().await;
}

#[tokio::test]
async fn a_cluster_that_goes_and_comes_back_has_its_topics() {
    let t = Fixture::new("clusters").await;
    let spec = json!({"bootstrapServers": [t.stage.kafka.bootstrap()]});
    let cluster = t.own_cluster(spec.clone()).await;
    let before = t.made("orders", &format!("cluster: {cluster}")).await.status.and_then(|s| s.topic_id);
    t.drop_cluster().await;
    t.condition("orders", "Ready=False ClusterNotFound").await;
    t.declare("orders", &format!("{{cluster: {cluster}, partitions: 2}}")).await;
    t.condition("orders", "Ready=False ClusterNotFound").await;
    t.own_cluster(spec).await;
    let back = t.ready("orders").await;
    assert_eq!(back.status.and_then(|status| status.topic_id), before);
    t.in_kafka("orders", "grown", |topic| topic.partitions == 2).await;
    t.drop_cluster().await;
}

#[tokio::test]
async fn an_address_that_is_corrected_is_used() {
    let t = Fixture::new("clusters").await;
    let nowhere = format!("127.0.0.1:{}", xtask::port::free().expect("a free port"));
    t.apply(&cluster_scoped("KafkaCluster", &t.namespace, json!({"bootstrapServers": [nowhere]}))).await;
    let refused = t.object_is("KafkaCluster", &t.namespace, "Ready=False KafkaUnavailable").await;
    let told = refused.pointer("/status/conditions/0/message").and_then(Value::as_str).unwrap_or_default();
    assert!(told.contains(&nowhere), "{told}");
    let cluster = t.own_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.object_is("KafkaCluster", &cluster, "Ready=True Available").await;
    t.made("orders", &format!("cluster: {cluster}")).await;
    t.drop_cluster().await;
}

#[tokio::test]
async fn a_tenant_uses_only_the_clusters_it_is_given() {
    let t = Fixture::new("clusters").await;
    let cluster = t.own_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    // It is given that one, so the default is not its to use, named or not.
    for (name, spec) in [("named", "cluster: main"), ("unnamed", "{}")] {
        t.declare(name, spec).await;
        let refused = t.condition(name, "Stalled=True ClusterNotAllowed").await;
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
    t.tenant(json!({"namespaces": [t.namespace], "clusters": [cluster, "main"]})).await;
    t.ready("named").await;
    t.ready("unnamed").await;
    // And one that is taken away is kept as it is.
    t.made("orders", &format!("cluster: {cluster}")).await;
    t.tenant(json!({"namespaces": [t.namespace], "clusters": ["main"]})).await;
    t.condition("orders", "Ready=False ClusterNotAllowed").await;
    assert!(t.kafka_topic("orders").await.is_some());
    t.drop_cluster().await;
}

#[tokio::test]
async fn of_two_defaults_the_older_one_counts() {
    let t = Fixture::new("clusters").await;
    let spec = json!({"default": true, "bootstrapServers": [t.stage.kafka.bootstrap()]});
    t.apply(&cluster_scoped("KafkaCluster", &t.namespace, spec)).await;
    let second = t.object_is("KafkaCluster", &t.namespace, "Default=False ResourceConflict").await;
    let conditions = second["status"]["conditions"].as_array().expect("conditions");
    let conflict = conditions.iter().find(|condition| condition["type"] == "Default").expect("it is there");
    assert_eq!(
        conflict["message"],
        "an older KafkaCluster is the default: set spec.default: false in one of the two"
    );
    t.object_is("KafkaCluster", &t.namespace, "Ready=True Available").await;
    let topic = t.made("orders", "{}").await;
    assert_eq!(topic.status.and_then(|status| status.cluster).as_deref(), Some("main"));

    let spec = json!({"bootstrapServers": [t.stage.kafka.bootstrap()]});
    t.apply(&cluster_scoped("KafkaCluster", &t.namespace, spec)).await;
    let after = t.object_is("KafkaCluster", &t.namespace, "Ready=True Available").await;
    assert!(!after["status"].to_string().contains("ResourceConflict"), "{after}");
    t.drop_cluster().await;
    assert!(t.kube.get::<Value>(&Place::ours("KafkaCluster", &t.namespace)).await.is_none());
}

/// Every other test needs its default, so this one has an API server of its own.
#[tokio::test]
async fn without_a_default_a_topic_asks_for_one_and_then_stays_where_it_is() -> anyhow::Result<()> {
    let site = Site::new("defaults").await?;
    let make_default = async |name: &str, default: bool| {
        let patch = Patch::Merge(json!({"spec": {"default": default}}));
        site.kafka_clusters().patch(name, &PatchParams::default(), &patch).await
    };
    // Watches of two kinds are not ordered between them: an operator that runs already may see the topic first,
    // and make it on the cluster that is still the default as far as it knows.
    make_default(CLUSTER, false).await?;
    let _operator = site.operator("only", &[])?;
    site.declare("orders", json!({})).await?;
    let refused =
        site.topic("orders", "without a cluster", LIMIT, |t| has(t, "Ready=False ClusterNotFound")).await;
    assert_eq!(
        message(&refused, "Reconciling"),
        "spec.cluster is not set and no KafkaCluster has spec.default: true: name a cluster, or ask the platform's \
         administrator for a default"
    );
    assert!(site.in_kafka("orders").await.is_none());
    make_default(CLUSTER, true).await?;
    site.ready("orders").await;

    // Another default is for topics to come; this one has become what it is.
    site.kafka_cluster("other", &site.bootstrap(), true).await?;
    make_default(CLUSTER, false).await?;
    let stays = site.topic("orders", "told apart", LIMIT, |t| has(t, "Ready=False NotSupported")).await;
    let told = message(&stays, "Stalled");
    assert!(
        told.starts_with("spec.cluster: the topic lives in cluster main and would now live in other"),
        "{told}"
    );
    make_default("other", false).await?;
    make_default(CLUSTER, true).await?;
    site.ready("orders").await;
    Ok(())
}
