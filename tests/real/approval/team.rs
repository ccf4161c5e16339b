//! A tenant whose changes need approval, and its users. Each is impersonated, so Kubernetes sees no administrator.

use crate::stage;
use eventcenter::api::{EventTopic, REQUEST};
use eventcenter::domain::approval::SpecHash;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::support::rbac::{bind_role, install_roles};
use crate::support::{Fixture, KubeClient, Response, unique, until};

/// A tenant with rules. The names of its users' groups begin with its own name.
pub(crate) struct Team {
    /// Its namespace.
    pub(crate) t: Fixture,
}

impl Team {
    /// A tenant with these rules. `GROUP` in them becomes the group of the approvers, `ONCALL` the group of the
    /// break-glass requesters.
    pub(crate) async fn new(name: &str, approval: &str) -> Self {
        let team = Self { t: Fixture::without_tenant(stage::with_webhook(), name).await };
        team.t.apply_tenant(team.tenant(approval)).await;
        install_roles(&team.t.kube).await;
        for (role, group) in [("requester", "requesters"), ("approver", "may-approve")] {
            team.bind(&format!("eventcenter-{role}"), group).await;
        }
        // The webhook receives the tenant later than the API server stores it.
        let alice = team.user("alice", &["requesters"]).await;
        let probe = team.t.topic("probe").manifest("{}");
        let seen = until(async || match alice.create(&probe, "?dryRun=All").await {
            answer if answer.status == 403 && answer.message().contains("AwaitingApproval") => Ok(()),
            answer if answer.body["metadata"]["annotations"][REQUEST].is_string() => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
        if let Err(seen) = seen.await {
            team.t.fail("the webhook does not apply the rules", &seen);
        }
        team
    }

    /// The spec of the tenant.
    pub(crate) fn tenant(&self, approval: &str) -> Value {
        let approval =
            approval.replace("GROUP", &self.group("approvers")).replace("ONCALL", &self.group("oncall"));
        let approval = crate::support::yaml(&approval.replace("NAMESPACE", &self.t.namespace));
        json!({"namespaces": [self.t.namespace], "clusters": self.t.stage.clusters, "approval": approval})
    }

    /// The name of a group of this tenant.
    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}-{name}", self.t.namespace)
    }

    /// A user in groups of this tenant.
    pub(crate) async fn user(&self, name: &str, groups: &[&str]) -> KubeClient {
        let groups: Vec<String> = groups.iter().map(|group| self.group(group)).collect();
        KubeClient::as_user(&self.t.stage.kubeconfig, name, &groups).await
    }

    /// A user who may approve, by RBAC and by the rules.
    pub(crate) async fn approver(&self, name: &str) -> KubeClient {
        self.user(name, &["approvers", "may-approve", "requesters"]).await
    }

    /// A service account of the tenant's namespace.
    pub(crate) fn account(&self, name: &str) -> String {
        format!("system:serviceaccount:{}:{name}", self.t.namespace)
    }

    /// Binds a ClusterRole to a group of this tenant in its namespace.
    pub(crate) async fn bind(&self, role: &str, group: &str) {
        bind_role(&self.t.kube, &self.t.namespace, role, &self.group(group)).await;
    }

    /// A decision on a topic as it is now.
    pub(crate) async fn decision(&self, topic: &str, decision: &str) -> Value {
        let stored: EventTopic = self.t.topic(topic).get().await;
        self.approval(topic, SpecHash::of(&stored.spec).as_str(), decision)
    }

    /// A decision on a topic with this content.
    pub(crate) fn approval(&self, topic: &str, hash: &str, decision: &str) -> Value {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1",
            "kind": "ChangeApproval",
            "metadata": {"name": format!("a-{}", unique()), "namespace": self.t.namespace},
            "spec": {"target": {"kind": "EventTopic", "name": topic}, "specHash": hash, "decision": decision},
        })
    }

    /// The requesters of a topic's spec.
    pub(crate) async fn requesters(&self, topic: &str) -> String {
        let topic = self.t.topic(topic).get().await;
        topic.annotations().get(eventcenter::api::REQUESTED_BY).cloned().unwrap_or_default()
    }

    /// The ChangeApprovals of the namespace.
    pub(crate) async fn approvals(&self) -> Vec<Value> {
        let url = format!("/apis/eventcenter.io/v1alpha1/namespaces/{}/changeapprovals", self.t.namespace);
        let request = kube::core::Request::new(url).list(&Default::default()).expect("a request");
        let all: Value = self.t.kube.client().request(request).await.expect("the API server answers");
        all["items"].as_array().cloned().unwrap_or_default()
    }
}

/// The YAML of a ChangeApproval that a refusal prints.
pub(crate) fn printed_approval(message: &str) -> Value {
    let start = message.find("apiVersion:").unwrap_or_else(|| panic!("there is no YAML in {message}"));
    let mut approval = crate::support::yaml(&message[start..]);
    approval["metadata"]["name"] = json!(format!("a-{}", unique()));
    approval
}

/// Asserts that a request was accepted.
#[track_caller]
pub(crate) fn assert_accepted(answer: &Response) {
    assert!((200..300).contains(&answer.status), "{}", answer.message());
}
