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

/// Waits until exactly these ACLs exist in Kafka for names with the test's prefix.
async fn wait_for_acls(t: &Fixture, expected: &[AclBinding]) {
    let mut expected = expected.to_vec();
    expected.sort();
    let polled = until(async || {
        let mut found = t.stage.kafka.acls(&AclBindingFilter::default()).await;
        found.retain(|acl| acl.name.starts_with(&t.prefix));
        found.sort();
        if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
    });
    if let Err(seen) = polled.await {
        t.fail(&format!("the ACLs are not {expected:#?}"), &seen);
    }
}

fn managed_acls(topic: &EventTopic) -> &[TopicAcl] {
    topic.status.as_ref().map(|status| status.acls.as_slice()).unwrap_or_default()
}

fn foreign_acls(topic: &EventTopic) -> &[String] {
    topic.status.as_ref().map(|status| status.foreign_acls.as_slice()).unwrap_or_default()
}

async fn apply_and_wait_for_access(t: &Fixture, name: &str, spec: &str) -> EventTopic {
    t.topic(name).apply(spec).await;
    t.topic(name).wait_until_ready().await;
    t.topic(name).wait_for_condition("AccessInForce=True Available").await
}

/// Waits until all earlier ACL changes are reconciled: until an ACL that is deleted now has been recreated.
async fn wait_until_acls_are_corrected(t: &Fixture) {
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:marker', operations: [Read]}}]}}");
    apply_and_wait_for_access(t, "marker", &spec).await;
    let marker = acl("User:marker", AclOperation::Read, &t.kafka_name("marker"));
    t.stage.kafka.delete_acl(&marker).await;
    t.topic("marker")
        .wait_for_status("status.lastDrift is set", |topic| {
            topic.status.as_ref().is_some_and(|s| s.last_drift.is_some())
        })
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
    apply_and_wait_for_access(&t, "orders", &spec).await;
    let assert_not_authorized =
        |output: String| assert!(output.contains("AuthorizationException"), "{output}");

    clients::produce_until_allowed("alice", &name, "hello").await;
    assert!(clients::consume("bob", &name, &billing).await.contains("hello"));
    assert!(clients::consume("bob", &name, &t.kafka_name("audit-1")).await.contains("hello"));
    assert_not_authorized(clients::consume("bob", &name, &t.kafka_name("other")).await);
    assert_not_authorized(clients::consume("alice", &name, &billing).await);
    assert_not_authorized(clients::produce("bob", &name, "spam").await);

    // A client whose access is removed from the spec is refused.
    t.topic("orders")
        .apply(&format!("{{{SECURE}, access: [{{principal: 'User:bob', operations: [Write]}}]}}"))
        .await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    wait_for_acls(&t, &[acl("User:bob", AclOperation::Write, &name)]).await;
    assert_not_authorized(clients::produce("alice", &name, "spam").await);
    assert_not_authorized(clients::consume("bob", &name, &billing).await);
    clients::produce_until_allowed("bob", &name, "world").await;
}

#[tokio::test]
async fn access_is_granted_changed_and_revoked() {
    let t = fixture().await;
    let (name, billing) = (t.kafka_name("orders"), t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read, Write, DescribeConfigs], groups: [{billing}, {}*]}}]}}",
        t.prefix
    );
    let topic = apply_and_wait_for_access(&t, "orders", &spec).await;
    assert_eq!(managed_acls(&topic).len(), 5);
    assert_eq!(topic.metadata.finalizers, Some(vec![eventcenter::api::DELETE_FINALIZER.to_owned()]));
    assert!(topic.status.as_ref().is_some_and(|status| status.last_drift.is_none()));
    wait_for_acls(
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
    let topic = apply_and_wait_for_access(&t, "orders", &spec).await;
    assert_eq!(managed_acls(&topic).len(), 2);
    wait_for_acls(
        &t,
        &[acl("User:alice", AclOperation::Read, &name), acl("User:bob", AclOperation::Describe, &name)],
    )
    .await;

    t.topic("orders").apply(&format!("{{{SECURE}}}")).await;
    let none = |topic: &EventTopic| {
        managed_acls(topic).is_empty()
            && !has_condition(topic, "AccessInForce=True")
            && topic.metadata.finalizers.is_none()
    };
    t.topic("orders").wait_for_status("access is removed", none).await;
    wait_for_acls(&t, &[]).await;
}

