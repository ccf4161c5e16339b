//! Configuration, key by key.

use crate::support::{Fixture, KafkaTopic};

#[tokio::test]
async fn one_key_changes_and_the_others_do_not() {
    let t = Fixture::new("config").await;
    t.topic("orders")
        .apply_and_wait("{config: {segment.ms: 3600000, flush.ms: 1000}, ignoreConfig: [flush.messages]}")
        .await;
    t.stage.kafka.set(&t.kafka_name("orders"), "flush.messages", "7").await;
    t.topic("orders")
        .apply_and_wait("{config: {segment.ms: 7200000, flush.ms: 1000}, ignoreConfig: [flush.messages]}")
        .await;
    let kafka = t
        .wait_for_kafka_topic("orders", "segment.ms is changed", |topic| {
            topic.get("segment.ms") == Some("7200000")
        })
        .await;
    assert_eq!(kafka.get("flush.ms"), Some("1000"));
    assert_eq!(kafka.get("flush.messages"), Some("7"), "an ignored key is not changed");
}

#[tokio::test]
async fn a_removed_key_is_reset() {
    let t = Fixture::new("config").await;
    t.topic("orders").apply_and_wait("config: {segment.ms: 3600000, flush.ms: 1000}").await;
    t.topic("orders").apply_and_wait("config: {flush.ms: 1000}").await;
    let kafka = t.wait_for_kafka_topic("orders", "reset", |topic| topic.get("segment.ms").is_none()).await;
    assert_eq!(kafka.get("flush.ms"), Some("1000"));
    let status = t.topic("orders").apply_and_wait("{}").await.status.expect("a status");
    t.wait_for_kafka_topic("orders", "reset", |topic| topic.config.is_empty()).await;
    assert!(status.config.is_empty(), "{:?}", status.config);
}

