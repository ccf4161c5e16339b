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
    mallory.sign_request(&namespace, name, "mallory", &s.rules).await;
    s.wait_for_reconcile(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    let approvals = s.approvals();
    approvals
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .expect("the approvals are deleted");

    // A requester that the webhook sealed for another content does not count.
    let sealed = s.webhook.sign_request(&namespace, name, "alice", &s.rules).await;
    s.wait_until_pending(name).await;
    s.t.topic(name).apply("partitions: 8").await;
    s.t.topic(name).annotate("request", sealed.annotations().get(REQUEST).map(String::as_str)).await;
    s.approve(name, "bob").await;
    s.wait_for_reconcile(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    approvals
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .expect("the approvals are deleted");

    // Approvals without a seal, with the seal of an unknown key, and with a seal for other fields do not count.
    let now = s.webhook.sign_request(&namespace, name, "alice", &s.rules).await;
    let sealed_approval = s.webhook.decision(&now, DecisionInput::approve("bob"));
    mallory.store(&namespace, mallory.decision(&now, DecisionInput::approve("bob"))).await;
    let edits: [fn(&mut ChangeApproval); 5] = [
        |approval| approval.spec.seal = None,
        |approval| approval.spec.approver.as_mut().expect("an approver").username = "carol".into(),
        |approval| {
            approval.spec.at = approval.spec.at.and_then(|at| at.checked_add(Duration::from_secs(60)).ok())
        },
        |approval| approval.spec.comment = Some("sure".into()),
        |approval| {
            approval.spec.target.generation = approval.spec.target.generation.map(|generation| generation - 1)
        },
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut forged = sealed_approval.clone();
        edit(&mut forged);
        forged.metadata.name = Some(format!("forged-{number}"));
        s.webhook.store(&namespace, forged).await;
    }
    s.wait_for_reconcile(name).await;
    let waiting = s.wait_for_approvals(name, "0/1").await;
    assert_eq!((s.partitions(name).await, approved(&waiting)), (Some(1), approved(&before)));

    // The approval does not count for another resource.
    s.request("other", "partitions: 8").await;
    s.wait_until_pending("other").await;
    let mut moved = sealed_approval;
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

    // Another hash with the old seal.
    let mut edited = approved(&before);
    edited.hash = hash.to_string();
    s.forge("orders", json!({ "approved": edited })).await;
    let restored =
        s.t.topic("orders")
            .wait_for_status("status.approved is restored", |topic| approved(topic) == approved(&before))
            .await;
    assert!(has_condition(&restored, "Approved=False AwaitingApproval"));
    // A complete record, signed with an unknown key.
    let key = SigningKey::from_seed(&"7".repeat(64)).expect("a key");
    let later = approved(&before).at.checked_add(Duration::from_secs(3600)).expect("in range");
    let forged =
        ActiveRecord::seal(&Revisioned::of(&changed), &hash, approved(&before).revision, later, &key);
    s.forge("orders", json!({ "approved": forged.as_status() })).await;
    s.t.topic("orders")
        .wait_for_status("status.approved is restored", |topic| approved(topic) == approved(&before))
        .await;
    // A removed record.
    s.forge("orders", json!({ "approved": null, "conditions": null, "pending": null })).await;
    s.t.topic("orders")
        .wait_for_status("status.approved is restored", |topic| {
            topic.status.as_ref().is_some_and(|status| {
                status.approved == before.status.as_ref().and_then(|s| s.approved.clone())
            })
        })
        .await;
    s.wait_for_reconcile("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));

    // If the revision is deleted or edited, Kafka is not changed, and the condition names the remedy.
    let revision = approved(&before).revision.expect("status.approved.revision is set");
    s.revisions().delete(&revision, &DeleteParams::default()).await.expect("the revision is deleted");
    s.request("orders", "partitions: 6").await;
    let missing =
        s.t.topic("orders")
            .wait_for_status("the revision is missing or edited", |topic| {
                has_condition(topic, "Ready=False AwaitingApproval")
                    && message(topic, "Ready").contains("is missing")
            })
            .await;
    let reported = message(&missing, "Ready");
    assert!(reported.contains("nothing is changed until the whole spec is approved"), "{reported}");
    let fake = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": revision}, "revision": 9,
        "data": {"spec": changed.spec},
    });
    let fake = serde_json::from_value(fake).expect("a revision");
    s.revisions().create(&PostParams::default(), &fake).await.expect("the revision is created");
    s.request("orders", "partitions: 5").await;
    s.t.topic("orders")
        .wait_for_status("the revision is missing or edited", |topic| {
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
