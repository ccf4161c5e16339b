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
    let asked = s.request("orders", "partitions: 2").await;
    let waiting = s.wait_until_pending("orders").await;
    let hash = SpecHash::of(&asked.spec).to_string();
    let told = pending(&waiting);
    assert_eq!((&told["hash"], &told["approvals"]), (&json!(hash), &json!("0/1")));
    assert_eq!(told["requestedBy"], json!(["alice"]));
    assert!(
        has_condition(&waiting, "Reconciling=True AwaitingApproval")
            && has_condition(&waiting, "Approved=False AwaitingApproval")
    );
    let said = message(&waiting, "Ready");
    assert!(
        said.starts_with("Waiting for approval of Create")
            && said.contains("(0/1): 1 more from group approvers"),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("see the change with: eventctl diff EventTopic orders -n {}", s.t.namespace)),
        "{said}"
    );
    let ready: Value = yaml(told["approveWith"].as_str().expect("an approval that is ready to use"));
    let (ready, approvals) = (serde_json::from_value(ready).expect("one"), s.approvals());
    let made = approvals.create(&PostParams::default(), &ready).await.expect("the API server takes it");
    assert_eq!(made.spec.spec_hash, hash);
    assert_eq!(s.partitions("orders").await, None, "nothing was made, also not by what nobody has sealed");

    s.approve("orders", "bob").await;
    let live = s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 2).await;
    assert!(has_condition(&live, "Approved=True Available") && pending(&live).is_null(), "{live:#?}");
    assert_eq!(message(&live, "Approved"), "The declared spec is approved");
    assert_eq!(approved(&live).hash, hash);
    assert!(ActiveRecord::verified(&live, &s.webhook.controller_keys().await).is_some());
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
    s.t.wait_for_kafka_topic("orders", "put back", |topic| topic.get("segment.ms") == Some("3600000")).await;
    let drifted =
        s.t.topic("orders")
            .wait_for_status("told of drift", |topic| {
                topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
            })
            .await;
    assert!(has_condition(&drifted, "Ready=False AwaitingApproval"));
    assert_eq!(s.partitions("orders").await, Some(1));

    s.approve("orders", "bob").await;
    let live = s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
    let drift = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.last_drift.clone());
    assert_eq!(drift(&live), drift(&drifted), "what was approved is no drift");
    // One is kept: what is in force.
    let polled = until(async || {
        let all = s.revisions().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let names: Vec<_> = all.items.iter().map(|revision| revision.name_any()).collect();
        if names == [approved(&live).revision.unwrap_or_default()] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    });
    polled.await.expect("the other is taken away");
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
    // And back: the same content is asked for once more.
    s.request("orders", "partitions: 2").await;
    let third =
        s.t.topic("orders")
            .wait_for_status("asked for again", |topic| pending(topic)["hash"] == first["hash"])
            .await;
    assert_eq!(pending(&third)["approvals"], "0/2", "an approval is of one time");
    for by in ["bob", "carol"] {
        s.approve("orders", by).await;
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
    let back = s.t.topic("orders").wait_for_condition("Approved=True").await;
    assert!(pending(&back).is_null() && has_condition(&back, "Ready=True Available"));
    assert_eq!(Some(approved(&back).generation), back.metadata.generation);
    // An approval of what was withdrawn is of no use, also when it is asked for again.
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
            .wait_for_status("kept", |topic| {
                topic
                    .status
                    .as_ref()
                    .is_some_and(|s| s.approved.as_ref().is_some_and(|said| said.revision.is_some()))
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
    let live = s.t.topic("orders").wait_until_ready().await;
    assert!(has_condition(&live, "Approved=True") && approved(&live).revision.is_some());
    s.t.topic("orders").apply("partitions: 3").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
}

#[tokio::test]
async fn a_change_approved_in_advance_takes_effect_at_once() {
    let s = ApprovalFixture::new(&format!("{{mode: Deny, {ONE_APPROVAL}}}")).await;
    // Before it exists it has neither uid nor generation.
    let spec = "partitions: 2";
    let mut planned: EventTopic =
        serde_json::from_value(s.t.topic("orders").manifest(spec)).expect("an EventTopic");
    s.webhook.store(&s.t.namespace, s.webhook.decision(&planned, DecisionInput::approve("bob"))).await;
    s.request("orders", spec).await;
    let made = s.t.topic("orders").wait_until_ready().await;
    planned.spec.partitions = 3;
    planned.metadata = made.metadata.clone();
    s.webhook.store(&s.t.namespace, s.webhook.decision(&planned, DecisionInput::approve("bob"))).await;
    s.request("orders", "partitions: 4").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "another content than was approved");
    s.request("orders", "partitions: 3").await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "and not after another change");
    s.approve("orders", "bob").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
}
