//! Pending changes, without a webhook: each stays pending until the right users have approved exactly its content.

use eventcenter::api::EventTopic;
use eventcenter::domain::approval::{ActiveRecord, SpecHash};
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::fixture::{ApprovalFixture, ONE_APPROVAL, approved, pending};
use crate::support::signer::DecisionInput;
use crate::support::{has_condition, message, until, yaml};

#[tokio::test]
async fn a_creation_is_pending_until_it_is_approved() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let requested = s.request("orders", "partitions: 2").await;
    let waiting = s.wait_until_pending("orders").await;
    let hash = SpecHash::of(&requested.spec).to_string();
    let change = pending(&waiting);
    assert_eq!((&change["hash"], &change["approvals"]), (&json!(hash), &json!("0/1")));
    assert_eq!(change["requestedBy"], json!(["alice"]));
    assert!(
        has_condition(&waiting, "Reconciling=True AwaitingApproval")
            && has_condition(&waiting, "Approved=False AwaitingApproval")
    );
    let reported = message(&waiting, "Ready");
    assert!(
        reported.starts_with("Waiting for approval of Create")
            && reported.contains("(0/1): 1 more from group approvers"),
        "{reported}"
    );
    assert!(
        reported
            .ends_with(&format!("see the change with: eventctl diff EventTopic orders -n {}", s.t.namespace)),
        "{reported}"
    );
    let approval: Value = yaml(change["approveWith"].as_str().expect("a manifest of an approval"));
    let (approval, approvals) = (serde_json::from_value(approval).expect("a ChangeApproval"), s.approvals());
    let created =
        approvals.create(&PostParams::default(), &approval).await.expect("the API server accepts it");
    assert_eq!(created.spec.spec_hash, hash);
    assert_eq!(s.partitions("orders").await, None, "an approval without a seal does not count");

    s.approve("orders", "bob").await;
    let active = s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 2).await;
    assert!(has_condition(&active, "Approved=True Available") && pending(&active).is_null(), "{active:#?}");
    assert_eq!(message(&active, "Approved"), "The declared spec is approved");
    assert_eq!(approved(&active).hash, hash);
    assert!(ActiveRecord::verified(&active, &s.webhook.controller_keys().await).is_some());
    s.t.topic("orders").wait_for_event("AwaitingApproval", "Waiting for approval").await;
    s.t.topic("orders").wait_for_event("Approved", "approved by bob").await;
}

#[tokio::test]
async fn while_a_change_is_pending_the_active_spec_is_maintained() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let before = s.apply_approved("orders", "config: {segment.ms: 3600000}").await;
    s.request("orders", "{partitions: 3, config: {segment.ms: 7200000}}").await;
    let waiting = s.wait_until_pending("orders").await;
    assert_eq!(approved(&waiting), approved(&before));
    let in_sync = waiting.status.iter().flat_map(|status| &status.conditions).find(|c| c.type_ == "InSync");
    assert_eq!(in_sync.and_then(|c| c.observed_generation), before.metadata.generation);
    s.t.stage.kafka.set(&s.t.kafka_name("orders"), "segment.ms", "1800000").await;
    s.t.wait_for_kafka_topic("orders", "segment.ms is corrected", |topic| {
        topic.get("segment.ms") == Some("3600000")
    })
    .await;
    let drifted =
        s.t.topic("orders")
            .wait_for_status("status.lastDrift is set", |topic| {
                topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
            })
            .await;
    assert!(has_condition(&drifted, "Ready=False AwaitingApproval"));
    assert_eq!(s.partitions("orders").await, Some(1));

    s.approve("orders", "bob").await;
    let active = s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
    let drift = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.last_drift.clone());
    assert_eq!(drift(&active), drift(&drifted), "an approved change is no drift");
    // Only the revision of the active spec is kept.
    let polled = until(async || {
        let all = s.revisions().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let names: Vec<_> = all.items.iter().map(|revision| revision.name_any()).collect();
        if names == [approved(&active).revision.unwrap_or_default()] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    });
    polled.await.expect("the previous revision is deleted");
}

