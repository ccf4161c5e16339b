//! Whose approvals count: different users with the right, within the validity.

use eventcenter::api::{AUTHORED_BY, BREAK_GLASS, Decision};
use eventcenter::domain::approval::request::Requester;
use kube::api::DeleteParams;
use serde_json::json;

use super::fixture::{ApprovalFixture, ONE_APPROVAL, pending};
use crate::support::signer::DecisionInput;
use crate::support::{has_condition, message, until};

#[tokio::test]
async fn a_rejection_is_reported_and_another_change_can_be_approved() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    s.apply_approved("orders", "{}").await;
    s.request("orders", "partitions: 50").await;
    s.wait_until_pending("orders").await;
    let reject = DecisionInput {
        decision: Decision::Reject,
        comment: Some("far too many"),
        ..DecisionInput::approve("bob")
    };
    s.decide("orders", reject).await;
    let rejected = s.t.topic("orders").wait_for_condition("Stalled=True ChangeRejected").await;
    let reported = message(&rejected, "Ready");
    assert!(reported.starts_with("Rejected by bob: far too many; "), "{reported}");
    assert_eq!(pending(&rejected)["rejected"], json!({"by": "bob", "comment": "far too many"}));
    assert!(has_condition(&rejected, "Approved=False ChangeRejected"));
    s.t.topic("orders").wait_for_event("ChangeRejected", "far too many").await;
    // Approvals do not override a rejection.
    s.approve("orders", "carol").await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.apply_approved("orders", "partitions: 5").await;
    s.t.wait_for_partitions("orders", 5).await;
}

#[tokio::test]
async fn two_approvals_need_two_users() {
    let s = ApprovalFixture::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
    s.request("orders", "{}").await;
    let waiting = s.wait_until_pending("orders").await;
    assert!(message(&waiting, "Ready").contains("(0/2): 2 more from group approvers"));
    s.approve("orders", "bob").await;
    s.wait_for_approvals("orders", "1/2").await;
    // Alice herself, Bob again, a service account, and a user in another group.
    for user in ["alice", "oidc:Alice@example.com", "oidc:bob@example.com", "system:serviceaccount:ci:robot"]
    {
        s.approve("orders", user).await;
    }
    s.decide("orders", DecisionInput { groups: &["others"], ..DecisionInput::approve("dave") }).await;
    let approval = s.approve("orders", "erin").await;
    s.t.topic("orders").wait_until_ready().await;
    // Either spelling of Bob may have counted.
    s.t.topic("orders").wait_for_event("Approved", "erin").await;
    // Deleting an approval afterwards changes nothing.
    s.approvals().delete(&approval, &DeleteParams::default()).await.expect("the approval is deleted");
    s.wait_for_reconcile("orders").await;
    assert!(has_condition(&s.t.topic("orders").get().await, "Approved=True"));
}

/// An approval counts only if its approver still has the right when the change is decided.
#[tokio::test]
async fn an_approver_who_loses_the_right_before_the_decision_does_not_count() {
    let s = ApprovalFixture::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
    let roles = |verbs: &[&str]| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "deciding", "namespace": s.t.namespace},
            "rules": [{"apiGroups": ["eventcenter.io"], "resources": ["eventtopics"], "verbs": verbs}],
        })
    };
    s.t.apply(&roles(&["get", "approve"])).await;
    s.t.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "deciding", "namespace": s.t.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deciding"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    }))
    .await;
    let revocable = |user| DecisionInput { revocable: true, ..DecisionInput::approve(user) };
    // The API server evaluates RBAC with a cache, which is updated with a delay.
    let wait_until_bob_may_approve = async |expected: bool| {
        let arguments = ["auth", "can-i", "approve", "eventtopics.eventcenter.io/orders", "--as=bob"];
        let polled = until(async || match s.t.kubectl(&arguments).is_ok() {
            answer if answer == expected => Ok(()),
            answer => Err(format!("{answer}")),
        });
        polled.await.expect("the API server applies the role");
    };
    wait_until_bob_may_approve(true).await;
    s.request("orders", "{}").await;
    s.wait_until_pending("orders").await;
    s.decide("orders", revocable("bob")).await;
    s.wait_for_approvals("orders", "1/2").await;
    s.t.apply(&roles(&["get"])).await;
    wait_until_bob_may_approve(false).await;
    s.approve("orders", "carol").await;
    // Carol's approval counts, but Bob's no longer does.
    s.t.topic("orders")
        .wait_for_status("pending with one approval", |topic| {
            pending(topic)["approvals"] == "1/2" && !has_condition(topic, "Approved=True")
        })
        .await;
    s.approve("orders", "erin").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.topic("orders").wait_for_event("Approved", "carol, erin").await;
    // With the right, both approvals suffice.
    s.t.apply(&roles(&["get", "approve"])).await;
    wait_until_bob_may_approve(true).await;
    s.request("payments", "{}").await;
    s.wait_until_pending("payments").await;
    s.decide("payments", revocable("bob")).await;
    s.wait_for_approvals("payments", "1/2").await;
    s.approve("payments", "carol").await;
    s.t.topic("payments").wait_until_ready().await;
    s.t.topic("payments").wait_for_event("Approved", "bob, carol").await;
}

