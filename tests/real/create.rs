//! Creation of topics.

use serde_json::json;

use crate::support::{Fixture, cluster_scoped, message};

/// Tools that follow kstatus take a resource without status for a finished one.
#[tokio::test]
async fn a_resource_that_no_controller_has_seen_is_in_progress() {
    let t = Fixture::new("unseen").await;
    let mut manifests = vec![t.topic("orders").manifest("{}")];
    manifests.push(cluster_scoped("Tenant", &format!("{}-more", t.namespace), json!({"namespaces": []})));
    let cluster = json!({"bootstrapServers": ["127.0.0.1:1"]});
    manifests.push(cluster_scoped("KafkaCluster", &format!("{}-more", t.namespace), cluster));
    for manifest in manifests {
        let answer = t.kube.create(&manifest, "?dryRun=All").await;
        assert_eq!(answer.body["status"], json!({"observedGeneration": -1}), "{answer:?}");
    }
}

#[tokio::test]
async fn an_empty_spec_gets_the_defaults() {
    let t = Fixture::new("create").await;
    let topic = t.topic("orders").apply_and_wait("{}").await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert_eq!((kafka.partitions, kafka.replicas), (1, 1));
    assert!(kafka.config.is_empty(), "{:?}", kafka.config);

    let status = topic.status.as_ref().expect("a status");
    assert_eq!(status.cluster.as_deref(), Some("main"));
    assert_eq!(status.topic_name, Some(t.kafka_name("orders")));
    assert_eq!(status.topic_id.as_ref(), Some(&kafka.id), "status.topicId is Kafka's id");
    assert_eq!((status.partitions, status.replicas), (Some(1), Some(1)));
    assert!(status.config.is_empty() && status.last_drift.is_none(), "{status:?}");
    assert_eq!(status.observed_generation, topic.metadata.generation);
    let types: Vec<_> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Ready", "InSync"], "Reconciling and Stalled exist only while they are true");
    assert_eq!(message(&topic, "Ready"), "Kafka has what is declared");
    assert!(topic.metadata.finalizers.is_none(), "its deletion requires no cleanup");
    t.topic("orders").wait_for_event("Available", "Kafka has what is declared").await;
}

#[tokio::test]
async fn a_full_spec_is_applied_completely() {
    let t = Fixture::new("create").await;
    let spec = format!(
        r#"
cluster: main
topicName: {}all-of-it
partitions: 4
replicas: 1
retention: {{time: 36h, size: 10Gi}}
cleanupPolicy: CompactAndDelete
config:
  max.message.bytes: 2097152
  compression.type: zstd
ignoreConfig: [segment.ms]
owner: {{team: checkout, contact: checkout@shop.example}}
description: What happens to orders
eventTypes:
- {{name: Order.Created.v1, description: An order was placed}}
- {{name: Order.Paid.v1}}
deletionPolicy: Delete
driftPolicy: Report
"#,
        t.prefix
    );
    let topic = t.topic("orders").apply_and_wait(&spec).await;
    let kafka = t.kafka_topic("all-of-it").await.expect("the Kafka topic exists");
    assert_eq!((kafka.partitions, kafka.replicas), (4, 1));
    let config: Vec<_> = kafka.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        config,
        [
            "cleanup.policy=compact,delete",
            "compression.type=zstd",
            "max.message.bytes=2097152",
            "retention.bytes=10737418240",
            "retention.ms=129600000",
        ]
    );
    let status = topic.status.expect("a status");
    assert_eq!(status.config, kafka.config);
    assert_eq!(status.topic_id, Some(kafka.id));
    assert_eq!(topic.metadata.finalizers, Some(vec!["eventcenter.io/clean-up-kafka".to_owned()]));
    assert!(t.kafka_topic("orders").await.is_none(), "only the topic of spec.topicName is created");
}