#[tokio::test]
async fn a_changed_pending_spec_needs_its_own_approval() {
    let s = ApprovalFixture::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
    s.request("orders", "partitions: 2").await;
    s.wait_until_pending("orders").await;
    s.approve("orders", "bob").await;
    let first = pending(&s.wait_for_approvals("orders", "1/2").await);
    s.request("orders", "partitions: 3").await;
    let second = pending(&s.wait_for_approvals("orders", "0/2").await);
    assert_ne!(first["hash"], second["hash"]);
    // The first content is requested again.
    s.request("orders", "partitions: 2").await;
    let third =
        s.t.topic("orders")
            .wait_for_status("the first content is pending again", |topic| {
                pending(topic)["hash"] == first["hash"]
            })
            .await;
    assert_eq!(pending(&third)["approvals"], "0/2", "an approval counts for one request only");
    for user in ["bob", "carol"] {
        s.approve("orders", user).await;
    }
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 2).await;
}

#[tokio::test]
async fn restoring_the_active_spec_withdraws_a_change() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    s.apply_approved("orders", "{}").await;
    s.request("orders", "partitions: 4").await;
    s.wait_until_pending("orders").await;
    let old = s.t.topic("orders").get().await;
    s.request("orders", "partitions: 1").await;
    s.request("orders", "{}").await;
    let restored = s.t.topic("orders").wait_for_condition("Approved=True").await;
    assert!(pending(&restored).is_null() && has_condition(&restored, "Ready=True Available"));
    assert_eq!(Some(approved(&restored).generation), restored.metadata.generation);
    // An approval of a withdrawn change does not count when the change is requested again.
    s.webhook.store(&s.t.namespace, s.webhook.decision(&old, DecisionInput::approve("bob"))).await;
    s.request("orders", "partitions: 4").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
}

#[tokio::test]
async fn removed_rules_activate_everything_and_new_rules_keep_the_active_spec() {
    let mut s = ApprovalFixture::new(ONE_APPROVAL).await;
    s.request("orders", "partitions: 2").await;
    s.wait_until_pending("orders").await;
    s.set_rules(None).await;
    let free = s.t.topic("orders").wait_until_ready().await;
    assert!(!has_condition(&free, "Approved=True") && pending(&free).is_null(), "{free:#?}");
    s.t.wait_for_partitions("orders", 2).await;
    assert_eq!(approved(&free).revision, None);

    s.set_rules(Some(ONE_APPROVAL)).await;
    let kept =
        s.t.topic("orders")
            .wait_for_status("status.approved.revision is set", |topic| {
                topic
                    .status
                    .as_ref()
                    .is_some_and(|s| s.approved.as_ref().is_some_and(|approved| approved.revision.is_some()))
            })
            .await;
    assert!(has_condition(&kept, "Ready=True Available") && has_condition(&kept, "Approved=True"));
    s.request("orders", "partitions: 3").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2));
}

#[tokio::test]
async fn changes_without_a_rule_take_effect_at_once() {
    let s = ApprovalFixture::new("rules: [{changes: [Delete], groups: [approvers]}]").await;
    s.t.topic("orders").apply("{}").await;
    let active = s.t.topic("orders").wait_until_ready().await;
    assert!(has_condition(&active, "Approved=True") && approved(&active).revision.is_some());
    s.t.topic("orders").apply("partitions: 3").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
}

#[tokio::test]
async fn a_change_approved_in_advance_takes_effect_at_once() {
    let s = ApprovalFixture::new(&format!("{{mode: Deny, {ONE_APPROVAL}}}")).await;
    // Before its creation the topic has neither uid nor generation.
    let spec = "partitions: 2";
    let mut planned: EventTopic =
        serde_json::from_value(s.t.topic("orders").manifest(spec)).expect("an EventTopic");
    s.webhook.store(&s.t.namespace, s.webhook.decision(&planned, DecisionInput::approve("bob"))).await;
    s.request("orders", spec).await;
    let created = s.t.topic("orders").wait_until_ready().await;
    planned.spec.partitions = 3;
    planned.metadata = created.metadata.clone();
    s.webhook.store(&s.t.namespace, s.webhook.decision(&planned, DecisionInput::approve("bob"))).await;
    s.request("orders", "partitions: 4").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "another content is not approved");
    s.request("orders", "partitions: 3").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "the approval does not count after another change");
    s.approve("orders", "bob").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
}