#[tokio::test]
async fn approvals_of_a_group_removed_from_the_rules_do_not_count() {
    let mut s =
        ApprovalFixture::new("rules: [{changes: [Any], approvals: 2, groups: [approvers, leads]}]").await;
    s.request("orders", "{}").await;
    s.wait_until_pending("orders").await;
    s.approve("orders", "bob").await;
    s.wait_for_approvals("orders", "1/2").await;
    s.set_rules(Some("rules: [{changes: [Any], approvals: 2, groups: [leads]}]")).await;
    s.wait_for_approvals("orders", "0/2").await;
    s.decide("orders", DecisionInput { groups: &["leads"], ..DecisionInput::approve("carol") }).await;
    s.wait_for_approvals("orders", "1/2").await;
    assert_eq!(s.partitions("orders").await, None);
}

#[tokio::test]
async fn a_deleted_or_expired_approval_does_not_count() {
    let s =
        ApprovalFixture::new("{validFor: 12s, rules: [{changes: [Any], approvals: 2, groups: [approvers]}]}")
            .await;
    s.request("orders", "{}").await;
    s.wait_until_pending("orders").await;
    let approval = s.approve("orders", "bob").await;
    s.wait_for_approvals("orders", "1/2").await;
    s.approvals().delete(&approval, &DeleteParams::default()).await.expect("the approval is deleted");
    s.wait_for_approvals("orders", "0/2").await;
    s.approve("orders", "bob").await;
    s.wait_for_approvals("orders", "1/2").await;
    // The approval expires.
    s.wait_for_approvals("orders", "0/2").await;
    s.approve("orders", "carol").await;
    s.wait_for_approvals("orders", "1/2").await;
    assert_eq!(s.partitions("orders").await, None);
}

#[tokio::test]
async fn a_break_glass_requester_needs_no_approval() {
    let s = ApprovalFixture::new(&format!("{{{ONE_APPROVAL}, breakGlass: [oncall]}}")).await;
    let before = s.apply_approved("orders", "{}").await;
    for (user, groups) in [("alice", "developers"), ("olga", "oncall")] {
        let mut manifest = s.t.topic("orders").manifest("partitions: 3");
        manifest["metadata"]["annotations"] = json!({BREAK_GLASS: "the shop is down", AUTHORED_BY: "carol"});
        s.t.apply(&manifest).await;
        let groups = [groups.to_owned()];
        let requester = Requester { username: user, groups: &groups };
        s.webhook.sign_request_of(&s.t.namespace, "orders", requester, &s.rules, Some(&before)).await;
        if user == "alice" {
            s.wait_until_pending("orders").await;
            s.wait_for_reconcile("orders").await;
            assert_eq!(s.partitions("orders").await, Some(1));
        }
    }
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 3).await;
    s.t.topic("orders").wait_for_event("BreakGlass", "by olga, because: the shop is down").await;
}
