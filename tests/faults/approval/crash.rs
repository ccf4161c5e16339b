//! The operator is killed between the writes of an approved change, and reaches the same state after a restart.

use anyhow::Result;
use eventcenter::api::{APPROVED_LABEL, EventTopic};
use eventcenter::domain::approval::Rules;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use super::is_pending;
use crate::fixture::FaultFixture;
use crate::proxy::{CREATE_PARTITIONS, Mode};
use crate::support::signer::{DecisionInput, WebhookSigner};
use crate::support::{has_condition, message, to_yaml};

fn rules() -> Value {
    json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}]})
}

/// An operator that leads and has created the topic `first`. After that the tenant has rules, and a change is pending.
async fn start_with_pending_change(
    t: &FaultFixture,
    name: &str,
) -> Result<(xtask::operator::Operator, WebhookSigner)> {
    let operator = t.parts.start_operator("a", &[])?;
    t.cluster().wait_for_condition("Ready=True Available").await;
    t.topic("first").apply(json!({})).await;
    t.topic("first").wait_until_ready().await;
    t.tenant().patch_spec(json!({"approval": rules()})).await;
    t.topic("first").wait_for("status.approved.revision is set", |topic| revision(topic).is_some()).await;
    let webhook = WebhookSigner::new(t.kube.client()).await;
    let read = Rules::parse(Some(&serde_json::from_value(rules())?)).expect("rules");
    t.topic("first").patch_spec(json!({"partitions": 3})).await;
    webhook.sign_request(name, "first", "alice", &read).await;
    t.topic("first").wait_for("pending, with its requester", is_pending).await;
    Ok((operator, webhook))
}

fn revision(topic: &EventTopic) -> Option<String> {
    topic.status.as_ref()?.approved.as_ref()?.revision.clone()
}

fn generation(topic: &EventTopic) -> Option<i64> {
    Some(topic.status.as_ref()?.approved.as_ref()?.generation)
}

/// The names of the ControllerRevisions with approved specs.
async fn revisions(t: &FaultFixture) -> Result<Vec<String>> {
    let all = Api::<ControllerRevision>::namespaced(t.kube.client(), &t.namespace);
    let all = all.list(&ListParams::default().labels(APPROVED_LABEL)).await?;
    Ok(all.items.into_iter().filter_map(|revision| revision.metadata.name).collect())
}

