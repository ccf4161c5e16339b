//! Deletions by the approver through somebody else: the garbage collector, a robot, an object that is already being deleted.

use eventcenter::api::{ChangeApproval, EventTopic};
use eventcenter_sdk::Reason;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::team::{Team, assert_accepted};
use crate::support::{KubeClient, ObjectPath, WriteMethod, assert_refused, has_condition, message, until};

const DELETE: &str =
    "{rules: [{changes: [Delete], groups: [GROUP]}], automation: ['system:serviceaccount:NAMESPACE:argo']}";

/// A ConfigMap that does not exist, as an owner.
fn missing_owner() -> Value {
    json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "missing", "uid": "00000000-0000-4000-8000-000000000000"}])
}

async fn deletion(team: &Team, topic: &str) -> Value {
    let mut decision = team.decision(topic, "Approve").await;
    decision["spec"]["action"] = json!("Delete");
    decision
}

/// A topic whose deletion dana, who may change and approve it, has approved.
async fn approved_by_dana(name: &str) -> (Team, KubeClient) {
    let team = Team::new(name, DELETE).await;
    team.t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    let dana = team.approver("dana").await;
    assert_accepted(&dana.create(&deletion(&team, "orders").await, "").await);
    (team, dana)
}

async fn delete(
    user: &KubeClient,
    team: &Team,
    name: &str,
    policy: PropagationPolicy,
) -> Result<(), kube::Error> {
    let topics = Api::<EventTopic>::namespaced(user.client(), &team.t.namespace);
    let parameters = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    topics.delete(name, &parameters).await.map(drop)
}

#[tokio::test]
async fn the_garbage_collector_does_not_delete_for_the_approver() {
    let (team, dana) = approved_by_dana("collected").await;
    let path = team.t.topic("orders").path().clone();
    let owned = json!({"metadata": {"ownerReferences": missing_owner()}});
    let refused = dana.try_merge(&path, &owned).await.expect_err("refused").to_string();
    assert!(
        refused.contains("metadata.ownerReferences: the resource and its data would be deleted"),
        "{refused}"
    );

    // The topic has an owner from the beginning, which is deleted.
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": team.t.namespace},
    });
    let owner = team.t.kube.apply(&owner).await;
    let mut owned = team.t.topic("owned").manifest("deletionPolicy: Delete");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
    }]);
    assert_accepted(&dana.write(&owned, WriteMethod::Apply).await);
    let topic = team.t.topic("owned").wait_until_ready().await;
    assert_accepted(&dana.create(&deletion(&team, "owned").await, "").await);
    team.t.kube.delete(&ObjectPath::of(&owner)).await;
    // The garbage collector has tried: its refused attempt is recorded.
    let refused = until(async || {
        let log = team.t.stage.logs.read();
        let line = log.lines().find(|line| {
            line.contains(&format!("namespace=\"{}\"", team.t.namespace))
                && line.contains("generic-garbage-collector")
        });
        line.filter(|line| line.contains("refused")).map(drop).ok_or("not refused yet".to_owned())
    });
    refused.await.expect("the garbage collector is refused");
    let still = team.t.topic("owned").get().await;
    assert_eq!((still.uid(), still.metadata.deletion_timestamp), (topic.uid(), None));
    let carol = team.approver("carol").await;
    assert_accepted(&carol.create(&deletion(&team, "owned").await, "").await);
    team.t.topic("owned").wait_until_deleted().await;
    team.t.wait_until_kafka_topic_deleted("owned").await;
}

#[tokio::test]
async fn a_robot_does_not_delete_for_the_approver() {
    let (team, dana) = approved_by_dana("pruned").await;
    let path = team.t.topic("orders").path().clone();
    let groups = [team.group("requesters")];
    for account in ["argo", "ci"] {
        let robot = KubeClient::as_user(&team.t.stage.kubeconfig, &team.account(account), &groups).await;
        let expected = "the deletion is not attributed to a person, so it needs one approval more than the rules declare";
        assert_refused(&robot.try_delete(&path).await, Reason::AwaitingApproval, expected);
    }
    // Nor for the approver under another name.
    let again =
        team.approver("oidc:dana@example.com").await.create(&deletion(&team, "orders").await, "").await;
    assert_refused(&again, Reason::ApprovalNotAllowed, "a person counts once, whatever the user name");
    assert_refused(&dana.try_delete(&path).await, Reason::AwaitingApproval, "deletes its data");
    assert_accepted(&team.approver("carol").await.create(&deletion(&team, "orders").await, "").await);
    let robot = KubeClient::as_user(&team.t.stage.kubeconfig, &team.account("argo"), &groups).await;
    assert_eq!(robot.try_delete(&path).await.status, 200);
    team.t.topic("orders").wait_until_deleted().await;
    team.t.wait_until_kafka_topic_deleted("orders").await;
}

