//! The rights of the webhook, and who can read the paths at which the API server calls it.

use kube::core::Request;
use serde_json::{Value, json};

use crate::stage;
use crate::support::rbac::{bind_role, install_roles};
use crate::support::{Fixture, KubeClient};

/// The status code of a GET request.
async fn get(kube: &KubeClient, url: &str) -> u16 {
    let request = Request::new(url).list(&Default::default()).expect("a request");
    match kube.client().request::<Value>(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{url}: {error}"),
    }
}

#[tokio::test]
async fn only_cluster_administrators_can_read_the_paths() {
    let t = Fixture::on(stage::with_webhook(), "readers").await;
    install_roles(&t.kube).await;
    let shipped = ["requester", "approver", "auditor", "admin"].map(|role| format!("eventcenter-{role}"));
    let of_kubernetes = ["view", "edit", "admin"].map(ToOwned::to_owned);
    for role in shipped.into_iter().chain(of_kubernetes) {
        let group = format!("{}-{role}", t.namespace);
        bind_role(&t.kube, &t.namespace, &role, &group).await;
        t.kube
            .apply(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": group},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            }))
            .await;
        let user = KubeClient::as_user(&t.stage.kubeconfig, "mallory", &[group]).await;
        for kind in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
            let all = format!("/apis/admissionregistration.k8s.io/v1/{kind}");
            for url in
                [format!("{all}/eventcenter"), all.clone(), format!("{all}?watch=true&timeoutSeconds=1")]
            {
                assert_eq!(get(&user, &url).await, 403, "{role} reads {url}");
                assert_ne!(get(&t.kube, &url).await, 403, "the administrator reads {url}");
            }
        }
    }
}

/// It is ready when it has listed all resources, its key, and a certificate that the API server trusts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_role_alone_are_enough_to_be_ready() {
    let webhook = tokio::task::block_in_place(stage::start_webhook_alone).expect("the webhook is ready");
    let output = webhook.output().expect("its log");
    assert!(!output.contains("forbidden"), "{output}");
    tokio::task::block_in_place(|| webhook.stop()).expect("the webhook stops");
}
