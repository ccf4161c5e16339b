//! A tenant whose changes need approval, and its people. Each is impersonated: Kubernetes sees no administrator.

use std::path::Path;

use eventcenter::api::{EventTopic, REQUEST};
use eventcenter::domain::approval::SpecHash;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Answer, Fixture, Kube, Stage, unique, until};

/// A tenant with rules, whose people's groups have names of this tenant's own.
pub(crate) struct Team {
    /// Where it is.
    pub(crate) t: Fixture,
}

impl Team {
    /// A tenant with these rules. `GROUP` in them becomes the group of those who may approve, `ONCALL` of those who may
    /// break the glass.
    pub(crate) async fn new(name: &str, approval: &str) -> Self {
        let team = Self { t: Fixture::without_tenant(Stage::with_webhook(), name).await };
        team.t.tenant(team.tenant(approval)).await;
        install_roles(&team.t.kube).await;
        for (role, group) in [("requester", "requesters"), ("approver", "may-approve")] {
            team.bind(&format!("eventcenter-{role}"), group).await;
        }
        // The webhook learns of tenants by a watch of its own.
        let alice = team.person("alice", &["requesters"]).await;
        let probe = team.t.manifest("probe", "{}");
        let seen = until(async || match alice.create(&probe, "?dryRun=All").await {
            answer if answer.status == 403 && answer.message().contains("AwaitingApproval") => Ok(()),
            answer if answer.body["metadata"]["annotations"][REQUEST].is_string() => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
        if let Err(seen) = seen.await {
            team.t.fail("the rules are not kept", &seen);
        }
        team
    }

    /// What the tenant declares.
    pub(crate) fn tenant(&self, approval: &str) -> Value {
        let approval =
            approval.replace("GROUP", &self.group("approvers")).replace("ONCALL", &self.group("oncall"));
        let approval = crate::support::yaml(&approval.replace("NAMESPACE", &self.t.namespace));
        json!({"namespaces": [self.t.namespace], "clusters": self.t.stage.clusters, "approval": approval})
    }

    /// The name of a group of this tenant's.
    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}-{name}", self.t.namespace)
    }

    /// Somebody in groups of this tenant's.
    pub(crate) async fn person(&self, name: &str, groups: &[&str]) -> Kube {
        let groups: Vec<String> = groups.iter().map(|group| self.group(group)).collect();
        Kube::as_user(&self.t.stage.kubeconfig, name, &groups).await
    }

    /// Somebody who may approve, by RBAC and by the rules.
    pub(crate) async fn approver(&self, name: &str) -> Kube {
        self.person(name, &["approvers", "may-approve", "requesters"]).await
    }

    /// A service account of the tenant's namespace.
    pub(crate) fn account(&self, name: &str) -> String {
        format!("system:serviceaccount:{}:{name}", self.t.namespace)
    }

    /// Gives a group of this tenant's a ClusterRole in its namespace.
    pub(crate) async fn bind(&self, role: &str, group: &str) {
        bind(&self.t.kube, &self.t.namespace, role, &self.group(group)).await;
    }

    /// A decision on a topic as it is now.
    pub(crate) async fn decision(&self, topic: &str, decision: &str) -> Value {
        let stored: EventTopic = self.t.get(topic).await;
        self.approval(topic, SpecHash::of(&stored.spec).as_str(), decision)
    }

    /// A decision on a content of a topic.
    pub(crate) fn approval(&self, topic: &str, hash: &str, decision: &str) -> Value {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1",
            "kind": "ChangeApproval",
            "metadata": {"name": format!("a-{}", unique()), "namespace": self.t.namespace},
            "spec": {"target": {"kind": "EventTopic", "name": topic}, "specHash": hash, "decision": decision},
        })
    }

    /// Who has asked for what a topic declares.
    pub(crate) async fn requesters(&self, topic: &str) -> String {
        let topic = self.t.get(topic).await;
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
pub(crate) fn printed(message: &str) -> Value {
    let start = message.find("apiVersion:").unwrap_or_else(|| panic!("there is no YAML in {message}"));
    let mut approval = crate::support::yaml(&message[start..]);
    approval["metadata"]["name"] = json!(format!("a-{}", unique()));
    approval
}

/// A request is answered with a success.
#[track_caller]
pub(crate) fn granted(answer: &Answer) {
    assert!((200..300).contains(&answer.status), "{}", answer.message());
}

/// The roles of `dev/user-roles.yaml`.
pub(crate) async fn install_roles(kube: &Kube) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/user-roles.yaml");
    let text = std::fs::read_to_string(file).expect("the roles");
    for document in serde_yaml::Deserializer::from_str(&text) {
        let role = Value::deserialize(document).expect("YAML");
        if !role.is_null() {
            kube.apply(&role).await;
        }
    }
}

/// Gives a group a ClusterRole in a namespace.
pub(crate) async fn bind(kube: &Kube, namespace: &str, role: &str, group: &str) {
    kube.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": format!("{role}-{group}"), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }))
    .await;
}