/// A deletion that kept the data when it was requested cannot be turned into one that deletes it.
#[tokio::test]
async fn a_resource_that_is_being_deleted_keeps_its_data_if_it_did() {
    let team = Team::new("turned", DELETE).await;
    team.t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    let dana = team.approver("dana").await;
    // Another finalizer delays the deletion.
    let hold = json!({"metadata": {"finalizers": ["eventcenter.io/clean-up-kafka", "example.com/hold"]}});
    team.t.topic("orders").annotate("paused", Some("true")).await;
    let path = team.t.topic("orders").path().clone();
    team.t.kube.merge(&path, &hold).await;
    dana.merge(&path, &json!({"spec": {"deletionPolicy": "Retain"}})).await;
    assert_eq!(dana.try_delete(&path).await.status, 200, "the data is kept");
    let back = json!({"spec": {"deletionPolicy": "Delete"}});
    let refused = dana.try_merge(&path, &back).await.expect_err("refused").to_string();
    assert!(refused.contains("the resource is being deleted"), "{refused}");
    let other = json!({"spec": {"deletionPolicy": "Delete", "partitions": 9}});
    assert!(dana.try_merge(&path, &other).await.is_err());
    let resumed = json!({"metadata": {"annotations": {"eventcenter.io/paused": null}, "finalizers": null}});
    dana.merge(&path, &resumed).await;
    team.t.topic("orders").wait_until_deleted().await;
    assert!(team.t.kafka_topic("orders").await.is_some(), "the data is kept");
}

/// Argo CD deletes in the foreground: the garbage collector deletes what the resource owns first.
#[tokio::test]
async fn an_approved_deletion_needs_no_second_approval_whatever_the_propagation() {
    let team = Team::new("propagated", DELETE).await;
    let (alice, carol) = (team.user("alice", &["requesters"]).await, team.approver("carol").await);
    let policies = [PropagationPolicy::Foreground, PropagationPolicy::Background, PropagationPolicy::Orphan];
    for (number, policy) in policies.into_iter().enumerate() {
        let name = format!("orders-{number}");
        team.t.topic(&name).apply_and_wait("deletionPolicy: Delete").await;
        assert_accepted(&carol.create(&deletion(&team, &name).await, "").await);
        delete(&alice, &team, &name, policy).await.expect("the deletion is approved");
        team.t.topic(&name).wait_until_deleted().await;
        team.t.wait_until_kafka_topic_deleted(&name).await;
    }
    // What the first two owned is deleted after them.
    let approvals = Api::<ChangeApproval>::namespaced(team.t.kube.client(), &team.t.namespace);
    let revisions = Api::<ControllerRevision>::namespaced(team.t.kube.client(), &team.t.namespace);
    let deleted = until(async || {
        let approvals = approvals.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let revisions = revisions.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let names = approvals
            .items
            .iter()
            .map(ResourceExt::name_any)
            .chain(revisions.items.iter().map(ResourceExt::name_any));
        match names.collect::<Vec<_>>() {
            names if names.len() <= 2 => Ok(()),
            names => Err(format!("{names:?}")),
        }
    });
    deleted.await.expect("the garbage collector deletes them");
}

