//! Writes of the operator to Kafka and Kubernetes: each has a record before it and a record after it.

use anyhow::Result;
use eventcenter::api::{BREAK_GLASS, Decision, EventTopic};
use eventcenter::domain::approval::Rules;
use eventcenter::domain::audit::{Action, Filter, LogName, Outcome, Record};
use expect_test::expect;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::fixture::FaultFixture;
use crate::proxy::{CREATE_TOPICS, Mode};
use crate::support::audit::{AuditLogs, LockedDatabase};
use crate::support::signer::{DecisionInput, WebhookSigner};
use crate::support::{MAX_WAIT, has_condition};

/// The records of a test's tenant, one line each, without parts that differ between runs.
fn print(records: &[Record], uid: &str) -> String {
    let lines = records.iter().map(|record| {
        let target = record.target.as_ref().map(|target| target.name.as_str()).unwrap_or_default();
        let reason = record.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let message = record.message.as_deref().unwrap_or_default().replace('\n', " | ");
        let message = message.split(", as ControllerRevision").next().unwrap_or_default();
        let of = if record.completes.is_some() { " (completion)" } else { "" };
        format!("{} {}{of}{reason} ({target}): {message}\n", record.outcome, record.action)
    });
    let text: String = lines.collect();
    text.replace(&uid[..8], "UID")
}

fn of(actions: &[Action]) -> impl Fn(&&Record) -> bool {
    move |record| actions.iter().any(|action| action.as_str() == record.action)
}

fn by_action(action: Action) -> Filter {
    Filter { action: Some(action.as_str().to_owned()), ..Filter::default() }
}

/// Asserts that each record of an end follows the record of its start.
fn assert_pairs(records: &[Record]) {
    for pair in records.chunks(2) {
        let [start, end] = pair else { panic!("an odd number of records: {records:#?}") };
        assert_eq!(end.completes, Some(start.id), "{start:#?} {end:#?}");
        assert_eq!((&start.action, &start.target), (&end.action, &end.target));
        assert!(
            start.completes.is_none() && start.target.as_ref().is_some_and(|target| target.uid.is_some())
        );
        assert_eq!((start.actor.user.as_str(), start.origin.component.as_str()), ("a", "controllers"));
    }
}

