//! Deletions of data and their approval.

use eventcenter_sdk::Reason;
use serde_json::{Value, json};

use super::team::{Team, assert_accepted, printed_approval};
use crate::support::{ObjectPath, WriteMethod, assert_refused, until};

const ANY: &str = "{rules: [{changes: [Any], groups: [GROUP]}]}";

#[tokio::test]
async fn a_deletion_of_data_needs_another_users_approval() {
    let team = Team::new("delete", "{rules: [{changes: [Delete], groups: [GROUP]}]}").await;
    team.t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    team.t.topic("kept").apply_and_wait("{}").await;
    let (alice, carol) = (team.approver("alice").await, team.approver("carol").await);
    assert_eq!(alice.try_delete(team.t.topic("kept").path()).await.status, 200, "the data is kept");
    let answer = alice.try_delete(team.t.topic("orders").path()).await;
    assert_refused(
        &answer,
        Reason::AwaitingApproval,
        "or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data",
    );
    let approval = printed_approval(answer.message());
    assert_eq!(approval["spec"]["action"], "Delete");
    assert_accepted(&carol.create(&approval, "").await);
    let answer = carol.try_delete(team.t.topic("orders").path()).await;
    assert_refused(&answer, Reason::AwaitingApproval, "deletes its data, which must be approved first");
    assert_eq!(alice.try_delete(team.t.topic("orders").path()).await.status, 200);
}

/// With a pending `deletionPolicy: Retain` no data is deleted, so the deletion needs no approval.
#[tokio::test]
async fn a_deletion_that_retains_the_data_needs_no_approval() {
    let team = Team::new("keeps", ANY).await;
    let (alice, bob) = (team.approver("alice").await, team.approver("bob").await);
    assert_accepted(
        &alice.write(&team.t.topic("orders").manifest("deletionPolicy: Delete"), WriteMethod::Apply).await,
    );
    assert_accepted(&bob.create(&team.decision("orders", "Approve").await, "").await);
    team.t.topic("orders").wait_until_ready().await;
    assert_refused(
        &alice.try_delete(team.t.topic("orders").path()).await,
        Reason::AwaitingApproval,
        "or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data",
    );
    assert_accepted(
        &alice.write(&team.t.topic("orders").manifest("deletionPolicy: Retain"), WriteMethod::Apply).await,
    );
    team.t.topic("orders").wait_for_condition("Ready=False AwaitingApproval").await;
    let answer = alice.try_delete(team.t.topic("orders").path()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    team.t.topic("orders").wait_until_deleted().await;
    assert!(team.t.kafka_topic("orders").await.is_some(), "the data is kept");
}

/// The webhook also reviews the deletions of the namespace controller.
#[tokio::test]
async fn a_namespace_with_data_is_deleted_once_it_has_no_tenant() {
    let team = Team::new("goes", "{rules: [{changes: [Delete], groups: [GROUP]}]}").await;
    team.t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    let metadata = json!({"name": team.t.namespace});
    let namespace = ObjectPath::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
    let approval = team.approval("orders", &"0".repeat(64), "Approve");
    team.t.kube.delete(&namespace).await;
    let polled = until(async || {
        let namespace: Value = team.t.kube.get(&namespace).await.unwrap_or_default();
        let conditions = namespace["status"]["conditions"].to_string();
        if conditions.contains("AwaitingApproval: spec.deletionPolicy: deleting EventTopic") {
            Ok(())
        } else {
            Err(conditions)
        }
    });
    polled.await.expect("its conditions name the refusal");
    let answer = team.t.kube.create(&approval, "").await;
    assert!(answer.message().contains("is being terminated"), "{}", answer.message());
    team.t.apply_tenant(json!({"namespaces": []})).await;
    let deleted = until(async || match team.t.kube.get::<Value>(&namespace).await {
        None => Ok(()),
        Some(object) => Err(object.to_string()),
    });
    deleted.await.expect("the namespace is deleted");
    assert!(team.t.kafka_topic("orders").await.is_some(), "the data is kept");
}
