//! The controllers without a webhook that could refuse anything: what is asked for waits until the right people have
//! approved exactly that.

use std::time::{Duration, Instant};

use eventcenter::api::EventTopic;
use eventcenter::domain::approval::{ActiveRecord, SpecHash};
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::shop::{ONE, Shop, approved, pending};
use crate::support::seal::Deciding;
use crate::support::{Stage, has, message, until, yaml};

#[tokio::test]
async fn a_creation_waits_and_is_live_once_it_is_approved() {
    let s = Shop::new(ONE).await;
    let asked = s.ask("orders", "partitions: 2").await;
    let waiting = s.waits("orders").await;
    let hash = SpecHash::of(&asked.spec).to_string();
    let told = pending(&waiting);
    assert_eq!((&told["hash"], &told["approvals"]), (&json!(hash), &json!("0/1")));
    assert_eq!(told["requestedBy"], json!(["alice"]));
    assert!(
        has(&waiting, "Reconciling=True AwaitingApproval")
            && has(&waiting, "Approved=False AwaitingApproval")
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
    let live = s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2));
    assert!(has(&live, "Approved=True Available") && pending(&live).is_null(), "{live:#?}");
    assert_eq!(message(&live, "Approved"), "The declared spec is approved");
    assert_eq!(approved(&live).hash, hash);
    assert!(ActiveRecord::verified(&live, &s.webhook.controllers().await).is_some());
    s.t.event("orders", "AwaitingApproval", "Waiting for approval").await;
    s.t.event("orders", "Approved", "approved by bob").await;
}

#[tokio::test]
async fn the_deciding_approval_is_live_at_once() {
    let s = Shop::new(ONE).await;
    let mut took = Vec::new();
    for number in 0..20 {
        let name = format!("t{number}");
        s.ask(&name, "{}").await;
        s.waits(&name).await;
        s.approve(&name, "bob").await;
        let begin = Instant::now();
        s.t.stage.kafka.wait(&s.t.name(&name), "made", |topic| topic.is_some()).await;
        took.push(begin.elapsed());
    }
    took.sort();
    println!("from the approval to Kafka: median {:?}, p95 {:?}, most {:?}", took[10], took[18], took[19]);
    assert!(took[19] < Duration::from_secs(30));
    assert!(Stage::metric("eventcenter_approval_in_force_seconds_count", &[]) >= 20.0);
}

#[tokio::test]
async fn while_a_change_waits_what_was_approved_is_kept() {
    let s = Shop::new(ONE).await;
    let before = s.made("orders", "config: {segment.ms: 3600000}").await;
    s.ask("orders", "{partitions: 3, config: {segment.ms: 7200000}}").await;
    let waiting = s.waits("orders").await;
    assert_eq!(approved(&waiting), approved(&before));
    let in_sync = waiting.status.iter().flat_map(|status| &status.conditions).find(|c| c.type_ == "InSync");
    assert_eq!(in_sync.and_then(|c| c.observed_generation), before.metadata.generation);
    s.t.stage.kafka.set(&s.t.name("orders"), "segment.ms", "1800000").await;
    s.t.in_kafka("orders", "put back", |topic| topic.get("segment.ms") == Some("3600000")).await;
    let drifted =
        s.t.wait("orders", "told of drift", |topic| {
            topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
        })
        .await;
    assert!(has(&drifted, "Ready=False AwaitingApproval"));
    assert_eq!(s.partitions("orders").await, Some(1));

    s.approve("orders", "bob").await;
    let live = s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(3));
    let drift = |topic: &EventTopic| topic.status.as_ref().and_then(|status| status.last_drift.clone());
    assert_eq!(drift(&live), drift(&drifted), "what was approved is no drift");
    // One is kept: what is in force.
    let looked = until(async || {
        let all = s.revisions().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let names: Vec<_> = all.items.iter().map(|revision| revision.name_any()).collect();
        if names == [approved(&live).revision.unwrap_or_default()] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    });
    looked.await.expect("the other is taken away");
}

