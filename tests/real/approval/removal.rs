//! What data goes, and who has to agree before.

use eventcenter_sdk::Reason;
use serde_json::{Value, json};

use super::team::{Team, granted, printed};
use crate::support::{Place, Way, refused, until};

const ANY: &str = "{rules: [{changes: [Any], groups: [GROUP]}]}";

#[tokio::test]
async fn data_is_deleted_only_if_somebody_else_agrees() {
    let team = Team::new("delete", "{rules: [{changes: [Delete], groups: [GROUP]}]}").await;
    team.t.made("orders", "deletionPolicy: Delete").await;
    team.t.made("kept", "{}").await;
    let (alice, carol) = (team.approver("alice").await, team.approver("carol").await);
    assert_eq!(alice.ask_to_delete(&team.t.place("kept")).await.status, 200, "its data stays");
    let answer = alice.ask_to_delete(&team.t.place("orders")).await;
    refused(
        &answer,
        Reason::AwaitingApproval,
        "or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data",
    );
    let approval = printed(answer.message());
    assert_eq!(approval["spec"]["action"], "Delete");
    granted(&carol.create(&approval, "").await);
    let answer = carol.ask_to_delete(&team.t.place("orders")).await;
    refused(&answer, Reason::AwaitingApproval, "deletes its data, which must be approved first");
    assert_eq!(alice.ask_to_delete(&team.t.place("orders")).await.status, 200);
}

/// What waits for approval may keep data already: then nothing goes that somebody has to agree to.
#[tokio::test]
async fn a_deletion_that_keeps_the_data_needs_nobody() {
    let team = Team::new("keeps", ANY).await;
    let (alice, bob) = (team.approver("alice").await, team.approver("bob").await);
    granted(&alice.ask(&team.t.manifest("orders", "deletionPolicy: Delete"), Way::Apply).await);
    granted(&bob.create(&team.decision("orders", "Approve").await, "").await);
    team.t.ready("orders").await;
    refused(
        &alice.ask_to_delete(&team.t.place("orders")).await,
        Reason::AwaitingApproval,
        "or set spec.deletionPolicy: Retain, which keeps the Kafka topic and its data",
    );
    granted(&alice.ask(&team.t.manifest("orders", "deletionPolicy: Retain"), Way::Apply).await);
    team.t.condition("orders", "Ready=False AwaitingApproval").await;
    let answer = alice.ask_to_delete(&team.t.place("orders")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    team.t.gone("orders").await;
    assert!(team.t.kafka_topic("orders").await.is_some(), "its data stays");
}

/// Kubernetes is asked like anybody else when it empties a namespace.
#[tokio::test]
async fn a_namespace_with_data_waits_until_it_is_nobodys() {
    let team = Team::new("goes", "{rules: [{changes: [Delete], groups: [GROUP]}]}").await;
    team.t.made("orders", "deletionPolicy: Delete").await;
    let metadata = json!({"name": team.t.namespace});
    let namespace = Place::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
    let approval = team.approval("orders", &"0".repeat(64), "Approve");
    team.t.kube.delete(&namespace).await;
    let told = until(async || {
        let namespace: Value = team.t.kube.get(&namespace).await.unwrap_or_default();
        let conditions = namespace["status"]["conditions"].to_string();
        if conditions.contains("AwaitingApproval: spec.deletionPolicy: deleting EventTopic") {
            Ok(())
        } else {
            Err(conditions)
        }
    });
    told.await.expect("its conditions say why it does not go");
    let answer = team.t.kube.create(&approval, "").await;
    assert!(answer.message().contains("is being terminated"), "{}", answer.message());
    team.t.tenant(json!({"namespaces": []})).await;
    let gone = until(async || match team.t.kube.get::<Value>(&namespace).await {
        None => Ok(()),
        Some(left) => Err(left.to_string()),
    });
    gone.await.expect("it goes");
    assert!(team.t.kafka_topic("orders").await.is_some(), "its data stays");
}
