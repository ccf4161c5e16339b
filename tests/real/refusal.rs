//! Kafka's errors are reported with their message, and a corrected spec is applied.

use crate::stage;
use crate::support::{Fixture, has_condition, message};

/// Each row is a name, a spec that Kafka refuses, its error, and a spec that it accepts.
#[tokio::test]
async fn kafkas_error_is_in_the_condition_and_a_correction_recovers() {
    let t = Fixture::new("refusal").await;
    let rows = [
        (
            "value",
            "config: {retention.ms: soon}",
            "CreateTopics: Invalid value soon for configuration retention.ms: Not a number of type LONG",
            "config: {retention.ms: 1000}",
        ),
        ("key", "config: {no.such.key: 1}", "Unknown topic config name: no.such.key", "{}"),
        (
            "range",
            "config: {min.cleanable.dirty.ratio: \"7\"}",
            "Value must be no more than 1",
            "config: {min.cleanable.dirty.ratio: \"1\"}",
        ),
        (
            "together",
            "config: {min.compaction.lag.ms: 2000, max.compaction.lag.ms: 1000}",
            "conflict topic config setting min.compaction.lag.ms (2000) > max.compaction.lag.ms (1000)",
            "config: {max.compaction.lag.ms: 1000}",
        ),
        (
            "replicas",
            "replicas: 3",
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because \
             only 1 broker(s) are registered",
            "replicas: 1",
        ),
    ];
    for (name, refused, _, _) in rows {
        t.topic(name).apply(refused).await;
    }
    for (name, _, error, corrected) in rows {
        let topic = t.topic(name).wait_for_condition("Ready=False KafkaError").await;
        assert!(has_condition(&topic, "Stalled=True KafkaError"), "{name}: a retry does not help");
        let reported = message(&topic, "Ready");
        assert!(reported.starts_with("CreateTopics: ") && reported.contains(error), "{name}: {reported}");
        assert!(t.kafka_topic(name).await.is_none(), "{name}");
        t.topic(name).wait_for_event("KafkaError", error).await;
        t.topic(name).apply_and_wait(corrected).await;
        t.wait_for_kafka_topic(name, "created", |_| true).await;
    }
}

#[tokio::test]
async fn a_change_refused_by_kafka_changes_nothing() {
    let t = Fixture::new("refusal").await;
    t.topic("orders").apply_and_wait("config: {retention.ms: 1000}").await;
    t.topic("orders").apply("{partitions: 3, config: {retention.ms: soon}}").await;
    let refused = t.topic("orders").wait_for_condition("Stalled=True KafkaError").await;
    let reported = message(&refused, "Ready");
    assert!(reported.starts_with("IncrementalAlterConfigs: Invalid value soon"), "{reported}");
    let kafka = t.wait_for_kafka_topic("orders", "3 partitions", |topic| topic.partitions == 3).await;
    assert_eq!(kafka.get("retention.ms"), Some("1000"), "the partitions change and the refused key does not");
    assert!(has_condition(&refused, "InSync=True"), "Kafka has the configuration of the previous spec");

    // A corrected spec also resets another key that was changed in Kafka meanwhile.
    t.stage.kafka.set(&t.kafka_name("orders"), "flush.ms", "1000").await;
    t.topic("orders").apply_and_wait("{partitions: 3, config: {retention.ms: 2000}}").await;
    t.wait_for_kafka_topic("orders", "only retention.ms is set", |topic| {
        topic.config.len() == 1 && topic.get("retention.ms") == Some("2000")
    })
    .await;
}

#[tokio::test]
async fn more_partitions_than_kafka_makes_at_once_are_refused_by_kafka() {
    let t = Fixture::new("refusal").await;
    t.topic("orders").apply("partitions: 100000").await;
    let refused = t.topic("orders").wait_for_condition("Stalled=True KafkaError").await;
    let reported = message(&refused, "Ready");
    assert!(reported.starts_with("CreateTopics: ") && reported.contains("partitions"), "{reported}");
    assert!(t.kafka_topic("orders").await.is_none());
    t.topic("orders").delete_and_wait().await;
    t.topic("orders").apply_and_wait("partitions: 1").await;
}

