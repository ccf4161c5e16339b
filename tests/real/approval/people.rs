//! Who counts: different people, with the right, in time.

use eventcenter::api::{AUTHORED_BY, BREAK_GLASS, Decision};
use eventcenter::domain::approval::request::Requester;
use kube::api::DeleteParams;
use serde_json::json;

use super::shop::{ONE, Shop, pending};
use crate::support::seal::Deciding;
use crate::support::{has, message, until};

#[tokio::test]
async fn a_rejection_is_told_and_another_change_may_be_approved() {
    let s = Shop::new(ONE).await;
    s.made("orders", "{}").await;
    s.ask("orders", "partitions: 50").await;
    s.waits("orders").await;
    let reject =
        Deciding { decision: Decision::Reject, comment: Some("far too many"), ..Deciding::approve("bob") };
    s.decide("orders", reject).await;
    let rejected = s.t.condition("orders", "Stalled=True ChangeRejected").await;
    let said = message(&rejected, "Ready");
    assert!(said.starts_with("Rejected by bob: far too many; "), "{said}");
    assert_eq!(pending(&rejected)["rejected"], json!({"by": "bob", "comment": "far too many"}));
    assert!(has(&rejected, "Approved=False ChangeRejected"));
    s.t.event("orders", "ChangeRejected", "far too many").await;
    // Others cannot outvote it.
    s.approve("orders", "carol").await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.made("orders", "partitions: 5").await;
    assert_eq!(s.partitions("orders").await, Some(5));
}

#[tokio::test]
async fn two_people_are_two_people() {
    let s = Shop::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
    s.ask("orders", "{}").await;
    let waiting = s.waits("orders").await;
    assert!(message(&waiting, "Ready").contains("(0/2): 2 more from group approvers"));
    s.approve("orders", "bob").await;
    s.counts("orders", "1/2").await;
    // Alice herself, Bob once more, a robot, and somebody in another group.
    for by in ["alice", "oidc:Alice@example.com", "oidc:bob@example.com", "system:serviceaccount:ci:robot"] {
        s.approve("orders", by).await;
    }
    s.decide("orders", Deciding { groups: &["others"], ..Deciding::approve("dave") }).await;
    let seen = s.approve("orders", "erin").await;
    s.t.ready("orders").await;
    // Whichever spelling of Bob was heard.
    s.t.event("orders", "Approved", "erin").await;
    // Taking it back afterwards changes nothing.
    s.approvals().delete(&seen, &DeleteParams::default()).await.expect("it goes");
    s.visited("orders").await;
    assert!(has(&s.t.get("orders").await, "Approved=True"));
}

/// Who has approved and may approve no more when it is decided has not approved; the same approval counts while the
/// right is there.
#[tokio::test]
async fn who_loses_the_right_to_approve_before_it_is_decided_has_not_approved() {
    let s = Shop::new("rules: [{changes: [Any], approvals: 2, groups: [approvers]}]").await;
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
    let revocable = |by| Deciding { revocable: true, ..Deciding::approve(by) };
    // RBAC is answered from what the API server has in memory, which is a moment behind.
    let bob_may = async |wanted: bool| {
        let asked = ["auth", "can-i", "approve", "eventtopics.eventcenter.io/orders", "--as=bob"];
        let seen = until(async || match s.t.kubectl(&asked).is_ok() {
            answer if answer == wanted => Ok(()),
            answer => Err(format!("{answer}")),
        });
        seen.await.expect("RBAC becomes what is declared");
    };
    bob_may(true).await;
    s.ask("orders", "{}").await;
    s.waits("orders").await;
    s.decide("orders", revocable("bob")).await;
    s.counts("orders", "1/2").await;
    s.t.apply(&roles(&["get"])).await;
    bob_may(false).await;
    s.approve("orders", "carol").await;
    // Carol has been heard, and Bob no more.
    s.t.wait("orders", "held without bob", |topic| {
        pending(topic)["approvals"] == "1/2" && !has(topic, "Approved=True")
    })
    .await;
    s.approve("orders", "erin").await;
    s.t.ready("orders").await;
    s.t.event("orders", "Approved", "carol, erin").await;
    // With the right it would have been enough.
    s.t.apply(&roles(&["get", "approve"])).await;
    bob_may(true).await;
    s.ask("payments", "{}").await;
    s.waits("payments").await;
    s.decide("payments", revocable("bob")).await;
    s.counts("payments", "1/2").await;
    s.approve("payments", "carol").await;
    s.t.ready("payments").await;
    s.t.event("payments", "Approved", "bob, carol").await;
}

#[tokio::test]
async fn a_group_that_is_taken_out_of_the_rules_takes_its_approvals_along() {
    let mut s = Shop::new("rules: [{changes: [Any], approvals: 2, groups: [approvers, leads]}]").await;
    s.ask("orders", "{}").await;
    s.waits("orders").await;
    s.approve("orders", "bob").await;
    s.counts("orders", "1/2").await;
    s.rule(Some("rules: [{changes: [Any], approvals: 2, groups: [leads]}]")).await;
    s.counts("orders", "0/2").await;
    s.decide("orders", Deciding { groups: &["leads"], ..Deciding::approve("carol") }).await;
    s.counts("orders", "1/2").await;
    assert_eq!(s.partitions("orders").await, None);
}

#[tokio::test]
async fn an_approval_that_is_taken_back_or_lapses_counts_no_more() {
    let s = Shop::new("{validFor: 12s, rules: [{changes: [Any], approvals: 2, groups: [approvers]}]}").await;
    s.ask("orders", "{}").await;
    s.waits("orders").await;
    let given = s.approve("orders", "bob").await;
    s.counts("orders", "1/2").await;
    s.approvals().delete(&given, &DeleteParams::default()).await.expect("it goes");
    s.counts("orders", "0/2").await;
    s.approve("orders", "bob").await;
    s.counts("orders", "1/2").await;
    // Nothing happens but that time passes.
    s.counts("orders", "0/2").await;
    s.approve("orders", "carol").await;
    s.counts("orders", "1/2").await;
    assert_eq!(s.partitions("orders").await, None);
}

#[tokio::test]
async fn who_may_break_the_glass_need_not_wait() {
    let s = Shop::new(&format!("{{{ONE}, breakGlass: [oncall]}}")).await;
    let before = s.made("orders", "{}").await;
    for (who, groups) in [("alice", "developers"), ("olga", "oncall")] {
        let mut manifest = s.t.manifest("orders", "partitions: 3");
        manifest["metadata"]["annotations"] = json!({BREAK_GLASS: "the shop is down", AUTHORED_BY: "carol"});
        s.t.apply(&manifest).await;
        let groups = [groups.to_owned()];
        let asker = Requester { username: who, groups: &groups };
        s.webhook.asked_by(&s.t.namespace, "orders", asker, &s.rules, Some(&before)).await;
        if who == "alice" {
            s.waits("orders").await;
            s.visited("orders").await;
            assert_eq!(s.partitions("orders").await, Some(1));
        }
    }
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(3));
    s.t.event("orders", "BreakGlass", "by olga, because: the shop is down").await;
}
