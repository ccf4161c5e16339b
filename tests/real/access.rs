//! Who may use a topic: real clients are let in and refused, by a Kafka that has an authorizer.

use eventcenter::api::{EventTopic, TopicAcl};
use eventcenter_kafka_admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType,
};
use serde_json::{Value, json};

use crate::support::{Fixture, Place, Stage, clients, credentials, has, message, password, until};

const SECURE: &str = "cluster: secure";

async fn fixture() -> Fixture {
    Fixture::on(Stage::secure(), "access").await
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
    let looked = until(async || {
        let mut found = t.stage.kafka.acls(&AclBindingFilter::default()).await;
        found.retain(|acl| acl.name.starts_with(&t.prefix));
        found.sort();
        if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
    });
    if let Err(seen) = looked.await {
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
    t.declare(name, spec).await;
    t.ready(name).await;
    t.condition(name, "AccessInForce=True Available").await
}

/// Waits until whatever was going to happen to access has happened: an ACL that was taken away later has been put back.
async fn settled(t: &Fixture) {
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:marker', operations: [Read]}}]}}");
    allowed(t, "marker", &spec).await;
    let marker = acl("User:marker", AclOperation::Read, &t.name("marker"));
    t.stage.kafka.take_away(&marker).await;
    t.wait("marker", "put right", |topic| topic.status.as_ref().is_some_and(|s| s.last_drift.is_some()))
        .await;
    t.remove("marker").await;
}

#[tokio::test]
async fn who_is_declared_may_and_nobody_else_may() {
    let t = fixture().await;
    let (name, billing) = (t.name("orders"), t.name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}, \
         {{principal: 'User:bob', operations: [Read], groups: [{billing}, {}*]}}]}}",
        t.name("audit-")
    );
    allowed(&t, "orders", &spec).await;
    let refused = |said: String| assert!(said.contains("AuthorizationException"), "{said}");

    clients::produces("alice", &name, "hello").await;
    assert!(clients::consume("bob", &name, &billing).await.contains("hello"));
    assert!(clients::consume("bob", &name, &t.name("audit-1")).await.contains("hello"));
    refused(clients::consume("bob", &name, &t.name("other")).await);
    refused(clients::consume("alice", &name, &billing).await);
    refused(clients::produce("bob", &name, "spam").await);

    // What is taken away is refused from then on.
    t.declare("orders", &format!("{{{SECURE}, access: [{{principal: 'User:bob', operations: [Write]}}]}}"))
        .await;
    t.condition("orders", "AccessInForce=True Available").await;
    in_kafka(&t, &[acl("User:bob", AclOperation::Write, &name)]).await;
    refused(clients::produce("alice", &name, "spam").await);
    refused(clients::consume("bob", &name, &billing).await);
    clients::produces("bob", &name, "mine").await;
}

#[tokio::test]
async fn access_is_made_changed_and_removed() {
    let t = fixture().await;
    let (name, billing) = (t.name("orders"), t.name("billing"));
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

    t.declare("orders", &format!("{{{SECURE}}}")).await;
    let none = |topic: &EventTopic| {
        ours(topic).is_empty() && !has(topic, "AccessInForce=True") && topic.metadata.finalizers.is_none()
    };
    t.wait("orders", "without access", none).await;
    in_kafka(&t, &[]).await;
}

#[tokio::test]
async fn what_somebody_took_away_is_put_back_and_told() {
    let t = fixture().await;
    let (name, billing) = (t.name("orders"), t.name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [{billing}]}}]}}"
    );
    allowed(&t, "orders", &spec).await;
    let all =
        [acl("User:alice", AclOperation::Read, &name), group("User:alice", PatternType::Literal, &billing)];
    for acl in &all {
        t.stage.kafka.take_away(acl).await;
    }
    let topic = t
        .wait("orders", "put right", |topic| topic.status.as_ref().is_some_and(|s| s.last_drift.is_some()))
        .await;
    let drift = topic.status.and_then(|status| status.last_drift).expect("it is told");
    assert!(drift.changes[0].starts_with("User:alice lost"), "{drift:?}");
    in_kafka(&t, &all).await;
    t.event("orders", "Drifted", "Corrected: User:alice lost").await;
}

