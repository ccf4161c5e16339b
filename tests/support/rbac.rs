//! Roles of users.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::KubeClient;

/// Applies the roles of `dev/user-roles.yaml`.
pub(crate) async fn install_roles(kube: &KubeClient) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/user-roles.yaml");
    let text = std::fs::read_to_string(file).expect("the roles");
    for document in serde_yaml::Deserializer::from_str(&text) {
        let role = Value::deserialize(document).expect("YAML");
        if !role.is_null() {
            kube.apply(&role).await;
        }
    }
}

/// Binds a ClusterRole to a group in a namespace.
pub(crate) async fn bind_role(kube: &KubeClient, namespace: &str, role: &str, group: &str) {
    kube.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": format!("{role}-{group}"), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }))
    .await;
}
