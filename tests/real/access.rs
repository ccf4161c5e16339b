//! Access to a topic: real clients are allowed and refused by a Kafka with an authorizer.

use crate::clients;
use crate::stage;
use crate::stage::{credentials, password};
use eventcenter::api::{EventTopic, TopicAcl};
use eventcenter_kafka_admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType,
};
use serde_json::json;

use crate::support::{Fixture, ObjectPath, has_condition, message, until};

const SECURE: &str = "cluster: secure";

async fn fixture() -> Fixture {
    Fixture::on(stage::secure(), "access").await
}

fn acl(principal: &str, operation: AclOperation, name: &str) -> AclBinding {
    AclBinding {
        resource_type: ResourceType::Topic,
        name: name.into(),
        pattern_type: PatternType::Literal,
        principal: principal.into(),
        host: "*".into(),
        operation,
        permission_type: AclPermissionType::Allow,
    }
}

fn group(principal: &str, pattern_type: PatternType, name: &str) -> AclBinding {
    AclBinding {
        resource_type: ResourceType::Group,
        pattern_type,
        ..acl(principal, AclOperation::Read, name)
    }
}

/// Waits until Kafka has exactly these ACLs about what begins with the test's prefix.
async fn in_kafka(t: &Fixture, expected: &[AclBinding]) {
    let mut expected = expected.to_vec();
    expected.sort();
    let polled = until(async || {
        let mut found = t.stage.kafka.acls(&AclBindingFilter::default()).await;
        found.retain(|acl| acl.name.starts_with(&t.prefix));
        found.sort();
        if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
    });
    if let Err(seen) = polled.await {
        t.fail(&format!("Kafka has not {expected:#?}"), &seen);
    }
}

fn ours(topic: &EventTopic) -> &[TopicAcl] {
    topic.status.as_ref().map(|status| status.acls.as_slice()).unwrap_or_default()
}

fn foreign(topic: &EventTopic) -> &[String] {
    topic.status.as_ref().map(|status| status.foreign_acls.as_slice()).unwrap_or_default()
}

async fn allowed(t: &Fixture, name: &str, spec: &str) -> EventTopic {
    t.topic(name).apply(spec).await;
    t.topic(name).wait_until_ready().await;
    t.topic(name).wait_for_condition("AccessInForce=True Available").await
}

/// Waits until all due changes of access are made: until an ACL that was deleted later is recreated.
async fn settled(t: &Fixture) {
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:marker', operations: [Read]}}]}}");
    allowed(t, "marker", &spec).await;
    let marker = acl("User:marker", AclOperation::Read, &t.kafka_name("marker"));
    t.stage.kafka.delete_acl(&marker).await;
    t.topic("marker")
        .wait_for_status("put right", |topic| topic.status.as_ref().is_some_and(|s| s.last_drift.is_some()))
        .await;
    t.topic("marker").delete_and_wait().await;
}

#[tokio::test]
async fn only_declared_clients_have_access() {
    let t = fixture().await;
    let (name, billing) = (t.kafka_name("orders"), t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}, \
         {{principal: 'User:bob', operations: [Read], groups: [{billing}, {}*]}}]}}",
        t.kafka_name("audit-")
    );
    allowed(&t, "orders", &spec).await;
    let refused = |said: String| assert!(said.contains("AuthorizationException"), "{said}");

    clients::produces("alice", &name, "hello").await;
    assert!(clients::consume("bob", &name, &billing).await.contains("hello"));
    assert!(clients::consume("bob", &name, &t.kafka_name("audit-1")).await.contains("hello"));
    refused(clients::consume("bob", &name, &t.kafka_name("other")).await);
    refused(clients::consume("alice", &name, &billing).await);
    refused(clients::produce("bob", &name, "spam").await);

    // What is taken away is refused from then on.
    t.topic("orders")
        .apply(&format!("{{{SECURE}, access: [{{principal: 'User:bob', operations: [Write]}}]}}"))
        .await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    in_kafka(&t, &[acl("User:bob", AclOperation::Write, &name)]).await;
    refused(clients::produce("alice", &name, "spam").await);
    refused(clients::consume("bob", &name, &billing).await);
    clients::produces("bob", &name, "mine").await;
}

