//! Logins and rights: what the operator is not given, what it says then, and that giving it is enough.

use crate::support::{Fixture, KafkaTopic, Place, Stage, allow, credentials, has, message, password};
use serde_json::{Value, json};

/// A KafkaCluster of the test's own at the broker with logins, by the Secret of the same name.
fn with_login(t: &Fixture) -> Value {
    let bootstrap = &Stage::environment().sasl_bootstrap;
    json!({"bootstrapServers": [bootstrap], "sasl": {"secret": {"name": t.namespace}}})
}

async fn log_in(t: &Fixture, user: &str, password: &str) {
    t.apply(&credentials(&t.namespace, user, password)).await;
}

async fn permit(user: &'static str, topics: String, operations: &'static [&'static str]) {
    let allowed = tokio::task::spawn_blocking(move || {
        allow(user, &["--topic", &topics, "--resource-pattern-type", "prefixed"], operations)
    });
    allowed.await.expect("no panic").expect("an ACL");
}

#[tokio::test]
async fn with_the_documented_rights_everything_works() {
    let t = Fixture::on(Stage::secure(), "security").await;
    t.made("orders", "{cluster: secure, partitions: 2, deletionPolicy: Delete}").await;
    t.made("orders", "{cluster: secure, partitions: 3, config: {flush.ms: 1000}, deletionPolicy: Delete}")
        .await;
    t.in_kafka("orders", "changed", |topic| topic.partitions == 3 && topic.config.len() == 1).await;
    t.made("orders", "{cluster: secure, partitions: 3, deletionPolicy: Delete}").await;
    t.in_kafka("orders", "changed", |topic| topic.config.is_empty()).await;
    let access =
        format!("[{{principal: 'User:alice', operations: [Read, Write], groups: [{}]}}]", t.name("readers"));
    t.made(
        "orders",
        &format!("{{cluster: secure, partitions: 3, deletionPolicy: Delete, access: {access}}}"),
    )
    .await;
    t.condition("orders", "AccessInForce=True Available").await;
    t.remove("orders").await;
    t.deleted("orders").await;
}

#[tokio::test]
async fn an_operation_that_is_not_allowed_is_named_and_allowing_it_recovers() {
    let secure = Stage::secure();
    let t = Fixture::new("security").await;
    log_in(&t, "alice", password("alice")).await;
    let cluster = t.own_cluster(with_login(&t)).await;
    let refused = async |name: &str, operation: &str| {
        let topic = t.condition(name, "Ready=False NotAuthorized").await;
        assert!(has(&topic, "Stalled=True NotAuthorized"));
        let told = message(&topic, "Ready");
        assert!(told.contains(&format!("{operation}: ")), "{told}");
        assert!(told.contains("Grant the operator's user this operation with an ACL"), "{told}");
    };
    let spec = |rest: &str| format!("{{cluster: {cluster}, {rest}}}");

    t.declare("hidden", &spec("partitions: 1")).await;
    refused("hidden", "DescribeTopics").await;

    permit("alice", t.prefix.clone(), &["Describe", "DescribeConfigs"]).await;
    for name in ["altered", "grown", "deleted"] {
        t.declare(name, &spec("deletionPolicy: Delete")).await;
        refused(name, "CreateTopics").await;
    }
    permit("alice", t.prefix.clone(), &["Create"]).await;
    for name in ["hidden", "altered", "grown", "deleted"] {
        t.ready(name).await;
    }

    t.declare("altered", &spec("config: {flush.ms: 1000}")).await;
    t.declare("grown", &spec("partitions: 2")).await;
    t.delete("deleted").await;
    refused("altered", "IncrementalAlterConfigs").await;
    refused("grown", "CreatePartitions").await;
    refused("deleted", "DeleteTopics").await;
    t.event("grown", "NotAuthorized", "CreatePartitions").await;

    permit("alice", t.prefix.clone(), &["Alter", "AlterConfigs", "Delete"]).await;
    t.ready("altered").await;
    t.ready("grown").await;
    t.gone("deleted").await;
    let altered = |topic: &KafkaTopic| topic.get("flush.ms") == Some("1000");
    secure.kafka.wait(&t.name("altered"), "altered", |topic| topic.is_some_and(altered)).await;
    secure
        .kafka
        .wait(&t.name("grown"), "grown", |topic| topic.is_some_and(|topic| topic.partitions == 2))
        .await;
    secure.kafka.wait(&t.name("deleted"), "deleted", |topic| topic.is_none()).await;
    t.drop_cluster().await;
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named_and_waited_for() {
    drop(Stage::secure());
    let t = Fixture::new("security").await;
    let cluster = t.own_cluster(with_login(&t)).await;
    let missing = t.object_is("KafkaCluster", &cluster, "Ready=False SecretNotFound").await;
    let told = missing.pointer("/status/conditions/0/message").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(
        told,
        format!(
            "there is no Secret {} in namespace eventcenter-system: create it, or correct the name",
            t.namespace
        )
    );
    t.declare("orders", &format!("cluster: {cluster}")).await;
    t.condition("orders", "Ready=False ClusterUnavailable").await;

    // One without the key is no better.
    t.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": t.namespace, "namespace": "eventcenter-system"},
        "stringData": {"username": "eventcenter"},
    }))
    .await;
    let seen = crate::support::until(async || {
        let cluster = t.object_is("KafkaCluster", &cluster, "Ready=False SecretNotFound").await;
        let told =
            cluster.pointer("/status/conditions/0/message").and_then(Value::as_str).unwrap_or_default();
        if told.contains("has no text under the key password") { Ok(()) } else { Err(told.to_owned()) }
    });
    seen.await.expect("the key is named");

    log_in(&t, "eventcenter", password("eventcenter")).await;
    t.object_is("KafkaCluster", &cluster, "Ready=True Available").await;
    t.ready("orders").await;
    t.drop_cluster().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_right_one_recovers() {
    drop(Stage::secure());
    let t = Fixture::new("security").await;
    log_in(&t, "eventcenter", "guessed").await;
    let cluster = t.own_cluster(with_login(&t)).await;
    let refused = t.object_is("KafkaCluster", &cluster, "Ready=False AuthenticationFailed").await;
    let told = refused.pointer("/status/conditions/0/message").and_then(Value::as_str).unwrap_or_default();
    assert!(told.contains("Check the credentials in the Secret of the KafkaCluster"), "{told}");
    assert!(!refused.to_string().contains("guessed"), "no password is told");
    t.cluster_event(&cluster, "AuthenticationFailed", "Check the credentials").await;
    t.declare("orders", &format!("cluster: {cluster}")).await;
    t.condition("orders", "Ready=False").await;

    log_in(&t, "eventcenter", password("eventcenter")).await;
    t.object_is("KafkaCluster", &cluster, "Ready=True Available").await;
    t.ready("orders").await;
    let log = std::fs::read_to_string(&t.stage.log).expect("a log");
    assert!(!log.contains("guessed") && !log.contains(password("eventcenter")), "no password is logged");
    t.drop_cluster().await;
}

#[tokio::test]
async fn a_rotated_secret_is_used_at_once() {
    drop(Stage::secure());
    let t = Fixture::new("security").await;
    // bob may log in, and do nothing.
    log_in(&t, "bob", password("bob")).await;
    let cluster = t.own_cluster(with_login(&t)).await;
    t.declare("orders", &format!("cluster: {cluster}")).await;
    t.condition("orders", "Ready=False NotAuthorized").await;
    log_in(&t, "eventcenter", password("eventcenter")).await;
    t.ready("orders").await;

    // A Secret that goes leaves the connection as it is until there is another one.
    let secret = credentials(&t.namespace, "eventcenter", "");
    t.kube.delete(&Place::of(&secret)).await;
    t.object_is("KafkaCluster", &cluster, "Ready=False SecretNotFound").await;
    log_in(&t, "eventcenter", password("eventcenter")).await;
    t.object_is("KafkaCluster", &cluster, "Ready=True Available").await;
    t.made("orders", &format!("{{cluster: {cluster}, partitions: 2}}")).await;
    t.drop_cluster().await;
}
