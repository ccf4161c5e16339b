//! Quotas without the webhook: the operator refuses what the webhook would have refused.

use eventcenter::api::EventTopic;
use eventcenter::api::KafkaCluster;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Fixture, has_condition, message};

/// Declares a quota of the fixture's tenant.
async fn apply_quota(t: &Fixture, quotas: Value) {
    t.apply_tenant(json!({"namespaces": [t.namespace], "quotas": quotas})).await;
}

/// Waits until `status.usage` of the tenant is as expected.
async fn wait_for_usage(t: &Fixture, expected: Value) {
    let expectation = format!("status.usage is {expected}");
    t.tenant()
        .wait_for(&expectation, |tenant| {
            tenant.status.as_ref().is_some_and(|status| json!(status.usage) == expected)
        })
        .await;
}

#[tokio::test]
async fn the_youngest_topic_is_held_until_the_quota_allows_it() {
    let t = Fixture::new("quota").await;
    apply_quota(&t, json!({"topics": 2})).await;
    t.topic("a").apply_and_wait("deletionPolicy: Delete").await;
    t.topic("b").apply_and_wait("{}").await;
    t.wait_for_next_second().await;
    t.topic("c").apply("{}").await;
    let held = t.topic("c").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    assert_eq!(
        message(&held, "Ready"),
        format!(
            "metadata: tenant {} may have 2 topics (quotas.topics), 2 are used and this topic requests 1 more: delete \
             one that is no longer needed, or ask the platform's administrator for a larger quota",
            t.namespace
        )
    );
    wait_for_usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 1})).await;
    t.resource::<KafkaCluster>(&t.namespace)
        .wait_for_event("QuotaNearlyReached", "2 of 2 topics are used (spec.quotas.topics)")
        .await;

    t.topic("a").delete_and_wait().await;
    t.topic("c").wait_until_ready().await;
    wait_for_usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 0})).await;
}

#[tokio::test]
async fn a_larger_quota_admits_held_topics() {
    let t = Fixture::new("quota").await;
    apply_quota(&t, json!({"partitions": 4})).await;
    t.topic("a").apply_and_wait("partitions: 3").await;
    t.wait_for_next_second().await;
    t.topic("b").apply("partitions: 2").await;
    t.topic("b").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    apply_quota(&t, json!({"partitions": 5})).await;
    t.topic("b").wait_until_ready().await;
    // Existing usage stays when the quota is reduced; an increase is refused.
    apply_quota(&t, json!({"partitions": 1})).await;
    t.topic("a").apply_and_wait("{partitions: 3, config: {segment.ms: 3600000}}").await;
    t.topic("a").apply("{partitions: 4, config: {segment.ms: 3600000}}").await;
    let held = t.topic("a").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    assert!(message(&held, "Ready").contains("5 are used and this topic requests 1 more"), "{held:?}");
    assert_eq!(t.kafka_topic("a").await.expect("the Kafka topic exists").partitions, 3);
}

#[tokio::test]
async fn quotas_limit_each_topic() {
    let t = Fixture::new("quota").await;
    apply_quota(&t, json!({"retentionTime": "7d", "retentionSize": "10Mi", "messageSize": "1Mi"})).await;
    let most = "{partitions: 2, retention: {time: 7d, size: 5Mi}, config: {max.message.bytes: 1048576}}";
    t.topic("most").apply_and_wait(most).await;
    for (name, spec, field) in [
        ("time", "{retention: {time: 8d, size: '1'}}", "spec.retention.time"),
        ("unset", "{retention: {size: '1'}}", "spec.retention.time"),
        ("size", "{retention: {time: 1d, size: '1'}}", "spec.retention.size"),
        ("unsized", "{retention: {time: 1d}}", "spec.retention.size"),
        (
            "message",
            "{retention: {time: 1d, size: '1'}, config: {max.message.bytes: 1048577}}",
            "spec.config",
        ),
    ] {
        t.topic(name).apply(spec).await;
        let held = t.topic(name).wait_for_condition("Stalled=True TenantQuotaExceeded").await;
        let reported = message(&held, "Ready");
        assert!(reported.starts_with(field), "{name}: {reported}");
    }
    wait_for_usage(&t, json!({"topics": 1, "partitions": 2, "retentionBytes": 10_485_760, "held": 5})).await;
}

/// Topics that are created concurrently never exceed the quota in Kafka.
#[tokio::test]
async fn a_hundred_simultaneous_topics_stay_within_the_quota() {
    let t = Fixture::new("quota").await;
    apply_quota(&t, json!({"topics": 10})).await;
    let names: Vec<String> = (0..100).map(|number| format!("t-{number}")).collect();
    join_all(names.iter().map(async |name| t.topic(name).apply("{}").await)).await;
    let topics = join_all(names.iter().map(async |name| {
        let decided = |topic: &EventTopic| {
            has_condition(topic, "Ready=True") || has_condition(topic, "Ready=False TenantQuotaExceeded")
        };
        t.topic(name).wait_for_status("ready or refused", decided).await
    }))
    .await;
    let ready = topics.iter().filter(|topic| has_condition(topic, "Ready=True")).count();
    assert_eq!(ready, 10);
    let created = join_all(names.iter().map(|name| t.kafka_topic(name))).await;
    assert_eq!(created.iter().flatten().count(), 10, "Kafka has only the admitted topics");
    wait_for_usage(&t, json!({"topics": 10, "partitions": 10, "retentionBytes": 0, "held": 90})).await;
}

/// What is left behind in Kafka uses the quota like everything else.
#[tokio::test]
async fn topics_that_no_resource_manages_use_the_quota() {
    let t = Fixture::new("quota").await;
    apply_quota(&t, json!({"topics": 2})).await;
    for name in ["one", "two"] {
        t.topic(name).apply_and_wait("{}").await;
    }
    t.topic("one").delete_and_wait().await;
    t.topic("two").annotate("managed", Some("false")).await;
    t.topic("two").wait_for_condition("Ready=True Unmanaged").await;
    t.topic("three").apply("{}").await;
    let held = t.topic("three").wait_for_condition("Ready=False TenantQuotaExceeded").await;
    assert!(message(&held, "Ready").contains("2 are used and this topic requests 1 more"), "{held:?}");
    // Also after the topics in Kafka were counted.
    wait_for_usage(
        &t,
        json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "unmanagedTopics": 2, "held": 1}),
    )
    .await;
    assert!(t.kafka_topic("three").await.is_none());
    // A resource for what exists already adds nothing.
    t.topic("one").apply_and_wait("{}").await;
    // What is deleted in Kafka frees the quota.
    t.stage.kafka.delete(&t.kafka_name("two")).await;
    t.topic("three").wait_until_ready().await;
}