#[tokio::test]
async fn what_somebody_took_away_is_only_told_where_that_is_wanted() {
    let t = fixture().await;
    let name = t.name("orders");
    let spec = |who: &str| {
        format!(
            "{{{SECURE}, driftPolicy: Report, access: [{{principal: 'User:{who}', operations: [Read]}}]}}"
        )
    };
    allowed(&t, "orders", &spec("alice")).await;
    t.stage.kafka.take_away(&acl("User:alice", AclOperation::Read, &name)).await;
    let topic = t.condition("orders", "AccessInForce=False Drifted").await;
    assert_eq!(message(&topic, "AccessInForce"), "User:alice lost Read: its ACL was deleted");
    assert!(has(&topic, "InSync=False Drifted") && has(&topic, "Ready=True Available"));
    settled(&t).await;
    in_kafka(&t, &[]).await;

    // A change of the resource is asked for.
    allowed(&t, "orders", &spec("bob")).await;
    in_kafka(&t, &[acl("User:bob", AclOperation::Read, &name)]).await;
}

#[tokio::test]
async fn acls_of_others_are_told_and_left_alone() {
    let t = fixture().await;
    let name = t.name("orders");
    let spec = |who: &str| format!("{{{SECURE}, access: [{{principal: 'User:{who}', operations: [Read]}}]}}");
    let eve = acl("User:eve", AclOperation::Write, &name);
    let denied =
        AclBinding { permission_type: AclPermissionType::Deny, ..acl("User:bob", AclOperation::All, &name) };
    let wide =
        AclBinding { pattern_type: PatternType::Prefixed, ..acl("User:eve", AclOperation::Read, &t.prefix) };
    t.stage.kafka.allow(&[eve.clone(), wide.clone()]).await;
    let topic = allowed(&t, "orders", &spec("alice")).await;
    assert_eq!(foreign(&topic), ["User:eve Allow Write from *"]);

    t.stage.kafka.allow(std::slice::from_ref(&denied)).await;
    let both = ["User:bob Deny All from *", "User:eve Allow Write from *"];
    t.wait("orders", "told of both", |topic| foreign(topic) == both).await;
    allowed(&t, "orders", &spec("carol")).await;
    settled(&t).await;
    let topic = t.wait("orders", "still told", |topic| foreign(topic) == both).await;
    assert!(has(&topic, "InSync=True") && topic.status.is_some_and(|status| status.last_drift.is_none()));
    in_kafka(&t, &[acl("User:carol", AclOperation::Read, &name), eve.clone(), denied.clone(), wide.clone()])
        .await;
    t.remove("orders").await;
    in_kafka(&t, &[eve.clone(), denied.clone(), wide.clone()]).await;
    for acl in [eve, denied, wide] {
        t.stage.kafka.take_away(&acl).await;
    }
}

#[tokio::test]
async fn a_group_of_two_topics_goes_with_the_last() {
    let t = fixture().await;
    let shared = group("User:alice", PatternType::Literal, &t.name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [{}]}}]}}",
        t.name("billing")
    );
    for name in ["one", "two", "three"] {
        allowed(&t, name, &spec).await;
    }
    let reads = |name: &str| acl("User:alice", AclOperation::Read, &t.name(name));
    in_kafka(&t, &[reads("one"), reads("two"), reads("three"), shared.clone()]).await;
    t.remove("one").await;
    t.declare("two", &format!("{{{SECURE}}}")).await;
    t.wait("two", "without access", |topic| ours(topic).is_empty()).await;
    in_kafka(&t, &[reads("three"), shared]).await;
    t.remove("three").await;
    in_kafka(&t, &[]).await;
}

#[tokio::test]
async fn access_goes_with_a_resource_whose_topic_stays() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    allowed(&t, "orders", &spec).await;
    let written = [acl("User:alice", AclOperation::Write, &t.name("orders"))];

    t.annotate("orders", "paused", Some("true")).await;
    t.delete("orders").await;
    let waits = t.condition("orders", "Ready=False Paused").await;
    assert!(message(&waits, "Ready").contains("its ACLs would be deleted"));
    in_kafka(&t, &written).await;
    t.annotate("orders", "paused", None).await;
    t.gone("orders").await;
    in_kafka(&t, &[]).await;
    assert!(t.kafka_topic("orders").await.is_some());

    // One that is left to others is let go with everything in Kafka.
    allowed(&t, "orders", &spec).await;
    t.annotate("orders", "managed", Some("false")).await;
    t.condition("orders", "Ready=True Unmanaged").await;
    t.remove("orders").await;
    in_kafka(&t, &written).await;
    t.stage.kafka.take_away(&written[0]).await;
}

#[tokio::test]
async fn a_group_that_is_not_the_tenants_is_refused() {
    let t = fixture().await;
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [other.group]}}]}}"
    );
    t.declare("orders", &spec).await;
    let topic = t.condition("orders", "Ready=False InvalidResource").await;
    let told = message(&topic, "Ready");
    assert!(
        told.contains(&format!("group other.group of User:alice does not begin with {}", t.prefix)),
        "{told}"
    );
    assert!(t.kafka_topic("orders").await.is_none());
}