#[tokio::test]
async fn each_write_has_two_records_in_the_tenants_log() -> Result<()> {
    let name = "effects";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &[])?;
    let logs = AuditLogs::in_folder(operator.data());
    t.cluster().wait_for_condition("Ready=True Available").await;
    let schema = |fields: &[&str]| {
        let properties: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
        json!([{"name": "shop.order.placed", "version": 1, "schema": {"type": "object", "properties": properties}}])
    };
    let access = json!([{"principal": "User:alice", "operations": ["Read"], "groups": ["effects.readers"]}]);
    let spec = json!({"deletionPolicy": "Delete", "eventTypes": schema(&["id"]), "access": access});
    let topic = t.topic("orders").apply(spec).await;
    let uid = topic.uid().expect("the topic has a uid");
    t.topic("orders").wait_until_ready().await;
    t.topic("orders").patch_spec(json!({"access": []})).await;
    t.topic("orders").wait_until_ready().await;
    t.topic("plain").apply(json!({})).await;
    t.topic("plain").wait_until_ready().await;
    let config = json!({"retention.ms": 1000, "flush.ms": 7});
    t.topic("plain").patch_spec(json!({"partitions": 2, "config": config})).await;
    t.topic("plain").wait_until_ready().await;
    t.topic("orders").delete().await;
    t.topic("orders").wait_until_deleted().await;
    let log = LogName::of(Some(name));
    let ended = |records: &[Record]| {
        records.last().is_some_and(|last| last.action == "RemoveFinalizer" && last.completes.is_some())
    };
    let records = logs.wait(&log, &Filter::default(), ended).await;
    assert_pairs(&records);
    expect![[r#"
        Started AddFinalizer (orders): the resource is deleted only after its cleanup in Kafka
        Succeeded AddFinalizer (completion) (orders): the resource is deleted only after its cleanup in Kafka
        Started RegisterSchema (orders): revision 1 of the schema of shop.order.placed version 1
        Succeeded RegisterSchema (completion) (orders): revision 1 of the schema of shop.order.placed version 1
        Started CreateTopic (orders): Kafka topic effects.orders in main: create with 1 partition
        Succeeded CreateTopic (completion) (orders): Kafka topic effects.orders in main: create with 1 partition
        Started CreateAcls (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Succeeded CreateAcls (completion) (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Started DeleteAcls (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Succeeded DeleteAcls (completion) (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Started CreateTopic (plain): Kafka topic effects.plain in main: create with 1 partition
        Succeeded CreateTopic (completion) (plain): Kafka topic effects.plain in main: create with 1 partition
        Started AddPartitions (plain): Kafka topic effects.plain in main: partitions: 1 -> 2
        Succeeded AddPartitions (completion) (plain): Kafka topic effects.plain in main: partitions: 1 -> 2
        Started AlterConfig (plain): Kafka topic effects.plain in main: flush.ms: default -> 7 | retention.ms: default -> 1000
        Succeeded AlterConfig (completion) (plain): Kafka topic effects.plain in main: flush.ms: default -> 7 | retention.ms: default -> 1000
        Started DeleteTopic (orders): Kafka topic effects.orders in main and its data
        Succeeded DeleteTopic (completion) (orders): Kafka topic effects.orders in main and its data
        Started ForgetRevision (orders): revision 1 of a schema of a deleted Kafka topic
        Succeeded ForgetRevision (completion) (orders): revision 1 of a schema of a deleted Kafka topic
        Started RemoveFinalizer (orders): the cleanup in Kafka is complete
        Succeeded RemoveFinalizer (completion) (orders): the cleanup in Kafka is complete
    "#]].assert_eq(&print(&records, &uid));
    Ok(())
}

#[tokio::test]
async fn the_record_of_a_failed_write_has_the_reason() -> Result<()> {
    let name = "effects-failed";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &[])?;
    let logs = AuditLogs::in_folder(operator.data());
    t.cluster().wait_for_condition("Ready=True Available").await;
    let topic = t.topic("orders").apply(json!({"replicas": 3})).await;
    let log = LogName::of(Some(name));
    let records = logs.wait(&log, &Filter::default(), |records| records.len() >= 2).await;
    assert_pairs(&records[..2]);
    expect![[r#"
        Started CreateTopic (orders): Kafka topic effects-failed.orders in main: create with 1 partition, 3 replicas
        Failed CreateTopic (completion) KafkaError (orders): CreateTopics: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
    "#]].assert_eq(&print(&records[..2], &topic.uid().expect("the topic has a uid")));
    Ok(())
}

#[tokio::test]
async fn a_kill_between_the_records_leaves_an_open_start() -> Result<()> {
    let name = "effects-killed";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &[])?;
    let data = operator.data().to_owned();
    t.cluster().wait_for_condition("Ready=True Available").await;
    let before = t.parts.kafka_proxy.received(CREATE_TOPICS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(CREATE_TOPICS));
    t.topic("orders").apply(json!({})).await;
    t.wait_for_kafka_request(CREATE_TOPICS, before).await;
    operator.kill()?;
    t.parts.kafka_proxy.reset();
    t.parts.kafka_proxy.set(Mode::Pass);
    assert_eq!(t.kafka_topic("orders").await, None);
    let (logs, log) = (AuditLogs::in_folder(&data), LogName::of(Some(name)));
    let open = Filter { open: true, ..Filter::default() };
    let left = logs.read(&log, &open).await;
    assert_eq!(left.iter().map(|record| record.action.as_str()).collect::<Vec<_>>(), ["CreateTopic"]);

    let operator = t.parts.start_operator("a", &[])?;
    t.topic("orders").wait_until_ready().await;
    assert!(operator.stop()?.success());
    let all = logs.read(&log, &Filter::default()).await;
    assert_eq!(all[0], left[0], "the open record does not change");
    assert_pairs(&all[1..]);
    assert_eq!(all[1..].iter().filter(of(&[Action::CreateTopic])).count(), 2, "{all:#?}");
    assert_eq!(logs.read(&log, &open).await, left);
    Ok(())
}

#[tokio::test]
async fn approved_rejected_and_break_glass_changes_are_recorded() -> Result<()> {
    let name = "effects-approved";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &[])?;
    let logs = AuditLogs::in_folder(operator.data());
    t.cluster().wait_for_condition("Ready=True Available").await;
    let rules = json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}], "breakGlass": ["oncall"]});
    t.tenant().patch_spec(json!({"approval": rules})).await;
    let rules = Rules::parse(Some(&serde_json::from_value(rules)?)).expect("rules");
    let webhook = WebhookSigner::new(t.kube.client()).await;
    let waits = |topic: &EventTopic| {
        let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
        pending.is_some_and(|pending| {
            !pending.requested_by.is_empty() && Some(pending.generation) == topic.metadata.generation
        })
    };
    let topic = t.topic("orders").apply(json!({})).await;
    webhook.sign_request(name, "orders", "alice", &rules).await;
    t.topic("orders").wait_for("awaiting approval", waits).await;
    webhook.decide(name, "orders", DecisionInput::approve("bob")).await;
    t.topic("orders").wait_until_ready().await;

    t.topic("orders").patch_spec(json!({"partitions": 2})).await;
    webhook.sign_request(name, "orders", "alice", &rules).await;
    t.topic("orders").wait_for("awaiting approval", waits).await;
    let no = DecisionInput {
        decision: Decision::Reject,
        comment: Some("too many"),
        ..DecisionInput::approve("bob")
    };
    webhook.decide(name, "orders", no).await;
    t.topic("orders").wait_for_condition("Ready=False ChangeRejected").await;

    let before = t.topic("orders").get().await;
    let broken =
        json!({"metadata": {"annotations": {BREAK_GLASS: "the shop is down"}}, "spec": {"partitions": 3}});
    t.topic("orders").patch(broken).await;
    let oncall = ["oncall".to_owned()];
    let requester = eventcenter::domain::approval::request::Requester { username: "olga", groups: &oncall };
    webhook.sign_request_of(name, "orders", requester, &rules, Some(&before)).await;
    t.topic("orders").wait_until_ready().await;
    assert!(operator.stop()?.success());

    let log = LogName::of(Some(name));
    let all = logs.read(&log, &Filter::default()).await;
    let actions = [
        Action::TakeEffect,
        Action::BreakGlass,
        Action::RejectChange,
        Action::KeepRevision,
        Action::ForgetRevision,
    ];
    let records: Vec<Record> = all.iter().filter(of(&actions)).cloned().collect();
    let mut text = print(&records, &topic.uid().expect("the topic has a uid"));
    for record in &records {
        for hash in
            record.message.iter().flat_map(|text| text.split_whitespace()).filter(|word| word.len() == 64)
        {
            text = text.replace(hash, "HASH").replace(&hash[..12], "HASH");
        }
    }
    expect![[r#"
        Started KeepRevision (orders): ControllerRevision orders-approved-UID-HASH stores generation 1, content HASH
        Succeeded KeepRevision (completion) (orders): ControllerRevision orders-approved-UID-HASH stores generation 1, content HASH
        Started TakeEffect (orders): Create: approved by bob; generation 1, content HASH
        Succeeded TakeEffect (completion) (orders): Create: approved by bob; generation 1, content HASH
        Denied RejectChange ChangeRejected (orders): AddPartitions: rejected by bob, because: too many; generation 2, content HASH
        Started KeepRevision (orders): ControllerRevision orders-approved-UID-HASH stores generation 3, content HASH
        Succeeded KeepRevision (completion) (orders): ControllerRevision orders-approved-UID-HASH stores generation 3, content HASH
        Started BreakGlass (orders): AddPartitions: activated without approval by olga, because: the shop is down; generation 3, content HASH
        Succeeded BreakGlass (completion) (orders): AddPartitions: activated without approval by olga, because: the shop is down; generation 3, content HASH
        Started ForgetRevision (orders): ControllerRevision orders-approved-UID-HASH is no longer active
        Succeeded ForgetRevision (completion) (orders): ControllerRevision orders-approved-UID-HASH is no longer active
    "#]].assert_eq(&text);
    Ok(())
}

/// Another process holds a write transaction of the embedded database open.
#[tokio::test]
async fn drift_is_corrected_while_the_database_is_locked_and_recorded_afterwards() -> Result<()> {
    let name = "effects-away";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &["--audit-timeout", "1s"])?;
    let data = operator.data().to_owned();
    t.cluster().wait_for_condition("Ready=True Available").await;
    t.topic("orders").apply(json!({})).await;
    t.topic("orders").wait_until_ready().await;
    let (logs, log) = (AuditLogs::in_folder(&data), LogName::of(Some(name)));
    logs.wait(&log, &by_action(Action::CreateTopic), |records| records.len() == 2).await;
    // A difference within the settle time is not drift.
    t.wait_for_resync(&operator, 3).await;
    let lock = LockedDatabase::lock(&data).await;
    t.set_kafka_config("orders", "flush.ms", "77777").await;
    t.wait_for_kafka_config("orders", &[]).await;
    lock.unlock().await;
    let records = logs.wait(&log, &by_action(Action::AlterConfig), |records| records.len() == 2).await;
    assert_pairs(&records);
    assert_eq!(
        records[0].message.as_deref(),
        Some("Kafka topic effects-away.orders in main: flush.ms: 77777 -> default")
    );
    drop(operator);
    Ok(())
}

#[tokio::test]
async fn a_write_that_cannot_be_recorded_is_not_made() -> Result<()> {
    let name = "effects-nowhere";
    let t = FaultFixture::new(name).await?;
    let operator = t.parts.start_operator("a", &["--audit-timeout", "1s", "--audit-spool-size", "64Ki"])?;
    let data = operator.data().to_owned();
    t.cluster().wait_for_condition("Ready=True Available").await;
    t.topic("first").apply(json!({})).await;
    t.topic("first").wait_until_ready().await;
    let lock = LockedDatabase::lock(&data).await;
    let names: Vec<String> = (0..200).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        t.topic(name).apply(json!({})).await;
    }
    let refused = t
        .eventually("the spool is full", async || {
            let all = t
                .topics()
                .list(&kube::api::ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            all.into_iter()
                .find(|topic| has_condition(topic, "Ready=False AuditUnavailable"))
                .ok_or_else(|| "not yet".to_owned())
        })
        .await;
    assert_eq!(t.kafka_topic(&refused.name_any()).await, None);
    lock.unlock().await;
    for name in &names {
        t.topic(name).within(2 * MAX_WAIT).wait_until_ready().await;
    }
    assert!(operator.stop()?.success());
    let succeeded = Filter { outcome: Some(Outcome::Succeeded), ..by_action(Action::CreateTopic) };
    let created = AuditLogs::in_folder(&data).read(&LogName::of(Some(name)), &succeeded).await;
    assert_eq!(created.len(), names.len() + 1);
    assert!(created.iter().all(|record| record.completes.is_some()));
    Ok(())
}