#[tokio::test]
async fn a_change_of_what_waits_needs_its_own_approval() {
    let s = Shop::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
    s.ask("orders", "partitions: 2").await;
    s.waits("orders").await;
    s.approve("orders", "bob").await;
    let first = pending(&s.counts("orders", "1/2").await);
    s.ask("orders", "partitions: 3").await;
    let second = pending(&s.counts("orders", "0/2").await);
    assert_ne!(first["hash"], second["hash"]);
    // And back: the same content is asked for once more.
    s.ask("orders", "partitions: 2").await;
    let third = s.t.wait("orders", "asked for again", |topic| pending(topic)["hash"] == first["hash"]).await;
    assert_eq!(pending(&third)["approvals"], "0/2", "an approval is of one time");
    for by in ["bob", "carol"] {
        s.approve("orders", by).await;
    }
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2));
}

#[tokio::test]
async fn going_back_to_what_is_in_force_withdraws_a_change() {
    let s = Shop::new(ONE).await;
    s.made("orders", "{}").await;
    s.ask("orders", "partitions: 4").await;
    s.waits("orders").await;
    let old = s.t.get("orders").await;
    s.ask("orders", "partitions: 1").await;
    s.ask("orders", "{}").await;
    let back = s.t.condition("orders", "Approved=True").await;
    assert!(pending(&back).is_null() && has(&back, "Ready=True Available"));
    assert_eq!(Some(approved(&back).generation), back.metadata.generation);
    // An approval of what was withdrawn is of no use, also when it is asked for again.
    s.webhook.makes(&s.t.namespace, s.webhook.decision(&old, Deciding::approve("bob"))).await;
    s.ask("orders", "partitions: 4").await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
}

#[tokio::test]
async fn rules_that_go_let_everything_pass_and_rules_that_come_keep_what_is_in_force() {
    let mut s = Shop::new(ONE).await;
    s.ask("orders", "partitions: 2").await;
    s.waits("orders").await;
    s.rule(None).await;
    let free = s.t.ready("orders").await;
    assert!(!has(&free, "Approved=True") && pending(&free).is_null(), "{free:#?}");
    assert_eq!((s.partitions("orders").await, approved(&free).revision), (Some(2), None));

    s.rule(Some(ONE)).await;
    let kept =
        s.t.wait("orders", "kept", |topic| {
            topic
                .status
                .as_ref()
                .is_some_and(|s| s.approved.as_ref().is_some_and(|said| said.revision.is_some()))
        })
        .await;
    assert!(has(&kept, "Ready=True Available") && has(&kept, "Approved=True"));
    s.ask("orders", "partitions: 3").await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2));
}

#[tokio::test]
async fn what_no_rule_names_takes_effect_at_once() {
    let s = Shop::new("rules: [{changes: [Delete], groups: [approvers]}]").await;
    s.t.declare("orders", "{}").await;
    let live = s.t.ready("orders").await;
    assert!(has(&live, "Approved=True") && approved(&live).revision.is_some());
    s.t.declare("orders", "partitions: 3").await;
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(3));
}

#[tokio::test]
async fn what_was_approved_in_advance_is_live_at_once() {
    let s = Shop::new(&format!("{{mode: Deny, {ONE}}}")).await;
    // Before it exists it has neither uid nor generation.
    let spec = "partitions: 2";
    let mut planned: EventTopic =
        serde_json::from_value(s.t.manifest("orders", spec)).expect("an EventTopic");
    s.webhook.makes(&s.t.namespace, s.webhook.decision(&planned, Deciding::approve("bob"))).await;
    s.ask("orders", spec).await;
    let made = s.t.ready("orders").await;
    planned.spec.partitions = 3;
    planned.metadata = made.metadata.clone();
    s.webhook.makes(&s.t.namespace, s.webhook.decision(&planned, Deciding::approve("bob"))).await;
    s.ask("orders", "partitions: 4").await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "another content than was approved");
    s.ask("orders", "partitions: 3").await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(2), "and not after another change");
    s.approve("orders", "bob").await;
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(3));
}