#[tokio::test]
async fn invalid_specs_are_refused_before_kafka_is_called() {
    let t = Fixture::new("refusal").await;
    let rows = [
        ("time", "retention: {time: 99999999999999999w}", "is not a time that Kafka can keep"),
        ("size", "retention: {size: 99999999999999999Pi}", "is not a size that Kafka can keep"),
        (
            "nul",
            r#"config: {compression.type: "a\0b"}"#,
            "contains a NUL character, which Kafka does not accept",
        ),
        (
            "throttle",
            "config: {leader.replication.throttled.replicas: \"*\"}",
            "is both declared and ignored",
        ),
    ];
    for (name, refused, _) in rows {
        t.topic(name).apply(refused).await;
    }
    for (name, _, error) in rows {
        let topic = t.topic(name).wait_for_condition("Stalled=True InvalidResource").await;
        assert!(message(&topic, "Ready").contains(error), "{name}: {}", message(&topic, "Ready"));
        t.topic(name).apply_and_wait("{}").await;
    }
}

/// Configuration of the brokers is inherited, and never written to or reset on a topic.
#[tokio::test]
async fn inherited_configuration_is_neither_reset_nor_written() {
    use crate::support::Broker;
    use xtask::kafka::{BrokerOptions, KafkaBroker, Profile};

    let t = Fixture::new("refusal").await;
    let folder = tempfile::tempdir().expect("a folder");
    let options = BrokerOptions {
        properties: [
            ("compression.type", "snappy"),
            ("num.partitions", "4"),
            ("log.retention.ms", "7200000"),
        ]
        .map(|(key, value)| (key.into(), value.into()))
        .into(),
        ..BrokerOptions::default()
    };
    let (libs, path) = (stage::environment().libs(), folder.path().to_owned());
    let started = tokio::task::spawn_blocking(move || {
        let broker = KafkaBroker::start(&path, &libs, Profile::Plaintext, &options)?;
        // A dynamic default of the cluster is inherited as well.
        let arguments = ["--alter", "--entity-type", "brokers", "--entity-default", "--add-config"];
        broker.tool(
            "kafka.admin.ConfigCommand",
            &[&arguments[..], &["log.segment.delete.delay.ms=3600000"]].concat(),
        )?;
        anyhow::Ok(broker)
    });
    let broker = started.await.expect("no panic").expect("a broker");
    let kafka = Broker::plaintext(&broker.bootstrap());
    let cluster = t.create_cluster(serde_json::json!({"bootstrapServers": [broker.bootstrap()]})).await;

    let topic = t
        .topic("orders")
        .apply_and_wait(&format!("{{cluster: {cluster}, config: {{flush.messages: 1234}}}}"))
        .await;
    let status = topic.status.expect("a status");
    assert_eq!(status.config.len(), 1, "only what is set on the topic itself: {:?}", status.config);
    let requests = |operation: &str| {
        let labels = [format!("cluster=\"{cluster}\""), format!("operation=\"{operation}\"")];
        stage::metric("eventcenter_kafka_requests_total", &labels.each_ref().map(String::as_str))
    };
    let before = requests("DescribeConfigs");
    let polled = crate::support::until(async || {
        let now = requests("DescribeConfigs");
        if now >= before + 2.0 { Ok(()) } else { Err(format!("{now} requests")) }
    });
    polled.await.expect("resyncs describe the topic");
    assert!(requests("IncrementalAlterConfigs") == 0.0, "the operator alters no configuration");
    let name = t.kafka_name("orders");
    let described = kafka.topic(&name).await.expect("the Kafka topic exists");
    assert_eq!(
        (described.partitions, described.get("flush.messages"), described.config.len()),
        (1, Some("1234"), 1)
    );
    assert!(t.topic("orders").get().await.status.expect("a status").last_drift.is_none());
    t.delete_cluster().await;
}
