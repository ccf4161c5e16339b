//! The operator is killed between the effects of a change that was approved, and comes to the same end when it is
//! started again.

use anyhow::Result;
use eventcenter::api::{APPROVED_LABEL, EventTopic};
use eventcenter::domain::approval::Rules;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::proxy::{CREATE_PARTITIONS, Mode};
use crate::support::seal::{Deciding, Witness};
use crate::support::site::{CLUSTER, LIMIT, Site, condition, reason};

fn rules() -> Value {
    json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}]})
}

/// An operator that leads and has made the topic `first`; after that the tenant has rules, and a change waits.
async fn waiting(site: &Site, name: &str) -> Result<(xtask::operator::Operator, Witness)> {
    let operator = site.operator("a", &[])?;
    site.cluster_is(CLUSTER, "Available").await;
    site.declare("first", json!({})).await?;
    site.ready("first").await;
    let patch = Patch::Merge(json!({"spec": {"approval": rules()}}));
    site.tenants().patch(name, &PatchParams::default(), &patch).await?;
    site.topic("first", "kept", LIMIT, |topic| revision(topic).is_some()).await;
    let webhook = Witness::of(site.client()).await;
    let read = Rules::parse(Some(&serde_json::from_value(rules())?)).expect("rules");
    site.change("first", json!({"partitions": 3})).await?;
    webhook.asked(name, "first", "alice", &read).await;
    site.topic("first", "waiting", LIMIT, |topic| {
        let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
        reason(topic) == "AwaitingApproval" && pending.is_some_and(|pending| !pending.requested_by.is_empty())
    })
    .await;
    Ok((operator, webhook))
}

fn revision(topic: &EventTopic) -> Option<String> {
    topic.status.as_ref()?.approved.as_ref()?.revision.clone()
}

fn generation(topic: &EventTopic) -> Option<i64> {
    Some(topic.status.as_ref()?.approved.as_ref()?.generation)
}

async fn kept(site: &Site, name: &str) -> Result<Vec<String>> {
    let all = Api::<ControllerRevision>::namespaced(site.client(), name);
    let all = all.list(&ListParams::default().labels(APPROVED_LABEL)).await?;
    Ok(all.items.into_iter().filter_map(|revision| revision.metadata.name).collect())
}

fn release(site: &Site) {
    for proxy in [&site.api, &site.kafka] {
        proxy.reset();
        proxy.set(Mode::Pass);
    }
}

