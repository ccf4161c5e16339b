//! Quotas without the webhook: the operator holds what the webhook would have refused.

use eventcenter::api::EventTopic;
use eventcenter::api::KafkaCluster;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Fixture, has_condition, message};

/// Declares a quota of the fixture's tenant.
async fn quota(t: &Fixture, quotas: Value) {
    t.apply_tenant(json!({"namespaces": [t.namespace], "quotas": quotas})).await;
}

/// Waits until the tenant's status says this of what it has.
async fn usage(t: &Fixture, expected: Value) {
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
    quota(&t, json!({"topics": 2})).await;
    t.topic("a").apply_and_wait("{}").await;
    t.topic("b").apply_and_wait("{}").await;
    t.wait_for_next_second().await;
    t.topic("c").apply("{}").await;
    let held = t.topic("c").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    assert_eq!(
        message(&held, "Ready"),
        format!(
            "metadata: tenant {} may have 2 topics (its quotas.topics), 2 are taken and this topic asks for 1 more: delete \
             one that is no longer needed, or ask the platform's administrator for a larger quota",
            t.namespace
        )
    );
    usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 1})).await;
    t.resource::<KafkaCluster>(&t.namespace)
        .wait_for_event("QuotaNearlyReached", "2 of 2 topics are used (spec.quotas.topics)")
        .await;

    t.topic("a").delete_and_wait().await;
    t.topic("c").wait_until_ready().await;
    usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 0})).await;
}

#[tokio::test]
async fn a_larger_quota_admits_held_topics() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"partitions": 4})).await;
    t.topic("a").apply_and_wait("partitions: 3").await;
    t.wait_for_next_second().await;
    t.topic("b").apply("partitions: 2").await;
    t.topic("b").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    quota(&t, json!({"partitions": 5})).await;
    t.topic("b").wait_until_ready().await;
    // What is there already stays when the quota shrinks; more of it is refused.
    quota(&t, json!({"partitions": 1})).await;
    t.topic("a").apply_and_wait("{partitions: 3, config: {segment.ms: 3600000}}").await;
    t.topic("a").apply("{partitions: 4, config: {segment.ms: 3600000}}").await;
    let held = t.topic("a").wait_for_condition("Stalled=True TenantQuotaExceeded").await;
    assert!(message(&held, "Ready").contains("5 are taken and this topic asks for 1 more"), "{held:?}");
    assert_eq!(t.kafka_topic("a").await.expect("it stays").partitions, 3);
}

#[tokio::test]
async fn quotas_limit_each_topic() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"retentionTime": "7d", "retentionSize": "10Mi", "messageSize": "1Mi"})).await;
    let most = "{partitions: 2, retention: {time: 7d, size: 5Mi}, config: {max.message.bytes: 1048576}}";
    t.topic("most").apply_and_wait(most).await;
    for (name, spec, field) in [
        ("time", "{retention: {time: 8d, size: '1'}}", "spec.retention.time"),
        ("unsaid", "{retention: {size: '1'}}", "spec.retention.time"),
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
        let said = message(&held, "Ready");
        assert!(said.starts_with(field), "{name}: {said}");
    }
    usage(&t, json!({"topics": 1, "partitions": 2, "retentionBytes": 10_485_760, "held": 5})).await;
}

/// However many come at once, Kafka never has more of them than the quota allows.
#[tokio::test]
async fn a_hundred_simultaneous_topics_stay_within_the_quota() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"topics": 10})).await;
    let names: Vec<String> = (0..100).map(|number| format!("t-{number}")).collect();
    join_all(names.iter().map(async |name| t.topic(name).apply("{}").await)).await;
    let topics = join_all(names.iter().map(async |name| {
        let decided = |topic: &EventTopic| {
            has_condition(topic, "Ready=True") || has_condition(topic, "Ready=False TenantQuotaExceeded")
        };
        t.topic(name).wait_for_status("assert_accepted or pending", decided).await
    }))
    .await;
    let assert_accepted = topics.iter().filter(|topic| has_condition(topic, "Ready=True")).count();
    assert_eq!(assert_accepted, 10);
    let made = join_all(names.iter().map(|name| t.kafka_topic(name))).await;
    assert_eq!(made.iter().flatten().count(), 10, "none was made that is not assert_accepted");
    usage(&t, json!({"topics": 10, "partitions": 10, "retentionBytes": 0, "held": 90})).await;
}
