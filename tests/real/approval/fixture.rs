//! The controllers without a webhook: the test signs in its place.

use crate::stage;
use eventcenter::api::{ApprovedSpec, ChangeApproval, EventTopic};
use eventcenter::domain::approval::Rules;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::signer::{DecisionInput, WebhookSigner};
use crate::support::{Fixture, Stage, has_condition, yaml};

/// Every change needs one approval.
pub(super) const ONE_APPROVAL: &str = "rules: [{changes: [Any], groups: [approvers]}]";

/// A namespace whose tenant has rules, and the key of the webhook.
pub(super) struct ApprovalFixture {
    pub(super) t: Fixture,
    pub(super) webhook: WebhookSigner,
    pub(super) rules: Rules,
}

impl ApprovalFixture {
    pub(super) async fn new(approval: &str) -> Self {
        Self::on(stage::shared(), approval).await
    }

    pub(super) async fn on(stage: Stage, approval: &str) -> Self {
        let t = Fixture::without_tenant(stage, "eyes").await;
        let webhook = WebhookSigner::new(t.kube.client()).await;
        let mut s = Self { t, webhook, rules: Rules::default() };
        s.set_rules(Some(approval)).await;
        s
    }

    /// Sets the rules of the tenant.
    pub(super) async fn set_rules(&mut self, approval: Option<&str>) {
        let mut spec = json!({"namespaces": [self.t.namespace], "clusters": self.t.stage.clusters});
        if let Some(approval) = approval {
            spec["approval"] = yaml(approval);
        }
        let declared = approval.map(|text| serde_json::from_value(yaml(text)).expect("rules"));
        self.rules = Rules::parse(declared.as_ref()).expect("rules");
        self.t.apply_tenant(spec).await;
    }

    /// Applies a spec as alice.
    pub(super) async fn request(&self, name: &str, spec: &str) -> EventTopic {
        self.t.topic(name).apply(spec).await;
        self.webhook.sign_request(&self.t.namespace, name, "alice", &self.rules).await
    }

    pub(super) async fn decide(&self, name: &str, decision: DecisionInput<'_>) -> String {
        self.webhook.decide(&self.t.namespace, name, decision).await
    }

    pub(super) async fn approve(&self, name: &str, user: &str) -> String {
        self.decide(name, DecisionInput::approve(user)).await
    }

    /// Applies a spec, approves it, and waits until it is ready.
    pub(super) async fn apply_approved(&self, name: &str, spec: &str) -> EventTopic {
        self.request(name, spec).await;
        self.approve(name, "bob").await;
        self.t.topic(name).wait_until_ready().await
    }

    /// Waits until a change is pending with its requester.
    pub(super) async fn wait_until_pending(&self, name: &str) -> EventTopic {
        self.t
            .topic(name)
            .wait_for_status("pending, with its requester", |topic| {
                has_condition(topic, "Ready=False AwaitingApproval")
                    && !pending(topic)["requestedBy"].is_null()
            })
            .await
    }

    /// Waits until this many approvals of a change count, as in `1/2`.
    pub(super) async fn wait_for_approvals(&self, name: &str, approvals: &str) -> EventTopic {
        self.t.topic(name).wait_for_status(approvals, |topic| pending(topic)["approvals"] == approvals).await
    }

    /// Waits until the operator has reconciled the topic: until it has corrected drift in Kafka.
    pub(super) async fn wait_for_reconcile(&self, name: &str) {
        self.t.stage.kafka.set(&self.t.kafka_name(name), "flush.ms", "77777").await;
        self.t.wait_for_kafka_topic(name, "flush.ms is reset", |topic| topic.get("flush.ms").is_none()).await;
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

    /// Writes a status as an administrator.
    pub(super) async fn forge(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.topics()
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .expect("the status is accepted");
    }

    pub(super) async fn partitions(&self, name: &str) -> Option<i32> {
        self.t.kafka_topic(name).await.map(|topic| topic.partitions)
    }
}

/// `status.pending`.
pub(super) fn pending(topic: &EventTopic) -> Value {
    json!(topic.status.as_ref().and_then(|status| status.pending.clone()))
}

/// `status.approved`.
pub(super) fn approved(topic: &EventTopic) -> ApprovedSpec {
    topic.status.clone().and_then(|status| status.approved).expect("status.approved")
}