#[tokio::test]
async fn access_is_granted_changed_and_revoked() {
    let t = fixture().await;
    let (name, billing) = (t.kafka_name("orders"), t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read, Write, DescribeConfigs], groups: [{billing}, {}*]}}]}}",
        t.prefix
    );
    let topic = allowed(&t, "orders", &spec).await;
    assert_eq!(ours(&topic).len(), 5);
    assert_eq!(topic.metadata.finalizers, Some(vec![eventcenter::api::DELETE_FINALIZER.to_owned()]));
    assert!(topic.status.as_ref().is_some_and(|status| status.last_drift.is_none()));
    in_kafka(
        &t,
        &[
            acl("User:alice", AclOperation::Read, &name),
            acl("User:alice", AclOperation::Write, &name),
            acl("User:alice", AclOperation::DescribeConfigs, &name),
            group("User:alice", PatternType::Literal, &billing),
            group("User:alice", PatternType::Prefixed, &t.prefix),
        ],
    )
    .await;

    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read]}}, {{principal: 'User:bob', operations: [Describe]}}]}}"
    );
    let topic = allowed(&t, "orders", &spec).await;
    assert_eq!(ours(&topic).len(), 2);
    in_kafka(
        &t,
        &[acl("User:alice", AclOperation::Read, &name), acl("User:bob", AclOperation::Describe, &name)],
    )
    .await;

    t.topic("orders").apply(&format!("{{{SECURE}}}")).await;
    let none = |topic: &EventTopic| {
        ours(topic).is_empty()
            && !has_condition(topic, "AccessInForce=True")
            && topic.metadata.finalizers.is_none()
    };
    t.topic("orders").wait_for_status("without access", none).await;
    in_kafka(&t, &[]).await;
}

#[tokio::test]
async fn a_deleted_acl_is_recreated_and_reported() {
    let t = fixture().await;
    let (name, billing) = (t.kafka_name("orders"), t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [{billing}]}}]}}"
    );
    allowed(&t, "orders", &spec).await;
    let all =
        [acl("User:alice", AclOperation::Read, &name), group("User:alice", PatternType::Literal, &billing)];
    for acl in &all {
        t.stage.kafka.delete_acl(acl).await;
    }
    let topic = t
        .topic("orders")
        .wait_for_status("put right", |topic| topic.status.as_ref().is_some_and(|s| s.last_drift.is_some()))
        .await;
    let drift = topic.status.and_then(|status| status.last_drift).expect("it is told");
    assert!(drift.changes[0].starts_with("User:alice lost"), "{drift:?}");
    in_kafka(&t, &all).await;
    t.topic("orders").wait_for_event("Drifted", "Corrected: User:alice lost").await;
}

#[tokio::test]
async fn a_deleted_acl_is_only_reported_with_drift_policy_report() {
    let t = fixture().await;
    let name = t.kafka_name("orders");
    let spec = |who: &str| {
        format!(
            "{{{SECURE}, driftPolicy: Report, access: [{{principal: 'User:{who}', operations: [Read]}}]}}"
        )
    };
    allowed(&t, "orders", &spec("alice")).await;
    t.stage.kafka.delete_acl(&acl("User:alice", AclOperation::Read, &name)).await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False Drifted").await;
    assert_eq!(message(&topic, "AccessInForce"), "User:alice lost Read: its ACL was deleted");
    assert!(has_condition(&topic, "InSync=False Drifted") && has_condition(&topic, "Ready=True Available"));
    settled(&t).await;
    in_kafka(&t, &[]).await;

    // A change of the resource is asked for.
    allowed(&t, "orders", &spec("bob")).await;
    in_kafka(&t, &[acl("User:bob", AclOperation::Read, &name)]).await;
}