#[tokio::test]
async fn who_stops_a_tenant_takes_its_access_away() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    allowed(&t, "orders", &spec).await;
    let written = [acl("User:alice", AclOperation::Write, &t.name("orders"))];
    let tenant = |suspended: bool| json!({"namespaces": [t.namespace], "clusters": t.stage.clusters, "suspended": suspended, "whenSuspended": "Stop"});
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(true))).await;
    let topic = t.condition("orders", "AccessInForce=False TenantSuspended").await;
    assert!(has(&topic, "Ready=False TenantSuspended") && ours(&topic).is_empty());
    in_kafka(&t, &[]).await;
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(false))).await;
    t.condition("orders", "AccessInForce=True Available").await;
    in_kafka(&t, &written).await;
}

#[tokio::test]
async fn without_an_authorizer_that_is_told_and_the_topic_is_ready() {
    let t = Fixture::new("access").await;
    t.made("orders", "access: [{principal: 'User:alice', operations: [Read]}]").await;
    let topic = t.condition("orders", "AccessInForce=False AuthorizerMissing").await;
    assert!(has(&topic, "Ready=True Available") && has(&topic, "InSync=True"));
    assert_eq!(
        message(&topic, "AccessInForce"),
        "Kafka has no authorizer, so everybody may use the topic: set authorizer.class.name on the brokers, or remove spec.access"
    );
    assert!(message(&topic, "Ready").contains("see the condition AccessInForce"));
    t.event("orders", "AuthorizerMissing", "Kafka has no authorizer").await;
    t.declare("orders", "{}").await;
    t.wait("orders", "without access", |topic| {
        !has(topic, "AccessInForce=False") && topic.metadata.finalizers.is_none()
    })
    .await;
    t.declare("orders", "access: [{principal: 'User:alice', operations: [Read]}]").await;
    t.condition("orders", "AccessInForce=False AuthorizerMissing").await;
    t.remove("orders").await;
}

#[tokio::test]
async fn a_missing_right_is_named_and_allowing_it_recovers() {
    let secure = Stage::secure();
    let t = Fixture::new("access").await;
    let prefix =
        AclBinding { pattern_type: PatternType::Prefixed, ..acl("User:bob", AclOperation::All, &t.prefix) };
    let cluster_wide = AclBinding {
        resource_type: ResourceType::Cluster,
        ..acl("User:bob", AclOperation::Alter, "kafka-cluster")
    };
    secure.kafka.allow(std::slice::from_ref(&prefix)).await;
    t.apply(&credentials(&t.namespace, "bob", password("bob"))).await;
    let bootstrap = &Stage::environment().sasl_bootstrap;
    let cluster = t
        .own_cluster(json!({"bootstrapServers": [bootstrap], "sasl": {"secret": {"name": t.namespace}}}))
        .await;
    t.declare(
        "orders",
        &format!("{{cluster: {cluster}, access: [{{principal: 'User:alice', operations: [Read]}}]}}"),
    )
    .await;
    let topic = t.condition("orders", "Ready=False NotAuthorized").await;
    assert!(has(&topic, "Stalled=True NotAuthorized") && has(&topic, "AccessInForce=False NotAuthorized"));
    let told = message(&topic, "Ready");
    assert!(told.starts_with("DescribeAcls: ") && told.contains("Alter on the cluster"), "{told}");
    secure.kafka.allow(std::slice::from_ref(&cluster_wide)).await;
    t.ready("orders").await;
    t.condition("orders", "AccessInForce=True Available").await;
    t.remove("orders").await;
    secure.kafka.take_away(&cluster_wide).await;
    secure.kafka.take_away(&prefix).await;
    t.drop_cluster().await;
    t.kube.delete(&Place::of(&credentials(&t.namespace, "bob", ""))).await;
}

#[tokio::test]
async fn a_topic_without_access_costs_no_request_about_acls() {
    let t = Fixture::new("access").await;
    let cluster = t.own_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.made("orders", &format!("cluster: {cluster}")).await;
    t.made("orders", &format!("{{cluster: {cluster}, partitions: 2}}")).await;
    let seen = until(async || {
        let cluster: Value = t.kube.get(&Place::ours("KafkaCluster", &cluster)).await.unwrap_or_default();
        // The look at all topics has been.
        if cluster.pointer("/status/unregisteredTopics").is_some() {
            Ok(())
        } else {
            Err(cluster.to_string())
        }
    });
    seen.await.expect("it is looked at");
    let labels = [format!("cluster=\"{cluster}\""), "Acls\"".to_owned()];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(Stage::metric("eventcenter_kafka_requests_total", &labels), 0.0);
    t.drop_cluster().await;
}
