//! Making a resource again, leaving it to others and deleting it are no ways around.

use eventcenter::api::{ApprovalAction, GovernedChange};
use serde_json::json;

use super::shop::{ONE, Shop, approved, pending};
use crate::support::seal::Deciding;
use crate::support::{has, message};

#[tokio::test]
async fn a_resource_that_is_made_again_needs_approval_again() {
    let s = Shop::new(ONE).await;
    let old = s.made("orders", "config: {retention.ms: 86400000}").await;
    s.t.remove("orders").await;
    let kept = s.t.kafka_topic("orders").await.expect("it stays");
    // With the approval of its predecessor, which is of the same content and generation.
    s.webhook.makes(&s.t.namespace, s.webhook.decision(&old, Deciding::approve("bob"))).await;
    s.ask("orders", "config: {retention.ms: 86400000}").await;
    s.waits("orders").await;
    // What was noted of its predecessor.
    s.forge("orders", json!({ "approved": approved(&old) })).await;
    s.t.condition("orders", "Approved=False AwaitingApproval").await;
    // It would take over a topic that is there, and keep less.
    s.ask("orders", "config: {retention.ms: 1000}").await;
    s.waits("orders").await;
    s.approve("orders", "alice").await;
    s.made("marker", "{}").await;
    s.visited("marker").await;
    assert_eq!(s.t.kafka_topic("orders").await, Some(kept));
    s.approve("orders", "bob").await;
    s.t.in_kafka("orders", "changed", |topic| topic.get("retention.ms") == Some("1000")).await;
}

#[tokio::test]
async fn leaving_a_resource_to_others_for_a_while_is_no_way_around() {
    let s = Shop::new(ONE).await;
    let before = s.made("orders", "{}").await;
    s.t.annotate("orders", "managed", Some("false")).await;
    let unmanaged = s.t.condition("orders", "Ready=True Unmanaged").await;
    assert_eq!(approved(&unmanaged), approved(&before));
    s.ask("orders", "partitions: 3").await;
    s.t.condition("orders", "Ready=True Unmanaged").await;
    s.t.annotate("orders", "managed", None).await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    // Neither is a pause.
    s.t.annotate("orders", "paused", Some("true")).await;
    s.ask("orders", "partitions: 4").await;
    let paused = s.t.wait("orders", "paused", |topic| has(topic, "Ready=False Paused")).await;
    assert!(has(&paused, "Approved=False"));
    s.t.annotate("orders", "paused", None).await;
    s.waits("orders").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.approve("orders", "bob").await;
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(4));
}

#[tokio::test]
async fn data_goes_only_with_approval() {
    let s = Shop::new("rules: [{changes: [Delete], groups: [approvers]}]").await;
    for name in ["orders", "early", "kept"] {
        s.t.declare(name, "deletionPolicy: Delete").await;
        s.t.ready(name).await;
    }
    let delete = Deciding { action: ApprovalAction::Delete, ..Deciding::approve("bob") };
    // Approved before: Kubernetes counts the deletion as a generation.
    let generation = s.t.get("early").await.metadata.generation;
    s.decide("early", delete.clone()).await;
    s.t.remove("early").await;
    s.t.deleted("early").await;
    assert_eq!(generation, Some(1));

    for name in ["orders", "kept"] {
        s.t.delete(name).await;
    }
    let waiting = s.t.wait("orders", "waiting", |topic| has(topic, "Ready=False AwaitingApproval")).await;
    assert_eq!(waiting.metadata.generation, Some(2), "the deletion is a generation");
    let said = message(&waiting, "Ready");
    assert!(
        said.starts_with(
            "Deletion is waiting for approval of Delete (0/1): 1 more from group approvers; or set \
                          spec.deletionPolicy: Retain"
        ),
        "{said}"
    );
    assert_eq!(pending(&waiting)["action"], "Delete");
    assert_eq!(pending(&waiting)["changes"], json!([GovernedChange::Delete]));
    // An approval of what it declares is none of its deletion.
    s.approve("orders", "bob").await;
    s.t.wait("kept", "waiting", |topic| has(topic, "Ready=False AwaitingApproval")).await;
    s.t.declare("kept", "deletionPolicy: Retain").await;
    s.t.gone("kept").await;
    assert!(s.partitions("orders").await.is_some() && s.partitions("kept").await.is_some());
    s.decide("orders", delete).await;
    s.t.gone("orders").await;
    s.t.deleted("orders").await;
}

#[tokio::test]
async fn nothing_is_deleted_that_was_never_approved() {
    let s = Shop::new("rules: [{changes: [Create, Any], groups: [approvers]}]").await;
    let id = s.t.stage.kafka.create(&s.t.name("theirs"), 1, &[]).await.id;
    s.ask("theirs", "deletionPolicy: Delete").await;
    s.waits("theirs").await;
    s.t.remove("theirs").await;
    s.made("orders", "{}").await;
    s.ask("orders", "deletionPolicy: Delete").await;
    s.waits("orders").await;
    s.t.remove("orders").await;
    assert_eq!(s.t.kafka_topic("theirs").await.map(|topic| topic.id), Some(id));
    assert!(s.partitions("orders").await.is_some());
}