/// Without an approval nothing that the garbage collector deletes makes the deletion possible.
#[tokio::test]
async fn a_foreground_deletion_that_the_webhook_did_not_see_waits() {
    use super::fixture::{ApprovalFixture, ONE_APPROVAL};
    use crate::support::signer::DecisionInput;
    use eventcenter::api::ApprovalAction;

    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    s.apply_approved("orders", "deletionPolicy: Delete").await;
    let topics = s.topics();
    topics.delete("orders", &DeleteParams::foreground()).await.expect("the API server accepts it");
    let emptied = until(async || {
        let all = s.revisions().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        if all.items.is_empty() { Ok(()) } else { Err(format!("{} revisions", all.items.len())) }
    });
    emptied.await.expect("the garbage collector deletes the revision first");
    let delete = |by| DecisionInput { action: ApprovalAction::Delete, ..DecisionInput::approve(by) };
    s.decide("orders", delete("dana")).await;
    let waiting = s
        .t
        .topic("orders")
        .wait_for_status("1/2", |topic| {
            has_condition(topic, "Ready=False AwaitingApproval") && message(topic, "Ready").contains("(1/2)")
        })
        .await;
    let text = message(&waiting, "Ready");
    assert!(text.contains("one approval more than the rules declare"), "{text}");
    assert!(s.partitions("orders").await.is_some());
    s.decide("orders", delete("carol")).await;
    s.t.topic("orders").wait_until_deleted().await;
    s.t.wait_until_kafka_topic_deleted("orders").await;
}

/// Whoever requested a change cannot delete the rejection of it.
#[tokio::test]
async fn only_the_approver_or_an_administrator_withdraws_a_decision() {
    let team = Team::new("withdrawn", "{rules: [{changes: [Any], groups: [GROUP]}]}").await;
    team.t
        .kube
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "tests-decisions"},
            "rules": [{
                "apiGroups": ["eventcenter.io"], "resources": ["changeapprovals"],
                "verbs": ["get", "create", "update", "patch", "delete"],
            }],
        }))
        .await;
    let (dana, carol) = (team.approver("dana").await, team.approver("carol").await);
    assert_accepted(&dana.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await);
    let rejected = carol.create(&team.decision("orders", "Reject").await, "").await;
    assert_accepted(&rejected);
    let rejection = ObjectPath::of(&rejected.body);
    team.t.topic("orders").wait_for_condition("Ready=False ChangeRejected").await;
    for name in ["dana", "erin", "oidc:Carol"] {
        let answer = team.approver(name).await.try_delete(&rejection).await;
        assert!(
            answer.status == 403 && answer.message().contains("only the approver can withdraw a decision"),
            "{answer:?}"
        );
    }
    team.bind("eventcenter-admin", "broad").await;
    let frank = team.user("frank", &["broad"]).await;
    // Nor does the garbage collector for somebody who may write decisions.
    team.bind("tests-decisions", "decisions").await;
    let heidi = team.user("heidi", &["decisions"]).await;
    let owned = json!({"metadata": {"ownerReferences": missing_owner()}});
    let refused = heidi.try_merge(&rejection, &owned).await.expect_err("refused").to_string();
    assert!(refused.contains("only the approver can withdraw a decision"), "{refused}");
    assert_eq!(frank.try_delete(&rejection).await.status, 200, "an administrator may");
    assert_accepted(
        &team.approver("grace").await.create(&team.decision("orders", "Approve").await, "").await,
    );
    team.t.topic("orders").wait_until_ready().await;
    // The one who decided may as well.
    assert_accepted(&dana.write(&team.t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply).await);
    let rejected = carol.create(&team.decision("orders", "Reject").await, "").await;
    assert_eq!(carol.try_delete(&ObjectPath::of(&rejected.body)).await.status, 200);
}

/// A manifest that replaces the whole object does not drop the finalizer, not even for a moment.
#[tokio::test]
async fn a_replacement_keeps_the_finalizer() {
    let team = Team::new("replaced", DELETE).await;
    team.t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    let alice = team.user("alice", &["requesters"]).await;
    let replaced = until(async || {
        let mut manifest = team.t.topic("orders").manifest("deletionPolicy: Delete");
        manifest["metadata"]["labels"] = json!({"team": "shop"});
        match alice.write(&manifest, WriteMethod::Replace).await {
            answer if answer.status == 200 => Ok(answer.body["metadata"]["finalizers"].clone()),
            answer => Err(answer.message().to_owned()),
        }
    });
    assert_eq!(replaced.await.expect("replaced"), json!(["eventcenter.io/clean-up-kafka"]));
}