#[tokio::test]
async fn a_deleted_acl_is_recreated_and_reported() {
    let t = fixture().await;
    let (name, billing) = (t.kafka_name("orders"), t.kafka_name("billing"));
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [{billing}]}}]}}"
    );
    apply_and_wait_for_access(&t, "orders", &spec).await;
    let all =
        [acl("User:alice", AclOperation::Read, &name), group("User:alice", PatternType::Literal, &billing)];
    for acl in &all {
        t.stage.kafka.delete_acl(acl).await;
    }
    let topic = t
        .topic("orders")
        .wait_for_status("status.lastDrift is set", |topic| {
            topic.status.as_ref().is_some_and(|s| s.last_drift.is_some())
        })
        .await;
    let drift = topic.status.and_then(|status| status.last_drift).expect("drift is reported");
    assert!(drift.changes[0].starts_with("User:alice lost"), "{drift:?}");
    wait_for_acls(&t, &all).await;
    t.topic("orders").wait_for_event("Drifted", "Corrected: User:alice lost").await;
}

#[tokio::test]
async fn a_deleted_acl_is_only_reported_with_drift_policy_report() {
    let t = fixture().await;
    let name = t.kafka_name("orders");
    let spec = |user: &str| {
        format!(
            "{{{SECURE}, driftPolicy: Report, access: [{{principal: 'User:{user}', operations: [Read]}}]}}"
        )
    };
    apply_and_wait_for_access(&t, "orders", &spec("alice")).await;
    t.stage.kafka.delete_acl(&acl("User:alice", AclOperation::Read, &name)).await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False Drifted").await;
    assert_eq!(message(&topic, "AccessInForce"), "User:alice lost Read: its ACL was deleted");
    assert!(has_condition(&topic, "InSync=False Drifted") && has_condition(&topic, "Ready=True Available"));
    wait_until_acls_are_corrected(&t).await;
    wait_for_acls(&t, &[]).await;

    // A change of the spec is applied, although drift is only reported.
    apply_and_wait_for_access(&t, "orders", &spec("bob")).await;
    wait_for_acls(&t, &[acl("User:bob", AclOperation::Read, &name)]).await;
}

#[tokio::test]
async fn acls_of_others_are_reported_and_not_changed() {
    let t = fixture().await;
    let name = t.kafka_name("orders");
    let spec =
        |user: &str| format!("{{{SECURE}, access: [{{principal: 'User:{user}', operations: [Read]}}]}}");
    let eve = acl("User:eve", AclOperation::Write, &name);
    let denied =
        AclBinding { permission_type: AclPermissionType::Deny, ..acl("User:bob", AclOperation::All, &name) };
    let wide =
        AclBinding { pattern_type: PatternType::Prefixed, ..acl("User:eve", AclOperation::Read, &t.prefix) };
    t.stage.kafka.create_acls(&[eve.clone(), wide.clone()]).await;
    let topic = apply_and_wait_for_access(&t, "orders", &spec("alice")).await;
    assert_eq!(foreign_acls(&topic), ["User:eve Allow Write from *"]);

    t.stage.kafka.create_acls(std::slice::from_ref(&denied)).await;
    let both = ["User:bob Deny All from *", "User:eve Allow Write from *"];
    t.topic("orders")
        .wait_for_status("status.foreignAcls lists both", |topic| foreign_acls(topic) == both)
        .await;
    apply_and_wait_for_access(&t, "orders", &spec("carol")).await;
    wait_until_acls_are_corrected(&t).await;
    let topic = t
        .topic("orders")
        .wait_for_status("status.foreignAcls still lists both", |topic| foreign_acls(topic) == both)
        .await;
    assert!(
        has_condition(&topic, "InSync=True")
            && topic.status.is_some_and(|status| status.last_drift.is_none())
    );
    wait_for_acls(
        &t,
        &[acl("User:carol", AclOperation::Read, &name), eve.clone(), denied.clone(), wide.clone()],
    )
    .await;
    t.topic("orders").delete_and_wait().await;
    wait_for_acls(&t, &[eve.clone(), denied.clone(), wide.clone()]).await;
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
        apply_and_wait_for_access(&t, name, &spec).await;
    }
    let reads = |name: &str| acl("User:alice", AclOperation::Read, &t.kafka_name(name));
    wait_for_acls(&t, &[reads("one"), reads("two"), reads("three"), shared.clone()]).await;
    t.topic("one").delete_and_wait().await;
    t.topic("two").apply(&format!("{{{SECURE}}}")).await;
    t.topic("two").wait_for_status("access is removed", |topic| managed_acls(topic).is_empty()).await;
    wait_for_acls(&t, &[reads("three"), shared]).await;
    t.topic("three").delete_and_wait().await;
    wait_for_acls(&t, &[]).await;
}

