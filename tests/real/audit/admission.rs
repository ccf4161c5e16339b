//! Records of admission decisions.

use crate::stage;
use eventcenter::api::Tenant;
use eventcenter::domain::audit::{Filter, LogName, Outcome, Record};
use eventcenter_sdk::Reason;
use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{
    Fixture, KubeClient, ObjectPath, Response, WriteMethod, assert_refused, cluster_scoped, unique, until,
};

/// A user with all rights, other than the administrator who prepares the test.
async fn person(t: &Fixture, name: &str) -> KubeClient {
    let groups = ["system:masters", "buyers"].map(String::from);
    KubeClient::as_user(&t.stage.kubeconfig, name, &groups).await
}

async fn on_webhook_stage(name: &str) -> Fixture {
    Fixture::on(stage::with_webhook(), name).await
}

/// The records of a user.
fn by(user: &str) -> Filter {
    Filter { actor: Some(user.to_owned()), ..Filter::default() }
}

fn log(t: &Fixture) -> LogName {
    LogName::of(Some(&t.namespace))
}

/// Prints each record as a line, with a placeholder for the namespace. If a resource changes during its review, the API server
/// reviews it again; such repeated records are printed once.
fn print(t: &Fixture, records: &[Record]) -> String {
    let mut lines: Vec<String> = records
        .iter()
        .map(|record| {
            let target = record.target.as_ref().map(|target| format!(" {} {}", target.kind, target.name));
            let reason = record.reason.as_ref().map(|reason| format!(": {reason}"));
            let (target, reason) = (target.unwrap_or_default(), reason.unwrap_or_default());
            let text = format!("{} {}{target}{reason}\n", record.outcome, record.action);
            text.replace(&t.namespace, "NS")
        })
        .collect();
    lines.dedup();
    lines.concat()
}

fn assert_status(answer: &Response, status: u16) {
    assert!(answer.status == status || (status == 200 && answer.status == 201), "{answer:?}");
}