#[tokio::test]
async fn ignored_and_throttling_keys_are_not_changed() {
    let t = Fixture::new("config").await;
    t.topic("orders").apply_and_wait("ignoreConfig: [flush.ms]").await;
    let others = [
        ("flush.ms", "1000"),
        ("leader.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "*"),
    ];
    for (key, value) in others {
        t.stage.kafka.set(&t.kafka_name("orders"), key, value).await;
    }
    let untouched = |topic: &KafkaTopic| others.iter().all(|(key, value)| topic.get(key) == Some(*value));
    t.wait_for_kafka_topic("orders", "the keys are set", untouched).await;
    t.wait_for_resync().await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    assert!(untouched(&kafka), "{kafka:?}");
    assert!(
        t.topic("orders").get().await.status.expect("a status").last_drift.is_none(),
        "no drift is reported"
    );
    // A change of another key does not change them either.
    t.topic("orders").apply_and_wait("{config: {segment.ms: 3600000}, ignoreConfig: [flush.ms]}").await;
    let kafka = t
        .wait_for_kafka_topic("orders", "segment.ms is changed", |topic| topic.get("segment.ms").is_some())
        .await;
    assert!(untouched(&kafka), "{kafka:?}");
}

#[tokio::test]
async fn a_key_that_is_no_longer_ignored_is_reset() {
    let t = Fixture::new("config").await;
    t.topic("orders").apply_and_wait("ignoreConfig: [flush.ms]").await;
    t.stage.kafka.set(&t.kafka_name("orders"), "flush.ms", "1000").await;
    t.wait_for_kafka_topic("orders", "set", |topic| topic.get("flush.ms").is_some()).await;
    let topic = t.topic("orders").apply_and_wait("{}").await;
    t.wait_for_kafka_topic("orders", "reset", |topic| topic.get("flush.ms").is_none()).await;
    assert!(topic.status.expect("a status").last_drift.is_none(), "a reset by a changed spec is no drift");
}

/// A key of each type of Kafka's configuration: the declared value and the stored one, then another pair.
#[tokio::test]
async fn every_type_of_value_can_be_set_and_changed() {
    let t = Fixture::new("config").await;
    let rows = [
        // An integer of 32 bits, as a number and as text.
        ("max.message.bytes", "2097152", "2097152", r#""4194304""#, "4194304"),
        // More than 32 bits, as a number.
        ("retention.bytes", "10737418240", "10737418240", "-1", "-1"),
        ("flush.messages", "9223372036854775807", "9223372036854775807", "1", "1"),
        // Text.
        ("compression.type", "zstd", "zstd", "snappy", "snappy"),
        // A boolean, a double, and a list are text.
        ("unclean.leader.election.enable", r#""true""#, "true", r#""false""#, "false"),
        ("min.cleanable.dirty.ratio", r#""0.6""#, "0.6", r#""0.1""#, "0.1"),
        ("cleanup.policy", "compact", "compact", r#""compact,delete""#, "compact,delete"),
    ];
    let spec = |column: fn(&(&str, &'static str, &str, &'static str, &str)) -> &'static str| {
        let lines: Vec<String> = rows.iter().map(|row| format!("{}: {}", row.0, column(row))).collect();
        format!("config: {{{}}}", lines.join(", "))
    };
    t.topic("orders").apply_and_wait(&spec(|row| row.1)).await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    for (key, _, stored, _, _) in rows {
        assert_eq!(kafka.get(key), Some(stored), "{key}");
    }
    t.topic("orders").apply_and_wait(&spec(|row| row.3)).await;
    t.wait_for_kafka_topic("orders", "all keys are changed", |topic| {
        rows.iter().all(|(key, _, _, _, stored)| topic.get(key) == Some(*stored))
    })
    .await;
}

#[tokio::test]
async fn retention_and_cleanup_have_their_own_fields() {
    let t = Fixture::new("config").await;
    for (spec, expected) in [
        (
            "{retention: {time: 7d, size: 1Gi}, cleanupPolicy: Delete}",
            ["retention.ms=604800000", "retention.bytes=1073741824", "cleanup.policy=delete"],
        ),
        (
            "{retention: {time: unlimited, size: unlimited}, cleanupPolicy: Compact}",
            ["retention.ms=-1", "retention.bytes=-1", "cleanup.policy=compact"],
        ),
        (
            "{retention: {time: 90s, size: 5k}, cleanupPolicy: CompactAndDelete}",
            ["retention.ms=90000", "retention.bytes=5000", "cleanup.policy=compact,delete"],
        ),
    ] {
        t.topic("orders").apply_and_wait(spec).await;
        let is_expected = |topic: &KafkaTopic| {
            topic.config.len() == 3
                && expected.iter().all(|pair| {
                    pair.split_once('=').is_some_and(|(key, value)| topic.get(key) == Some(value))
                })
        };
        t.wait_for_kafka_topic("orders", spec, is_expected).await;
    }
    // A field and its key are the same configuration in Kafka: replacing one by the other changes nothing.
    t.topic("orders")
        .apply_and_wait(
            r#"config: {retention.ms: 90000, retention.bytes: 5000, cleanup.policy: "compact,delete"}"#,
        )
        .await;
    let topic = t.topic("orders").apply_and_wait("{}").await;
    t.wait_for_kafka_topic("orders", "reset", |topic| topic.config.is_empty()).await;
    assert!(topic.status.expect("a status").last_drift.is_none());
}

/// Kafka returns the parsed value, not the written text.
#[tokio::test]
async fn a_value_that_kafka_normalizes_is_no_drift() {
    let t = Fixture::new("config").await;
    let spec = r#"config: {min.cleanable.dirty.ratio: "1", preallocate: "TRUE", cleanup.policy: "compact, delete", flush.ms: "007"}"#;
    t.topic("orders").apply_and_wait(spec).await;
    let kafka = t.kafka_topic("orders").await.expect("the Kafka topic exists");
    let normalized: Vec<_> = kafka.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected =
        ["cleanup.policy=compact,delete", "flush.ms=7", "min.cleanable.dirty.ratio=1.0", "preallocate=true"];
    assert_eq!(normalized, expected, "Kafka normalizes these values");
    t.wait_for_resync().await;
    assert!(t.topic("orders").get().await.status.expect("a status").last_drift.is_none());
    // A change of another key does not change them.
    t.topic("orders").apply_and_wait(&spec.replace("flush.ms: \"007\"", "flush.ms: 8")).await;
    t.wait_for_kafka_topic("orders", "flush.ms is changed", |topic| topic.get("flush.ms") == Some("8")).await;
    assert!(t.topic("orders").get().await.status.expect("a status").last_drift.is_none());
}
