//! What is recorded of what people ask for, and what happens while nothing can be recorded.

use anyhow::Result;
use eventcenter::domain::audit::{Filter, LogName, Outcome, Record};
use eventcenter::store::StoreUrl;
use eventcenter_sdk::Reason;
use expect_test::expect;
use serde_json::{Value, json};
use xtask::operator::Operator;
use xtask::postgres::Postgres;

use crate::support::audit::{Held, Logs};
use crate::support::site::{LIMIT, Site};
use crate::support::{Answer, Fixture, Kube, Place, Stage, Way, cluster_scoped, refused, unique, until};

/// Somebody who may do everything, and is not whoever prepares the tests.
async fn person(t: &Fixture, name: &str) -> Kube {
    let groups = ["system:masters", "buyers"].map(String::from);
    Kube::as_user(&t.stage.kubeconfig, name, &groups).await
}

async fn place(name: &str) -> Fixture {
    Fixture::on(Stage::with_webhook(), name).await
}

/// Everything by one person.
fn by(user: &str) -> Filter {
    Filter { actor: Some(user.to_owned()), ..Filter::default() }
}

fn log(t: &Fixture) -> LogName {
    LogName::of(Some(&t.namespace))
}

/// Records in a line each, without names that no other test has. The API server asks again where a resource has changed at
/// that moment; that is shown once.
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

fn is(answer: &Answer, status: u16) {
    assert!(answer.status == status || (status == 200 && answer.status == 201), "{answer:?}");
}