#[tokio::test]
async fn acls_of_others_are_reported_and_not_changed() {
    let t = fixture().await;
    let name = t.kafka_name("orders");
    let spec = |who: &str| format!("{{{SECURE}, access: [{{principal: 'User:{who}', operations: [Read]}}]}}");
    let eve = acl("User:eve", AclOperation::Write, &name);
    let denied =
        AclBinding { permission_type: AclPermissionType::Deny, ..acl("User:bob", AclOperation::All, &name) };
    let wide =
        AclBinding { pattern_type: PatternType::Prefixed, ..acl("User:eve", AclOperation::Read, &t.prefix) };
    t.stage.kafka.create_acls(&[eve.clone(), wide.clone()]).await;
    let topic = allowed(&t, "orders", &spec("alice")).await;
    assert_eq!(foreign(&topic), ["User:eve Allow Write from *"]);

    t.stage.kafka.create_acls(std::slice::from_ref(&denied)).await;
    let both = ["User:bob Deny All from *", "User:eve Allow Write from *"];
    t.topic("orders").wait_for_status("told of both", |topic| foreign(topic) == both).await;
    allowed(&t, "orders", &spec("carol")).await;
    settled(&t).await;
    let topic = t.topic("orders").wait_for_status("still told", |topic| foreign(topic) == both).await;
    assert!(
        has_condition(&topic, "InSync=True")
            && topic.status.is_some_and(|status| status.last_drift.is_none())
    );
    in_kafka(&t, &[acl("User:carol", AclOperation::Read, &name), eve.clone(), denied.clone(), wide.clone()])
        .await;
    t.topic("orders").delete_and_wait().await;
    in_kafka(&t, &[eve.clone(), denied.clone(), wide.clone()]).await;
    for acl in [eve, denied, wide] {
        t.stage.kafka.delete_acl(&acl).await;
    }
}

#[tokio::test]
async fn a_consumer_group_of_two_topics_loses_access_with_the_last() {
    let t = fixture().await;
    let shared = group("User:alice", PatternType::Literal, &t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [{}]}}]}}",
        t.kafka_name("billing")
    );
    for name in ["one", "two", "three"] {
        allowed(&t, name, &spec).await;
    }
    let reads = |name: &str| acl("User:alice", AclOperation::Read, &t.kafka_name(name));
    in_kafka(&t, &[reads("one"), reads("two"), reads("three"), shared.clone()]).await;
    t.topic("one").delete_and_wait().await;
    t.topic("two").apply(&format!("{{{SECURE}}}")).await;
    t.topic("two").wait_for_status("without access", |topic| ours(topic).is_empty()).await;
    in_kafka(&t, &[reads("three"), shared]).await;
    t.topic("three").delete_and_wait().await;
    in_kafka(&t, &[]).await;
}

#[tokio::test]
async fn access_is_revoked_with_a_resource_whose_topic_stays() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    allowed(&t, "orders", &spec).await;
    let written = [acl("User:alice", AclOperation::Write, &t.kafka_name("orders"))];

    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").delete().await;
    let waits = t.topic("orders").wait_for_condition("Ready=False Paused").await;
    assert!(message(&waits, "Ready").contains("its ACLs would be deleted"));
    in_kafka(&t, &written).await;
    t.topic("orders").annotate("paused", None).await;
    t.topic("orders").wait_until_deleted().await;
    in_kafka(&t, &[]).await;
    assert!(t.kafka_topic("orders").await.is_some());

    // One that is left to others is let go with everything in Kafka.
    allowed(&t, "orders", &spec).await;
    t.topic("orders").annotate("managed", Some("false")).await;
    t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    t.topic("orders").delete_and_wait().await;
    in_kafka(&t, &written).await;
    t.stage.kafka.delete_acl(&written[0]).await;
}

#[tokio::test]
async fn a_consumer_group_of_another_tenant_is_refused() {
    let t = fixture().await;
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [other.group]}}]}}"
    );
    t.topic("orders").apply(&spec).await;
    let topic = t.topic("orders").wait_for_condition("Ready=False InvalidResource").await;
    let told = message(&topic, "Ready");
    assert!(
        told.contains(&format!("group other.group of User:alice does not begin with {}", t.prefix)),
        "{told}"
    );
    assert!(t.kafka_topic("orders").await.is_none());
}

#[tokio::test]
async fn suspending_a_tenant_revokes_its_access() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    allowed(&t, "orders", &spec).await;
    let written = [acl("User:alice", AclOperation::Write, &t.kafka_name("orders"))];
    let tenant = |suspended: bool| json!({"namespaces": [t.namespace], "clusters": t.stage.clusters, "suspended": suspended, "whenSuspended": "Stop"});
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(true))).await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False TenantSuspended").await;
    assert!(has_condition(&topic, "Ready=False TenantSuspended") && ours(&topic).is_empty());
    in_kafka(&t, &[]).await;
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(false))).await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    in_kafka(&t, &written).await;
}

