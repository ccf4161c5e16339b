//! Authentication and rights: a missing right is reported, and granting it suffices.

use crate::stage;
use crate::stage::{allow, credentials, password};
use crate::support::{Fixture, KafkaTopic, ObjectPath, has_condition, message, to_yaml};
use eventcenter::api::KafkaCluster;
use serde_json::{Value, json};

/// The spec of a KafkaCluster at the broker with SASL/SCRAM, whose Secret has the name of the namespace.
fn spec_with_login(t: &Fixture) -> Value {
    let bootstrap = &stage::environment().sasl_bootstrap;
    json!({"bootstrapServers": [bootstrap], "sasl": {"secret": {"name": t.namespace}}})
}

async fn apply_credentials(t: &Fixture, user: &str, password: &str) {
    t.apply(&credentials(&t.namespace, user, password)).await;
}

async fn permit(user: &'static str, topics: String, operations: &'static [&'static str]) {
    let allowed = tokio::task::spawn_blocking(move || {
        allow(user, &["--topic", &topics, "--resource-pattern-type", "prefixed"], operations)
    });
    allowed.await.expect("no panic").expect("an ACL");
}

#[tokio::test]
async fn the_documented_rights_suffice() {
    let t = Fixture::on(stage::secure(), "security").await;
    t.topic("orders").apply_and_wait("{cluster: secure, partitions: 2, deletionPolicy: Delete}").await;
    t.topic("orders")
        .apply_and_wait("{cluster: secure, partitions: 3, config: {flush.ms: 1000}, deletionPolicy: Delete}")
        .await;
    t.wait_for_kafka_topic("orders", "3 partitions, and one key is set", |topic| {
        topic.partitions == 3 && topic.config.len() == 1
    })
    .await;
    t.topic("orders").apply_and_wait("{cluster: secure, partitions: 3, deletionPolicy: Delete}").await;
    t.wait_for_kafka_topic("orders", "the key is reset", |topic| topic.config.is_empty()).await;
    let access = format!(
        "[{{principal: 'User:alice', operations: [Read, Write], groups: [{}]}}]",
        t.kafka_name("readers")
    );
    t.topic("orders")
        .apply_and_wait(&format!(
            "{{cluster: secure, partitions: 3, deletionPolicy: Delete, access: {access}}}"
        ))
        .await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    t.topic("orders").delete_and_wait().await;
    t.wait_until_kafka_topic_deleted("orders").await;
}

#[tokio::test]
async fn an_operation_that_is_not_allowed_is_named_and_allowing_it_recovers() {
    let secure = stage::secure();
    let t = Fixture::new("security").await;
    apply_credentials(&t, "alice", password("alice")).await;
    let cluster = t.create_cluster(spec_with_login(&t)).await;
    let assert_not_authorized = async |name: &str, operation: &str| {
        let topic = t.topic(name).wait_for_condition("Ready=False NotAuthorized").await;
        assert!(has_condition(&topic, "Stalled=True NotAuthorized"));
        let reported = message(&topic, "Ready");
        assert!(reported.contains(&format!("{operation}: ")), "{reported}");
        assert!(reported.contains("Grant the operator's user this operation with an ACL"), "{reported}");
    };
    let spec = |rest: &str| format!("{{cluster: {cluster}, {rest}}}");

    t.topic("hidden").apply(&spec("partitions: 1")).await;
    assert_not_authorized("hidden", "DescribeTopics").await;

    permit("alice", t.prefix.clone(), &["Describe", "DescribeConfigs"]).await;
    for name in ["altered", "grown", "deleted"] {
        t.topic(name).apply(&spec("deletionPolicy: Delete")).await;
        assert_not_authorized(name, "CreateTopics").await;
    }
    permit("alice", t.prefix.clone(), &["Create"]).await;
    for name in ["hidden", "altered", "grown", "deleted"] {
        t.topic(name).wait_until_ready().await;
    }

    t.topic("altered").apply(&spec("config: {flush.ms: 1000}")).await;
    t.topic("grown").apply(&spec("partitions: 2")).await;
    t.topic("deleted").delete().await;
    assert_not_authorized("altered", "IncrementalAlterConfigs").await;
    assert_not_authorized("grown", "CreatePartitions").await;
    assert_not_authorized("deleted", "DeleteTopics").await;
    t.topic("grown").wait_for_event("NotAuthorized", "CreatePartitions").await;

    permit("alice", t.prefix.clone(), &["Alter", "AlterConfigs", "Delete"]).await;
    t.topic("altered").wait_until_ready().await;
    t.topic("grown").wait_until_ready().await;
    t.topic("deleted").wait_until_deleted().await;
    let altered = |topic: &KafkaTopic| topic.get("flush.ms") == Some("1000");
    secure.kafka.wait(&t.kafka_name("altered"), "flush.ms is set", |topic| topic.is_some_and(altered)).await;
    secure
        .kafka
        .wait(&t.kafka_name("grown"), "2 partitions", |topic| {
            topic.is_some_and(|topic| topic.partitions == 2)
        })
        .await;
    secure.kafka.wait(&t.kafka_name("deleted"), "deleted", |topic| topic.is_none()).await;
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_missing_secret_is_named_and_awaited() {
    drop(stage::secure());
    let t = Fixture::new("security").await;
    let cluster = t.create_cluster(spec_with_login(&t)).await;
    let missing = t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=False SecretNotFound").await;
    let reported = message(&missing, "Ready");
    assert_eq!(
        reported,
        format!(
            "there is no Secret {} in namespace eventcenter-system: create it, or correct the name",
            t.namespace
        )
    );
    t.topic("orders").apply(&format!("cluster: {cluster}")).await;
    t.topic("orders").wait_for_condition("Ready=False ClusterUnavailable").await;

    // A Secret without the key is reported as well.
    t.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": t.namespace, "namespace": "eventcenter-system"},
        "stringData": {"username": "eventcenter"},
    }))
    .await;
    let seen = crate::support::until(async || {
        let cluster =
            t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=False SecretNotFound").await;
        let reported = message(&cluster, "Ready");
        if reported.contains("has no text under the key password") { Ok(()) } else { Err(reported) }
    });
    seen.await.expect("the message names the key");

    apply_credentials(&t, "eventcenter", password("eventcenter")).await;
    t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=True Available").await;
    t.topic("orders").wait_until_ready().await;
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_the_right_one_recovers() {
    drop(stage::secure());
    let t = Fixture::new("security").await;
    apply_credentials(&t, "eventcenter", "guessed").await;
    let cluster = t.create_cluster(spec_with_login(&t)).await;
    let refused =
        t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=False AuthenticationFailed").await;
    let reported = message(&refused, "Ready");
    assert!(reported.contains("Check the credentials in the Secret of the KafkaCluster"), "{reported}");
    assert!(!to_yaml(&refused).contains("guessed"), "the status contains no password");
    t.resource::<KafkaCluster>(&cluster)
        .wait_for_event("AuthenticationFailed", "Check the credentials")
        .await;
    t.topic("orders").apply(&format!("cluster: {cluster}")).await;
    t.topic("orders").wait_for_condition("Ready=False").await;

    apply_credentials(&t, "eventcenter", password("eventcenter")).await;
    t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=True Available").await;
    t.topic("orders").wait_until_ready().await;
    let log = t.stage.logs.read();
    assert!(
        !log.contains("guessed") && !log.contains(password("eventcenter")),
        "the log contains no password"
    );
    t.delete_cluster().await;
}

#[tokio::test]
async fn a_rotated_secret_is_used_at_once() {
    drop(stage::secure());
    let t = Fixture::new("security").await;
    // bob may log in, but has no ACLs.
    apply_credentials(&t, "bob", password("bob")).await;
    let cluster = t.create_cluster(spec_with_login(&t)).await;
    t.topic("orders").apply(&format!("cluster: {cluster}")).await;
    t.topic("orders").wait_for_condition("Ready=False NotAuthorized").await;
    apply_credentials(&t, "eventcenter", password("eventcenter")).await;
    t.topic("orders").wait_until_ready().await;

    // After the Secret is deleted the connection stays until another Secret exists.
    let secret = credentials(&t.namespace, "eventcenter", "");
    t.kube.delete(&ObjectPath::of(&secret)).await;
    t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=False SecretNotFound").await;
    apply_credentials(&t, "eventcenter", password("eventcenter")).await;
    t.resource::<KafkaCluster>(&cluster).wait_for_condition("Ready=True Available").await;
    t.topic("orders").apply_and_wait(&format!("{{cluster: {cluster}, partitions: 2}}")).await;
    t.delete_cluster().await;
}
