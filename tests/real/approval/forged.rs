//! Whatever is not sealed counts for nothing.

use std::time::Duration;

use eventcenter::api::{ChangeApproval, REQUEST};
use eventcenter::domain::Revisioned;
use eventcenter::domain::approval::{ActiveRecord, SpecHash};
use eventcenter::domain::signature::SigningKey;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::shop::{ONE, Shop, approved};
use crate::support::seal::{Deciding, Witness};
use crate::support::{has, message};

#[tokio::test]
async fn what_is_not_sealed_counts_for_nothing() {
    let s = Shop::new(ONE).await;
    let before = s.made("orders", "{}").await;
    let (namespace, name) = (s.t.namespace.clone(), "orders");
    let mallory = Witness::impostor(s.t.kube.client());

    // Nobody knows who asks: then nobody can approve.
    s.t.declare(name, "partitions: 9").await;
    let unknown = s.t.condition(name, "Ready=False AwaitingApproval").await;
    assert!(
        message(&unknown, "Ready").contains("the requester of this change is unknown"),
        "{}",
        message(&unknown, "Ready")
    );
    s.approve(name, "bob").await;
    // Somebody who says so without the key is not believed.
    mallory.asked(&namespace, name, "nobody", &s.rules).await;
    s.visited(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    let approvals = s.approvals();
    approvals.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they go");

    // Sealed by the webhook for another content.
    let sealed = s.webhook.asked(&namespace, name, "alice", &s.rules).await;
    s.waits(name).await;
    s.t.declare(name, "partitions: 8").await;
    s.t.annotate(name, "request", sealed.annotations().get(REQUEST).map(String::as_str)).await;
    s.approve(name, "bob").await;
    s.visited(name).await;
    assert_eq!(s.partitions(name).await, Some(1));
    approvals.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they go");

    // Approvals without a seal, with another's, and with one for something else.
    let now = s.webhook.asked(&namespace, name, "alice", &s.rules).await;
    let good = s.webhook.decision(&now, Deciding::approve("bob"));
    mallory.makes(&namespace, mallory.decision(&now, Deciding::approve("bob"))).await;
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
        s.webhook.makes(&namespace, forged).await;
    }
    s.visited(name).await;
    let waiting = s.counts(name, "0/1").await;
    assert_eq!((s.partitions(name).await, approved(&waiting)), (Some(1), approved(&before)));

    // The same approval of another resource: of another namespace, and of another name.
    s.ask("other", "partitions: 8").await;
    s.waits("other").await;
    let mut moved = good;
    moved.metadata.name = Some("moved".into());
    moved.spec.target.name = "other".into();
    moved.spec.target.uid = s.t.get("other").await.uid();
    s.webhook.makes(&namespace, moved).await;
    s.visited(name).await;
    assert_eq!(s.partitions("other").await, None);
}

#[tokio::test]
async fn a_status_that_is_edited_puts_nothing_in_force() {
    let s = Shop::new(ONE).await;
    let before = s.made("orders", "{}").await;
    let changed = s.ask("orders", "partitions: 7").await;
    s.waits("orders").await;
    let hash = SpecHash::of(&changed.spec);

    // Another hash under the old seal.
    let mut edited = approved(&before);
    edited.hash = hash.to_string();
    s.forge("orders", json!({ "approved": edited })).await;
    let back = s.t.wait("orders", "put right", |topic| approved(topic) == approved(&before)).await;
    assert!(has(&back, "Approved=False AwaitingApproval"));
    // All of it, by a key of one's own.
    let key = SigningKey::from_seed(&"7".repeat(64)).expect("a key");
    let later = approved(&before).at.checked_add(Duration::from_secs(3600)).expect("in range");
    let forged =
        ActiveRecord::seal(&Revisioned::of(&changed), &hash, approved(&before).revision, later, &key);
    s.forge("orders", json!({ "approved": forged.as_status() })).await;
    s.t.wait("orders", "put right", |topic| approved(topic) == approved(&before)).await;
    // Nothing at all.
    s.forge("orders", json!({ "approved": null, "conditions": null, "pending": null })).await;
    s.t.wait("orders", "put right", |topic| {
        topic
            .status
            .as_ref()
            .is_some_and(|status| status.approved == before.status.as_ref().and_then(|s| s.approved.clone()))
    })
    .await;
    s.visited("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));

    // What keeps the content is gone, or says something else: nothing is done, and what to do is told.
    let revision = approved(&before).revision.expect("it is kept");
    s.revisions().delete(&revision, &DeleteParams::default()).await.expect("it goes");
    s.ask("orders", "partitions: 6").await;
    let lost =
        s.t.wait("orders", "lost", |topic| {
            has(topic, "Ready=False AwaitingApproval") && message(topic, "Ready").contains("is missing")
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
    s.ask("orders", "partitions: 5").await;
    s.t.wait("orders", "lost", |topic| {
        has(topic, "Ready=False AwaitingApproval") && message(topic, "Ready").contains("has another content")
    })
    .await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.approve("orders", "bob").await;
    s.webhook.asked(&s.t.namespace, "orders", "alice", &s.rules).await;
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(5));
}