#[tokio::test]
async fn each_field_alone_is_enough() {
    let t = Fixture::new("create").await;
    for (name, spec) in [
        ("partitions", "partitions: 5"),
        ("replicas", "replicas: 1"),
        ("config", r#"config: {flush.ms: "1000"}"#),
    ] {
        t.topic(name).apply(spec).await;
    }
    for (name, partitions, config) in
        [("partitions", 5, None), ("replicas", 1, None), ("config", 1, Some("1000"))]
    {
        t.topic(name).wait_until_ready().await;
        let kafka = t.kafka_topic(name).await.expect("the Kafka topic exists");
        assert_eq!((kafka.partitions, kafka.replicas), (partitions, 1), "{name}");
        assert_eq!(kafka.get("flush.ms"), config, "{name}");
        assert_eq!(kafka.config.len(), usize::from(config.is_some()), "{name}");
    }
}

#[tokio::test]
async fn names_that_differ_in_case_are_different_topics() {
    let t = Fixture::new("create").await;
    t.topic("orders").apply("partitions: 2").await;
    t.topic("shouted").apply(&format!("{{topicName: {}ORDERS, partitions: 3}}", t.prefix)).await;
    t.topic("orders").wait_until_ready().await;
    t.topic("shouted").wait_until_ready().await;
    t.wait_for_partitions("orders", 2).await;
    t.wait_for_partitions("ORDERS", 3).await;
}

#[tokio::test]
async fn a_name_that_is_too_long_with_its_prefix_is_refused_with_a_remedy() {
    let t = Fixture::new("create").await;
    let name = "o".repeat(250);
    t.topic(&name).apply("{}").await;
    let refused = t.topic(&name).wait_for_condition("Stalled=True InvalidResource").await;
    let reported = message(&refused, "Ready");
    assert!(reported.contains("249") && reported.ends_with("set spec.topicName"), "{reported}");
    t.topic(&name).apply(&format!("topicName: {}short", t.prefix)).await;
    t.topic(&name).wait_until_ready().await;
    assert!(t.kafka_topic("short").await.is_some());
}

#[tokio::test]
async fn a_name_without_the_tenants_prefix_is_refused() {
    let t = Fixture::new("create").await;
    t.topic("orders").apply("topicName: foreign.topic").await;
    let refused = t.topic("orders").wait_for_condition("Ready=False InvalidResource").await;
    assert_eq!(
        message(&refused, "Stalled"),
        format!(
            "spec.topicName: foreign.topic does not begin with {prefix}, the prefix of tenant {tenant}: write \
             {prefix}foreign.topic, or leave the field out",
            prefix = t.prefix,
            tenant = t.namespace
        )
    );
    assert!(t.stage.kafka.topic("foreign.topic").await.is_none());
}

#[tokio::test]
async fn kubectl_get_shows_the_main_columns() {
    let t = Fixture::new("create").await;
    t.topic("orders").apply_and_wait("{partitions: 3, owner: {team: checkout}}").await;
    let table = t.kubectl(&["get", "etopic"]).expect("the short name");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    assert_eq!(header, ["NAME", "TOPIC", "PARTITIONS", "REPLICAS", "READY", "REASON", "AGE"]);
    let row = lines.next().expect("a row");
    assert_eq!(row[..6], ["orders", &t.kafka_name("orders"), "3", "1", "True", "Available"]);

    let wide = t.kubectl(&["get", "eventtopics", "-o", "wide"]).expect("the plural");
    for word in ["CLUSTER", "OWNER", "MESSAGE", "main", "checkout", "Kafka has what is declared"] {
        assert!(wide.contains(word), "{word} in\n{wide}");
    }
    let category = t.kubectl(&["get", "eventcenter"]).expect("the category");
    for word in
        ["eventtopic.eventcenter.io/orders", "tenant.eventcenter.io/", "kafkacluster.eventcenter.io/main"]
    {
        assert!(category.contains(word), "{word} in\n{category}");
    }
    let tenant = t.kubectl(&["get", "ectenant", &t.namespace]).expect("a tenant");
    for word in ["READY", "TOPICS", "PREFIX", "True", &t.prefix] {
        assert!(tenant.contains(word), "{word} in\n{tenant}");
    }
    let cluster = t.kubectl(&["get", "eckafka", "main"]).expect("a cluster");
    let cells: Vec<Vec<_>> = cluster.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["NAME", "READY", "REASON", "BROKERS", "DEFAULT", "UNREGISTERED", "AGE"]);
    assert_eq!(cells[1][..5], ["main", "True", "Available", "1", "true"]);
    t.kubectl(&["wait", "--for=condition=Ready", "--timeout=5s", "eventtopic/orders"])
        .expect("the condition Ready is true");
}