/// Once it is noted as in force it stays so, also if the approval is taken back then.
#[tokio::test]
async fn after_it_is_noted_and_before_kafka_has_it() -> Result<()> {
    let name = "approved-noted";
    let site = Site::new(name).await?;
    let (operator, webhook) = waiting(&site, name).await?;
    let before = site.kafka.arrived(CREATE_PARTITIONS);
    site.kafka.set(Mode::HoldKafka(CREATE_PARTITIONS));
    let approval = webhook.decides(name, "first", Deciding::approve("bob")).await;
    site.topic("first", "noted", LIMIT, |topic| generation(topic) == topic.metadata.generation).await;
    site.eventually("the change is on its way", LIMIT, async || {
        if site.kafka.arrived(CREATE_PARTITIONS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    operator.kill()?;
    release(&site);
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(site.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(1));

    let _operator = site.operator("a", &[])?;
    let first = site.ready("first").await;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(3));
    assert!(first.status.as_ref().is_some_and(|status| status.last_drift.is_none()), "{:#?}", first.status);
    Ok(())
}

/// Whether the operator may write the status of topics.
async fn may_write_status(site: &Site, may: bool) -> Result<()> {
    let roles = Api::<ClusterRole>::all(site.client());
    let mut role = roles.get("eventcenter-controllers").await?;
    let status = "eventtopics/status".to_owned();
    for rule in role.rules.iter_mut().flatten() {
        let resources = rule.resources.get_or_insert_default();
        if rule.verbs == ["patch"] && resources.contains(&"tenants/status".to_owned()) {
            resources.retain(|resource| *resource != status);
            resources.extend(may.then(|| status.clone()));
        }
    }
    roles.replace("eventcenter-controllers", &PostParams::default(), &role).await?;
    Ok(())
}

/// Nothing is in force that is only kept.
#[tokio::test]
async fn after_it_is_kept_and_before_it_is_noted() -> Result<()> {
    let name = "approved-kept";
    let site = Site::new(name).await?;
    let (operator, webhook) = waiting(&site, name).await?;
    let before = site.topics().get("first").await?;
    may_write_status(&site, false).await?;
    let approval = webhook.decides(name, "first", Deciding::approve("bob")).await;
    site.eventually("it is kept", LIMIT, async || {
        let all = kept(&site, name).await.map_err(|error| error.to_string())?;
        if all.len() == 2 { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    operator.kill()?;
    release(&site);
    may_write_status(&site, true).await?;
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(site.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    assert_eq!(revision(&site.topics().get("first").await?), revision(&before), "it is not noted");
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(1));

    let _operator = site.operator("a", &[])?;
    site.meddle("first", "flush.ms", "77777").await?;
    site.eventually("it is put right", LIMIT, async || match site.config("first").await {
        config if config.is_empty() => Ok(()),
        config => Err(config),
    })
    .await;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(1));
    webhook.decides(name, "first", Deciding::approve("bob")).await;
    let first = site.ready("first").await;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(3));
    site.eventually("one is kept", LIMIT, async || {
        let all = kept(&site, name).await.map_err(|error| error.to_string())?;
        if Some(&all) == revision(&first).map(|one| vec![one]).as_ref() {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
    Ok(())
}

/// What was never noted where it can be trusted is not taken for approved, and what is known to be lost is told.
#[tokio::test]
async fn a_status_that_is_wiped_while_nobody_looks() -> Result<()> {
    let name = "approved-wiped";
    let site = Site::new(name).await?;
    let (operator, webhook) = waiting(&site, name).await?;
    operator.kill()?;
    let wipe = Patch::Merge(json!({"status": null}));
    site.topics().patch_status("first", &PatchParams::default(), &wipe).await?;

    let _operator = site.operator("a", &[])?;
    let lost = site.topic("first", "lost", LIMIT, |topic| reason(topic) == "AwaitingApproval").await;
    let said = condition(&lost, "Ready").map(|(.., message)| message).unwrap_or_default();
    assert!(said.contains("the active spec is unknown (status.approved was removed)"), "{said}");
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(1));
    webhook.decides(name, "first", Deciding::approve("bob")).await;
    site.ready("first").await;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(3));
    Ok(())
}

/// A note that was good once is no way back to what it speaks of: to the operator that wrote a later one, and to the one
/// that comes after it.
#[tokio::test]
async fn an_old_note_that_is_put_back() -> Result<()> {
    let name = "approved-old";
    let site = Site::new(name).await?;
    let (operator, webhook) = waiting(&site, name).await?;
    let read = Rules::parse(Some(&serde_json::from_value(rules())?)).expect("rules");
    webhook.decides(name, "first", Deciding::approve("bob")).await;
    let old = site.ready("first").await;
    site.change("first", json!({"config": {"segment.ms": 3_600_000}})).await?;
    webhook.asked(name, "first", "alice", &read).await;
    webhook.decides(name, "first", Deciding::approve("bob")).await;
    let new = site.ready("first").await;
    let one = revision(&new);
    site.eventually("one is kept", LIMIT, async || {
        let all = kept(&site, name).await.map_err(|error| error.to_string())?;
        if Some(&all) == one.clone().map(|one| vec![one]).as_ref() { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;

    let note = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.approved.clone());
    let put_back = Patch::Merge(json!({"status": {"approved": note(&old)}}));
    site.topics().patch_status("first", &PatchParams::default(), &put_back).await?;
    site.topic("first", "put right", LIMIT, |topic| note(topic) == note(&new)).await;
    operator.kill()?;
    site.topics().patch_status("first", &PatchParams::default(), &put_back).await?;
    site.change("first", json!({"config": null})).await?;

    let _operator = site.operator("a", &[])?;
    let lost = site.topic("first", "held", LIMIT, |topic| reason(topic) == "AwaitingApproval").await;
    let said = condition(&lost, "Ready").map(|(.., message)| message).unwrap_or_default();
    assert!(said.contains("may be outdated"), "{said}");
    assert!(site.config("first").await.contains_key("segment.ms"));
    Ok(())
}

/// A cluster that is away is told beside what waits, and what waits once it is back.
#[tokio::test]
async fn while_kafka_is_away_both_are_told() -> Result<()> {
    let name = "approved-away";
    let site = Site::new(name).await?;
    let (_operator, webhook) = waiting(&site, name).await?;
    site.kafka.set(Mode::Refuse);
    site.cluster_is(CLUSTER, "KafkaUnavailable").await;
    let approval = webhook.decides(name, "first", Deciding { groups: &[], ..Deciding::approve("bob") }).await;
    let away = site.topic("first", "away", LIMIT, |topic| reason(topic) == "ClusterUnavailable").await;
    let waits = |topic: &EventTopic| condition(topic, "Approved").map(|(_, reason, _)| reason);
    assert_eq!(waits(&away).as_deref(), Some("AwaitingApproval"));
    site.kafka.set(Mode::Pass);
    site.topic("first", "waiting again", LIMIT, |topic| reason(topic) == "AwaitingApproval").await;
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(site.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    webhook.decides(name, "first", Deciding::approve("bob")).await;
    site.ready("first").await;
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(3));
    Ok(())
}
