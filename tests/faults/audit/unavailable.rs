//! Admission while the audit log cannot be written.

use anyhow::Result;
use eventcenter::domain::audit::{Filter, LogName, Outcome, Record};
use eventcenter::store::StoreUrl;
use eventcenter_sdk::Reason;
use serde_json::{Value, json};
use xtask::operator::Operator;
use xtask::postgres::Postgres;

use crate::fixture::FaultFixture;
use crate::support::audit::{AuditLogs, LockedDatabase};
use crate::support::{KubeClient, Response, WriteMethod, assert_refused};

/// Applies a topic until it is accepted.
async fn wait_until_accepted(t: &FaultFixture, kube: &KubeClient, topic: &Value) {
    t.eventually("the topic is accepted", async || match kube.write(topic, WriteMethod::Apply).await {
        answer if answer.status < 300 => Ok(()),
        answer => Err(answer),
    })
    .await;
}

fn topic(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// Asserts that the webhook refuses changes while the database is unavailable, and accepts them afterwards without a restart.
async fn assert_no_change_without_a_record(
    t: &FaultFixture,
    webhook: &Operator,
    namespace: &str,
    logs: &AuditLogs,
    disconnect: impl AsyncFnOnce() -> Result<()>,
    reconnect: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let kube = KubeClient::without_retries(t.parts.control_plane.kubeconfig()).await;
    wait_until_accepted(t, &kube, &topic(namespace, "before", json!({}))).await;
    disconnect().await?;
    let answer = kube.write(&topic(namespace, "during", json!({})), WriteMethod::Apply).await;
    assert_refused(
        &answer,
        Reason::AuditUnavailable,
        "no change is made without a record: try again in a moment",
    );
    assert!(answer.message().contains("(--store)"), "{answer:?}");
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("AuditUnavailable")));
    let invalid =
        kube.write(&topic(namespace, "during", json!({"topicName": "else"})), WriteMethod::Apply).await;
    assert_refused(&invalid, Reason::InvalidResource, "spec.topicName");
    // A dry run stores nothing, so it needs no record.
    let dry_run = kube.write(&topic(namespace, "during", json!({})), WriteMethod::DryRun).await;
    assert!(dry_run.status < 300, "{dry_run:?}");
    assert_eq!(
        webhook.get("/readyz").map(|(status, _)| status),
        Some(200),
        "a webhook that answers reviews is ready"
    );
    reconnect().await?;
    wait_until_accepted(t, &kube, &topic(namespace, "during", json!({}))).await;
    let records = logs.read(&LogName::of(Some(namespace)), &Filter::default()).await;
    let count = |name: &str, outcome: Outcome| {
        let is = |record: &&Record| {
            record.outcome == outcome && record.target.as_ref().is_some_and(|target| target.name == name)
        };
        records.iter().filter(is).count()
    };
    // A record that was written after the timeout belongs to a refused change, and a record of the refusal follows.
    for name in ["before", "during"] {
        let (allowed, denied) = (count(name, Outcome::Allowed), count(name, Outcome::Denied));
        assert!(allowed >= 1 && denied >= allowed - 1, "{name}: {records:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_changes_while_the_embedded_database_is_locked() -> Result<()> {
    let t = FaultFixture::new("locked").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &["--audit-timeout", "500ms"])?;
    let (data, logs) = (webhook.data().to_owned(), AuditLogs::in_folder(webhook.data()));
    let lock = std::cell::Cell::new(None);
    let disconnect = async || {
        lock.set(Some(LockedDatabase::lock(&data).await));
        Ok(())
    };
    let reconnect = async || {
        lock.take().expect("the database is locked").unlock().await;
        Ok(())
    };
    assert_no_change_without_a_record(&t, &webhook, "locked", &logs, disconnect, reconnect).await?;
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn nothing_changes_while_postgresql_is_unavailable() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let postgres = std::cell::RefCell::new(Postgres::start(folder.path())?);
    let url = postgres.borrow().create_database("away")?;
    let t = FaultFixture::new("away").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &["--audit-timeout", "1s", "--store", &url])?;
    let logs = AuditLogs::at(&url.parse::<StoreUrl>()?);
    let pause = async || postgres.borrow_mut().pause();
    let resume = async || {
        postgres.borrow_mut().resume();
        Ok(())
    };
    assert_no_change_without_a_record(&t, &webhook, "away", &logs, pause, resume).await?;
    let kube = KubeClient::without_retries(t.parts.control_plane.kubeconfig()).await;
    postgres.borrow_mut().kill()?;
    let answer = kube.write(&topic("away", "dead", json!({})), WriteMethod::Apply).await;
    assert_refused(&answer, Reason::AuditUnavailable, "no change is made without a record");
    t.eventually("/readyz names the database", async || match webhook.get("/readyz") {
        Some((200, text)) if text.contains("the database does not answer") => Ok(()),
        other => Err(other),
    })
    .await;
    postgres.borrow_mut().start_again()?;
    wait_until_accepted(&t, &kube, &topic("away", "dead", json!({}))).await;
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn changes_continue_without_records_if_the_policy_allows_it() -> Result<()> {
    let t = FaultFixture::new("effort").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let arguments = ["--audit-timeout", "500ms", "--audit-policy", "best-effort"];
    let webhook = t.parts.start_webhook("a", port, &arguments)?;
    let kube = KubeClient::without_retries(t.parts.control_plane.kubeconfig()).await;
    wait_until_accepted(&t, &kube, &topic("effort", "before", json!({}))).await;
    let warned = |answer: &Response| {
        let expected = "AuditUnavailable: this change is not in the audit log, which is unavailable";
        answer.warnings.iter().any(|warning| warning == expected)
    };
    let lock = LockedDatabase::lock(webhook.data()).await;
    let answer = kube.write(&topic("effort", "during", json!({})), WriteMethod::Apply).await;
    assert!(answer.status < 300 && warned(&answer), "{answer:?}");
    lock.unlock().await;
    let number = std::cell::Cell::new(0);
    t.eventually("changes are recorded again", async || {
        number.set(number.get() + 1);
        let changed = topic("effort", "during", json!({"description": number.get().to_string()}));
        match kube.write(&changed, WriteMethod::Apply).await {
            answer if answer.status < 300 && !warned(&answer) => Ok(()),
            answer => Err(answer),
        }
    })
    .await;
    assert!(webhook.stop()?.success());
    Ok(())
}
