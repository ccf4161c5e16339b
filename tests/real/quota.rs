//! Quotas without the webhook: what it would refuse, the operator holds.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Fixture, Place, has, message, until};

/// Declares a quota of the fixture's tenant.
async fn quota(t: &Fixture, quotas: Value) {
    t.tenant(json!({"namespaces": [t.namespace], "quotas": quotas})).await;
}

/// Waits until the tenant's status says this of what it has.
async fn usage(t: &Fixture, expected: Value) {
    let looked = until(async || {
        let tenant: Value = t.kube.get(&Place::ours("Tenant", &t.namespace)).await.expect("a tenant");
        let usage = &tenant["status"]["usage"];
        if *usage == expected { Ok(()) } else { Err(usage.to_string()) }
    });
    if let Err(seen) = looked.await {
        t.fail(&format!("the usage is not {expected}"), &seen);
    }
}

#[tokio::test]
async fn the_youngest_is_held_until_there_is_room() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"topics": 2})).await;
    t.made("a", "{}").await;
    t.made("b", "{}").await;
    t.younger().await;
    t.declare("c", "{}").await;
    let held = t.condition("c", "Stalled=True TenantQuotaExceeded").await;
    assert_eq!(
        message(&held, "Ready"),
        format!(
            "metadata: tenant {} may have 2 topics (its quotas.topics), 2 are taken and this topic asks for 1 more: delete \
             one that is no longer needed, or ask the platform's administrator for a larger quota",
            t.namespace
        )
    );
    usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 1})).await;
    t.cluster_event(&t.namespace, "QuotaNearlyReached", "2 of 2 topics are used (spec.quotas.topics)").await;

    t.remove("a").await;
    t.ready("c").await;
    usage(&t, json!({"topics": 2, "partitions": 2, "retentionBytes": 0, "held": 0})).await;
}

#[tokio::test]
async fn a_larger_quota_lets_those_in_who_wait() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"partitions": 4})).await;
    t.made("a", "partitions: 3").await;
    t.younger().await;
    t.declare("b", "partitions: 2").await;
    t.condition("b", "Stalled=True TenantQuotaExceeded").await;
    quota(&t, json!({"partitions": 5})).await;
    t.ready("b").await;
    // What is there already stays when the quota shrinks; more of it is refused.
    quota(&t, json!({"partitions": 1})).await;
    t.made("a", "{partitions: 3, config: {segment.ms: 3600000}}").await;
    t.declare("a", "{partitions: 4, config: {segment.ms: 3600000}}").await;
    let held = t.condition("a", "Stalled=True TenantQuotaExceeded").await;
    assert!(message(&held, "Ready").contains("5 are taken and this topic asks for 1 more"), "{held:?}");
    assert_eq!(t.kafka_topic("a").await.expect("it stays").partitions, 3);
}

#[tokio::test]
async fn what_one_topic_may_ask_for_is_limited() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"retentionTime": "7d", "retentionSize": "10Mi", "messageSize": "1Mi"})).await;
    let most = "{partitions: 2, retention: {time: 7d, size: 5Mi}, config: {max.message.bytes: 1048576}}";
    t.made("most", most).await;
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
        t.declare(name, spec).await;
        let held = t.condition(name, "Stalled=True TenantQuotaExceeded").await;
        let said = message(&held, "Ready");
        assert!(said.starts_with(field), "{name}: {said}");
    }
    usage(&t, json!({"topics": 1, "partitions": 2, "retentionBytes": 10_485_760, "held": 5})).await;
}

/// However many come at once, Kafka never has more of them than the quota allows.
#[tokio::test]
async fn a_hundred_at_once_end_at_the_quota() {
    let t = Fixture::new("quota").await;
    quota(&t, json!({"topics": 10})).await;
    let names: Vec<String> = (0..100).map(|number| format!("t-{number}")).collect();
    join_all(names.iter().map(|name| t.declare(name, "{}"))).await;
    let topics = join_all(names.iter().map(|name| {
        t.wait(name, "granted or held", |topic| {
            has(topic, "Ready=True") || has(topic, "Ready=False TenantQuotaExceeded")
        })
    }))
    .await;
    let granted = topics.iter().filter(|topic| has(topic, "Ready=True")).count();
    assert_eq!(granted, 10);
    let made = join_all(names.iter().map(|name| t.kafka_topic(name))).await;
    assert_eq!(made.iter().flatten().count(), 10, "none was made that is not granted");
    usage(&t, json!({"topics": 10, "partitions": 10, "retentionBytes": 0, "held": 90})).await;
}