#[tokio::test]
async fn each_decision_on_a_topic_is_recorded_and_nothing_else() {
    let t = place("recorded").await;
    let logs = Stage::webhook_logs();
    let user = format!("alice-{}", unique());
    let alice = person(&t, &user).await;
    let topic = |spec: &str| t.manifest("orders", spec);
    // Not stored, so not recorded.
    for way in [Way::DryRun, Way::ReplaceDryRun] {
        is(&alice.ask(&topic("{}"), way).await, 200);
        is(&alice.ask(&topic("topicName: else.orders"), way).await, 400);
    }
    is(&alice.ask(&topic("topicName: else.orders"), Way::Apply).await, 400);
    is(&alice.ask(&topic("config: {segment.ms: 3600000}"), Way::Apply).await, 200);
    // The same once more, and only a label.
    is(&alice.ask(&topic("config: {segment.ms: 3600000}"), Way::Apply).await, 200);
    alice.merge(&t.place("orders"), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    is(&alice.ask(&topic("{config: {segment.ms: 7200000}, partitions: 2}"), Way::Replace).await, 200);
    is(&alice.ask(&topic("{retention: {time: 999999999999999999w}, partitions: 2}"), Way::Apply).await, 400);
    t.ready("orders").await;
    is(&alice.ask_to_delete(&t.place("orders")).await, 200);
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
        records.iter().find(is).expect("printed above")
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
    let t = place("owner").await;
    let logs = Stage::webhook_logs();
    let user = format!("bob-{}", unique());
    let bob = person(&t, &user).await;
    let other = format!("{}-other", t.namespace);
    let tenant = |spec: Value| cluster_scoped("Tenant", &other, spec);
    is(&bob.ask(&tenant(json!({"namespaces": [other]})), Way::Apply).await, 200);
    is(&bob.ask(&tenant(json!({"namespaces": [other], "description": "x"})), Way::Apply).await, 200);
    is(&bob.ask_to_delete(&Place::ours("Tenant", &other)).await, 200);
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
    is(&bob.ask(&map("{}"), Way::Apply).await, 200);
    let typed =
        "eventTypes: [{name: Order.Created.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: order}}}]";
    is(&bob.ask(&t.manifest("orders", typed), Way::Apply).await, 200);
    let denied = until(async || match bob.ask(&map("no schema"), Way::Apply).await {
        answer if answer.message().contains("SchemaInvalid") => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
    denied.await.expect("the webhook has seen the topic");
    is(&bob.ask(&map(r#"{"title": "anything"}"#), Way::Apply).await, 200);
    is(&bob.ask_to_delete(&Place::of(&map(""))).await, 200);
    let denied = bob.ask_to_delete(&Place::ours("Tenant", &t.namespace)).await;
    refused(&denied, Reason::ResourceInUse, "still has EventTopics");
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
async fn what_belongs_to_no_tenant_is_recorded_in_the_platforms_log() {
    let t = place("platform").await;
    let logs = Stage::webhook_logs();
    let user = format!("carol-{}", unique());
    let carol = person(&t, &user).await;
    let cluster = |spec: Value| cluster_scoped("KafkaCluster", &t.namespace, spec);
    is(&carol.ask(&cluster(json!({"bootstrapServers": ["127.0.0.1:1"]})), Way::Apply).await, 200);
    is(&carol.ask(&cluster(json!({"bootstrapServers": ["127.0.0.1:2"]})), Way::Apply).await, 200);
    is(&carol.ask_to_delete(&Place::ours("KafkaCluster", &t.namespace)).await, 200);
    t.tenant(json!({"namespaces": []})).await;
    let nobodys = until(async || match carol.ask(&t.manifest("orders", "{}"), Way::Apply).await {
        answer if answer.message().contains("TenantNotFound") => Ok(()),
        answer => {
            carol.delete(&t.place("orders")).await;
            Err(format!("{answer:?}"))
        }
    });
    nobodys.await.expect("the namespace is nobody's");
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
async fn decisions_on_changes_are_recorded_with_what_was_decided() {
    let t = place("decided").await;
    let logs = Stage::webhook_logs();
    let rules = json!({"rules": [{"changes": ["Any"], "groups": ["buyers"]}]});
    t.tenant(json!({"namespaces": [t.namespace], "clusters": t.stage.clusters, "approval": rules})).await;
    let (user, other) = (format!("dora-{}", unique()), format!("emil-{}", unique()));
    let (dora, emil) = (person(&t, &user).await, person(&t, &other).await);
    let held = until(async || match dora.ask(&t.manifest("orders", "{}"), Way::DryRun).await {
        answer if answer.warnings.iter().any(|warning| warning.contains("AwaitingApproval")) => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
    held.await.expect("the rules are kept");
    is(&dora.ask(&t.manifest("orders", "{}"), Way::Apply).await, 200);
    let hash = eventcenter::domain::approval::SpecHash::of(&t.get("orders").await.spec);
    let approval = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "ChangeApproval",
        "metadata": {"name": "go", "namespace": t.namespace},
        "spec": {"target": {"kind": "EventTopic", "name": "orders"}, "specHash": hash.as_str(), "decision": "Approve"},
    });
    let refusal = dora.create(&approval, "").await;
    refused(&refusal, Reason::ApprovalNotAllowed, "");
    is(&emil.create(&approval, "").await, 201);
    is(&emil.ask_to_delete(&Place::of(&approval)).await, 200);
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
    let words = format!("Approve: Apply EventTopic orders as {}", hash.as_str());
    for record in by_dora.iter().chain(&by_emil) {
        let message = record.message.as_deref().unwrap_or_default();
        assert!(message.starts_with(&words), "{message}");
    }
}

/// The record's id stands beside address and user agent in the API server's own log.
#[tokio::test]
async fn kubernetes_own_log_names_the_record() {
    let t = place("joined").await;
    let logs = Stage::webhook_logs();
    let user = format!("fred-{}", unique());
    let fred = person(&t, &user).await;
    is(&fred.ask(&t.manifest("orders", "{}"), Way::Apply).await, 200);
    is(&fred.ask(&t.manifest("orders", "topicName: else"), Way::Apply).await, 400);
    let records = logs.read(&log(&t), &by(&user)).await;
    let file = Stage::webhook_audit_log();
    for record in &records {
        let looked = until(async || {
            let text = std::fs::read_to_string(&file).expect("the API server's log");
            let found = text.lines().find(|line| line.contains(&record.id.to_string()));
            found.map(ToOwned::to_owned).ok_or_else(|| format!("{record:?}"))
        });
        let line: Value = serde_json::from_str(&looked.await.expect("it is there")).expect("JSON");
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

/// Asks for a topic to be as given until the answer is as wanted.
async fn answered(site: &Site, kube: &Kube, topic: &Value, is_so: impl Fn(&Answer) -> bool) -> Answer {
    site.eventually("the answer is another one", LIMIT, async || match kube.ask(topic, Way::Apply).await {
        answer if is_so(&answer) => Ok(answer),
        answer => Err(answer),
    })
    .await
}

fn topic(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// What is said while the database is away, and that all is well without a restart once it is there.
async fn nothing_is_changed_without_a_record(
    site: &Site,
    webhook: &Operator,
    namespace: &str,
    logs: &Logs,
    away: impl AsyncFnOnce() -> Result<()>,
    back: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let kube = Kube::asking_once(site.control_plane.kubeconfig()).await;
    answered(site, &kube, &topic(namespace, "before", json!({})), |answer| answer.status < 300).await;
    away().await?;
    let answer = kube.ask(&topic(namespace, "during", json!({})), Way::Apply).await;
    refused(&answer, Reason::AuditUnavailable, "no change is made without a record: try again in a moment");
    assert!(answer.message().contains("(--store)"), "{answer:?}");
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("AuditUnavailable")));
    let bad = kube.ask(&topic(namespace, "during", json!({"topicName": "else"})), Way::Apply).await;
    refused(&bad, Reason::InvalidResource, "spec.topicName");
    // Nothing would be stored, so nothing has to be recorded.
    is(&kube.ask(&topic(namespace, "during", json!({})), Way::DryRun).await, 200);
    assert_eq!(webhook.get("/readyz").map(|(status, _)| status), Some(200), "it says no, and why");
    back().await?;
    answered(site, &kube, &topic(namespace, "during", json!({})), |answer| answer.status < 300).await;
    let records = logs.read(&LogName::of(Some(namespace)), &Filter::default()).await;
    let told = |name: &str, outcome: Outcome| {
        let is = |record: &&Record| {
            record.outcome == outcome && record.target.as_ref().is_some_and(|target| target.name == name)
        };
        records.iter().filter(is).count()
    };
    assert_eq!(told("before", Outcome::Allowed), 1, "{records:#?}");
    // What was under way when the database went may have been written after all; then it says that it was refused.
    let (allowed, denied) = (told("during", Outcome::Allowed), told("during", Outcome::Denied));
    assert!(allowed >= 1 && denied >= allowed - 1, "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_changed_while_the_embedded_database_cannot_be_written() -> Result<()> {
    let site = Site::new("locked").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let webhook = site.webhook("a", port, &["--audit-timeout", "500ms"], true)?;
    let (data, logs) = (webhook.data().to_owned(), Logs::of(webhook.data()));
    let held = std::cell::Cell::new(None);
    let away = async || {
        held.set(Some(Held::begin(&data).await));
        Ok(())
    };
    let back = async || {
        held.take().expect("it is held").end().await;
        Ok(())
    };
    nothing_is_changed_without_a_record(&site, &webhook, "locked", &logs, away, back).await?;
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn nothing_is_changed_while_postgresql_is_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let postgres = std::cell::RefCell::new(Postgres::start(folder.path())?);
    let url = postgres.borrow().create_database("away")?;
    let site = Site::new("away").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let webhook = site.webhook("a", port, &["--audit-timeout", "1s", "--store", &url], true)?;
    let logs = Logs::at(&url.parse::<StoreUrl>()?);
    let pause = async || postgres.borrow_mut().pause();
    let resume = async || {
        postgres.borrow_mut().resume();
        Ok(())
    };
    nothing_is_changed_without_a_record(&site, &webhook, "away", &logs, pause, resume).await?;
    let kube = Kube::asking_once(site.control_plane.kubeconfig()).await;
    postgres.borrow_mut().kill()?;
    let answer = kube.ask(&topic("away", "dead", json!({})), Way::Apply).await;
    refused(&answer, Reason::AuditUnavailable, "no change is made without a record");
    site.eventually("the operator says that its database is away", LIMIT, async || {
        match webhook.get("/readyz") {
            Some((200, text)) if text.contains("the database does not answer") => Ok(()),
            other => Err(other),
        }
    })
    .await;
    postgres.borrow_mut().start_again()?;
    answered(&site, &kube, &topic("away", "dead", json!({})), |answer| answer.status < 300).await;
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn changes_go_on_without_records_where_the_policy_lets_them() -> Result<()> {
    let site = Site::new("effort").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let arguments = ["--audit-timeout", "500ms", "--audit-policy", "best-effort"];
    let webhook = site.webhook("a", port, &arguments, true)?;
    let kube = Kube::asking_once(site.control_plane.kubeconfig()).await;
    answered(&site, &kube, &topic("effort", "before", json!({})), |answer| answer.status < 300).await;
    let warned = |answer: &Answer| {
        let words = "AuditUnavailable: this change is not in the audit log, which is unavailable";
        answer.warnings.iter().any(|warning| warning == words)
    };
    let held = Held::begin(webhook.data()).await;
    let answer = kube.ask(&topic("effort", "during", json!({})), Way::Apply).await;
    assert!(answer.status < 300 && warned(&answer), "{answer:?}");
    held.end().await;
    let number = std::cell::Cell::new(0);
    site.eventually("changes are recorded again", LIMIT, async || {
        number.set(number.get() + 1);
        let changed = topic("effort", "during", json!({"description": number.get().to_string()}));
        match kube.ask(&changed, Way::Apply).await {
            answer if answer.status < 300 && !warned(&answer) => Ok(()),
            answer => Err(answer),
        }
    })
    .await;
    assert!(webhook.stop()?.success());
    Ok(())
}