#[tokio::test]
async fn access_is_revoked_with_a_resource_whose_topic_stays() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    apply_and_wait_for_access(&t, "orders", &spec).await;
    let acls = [acl("User:alice", AclOperation::Write, &t.kafka_name("orders"))];

    t.topic("orders").annotate("paused", Some("true")).await;
    t.topic("orders").delete().await;
    let waiting = t.topic("orders").wait_for_condition("Ready=False Paused").await;
    assert!(message(&waiting, "Ready").contains("its ACLs would be deleted"));
    wait_for_acls(&t, &acls).await;
    t.topic("orders").annotate("paused", None).await;
    t.topic("orders").wait_until_deleted().await;
    wait_for_acls(&t, &[]).await;
    assert!(t.kafka_topic("orders").await.is_some());

    // The ACLs of an unmanaged resource stay when it is deleted.
    apply_and_wait_for_access(&t, "orders", &spec).await;
    t.topic("orders").annotate("managed", Some("false")).await;
    t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    t.topic("orders").delete_and_wait().await;
    wait_for_acls(&t, &acls).await;
    t.stage.kafka.delete_acl(&acls[0]).await;
}

#[tokio::test]
async fn a_consumer_group_of_another_tenant_is_refused() {
    let t = fixture().await;
    let spec = format!(
        "{{{SECURE}, access: [{{principal: 'User:alice', operations: [Read], groups: [other.group]}}]}}"
    );
    t.topic("orders").apply(&spec).await;
    let topic = t.topic("orders").wait_for_condition("Ready=False InvalidResource").await;
    let reported = message(&topic, "Ready");
    assert!(
        reported.contains(&format!("group other.group of User:alice does not begin with {}", t.prefix)),
        "{reported}"
    );
    assert!(t.kafka_topic("orders").await.is_none());
}

#[tokio::test]
async fn suspending_a_tenant_revokes_its_access() {
    let t = fixture().await;
    let spec = format!("{{{SECURE}, access: [{{principal: 'User:alice', operations: [Write]}}]}}");
    apply_and_wait_for_access(&t, "orders", &spec).await;
    let acls = [acl("User:alice", AclOperation::Write, &t.kafka_name("orders"))];
    let tenant = |suspended: bool| json!({"namespaces": [t.namespace], "clusters": t.stage.clusters, "suspended": suspended, "whenSuspended": "Stop"});
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(true))).await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False TenantSuspended").await;
    assert!(has_condition(&topic, "Ready=False TenantSuspended") && managed_acls(&topic).is_empty());
    wait_for_acls(&t, &[]).await;
    t.apply(&crate::support::cluster_scoped("Tenant", &t.namespace, tenant(false))).await;
    t.topic("orders").wait_for_condition("AccessInForce=True Available").await;
    wait_for_acls(&t, &acls).await;
}

#[tokio::test]
async fn a_missing_authorizer_is_reported_and_the_topic_is_ready() {
    let t = Fixture::new("access").await;
    t.topic("orders").apply_and_wait("access: [{principal: 'User:alice', operations: [Read]}]").await;
    let topic = t.topic("orders").wait_for_condition("AccessInForce=False AuthorizerMissing").await;
    assert!(has_condition(&topic, "Ready=True Available") && has_condition(&topic, "InSync=True"));
    assert_eq!(
        message(&topic, "AccessInForce"),
        "Kafka has no authorizer, so every client may use the topic: set authorizer.class.name on the brokers, or remove spec.access"
    );
    assert!(message(&topic, "Ready").contains("see the condition AccessInForce"));
    t.topic("orders").wait_for_event("AuthorizerMissing", "Kafka has no authorizer").await;
    t.topic("orders").apply("{}").await;
    t.topic("orders")
        .wait_for_status("access is removed", |topic| {
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
    let reported = message(&topic, "Ready");
    assert!(
        reported.starts_with("DescribeAcls: ") && reported.contains("Alter on the cluster"),
        "{reported}"
    );
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
        .wait_for("status.unregisteredTopics is set", |cluster| {
            cluster.status.as_ref().is_some_and(|status| status.unregistered_topics.is_some())
        })
        .await;
    let labels = [format!("cluster=\"{cluster}\""), "Acls\"".to_owned()];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(stage::metric("eventcenter_kafka_requests_total", &labels), 0.0);
    t.delete_cluster().await;
}
