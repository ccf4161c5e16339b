//! The controllers without a webhook that could refuse anything: what is asked for waits until the right people have
//! approved exactly that, and whatever is not sealed counts for nothing.

use std::time::{Duration, Instant};

use eventcenter::api::{
    AUTHORED_BY, ApprovalAction, ApprovedSpec, BREAK_GLASS, ChangeApproval, Decision, EventTopic,
    GovernedChange, REQUEST,
};
use eventcenter::domain::approval::request::Asker;
use eventcenter::domain::approval::{Record, Rules, SigningKey, SpecHash, Subject};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::support::seal::{Deciding, Witness};
use crate::support::{Fixture, Stage, has, message, until, yaml};

/// Everything needs one approval.
pub(super) const ONE: &str = "rules: [{changes: [Any], groups: [approvers]}]";

/// A namespace whose tenant has rules, and whoever seals.
pub(super) struct Shop {
    pub(super) t: Fixture,
    webhook: Witness,
    rules: Rules,
}

impl Shop {
    async fn new(approval: &str) -> Self {
        Self::on(Stage::shared(), approval).await
    }

    pub(super) async fn on(stage: Stage, approval: &str) -> Self {
        let t = Fixture::without_tenant(stage, "eyes").await;
        let webhook = Witness::of(t.kube.client()).await;
        let mut shop = Self { t, webhook, rules: Rules::default() };
        shop.rule(Some(approval)).await;
        shop
    }

    /// Gives the tenant these rules.
    async fn rule(&mut self, approval: Option<&str>) {
        let mut spec = json!({"namespaces": [self.t.namespace], "clusters": self.t.stage.clusters});
        if let Some(approval) = approval {
            spec["approval"] = yaml(approval);
        }
        let declared = approval.map(|text| serde_json::from_value(yaml(text)).expect("rules"));
        self.rules = Rules::read(declared.as_ref()).expect("rules");
        self.t.tenant(spec).await;
    }

    /// Alice asks for this.
    pub(super) async fn ask(&self, name: &str, spec: &str) -> EventTopic {
        self.t.declare(name, spec).await;
        self.webhook.asked(&self.t.namespace, name, "alice", &self.rules).await
    }

    async fn decide(&self, name: &str, deciding: Deciding<'_>) -> String {
        self.webhook.decides(&self.t.namespace, name, deciding).await
    }

    pub(super) async fn approve(&self, name: &str, by: &str) -> String {
        self.decide(name, Deciding::approve(by)).await
    }

    /// Asks for this, has it approved, and waits until Kafka has it.
    pub(super) async fn made(&self, name: &str, spec: &str) -> EventTopic {
        self.ask(name, spec).await;
        self.approve(name, "bob").await;
        self.t.ready(name).await
    }

    /// Waits until a change waits, and it is known who has asked for it.
    pub(super) async fn waits(&self, name: &str) -> EventTopic {
        self.t
            .wait(name, "waiting", |topic| {
                has(topic, "Ready=False AwaitingApproval") && !pending(topic)["requestedBy"].is_null()
            })
            .await
    }

    /// Waits until so many approvals of a change count.
    async fn counts(&self, name: &str, approvals: &str) -> EventTopic {
        self.t.wait(name, approvals, |topic| pending(topic)["approvals"] == approvals).await
    }

    /// Waits until the operator has looked at a topic and at Kafka again, which shows by what it has put right there.
    pub(super) async fn visited(&self, name: &str) {
        self.t.stage.kafka.set(&self.t.name(name), "flush.ms", "77777").await;
        self.t.in_kafka(name, "put right", |topic| topic.get("flush.ms").is_none()).await;
    }

    fn topics(&self) -> Api<EventTopic> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    fn approvals(&self) -> Api<ChangeApproval> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    fn revisions(&self) -> Api<ControllerRevision> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    /// Somebody with all rights writes a status.
    async fn forge(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.topics().patch_status(name, &PatchParams::default(), &patch).await.expect("it is written");
    }

    async fn partitions(&self, name: &str) -> Option<i32> {
        self.t.kafka_topic(name).await.map(|topic| topic.partitions)
    }
}

/// What a status says of the change that waits.
fn pending(topic: &EventTopic) -> Value {
    json!(topic.status.as_ref().and_then(|status| status.pending.clone()))
}

fn approved(topic: &EventTopic) -> ApprovedSpec {
    topic.status.clone().and_then(|status| status.approved).expect("it is in force")
}

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
        said.starts_with("waits for approval: Create") && said.contains("(0/1): 1 more of group approvers"),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("see it with: eventctl diff EventTopic orders -n {}", s.t.namespace)),
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
    assert_eq!(message(&live, "Approved"), "everything that is declared is approved");
    assert_eq!(approved(&live).hash, hash);
    assert!(Record::verified(&live, &s.webhook.controllers().await).is_some());
    s.t.event("orders", "AwaitingApproval", "waits for approval").await;
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
    assert!(said.starts_with("rejected by bob: far too many; "), "{said}");
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
    assert!(message(&waiting, "Ready").contains("(0/2): 2 more of group approvers"));
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
async fn what_is_not_sealed_counts_for_nothing() {
    let s = Shop::new(ONE).await;
    let before = s.made("orders", "{}").await;
    let (namespace, name) = (s.t.namespace.clone(), "orders");
    let mallory = Witness::impostor(s.t.kube.client());

    // Nobody knows who asks: then nobody can approve.
    s.t.declare(name, "partitions: 9").await;
    let unknown = s.t.condition(name, "Ready=False AwaitingApproval").await;
    assert!(
        message(&unknown, "Ready").contains("it is not known who asked"),
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
    let key = SigningKey::of_seed(&"7".repeat(64)).expect("a key");
    let later = approved(&before).at.checked_add(Duration::from_secs(3600)).expect("in range");
    let forged = Record::of(&Subject::topic(&changed), &hash, approved(&before).revision, later, &key);
    s.forge("orders", json!({ "approved": forged.said() })).await;
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
    assert!(said.contains("Kafka stays as it is until all that is declared is approved"), "{said}");
    let fake = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": revision}, "revision": 9,
        "data": {"spec": changed.spec},
    });
    let fake = serde_json::from_value(fake).expect("a revision");
    s.revisions().create(&PostParams::default(), &fake).await.expect("it is made");
    s.ask("orders", "partitions: 5").await;
    s.t.wait("orders", "lost", |topic| {
        has(topic, "Ready=False AwaitingApproval") && message(topic, "Ready").contains("keeps something else")
    })
    .await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.approve("orders", "bob").await;
    s.webhook.asked(&s.t.namespace, "orders", "alice", &s.rules).await;
    s.t.ready("orders").await;
    assert_eq!(s.partitions("orders").await, Some(5));
}

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
            "deletion waits for approval: Delete (0/1): 1 more of group approvers; or set \
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

#[tokio::test]
async fn who_may_break_the_glass_need_not_wait() {
    let s = Shop::new(&format!("{{{ONE}, breakGlass: [oncall]}}")).await;
    let before = s.made("orders", "{}").await;
    for (who, groups) in [("alice", "developers"), ("olga", "oncall")] {
        let mut manifest = s.t.manifest("orders", "partitions: 3");
        manifest["metadata"]["annotations"] = json!({BREAK_GLASS: "the shop is down", AUTHORED_BY: "carol"});
        s.t.apply(&manifest).await;
        let groups = [groups.to_owned()];
        let asker = Asker { username: who, groups: &groups };
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