#[tokio::test]
async fn a_missing_authorizer_is_reported_and_the_topic_is_ready() {
    let t = Fixture::new("access").await;
    t.topic("orders").apply_and_wait("access: [{principal: 'User:alice', operations: [Read]}]").await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False AuthorizerMissing").await;
    assert!(has_condition(&topic, "Ready=True Available") && has_condition(&topic, "InSync=True"));
    assert_eq!(
        message(&topic, "AccessInForce"),
        "Kafka has no authorizer, so everybody may use the topic: set authorizer.class.name on the brokers, or remove spec.access"
    );
    assert!(message(&topic, "Ready").contains("see the condition AccessInForce"));
    t.topic("orders").wait_for_event("AuthorizerMissing", "Kafka has no authorizer").await;
    t.topic("orders").apply("{}").await;
    t.topic("orders")
        .wait_for_status("without access", |topic| {
            !has_condition(topic, "AccessInForce=False") && topic.metadata.finalizers.is_none()
        })
        .await;
    t.topic("orders").apply("access: [{principal: 'User:alice', operations: [Read]}]").await;
    t.topic("orders").wait_for_condition("AccessInForce=False AuthorizerMissing").await;
    t.topic("orders").delete_and_wait().await;
}

#[tokio::test]
async fn a_missing_right_is_named_and_allowing_it_recovers() {
    let secure = stage::secure();
    let t = Fixture::new("access").await;
    let prefix =
        AclBinding { pattern_type: PatternType::Prefixed, ..acl("User:bob", AclOperation::All, &t.prefix) };
    let cluster_wide = AclBinding {
        resource_type: ResourceType::Cluster,
        ..acl("User:bob", AclOperation::Alter, "kafka-cluster")
    };
    secure.kafka.create_acls(std::slice::from_ref(&prefix)).await;
    t.apply(&credentials(&t.namespace, "bob", password("bob"))).await;
    let bootstrap = &stage::environment().sasl_bootstrap;
    let cluster = t
        .create_cluster(json!({"bootstrapServers": [bootstrap], "sasl": {"secret": {"name": t.namespace}}}))
        .await;
    t.topic("orders")
        .apply(&format!("{{cluster: {cluster}, access: [{{principal: 'User:alice', operations: [Read]}}]}}"))
        .await;
    let topic = t.topic("orders").wait_for_condition("Ready=False NotAuthorized").await;
    assert!(
        has_condition(&topic, "Stalled=True NotAuthorized")
            && has_condition(&topic, "AccessInForce=False NotAuthorized")
    );
    let told = message(&topic, "Ready");
    assert!(told.starts_with("DescribeAcls: ") && told.contains("Alter on the cluster"), "{told}");
    secure.kafka.create_acls(std::slice::from_ref(&cluster_wide)).await;
    t.topic("orders").wait_until_ready().await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    t.topic("orders").delete_and_wait().await;
    secure.kafka.delete_acl(&cluster_wide).await;
    secure.kafka.delete_acl(&prefix).await;
    t.delete_cluster().await;
    t.kube.delete(&ObjectPath::of(&credentials(&t.namespace, "bob", ""))).await;
}

#[tokio::test]
async fn a_topic_without_access_costs_no_request_about_acls() {
    let t = Fixture::new("access").await;
    let cluster = t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.topic("orders").apply_and_wait(&format!("cluster: {cluster}")).await;
    t.topic("orders").apply_and_wait(&format!("{{cluster: {cluster}, partitions: 2}}")).await;
    // A resync counts the unregistered topics.
    t.own_cluster()
        .wait_for("counted unregistered topics", |cluster| {
            cluster.status.as_ref().is_some_and(|status| status.unregistered_topics.is_some())
        })
        .await;
    let labels = [format!("cluster=\"{cluster}\""), "Acls\"".to_owned()];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(stage::metric("eventcenter_kafka_requests_total", &labels), 0.0);
    t.delete_cluster().await;
}