/// Waits until the active spec of a topic is the only stored revision.
async fn wait_for_only_revision(t: &FaultFixture, topic: &EventTopic) {
    let expected: Vec<String> = revision(topic).into_iter().collect();
    t.eventually(&format!("{expected:?} is the only revision"), async || {
        let all = revisions(t).await.map_err(|error| error.to_string())?;
        if all == expected { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}

/// Once the status records the change as active it stays so, also if the approval is deleted then.
#[tokio::test]
async fn killed_after_the_status_and_before_the_change_in_kafka() -> Result<()> {
    let name = "approved-noted";
    let t = FaultFixture::new(name).await?;
    let (operator, webhook) = start_with_pending_change(&t, name).await?;
    let before = t.parts.kafka_proxy.received(CREATE_PARTITIONS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(CREATE_PARTITIONS));
    let approval = webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    t.topic("first")
        .wait_for("status.approved has the generation", |topic| {
            generation(topic) == topic.metadata.generation
        })
        .await;
    t.wait_for_kafka_request(CREATE_PARTITIONS, before).await;
    operator.kill()?;
    t.parts.release_proxies();
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(t.kube.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    assert_eq!(t.kafka_topic("first").await.map(|topic| topic.partitions), Some(1));

    let _operator = t.parts.start_operator("a", &[])?;
    let first = t.topic("first").wait_until_ready().await;
    t.wait_for_partitions("first", 3).await;
    assert!(first.status.as_ref().is_some_and(|status| status.last_drift.is_none()), "{:#?}", first.status);
    Ok(())
}

/// Gives the operator the right to write the status of topics, or revokes it.
async fn set_right_to_write_status(t: &FaultFixture, may: bool) -> Result<()> {
    let roles = Api::<ClusterRole>::all(t.kube.client());
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

/// A stored revision alone makes no change active.
#[tokio::test]
async fn killed_after_the_revision_and_before_the_status() -> Result<()> {
    let name = "approved-kept";
    let t = FaultFixture::new(name).await?;
    let (operator, webhook) = start_with_pending_change(&t, name).await?;
    let before = t.topic("first").get().await;
    set_right_to_write_status(&t, false).await?;
    let approval = webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    t.eventually("the second revision exists", async || {
        let all = revisions(&t).await.map_err(|error| error.to_string())?;
        if all.len() == 2 { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    operator.kill()?;
    t.parts.release_proxies();
    set_right_to_write_status(&t, true).await?;
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(t.kube.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    assert_eq!(revision(&t.topic("first").get().await), revision(&before), "the status does not name it");
    assert_eq!(t.kafka_topic("first").await.map(|topic| topic.partitions), Some(1));

    let _operator = t.parts.start_operator("a", &[])?;
    t.set_kafka_config("first", "flush.ms", "77777").await;
    t.wait_for_kafka_config("first", &[]).await;
    assert_eq!(t.kafka_topic("first").await.map(|topic| topic.partitions), Some(1));
    webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    let first = t.topic("first").wait_until_ready().await;
    t.wait_for_partitions("first", 3).await;
    wait_for_only_revision(&t, &first).await;
    Ok(())
}

/// A spec that no signed status names is not active, and the operator reports that the status was removed.
#[tokio::test]
async fn a_status_that_is_removed_while_no_operator_runs() -> Result<()> {
    let name = "approved-wiped";
    let t = FaultFixture::new(name).await?;
    let (operator, webhook) = start_with_pending_change(&t, name).await?;
    operator.kill()?;
    t.topic("first").patch_status(Value::Null).await;

    let _operator = t.parts.start_operator("a", &[])?;
    let lost = t.topic("first").wait_for_condition("Ready=False AwaitingApproval").await;
    let text = message(&lost, "Ready");
    assert!(text.contains("the active spec is unknown (status.approved was removed)"), "{text}");
    let diff = lost.status.and_then(|status| status.pending).expect("a pending change").diff;
    assert_eq!(diff[0], "take over the existing Kafka topic with partitions: 1", "{diff:?}");
    assert_eq!(t.kafka_topic("first").await.map(|topic| topic.partitions), Some(1));
    webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    t.topic("first").wait_until_ready().await;
    t.wait_for_partitions("first", 3).await;
    Ok(())
}

/// An older signed status does not make its spec active again: neither for the operator that wrote a later one, nor after a
/// restart.
#[tokio::test]
async fn an_old_status_that_is_restored() -> Result<()> {
    let name = "approved-old";
    let t = FaultFixture::new(name).await?;
    let (operator, webhook) = start_with_pending_change(&t, name).await?;
    let read = Rules::parse(Some(&serde_json::from_value(rules())?)).expect("rules");
    webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    let old = t.topic("first").wait_until_ready().await;
    t.topic("first").patch_spec(json!({"config": {"segment.ms": 3_600_000}})).await;
    webhook.sign_request(name, "first", "alice", &read).await;
    webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    let new = t.topic("first").wait_until_ready().await;
    wait_for_only_revision(&t, &new).await;

    let approved = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.approved.clone());
    let restored = json!({"approved": approved(&old)});
    t.topic("first").patch_status(restored.clone()).await;
    t.topic("first").wait_for("corrected", |topic| approved(topic) == approved(&new)).await;
    operator.kill()?;
    t.topic("first").patch_status(restored).await;
    t.topic("first").patch_spec(json!({"config": null})).await;

    let _operator = t.parts.start_operator("a", &[])?;
    let lost = t.topic("first").wait_for_condition("Ready=False AwaitingApproval").await;
    let text = message(&lost, "Ready");
    assert!(text.contains("may be outdated"), "{text}");
    assert!(t.kafka_config("first").await.contains_key("segment.ms"));
    Ok(())
}

/// An unreachable cluster is reported beside the pending change, and the pending change once the cluster is back.
#[tokio::test]
async fn an_unreachable_cluster_and_a_pending_change_are_both_reported() -> Result<()> {
    let name = "approved-away";
    let t = FaultFixture::new(name).await?;
    let (_operator, webhook) = start_with_pending_change(&t, name).await?;
    t.parts.kafka_proxy.set(Mode::Refuse);
    t.cluster().wait_for_condition("Ready=False KafkaUnavailable").await;
    let approval =
        webhook.decide(name, "first", DecisionInput { groups: &[], ..DecisionInput::approve("bob") }).await;
    let unreachable = t.topic("first").wait_for_condition("Ready=False ClusterUnavailable").await;
    assert!(has_condition(&unreachable, "Approved=False AwaitingApproval"), "{}", to_yaml(&unreachable));
    t.parts.kafka_proxy.set(Mode::Pass);
    t.topic("first").wait_for_condition("Ready=False AwaitingApproval").await;
    let approvals = Api::<eventcenter::api::ChangeApproval>::namespaced(t.kube.client(), name);
    approvals.delete(&approval, &DeleteParams::default()).await?;
    webhook.decide(name, "first", DecisionInput::approve("bob")).await;
    t.topic("first").wait_until_ready().await;
    t.wait_for_partitions("first", 3).await;
    Ok(())
}
