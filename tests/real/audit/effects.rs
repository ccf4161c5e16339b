//! What the operator does to Kafka and Kubernetes: recorded before it is done, and once more when it is over.

use anyhow::Result;
use eventcenter::api::{BREAK_GLASS, Decision, EventTopic};
use eventcenter::domain::approval::Rules;
use eventcenter::domain::audit::{Action, Filter, LogName, Outcome, Record};
use expect_test::expect;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::audit::{Held, Logs};
use crate::support::proxy::{CREATE_TOPICS, Mode};
use crate::support::seal::{Deciding, Witness};
use crate::support::site::{CLUSTER, LIMIT, Site, is_ready, reason};

/// The records of a test's tenant in a line each, without what no other run has.
fn print(records: &[Record], uid: &str) -> String {
    let lines = records.iter().map(|record| {
        let target = record.target.as_ref().map(|target| target.name.as_str()).unwrap_or_default();
        let reason = record.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let message = record.message.as_deref().unwrap_or_default().replace('\n', " | ");
        let message = message.split(", as ControllerRevision").next().unwrap_or_default();
        let of = if record.completes.is_some() { ", which was begun" } else { "" };
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

/// Each end belongs to the beginning right before it, which was about the same.
fn assert_pairs(records: &[Record]) {
    for pair in records.chunks(2) {
        let [start, end] = pair else { panic!("an odd number: {records:#?}") };
        assert_eq!(end.completes, Some(start.id), "{start:#?} {end:#?}");
        assert_eq!((&start.action, &start.target), (&end.action, &end.target));
        assert!(
            start.completes.is_none() && start.target.as_ref().is_some_and(|target| target.uid.is_some())
        );
        assert_eq!((start.actor.user.as_str(), start.origin.component.as_str()), ("a", "controllers"));
    }
}

#[tokio::test]
async fn each_effect_leaves_two_records_in_the_tenants_log() -> Result<()> {
    let name = "effects";
    let site = Site::new(name).await?;
    site.forget_acls().await?;
    let operator = site.operator("a", &[])?;
    let logs = Logs::of(operator.data());
    site.cluster_is(CLUSTER, "Available").await;
    let schema = |fields: &[&str]| {
        let properties: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
        json!([{"name": "shop.order.placed", "version": 1, "schema": {"type": "object", "properties": properties}}])
    };
    let access = json!([{"principal": "User:alice", "operations": ["Read"], "groups": ["effects.readers"]}]);
    let spec = json!({"deletionPolicy": "Delete", "eventTypes": schema(&["id"]), "access": access});
    let topic = site.declare("orders", spec).await?;
    let uid = topic.uid().expect("it has one");
    site.ready("orders").await;
    site.change("orders", json!({"access": []})).await?;
    site.ready("orders").await;
    site.declare("plain", json!({})).await?;
    site.ready("plain").await;
    let config = json!({"retention.ms": 1000, "flush.ms": 7});
    site.change("plain", json!({"partitions": 2, "config": config})).await?;
    site.ready("plain").await;
    site.delete("orders").await?;
    site.gone("orders").await;
    let log = LogName::of(Some(name));
    let ended = |records: &[Record]| {
        records.last().is_some_and(|last| last.action == "RemoveFinalizer" && last.completes.is_some())
    };
    let records = logs.wait(&log, &Filter::default(), ended).await;
    assert_pairs(&records);
    expect![[r#"
        Started AddFinalizer (orders): the resource is deleted only after its cleanup in Kafka
        Succeeded AddFinalizer, which was begun (orders): the resource is deleted only after its cleanup in Kafka
        Started RegisterSchema (orders): revision 1 of the schema of shop.order.placed version 1
        Succeeded RegisterSchema, which was begun (orders): revision 1 of the schema of shop.order.placed version 1
        Started CreateTopic (orders): Kafka topic effects.orders in main: create with 1 partition
        Succeeded CreateTopic, which was begun (orders): Kafka topic effects.orders in main: create with 1 partition
        Started CreateAcls (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Succeeded CreateAcls, which was begun (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Started DeleteAcls (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Succeeded DeleteAcls, which was begun (orders): access to Kafka topic effects.orders in main: | User:alice Allow Read from * on topic effects.orders | User:alice Allow Read from * on consumer group effects.readers
        Started CreateTopic (plain): Kafka topic effects.plain in main: create with 1 partition
        Succeeded CreateTopic, which was begun (plain): Kafka topic effects.plain in main: create with 1 partition
        Started AddPartitions (plain): Kafka topic effects.plain in main: partitions: 1 -> 2
        Succeeded AddPartitions, which was begun (plain): Kafka topic effects.plain in main: partitions: 1 -> 2
        Started AlterConfig (plain): Kafka topic effects.plain in main: flush.ms: default -> 7 | retention.ms: default -> 1000
        Succeeded AlterConfig, which was begun (plain): Kafka topic effects.plain in main: flush.ms: default -> 7 | retention.ms: default -> 1000
        Started DeleteTopic (orders): Kafka topic effects.orders in main and its data
        Succeeded DeleteTopic, which was begun (orders): Kafka topic effects.orders in main and its data
        Started RemoveFinalizer (orders): the cleanup in Kafka is complete
        Succeeded RemoveFinalizer, which was begun (orders): the cleanup in Kafka is complete
    "#]].assert_eq(&print(&records, &uid));
    Ok(())
}

#[tokio::test]
async fn an_effect_that_fails_says_why() -> Result<()> {
    let name = "effects-failed";
    let site = Site::new(name).await?;
    let operator = site.operator("a", &[])?;
    let logs = Logs::of(operator.data());
    site.cluster_is(CLUSTER, "Available").await;
    let topic = site.declare("orders", json!({"replicas": 3})).await?;
    let log = LogName::of(Some(name));
    let records = logs.wait(&log, &Filter::default(), |records| records.len() >= 2).await;
    assert_pairs(&records[..2]);
    expect![[r#"
        Started CreateTopic (orders): Kafka topic effects-failed.orders in main: create with 1 partition, 3 replicas
        Failed CreateTopic, which was begun KafkaError (orders): CreateTopics: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
    "#]].assert_eq(&print(&records[..2], &topic.uid().expect("it has one")));
    Ok(())
}

#[tokio::test]
async fn a_kill_in_between_leaves_the_beginning_open() -> Result<()> {
    let name = "effects-killed";
    let site = Site::new(name).await?;
    let operator = site.operator("a", &[])?;
    let data = operator.data().to_owned();
    site.cluster_is(CLUSTER, "Available").await;
    let before = site.kafka.arrived(CREATE_TOPICS);
    site.kafka.set(Mode::HoldKafka(CREATE_TOPICS));
    site.declare("orders", json!({})).await?;
    site.eventually("the request is on its way", LIMIT, async || {
        if site.kafka.arrived(CREATE_TOPICS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    operator.kill()?;
    site.kafka.reset();
    site.kafka.set(Mode::Pass);
    assert_eq!(site.in_kafka("orders").await, None);
    let (logs, log) = (Logs::of(&data), LogName::of(Some(name)));
    let open = Filter { open: true, ..Filter::default() };
    let left = logs.read(&log, &open).await;
    assert_eq!(left.iter().map(|record| record.action.as_str()).collect::<Vec<_>>(), ["CreateTopic"]);

    let operator = site.operator("a", &[])?;
    site.ready("orders").await;
    assert!(operator.stop()?.success());
    let all = logs.read(&log, &Filter::default()).await;
    assert_eq!(all[0], left[0], "what was begun stays as it was told");
    assert_pairs(&all[1..]);
    assert_eq!(all[1..].iter().filter(of(&[Action::CreateTopic])).count(), 2, "{all:#?}");
    assert_eq!(logs.read(&log, &open).await, left);
    Ok(())
}

#[tokio::test]
async fn what_takes_effect_by_approval_without_and_not_at_all() -> Result<()> {
    let name = "effects-approved";
    let site = Site::new(name).await?;
    let operator = site.operator("a", &[])?;
    let logs = Logs::of(operator.data());
    site.cluster_is(CLUSTER, "Available").await;
    let rules = json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}], "breakGlass": ["oncall"]});
    let patch = Patch::Merge(json!({"spec": {"approval": rules}}));
    site.tenants().patch(name, &PatchParams::default(), &patch).await?;
    let rules = Rules::parse(Some(&serde_json::from_value(rules)?)).expect("rules");
    let webhook = Witness::of(site.client()).await;
    let waits = |topic: &EventTopic| {
        let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
        pending.is_some_and(|pending| {
            !pending.requested_by.is_empty() && Some(pending.generation) == topic.metadata.generation
        })
    };
    let topic = site.declare("orders", json!({})).await?;
    webhook.asked(name, "orders", "alice", &rules).await;
    site.topic("orders", "waiting", LIMIT, waits).await;
    webhook.decides(name, "orders", Deciding::approve("bob")).await;
    site.ready("orders").await;

    site.change("orders", json!({"partitions": 2})).await?;
    webhook.asked(name, "orders", "alice", &rules).await;
    site.topic("orders", "waiting", LIMIT, waits).await;
    let no = Deciding { decision: Decision::Reject, comment: Some("too many"), ..Deciding::approve("bob") };
    webhook.decides(name, "orders", no).await;
    site.topic("orders", "rejected", LIMIT, |topic| reason(topic) == "ChangeRejected").await;

    let before = site.topics().get("orders").await?;
    let broken =
        json!({"metadata": {"annotations": {BREAK_GLASS: "the shop is down"}}, "spec": {"partitions": 3}});
    site.topics().patch("orders", &PatchParams::default(), &Patch::Merge(broken)).await?;
    let oncall = ["oncall".to_owned()];
    let asker = eventcenter::domain::approval::request::Requester { username: "olga", groups: &oncall };
    webhook.asked_by(name, "orders", asker, &rules, Some(&before)).await;
    site.ready("orders").await;
    assert!(operator.stop()?.success());

    let log = LogName::of(Some(name));
    let all = logs.read(&log, &Filter::default()).await;
    let about = [
        Action::TakeEffect,
        Action::BreakGlass,
        Action::RejectChange,
        Action::KeepRevision,
        Action::ForgetRevision,
    ];
    let told: Vec<Record> = all.iter().filter(of(&about)).cloned().collect();
    let mut text = print(&told, &topic.uid().expect("it has one"));
    for record in &told {
        for hash in
            record.message.iter().flat_map(|text| text.split_whitespace()).filter(|word| word.len() == 64)
        {
            text = text.replace(hash, "HASH").replace(&hash[..12], "HASH");
        }
    }
    expect![[r#"
        Started KeepRevision (orders): ControllerRevision orders-approved-UID-HASH stores generation 1, content HASH
        Succeeded KeepRevision, which was begun (orders): ControllerRevision orders-approved-UID-HASH stores generation 1, content HASH
        Started TakeEffect (orders): Create: approved by bob; generation 1, content HASH
        Succeeded TakeEffect, which was begun (orders): Create: approved by bob; generation 1, content HASH
        Denied RejectChange ChangeRejected (orders): AddPartitions: rejected by bob, because: too many; generation 2, content HASH
        Started KeepRevision (orders): ControllerRevision orders-approved-UID-HASH stores generation 3, content HASH
        Succeeded KeepRevision, which was begun (orders): ControllerRevision orders-approved-UID-HASH stores generation 3, content HASH
        Started BreakGlass (orders): AddPartitions: activated without approval by olga, because: the shop is down; generation 3, content HASH
        Succeeded BreakGlass, which was begun (orders): AddPartitions: activated without approval by olga, because: the shop is down; generation 3, content HASH
        Started ForgetRevision (orders): ControllerRevision orders-approved-UID-HASH is no longer active
        Succeeded ForgetRevision, which was begun (orders): ControllerRevision orders-approved-UID-HASH is no longer active
    "#]].assert_eq(&text);
    Ok(())
}

/// Somebody else writes into the embedded database and does not end.
#[tokio::test]
async fn drift_is_corrected_while_the_database_is_away_and_recorded_when_it_is_back() -> Result<()> {
    let name = "effects-away";
    let site = Site::new(name).await?;
    let operator = site.operator("a", &["--audit-timeout", "1s"])?;
    let data = operator.data().to_owned();
    site.cluster_is(CLUSTER, "Available").await;
    site.declare("orders", json!({})).await?;
    site.ready("orders").await;
    let (logs, log) = (Logs::of(&data), LogName::of(Some(name)));
    logs.wait(&log, &by_action(Action::CreateTopic), |records| records.len() == 2).await;
    // Until then a difference counts as what Kafka shows late of the operator's own change.
    let held = Held::begin(&data).await;
    site.meddle("orders", "flush.ms", "77777").await?;
    site.eventually("it is put right", LIMIT, async || match site.config("orders").await {
        config if config.is_empty() => Ok(()),
        config => Err(config),
    })
    .await;
    held.end().await;
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
async fn what_can_be_recorded_nowhere_is_not_done() -> Result<()> {
    let name = "effects-nowhere";
    let site = Site::new(name).await?;
    let operator = site.operator("a", &["--audit-timeout", "1s", "--audit-spool-size", "64Ki"])?;
    let data = operator.data().to_owned();
    site.cluster_is(CLUSTER, "Available").await;
    site.declare("first", json!({})).await?;
    site.ready("first").await;
    let held = Held::begin(&data).await;
    let names: Vec<String> = (0..200).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        site.declare(name, json!({})).await?;
    }
    let refused = site
        .eventually("the spool is full", LIMIT, async || {
            let all = site
                .topics()
                .list(&kube::api::ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            all.into_iter()
                .find(|topic| reason(topic) == "AuditUnavailable")
                .ok_or_else(|| "not yet".to_owned())
        })
        .await;
    assert_eq!(site.in_kafka(&refused.name_any()).await, None);
    held.end().await;
    for name in &names {
        site.topic(name, "Ready", 3 * LIMIT, is_ready).await;
    }
    assert!(operator.stop()?.success());
    let succeeded = Filter { outcome: Some(Outcome::Succeeded), ..by_action(Action::CreateTopic) };
    let made = Logs::of(&data).read(&LogName::of(Some(name)), &succeeded).await;
    assert_eq!(made.len(), names.len() + 1);
    assert!(made.iter().all(|record| record.completes.is_some()));
    Ok(())
}
