//! Unsealed annotations, approvals, statuses and revisions have no effect.

use std::time::Duration;

use eventcenter::api::{ChangeApproval, REQUEST};
use eventcenter::domain::Revisioned;
use eventcenter::domain::approval::{ActiveRecord, SpecHash};
use eventcenter::domain::signature::SigningKey;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::fixture::{ApprovalFixture, ONE_APPROVAL, approved};
use crate::support::signer::{DecisionInput, WebhookSigner};
use crate::support::{has_condition, message};

#[tokio::test]
async fn unsealed_decisions_do_not_count() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let before = s.apply_approved("orders", "{}").await;
    let (namespace, name) = (s.t.namespace.clone(), "orders");
    let mallory = WebhookSigner::with_unknown_key(s.t.kube.client());

    // Without a known requester no approval counts.
    s.t.topic(name).apply("partitions: 9").await;
    let unknown = s.t.topic(name).wait_for_condition("Ready=False AwaitingApproval").await;
    assert!(
        message(&unknown, "Ready").contains("the requester of this change is unknown"),
        "{}",
        message(&unknown, "Ready")
    );
    s.approve(name, "bob").await;
    // A requester that is not signed does not count.
    mallory.sign_request(&namespace, name, "nobody", &s.rules).await;
    s.wait_for_reconcile(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    let approvals = s.approvals();
    approvals.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they go");

    // Sealed by the webhook for another content.
    let sealed = s.webhook.sign_request(&namespace, name, "alice", &s.rules).await;
    s.wait_until_pending(name).await;
    s.t.topic(name).apply("partitions: 8").await;
    s.t.topic(name).annotate("request", sealed.annotations().get(REQUEST).map(String::as_str)).await;
    s.approve(name, "bob").await;
    s.wait_for_reconcile(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    approvals.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they go");

    // Approvals without a seal, with another's, and with one for something else.
    let now = s.webhook.sign_request(&namespace, name, "alice", &s.rules).await;
    let good = s.webhook.decision(&now, DecisionInput::approve("bob"));
    mallory.store(&namespace, mallory.decision(&now, DecisionInput::approve("bob"))).await;
    let edits: [fn(&mut ChangeApproval); 5] = [
        |one| one.spec.seal = None,
        |one| one.spec.approver.as_mut().expect("one").username = "carol".into(),
        |one| one.spec.at = one.spec.at.and_then(|at| at.checked_add(Duration::from_secs(60)).ok()),
        |one| one.spec.comment = Some("sure".into()),
        |one| one.spec.target.generation = one.spec.target.generation.map(|generation| generation - 1),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut forged = good.clone();
        edit(&mut forged);
        forged.metadata.name = Some(format!("forged-{number}"));
        s.webhook.store(&namespace, forged).await;
    }
    s.wait_for_reconcile(name).await;
    let waiting = s.wait_for_approvals(name, "0/1").await;
    assert_eq!((s.partitions(name).await, approved(&waiting)), (Some(1), approved(&before)));

    // The same approval of another resource: of another namespace, and of another name.
    s.request("other", "partitions: 8").await;
    s.wait_until_pending("other").await;
    let mut moved = good;
    moved.metadata.name = Some("moved".into());
    moved.spec.target.name = "other".into();
    moved.spec.target.uid = s.t.topic("other").get().await.uid();
    s.webhook.store(&namespace, moved).await;
    s.wait_for_reconcile(name).await;
    assert_eq!(s.partitions("other").await, None);
}

#[tokio::test]
async fn an_edited_status_activates_nothing() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let before = s.apply_approved("orders", "{}").await;
    let changed = s.request("orders", "partitions: 7").await;
    s.wait_until_pending("orders").await;
    let hash = SpecHash::of(&changed.spec);

    // Another hash under the old seal.
    let mut edited = approved(&before);
    edited.hash = hash.to_string();
    s.forge("orders", json!({ "approved": edited })).await;
    let back =
        s.t.topic("orders").wait_for_status("put right", |topic| approved(topic) == approved(&before)).await;
    assert!(has_condition(&back, "Approved=False AwaitingApproval"));
    // All of it, by a key of one's own.
    let key = SigningKey::from_seed(&"7".repeat(64)).expect("a key");
    let later = approved(&before).at.checked_add(Duration::from_secs(3600)).expect("in range");
    let forged =
        ActiveRecord::seal(&Revisioned::of(&changed), &hash, approved(&before).revision, later, &key);
    s.forge("orders", json!({ "approved": forged.as_status() })).await;
    s.t.topic("orders").wait_for_status("put right", |topic| approved(topic) == approved(&before)).await;
    // Nothing at all.
    s.forge("orders", json!({ "approved": null, "conditions": null, "pending": null })).await;
    s.t.topic("orders")
        .wait_for_status("put right", |topic| {
            topic.status.as_ref().is_some_and(|status| {
                status.approved == before.status.as_ref().and_then(|s| s.approved.clone())
            })
        })
        .await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));

    // With the revision deleted or edited nothing is changed, and the condition has the remedy.
    let revision = approved(&before).revision.expect("it is kept");
    s.revisions().delete(&revision, &DeleteParams::default()).await.expect("it goes");
    s.request("orders", "partitions: 6").await;
    let lost =
        s.t.topic("orders")
            .wait_for_status("lost", |topic| {
                has_condition(topic, "Ready=False AwaitingApproval")
                    && message(topic, "Ready").contains("is missing")
            })
            .await;
    let said = message(&lost, "Ready");
    assert!(said.contains("nothing is changed until the whole spec is approved"), "{said}");
    let fake = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": revision}, "revision": 9,
        "data": {"spec": changed.spec},
    });
    let fake = serde_json::from_value(fake).expect("a revision");
    s.revisions().create(&PostParams::default(), &fake).await.expect("it is made");
    s.request("orders", "partitions: 5").await;
    s.t.topic("orders")
        .wait_for_status("lost", |topic| {
            has_condition(topic, "Ready=False AwaitingApproval")
                && message(topic, "Ready").contains("has another content")
        })
        .await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.approve("orders", "bob").await;
    s.webhook.sign_request(&s.t.namespace, "orders", "alice", &s.rules).await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 5).await;
}
