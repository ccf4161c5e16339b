//! The key that signs requests and decisions.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::team::{Team, assert_accepted};
use crate::support::{ObjectPath, WriteMethod};

#[tokio::test]
async fn the_signing_key_is_not_disclosed() {
    let team = Team::new("key", "{rules: [{changes: [Any], groups: [GROUP]}]}").await;
    let alice = team.user("alice", &["requesters"]).await;
    assert_accepted(&alice.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await);
    let path = |kind: &str, name: &str| {
        let metadata = json!({"name": name, "namespace": xtask::kubectl::NAMESPACE});
        ObjectPath::of(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    };
    let secret: Secret = team.t.kube.get(&path("Secret", "eventcenter-seal-webhook")).await.expect("a key");
    let seed = secret.data.unwrap_or_default().remove("seed").expect("a seed").0;
    let seed = String::from_utf8(seed).expect("in hexadecimal");
    assert_eq!(seed.len(), 64);
    let public: Value =
        team.t.kube.get(&path("ConfigMap", "eventcenter-seals")).await.expect("the public keys");
    assert!(public["data"]["webhook"].as_str().is_some_and(|keys| keys.trim().len() >= 64), "{public}");
    assert!(!public.to_string().contains(&seed));
    let log = team.t.stage.logs.read();
    assert!(log.contains("created a signing key") && !log.contains(&seed), "the log contains the key");
    // No role for users allows changing the trusted keys.
    let forged = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"webhook": "forged"},
        "metadata": {"name": "eventcenter-seals", "namespace": xtask::kubectl::NAMESPACE},
    });
    for user in [alice, team.approver("carol").await] {
        let answer = user.write(&forged, WriteMethod::Apply).await;
        assert!(answer.message().contains("cannot patch resource"), "{}", answer.message());
    }
}
