//! The controllers without a webhook that could refuse anything, and a test in its place that seals.

use eventcenter::api::{ApprovedSpec, ChangeApproval, EventTopic};
use eventcenter::domain::approval::Rules;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::seal::{Deciding, Witness};
use crate::support::{Fixture, Stage, has, yaml};

/// Everything needs one approval.
pub(super) const ONE: &str = "rules: [{changes: [Any], groups: [approvers]}]";

/// A namespace whose tenant has rules, and whoever seals.
pub(super) struct Shop {
    pub(super) t: Fixture,
    pub(super) webhook: Witness,
    pub(super) rules: Rules,
}

impl Shop {
    pub(super) async fn new(approval: &str) -> Self {
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
    pub(super) async fn rule(&mut self, approval: Option<&str>) {
        let mut spec = json!({"namespaces": [self.t.namespace], "clusters": self.t.stage.clusters});
        if let Some(approval) = approval {
            spec["approval"] = yaml(approval);
        }
        let declared = approval.map(|text| serde_json::from_value(yaml(text)).expect("rules"));
        self.rules = Rules::parse(declared.as_ref()).expect("rules");
        self.t.tenant(spec).await;
    }

    /// Alice asks for this.
    pub(super) async fn ask(&self, name: &str, spec: &str) -> EventTopic {
        self.t.declare(name, spec).await;
        self.webhook.asked(&self.t.namespace, name, "alice", &self.rules).await
    }

    pub(super) async fn decide(&self, name: &str, deciding: Deciding<'_>) -> String {
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
    pub(super) async fn counts(&self, name: &str, approvals: &str) -> EventTopic {
        self.t.wait(name, approvals, |topic| pending(topic)["approvals"] == approvals).await
    }

    /// Waits until the operator has looked at a topic and at Kafka again, which shows by what it has put right there.
    pub(super) async fn visited(&self, name: &str) {
        self.t.stage.kafka.set(&self.t.name(name), "flush.ms", "77777").await;
        self.t.in_kafka(name, "put right", |topic| topic.get("flush.ms").is_none()).await;
    }

    pub(super) fn topics(&self) -> Api<EventTopic> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    pub(super) fn approvals(&self) -> Api<ChangeApproval> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    pub(super) fn revisions(&self) -> Api<ControllerRevision> {
        Api::namespaced(self.t.kube.client(), &self.t.namespace)
    }

    /// Somebody with all rights writes a status.
    pub(super) async fn forge(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.topics().patch_status(name, &PatchParams::default(), &patch).await.expect("it is written");
    }

    pub(super) async fn partitions(&self, name: &str) -> Option<i32> {
        self.t.kafka_topic(name).await.map(|topic| topic.partitions)
    }
}

/// What a status says of the change that waits.
pub(super) fn pending(topic: &EventTopic) -> Value {
    json!(topic.status.as_ref().and_then(|status| status.pending.clone()))
}

pub(super) fn approved(topic: &EventTopic) -> ApprovedSpec {
    topic.status.clone().and_then(|status| status.approved).expect("it is in force")
}