#[tokio::test]
async fn each_decision_on_a_topic_is_recorded_and_nothing_else() {
    let t = on_webhook_stage("recorded").await;
    let logs = stage::webhook_logs();
    let user = format!("alice-{}", unique());
    let alice = person(&t, &user).await;
    let topic = |spec: &str| t.topic("orders").manifest(spec);
    // Dry runs are not recorded.
    for method in [WriteMethod::DryRun, WriteMethod::ReplaceDryRun] {
        assert_status(&alice.write(&topic("{}"), method).await, 200);
        assert_status(&alice.write(&topic("topicName: else.orders"), method).await, 403);
    }
    assert_status(&alice.write(&topic("topicName: else.orders"), WriteMethod::Apply).await, 403);
    assert_status(&alice.write(&topic("config: {segment.ms: 3600000}"), WriteMethod::Apply).await, 200);
    // A repeated apply and a change of a label are not recorded.
    assert_status(&alice.write(&topic("config: {segment.ms: 3600000}"), WriteMethod::Apply).await, 200);
    alice.merge(t.topic("orders").path(), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    // Until then the operator writes the status, so a replacement could conflict.
    t.topic("orders").wait_until_ready().await;
    assert_status(
        &alice.write(&topic("{config: {segment.ms: 7200000}, partitions: 2}"), WriteMethod::Replace).await,
        200,
    );
    assert_status(
        &alice
            .write(&topic("{retention: {time: 999999999999999999w}, partitions: 2}"), WriteMethod::Apply)
            .await,
        403,
    );
    t.topic("orders").wait_until_ready().await;
    assert_status(&alice.try_delete(t.topic("orders").path()).await, 200);
    let records = logs.read(&log(&t), &by(&user)).await;
    expect![[r#"
        Denied Create EventTopic orders: InvalidResource
        Allowed Create EventTopic orders
        Allowed Update EventTopic orders
        Denied Update EventTopic orders: InvalidResource
        Allowed Delete EventTopic orders
    "#]]
    .assert_eq(&print(&t, &records));

    let of = |outcome: Outcome, action: &str| {
        let is = |record: &&Record| record.outcome == outcome && record.action == action;
        records.iter().find(is).expect("the record is printed above")
    };
    let updated = serde_json::to_value(of(Outcome::Allowed, "Update")).expect("JSON");
    let uid = of(Outcome::Allowed, "Delete").target.as_ref().and_then(|target| target.uid.clone());
    assert!(uid.is_some(), "{updated}");
    assert_eq!(updated["target"]["uid"], json!(uid));
    assert_eq!(updated["target"]["namespace"], json!(t.namespace));
    assert_eq!(updated["actor"]["user"], json!(user));
    assert_eq!(updated["actor"]["via"], "Admission");
    assert!(updated["actor"]["groups"].as_array().is_some_and(|groups| groups.contains(&json!("buyers"))));
    assert_eq!(updated["origin"]["component"], "webhook");
    let patch = updated["change"]["patch"].to_string();
    assert!(
        patch.contains("/spec/partitions") && patch.contains("7200000") && patch.contains("3600000"),
        "{patch}"
    );
    assert!(!patch.contains("/status") && !patch.contains("managedFields"), "{patch}");
    assert!(updated["requestId"].is_string(), "{updated}");
    let refused = of(Outcome::Denied, "Create");
    let message = refused.message.as_deref().unwrap_or_default();
    assert!(
        message.contains("InvalidResource: spec.topicName: else.orders does not begin with"),
        "{message}"
    );
    assert_eq!(refused.origin.field_manager.as_deref(), Some("tests"));
}

#[tokio::test]
async fn tenants_and_their_schemas_are_recorded_in_their_own_log() {
    let t = on_webhook_stage("owner").await;
    let logs = stage::webhook_logs();
    let user = format!("bob-{}", unique());
    let bob = person(&t, &user).await;
    let other = format!("{}-other", t.namespace);
    let tenant = |spec: Value| cluster_scoped("Tenant", &other, spec);
    assert_status(&bob.write(&tenant(json!({"namespaces": [other]})), WriteMethod::Apply).await, 200);
    assert_status(
        &bob.write(&tenant(json!({"namespaces": [other], "description": "x"})), WriteMethod::Apply).await,
        200,
    );
    assert_status(&bob.try_delete(t.resource::<Tenant>(&other).path()).await, 200);
    let records = logs.read(&LogName::of(Some(&other)), &by(&user)).await;
    expect![[r#"
        Allowed Create Tenant NS-other
        Allowed Update Tenant NS-other
        Allowed Delete Tenant NS-other
    "#]]
    .assert_eq(&print(&t, &records));

    let map = |data: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "schemas", "namespace": t.namespace, "labels": {"eventcenter.io/schema": "true"}},
            "data": {"order": data},
        })
    };
    assert_status(&bob.write(&map("{}"), WriteMethod::Apply).await, 200);
    let typed =
        "eventTypes: [{name: Order.Created.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: order}}}]";
    assert_status(&bob.write(&t.topic("orders").manifest(typed), WriteMethod::Apply).await, 200);
    // A dry run, because an invalid schema that was stored before the webhook knew the topic would not be denied later.
    let denied = until(async || match bob.write(&map("no schema"), WriteMethod::DryRun).await {
        answer if answer.message().contains("SchemaInvalid") => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
    denied.await.expect("the webhook knows the topic");
    let denied = bob.write(&map("no schema"), WriteMethod::Apply).await;
    assert!(denied.message().contains("SchemaInvalid"), "{denied:?}");
    assert_status(&bob.write(&map(r#"{"title": "anything"}"#), WriteMethod::Apply).await, 200);
    assert_status(&bob.try_delete(&ObjectPath::of(&map(""))).await, 200);
    let denied = bob.try_delete(t.tenant().path()).await;
    assert_refused(&denied, Reason::ResourceInUse, "still has EventTopics");
    let of_tenants = Filter { kind: Some("Tenant".into()), ..by(&user) };
    let records = logs.read(&log(&t), &of_tenants).await;
    assert_eq!(print(&t, &records), "Denied Delete Tenant NS: ResourceInUse\n");
    let of_schemas = Filter { kind: Some("ConfigMap".into()), ..by(&user) };
    let records = logs.read(&log(&t), &of_schemas).await;
    let printed = print(&t, &records);
    assert!(printed.contains("Denied Update ConfigMap schemas: SchemaInvalid\n"), "{printed}");
    assert!(printed.starts_with("Allowed Create ConfigMap schemas\n"), "{printed}");
    let end = "Allowed Update ConfigMap schemas\nAllowed Delete ConfigMap schemas\n";
    assert!(printed.ends_with(end), "{printed}");
}

#[tokio::test]
async fn resources_without_a_tenant_are_recorded_in_the_platforms_log() {
    let t = on_webhook_stage("platform").await;
    let logs = stage::webhook_logs();
    let user = format!("carol-{}", unique());
    let carol = person(&t, &user).await;
    let cluster = |spec: Value| cluster_scoped("KafkaCluster", &t.namespace, spec);
    assert_status(
        &carol.write(&cluster(json!({"bootstrapServers": ["127.0.0.1:1"]})), WriteMethod::Apply).await,
        200,
    );
    assert_status(
        &carol.write(&cluster(json!({"bootstrapServers": ["127.0.0.1:2"]})), WriteMethod::Apply).await,
        200,
    );
    assert_status(&carol.try_delete(t.own_cluster().path()).await, 200);
    t.apply_tenant(json!({"namespaces": []})).await;
    // A dry run leaves no record, also if the webhook has not heard of the change.
    let refused =
        until(async || match carol.write(&t.topic("orders").manifest("{}"), WriteMethod::DryRun).await {
            answer if answer.message().contains("TenantNotFound") => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
    refused.await.expect("the namespace has no tenant");
    let answer = carol.write(&t.topic("orders").manifest("{}"), WriteMethod::Apply).await;
    assert!(answer.message().contains("TenantNotFound"), "{answer:?}");
    let records = logs.read(&LogName::platform(), &by(&user)).await;
    expect![[r#"
        Allowed Create KafkaCluster NS
        Allowed Update KafkaCluster NS
        Allowed Delete KafkaCluster NS
        Denied Create EventTopic orders: TenantNotFound
    "#]]
    .assert_eq(&print(&t, &records));
}

#[tokio::test]
async fn approvals_are_recorded_with_their_content() {
    let t = on_webhook_stage("decided").await;
    let logs = stage::webhook_logs();
    let rules = json!({"rules": [{"changes": ["Any"], "groups": ["buyers"]}]});
    t.apply_tenant(json!({"namespaces": [t.namespace], "clusters": t.stage.clusters, "approval": rules}))
        .await;
    let (user, other) = (format!("dora-{}", unique()), format!("emil-{}", unique()));
    let (dora, emil) = (person(&t, &user).await, person(&t, &other).await);
    let polled =
        until(async || match dora.write(&t.topic("orders").manifest("{}"), WriteMethod::DryRun).await {
            answer if answer.warnings.iter().any(|warning| warning.contains("AwaitingApproval")) => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
    polled.await.expect("the webhook applies the rules");
    assert_status(&dora.write(&t.topic("orders").manifest("{}"), WriteMethod::Apply).await, 200);
    let hash = eventcenter::domain::approval::SpecHash::of(&t.topic("orders").get().await.spec);
    let approval = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "ChangeApproval",
        "metadata": {"name": "go", "namespace": t.namespace},
        "spec": {"target": {"kind": "EventTopic", "name": "orders"}, "specHash": hash.as_str(), "decision": "Approve"},
    });
    let refusal = dora.create(&approval, "").await;
    assert_refused(&refusal, Reason::ApprovalNotAllowed, "");
    assert_status(&emil.create(&approval, "").await, 201);
    assert_status(&emil.try_delete(&ObjectPath::of(&approval)).await, 200);
    let of_approvals = |user: &str| Filter { kind: Some("ChangeApproval".into()), ..by(user) };
    let by_dora = logs.read(&log(&t), &of_approvals(&user)).await;
    expect![[r#"
        Denied Create ChangeApproval go: ApprovalNotAllowed
    "#]]
    .assert_eq(&print(&t, &by_dora));
    let by_emil = logs.read(&log(&t), &of_approvals(&other)).await;
    expect![[r#"
        Allowed Create ChangeApproval go
        Allowed Delete ChangeApproval go
    "#]]
    .assert_eq(&print(&t, &by_emil));
    let expected = format!("Approve: Apply EventTopic orders as {}", hash.as_str());
    for record in by_dora.iter().chain(&by_emil) {
        let message = record.message.as_deref().unwrap_or_default();
        assert!(message.starts_with(&expected), "{message}");
    }
}

/// The API server's own audit log contains the record's id, and also the address and the user agent of the client.
#[tokio::test]
async fn the_api_servers_audit_log_names_the_record() {
    let t = on_webhook_stage("joined").await;
    let logs = stage::webhook_logs();
    let user = format!("fred-{}", unique());
    let fred = person(&t, &user).await;
    assert_status(&fred.write(&t.topic("orders").manifest("{}"), WriteMethod::Apply).await, 200);
    // While the operator writes the status, the API server may first review an old copy; its log names one of the two records.
    t.topic("orders").wait_until_ready().await;
    let invalid = t.topic("orders").manifest("retention: {time: 999999999999999999w}");
    assert_status(&fred.write(&invalid, WriteMethod::Apply).await, 403);
    let records = logs.read(&log(&t), &by(&user)).await;
    let file = stage::webhook_audit_log();
    for record in &records {
        let polled = until(async || {
            let text = std::fs::read_to_string(&file).expect("the API server's log");
            let found = text.lines().find(|line| line.contains(&record.id.to_string()));
            found.map(ToOwned::to_owned).ok_or_else(|| format!("{record:?}"))
        });
        let line: Value =
            serde_json::from_str(&polled.await.expect("the API server logs the review")).expect("JSON");
        assert_eq!(
            line["annotations"]["eventtopics.eventcenter.io/record"],
            json!(record.id.to_string()),
            "{line}"
        );
        assert_eq!(line["impersonatedUser"]["username"], json!(user));
        assert!(line["sourceIPs"][0].is_string(), "{line}");
    }
    assert_eq!(records.len(), 2);
}
