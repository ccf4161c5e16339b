//! Secrets and tokens in headers.

use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use eventcenter::domain::task::RetryPlan;
use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{Runner, Task};
use crate::store::database::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_sent_and_never_stored() -> Result<()> {
    let s = Runner::new("secret", TestDatabase::sqlite()?).await?;
    let _runner = s.start("one")?;
    let server = Server::start(|call, _| {
        let token = call.header("authorization");
        let basic = STANDARD.encode(format!("me:{}", token.trim_start_matches("Bearer ")));
        Reply::new(500, format!("{{\"message\": \"{token}\", \"errors\": 1, \"basic\": \"{basic}\"}}"))
    })
    .await?;
    let header = json!({"name": "Authorization", "valueFrom": {"prefix": "Bearer ", "secretKeyRef": {"name": "api", "key": "token"}}});
    let task = Task::http(json!({"url": server.url("/"), "headers": [header]}));

    // A missing Secret is retried: somebody may create it.
    let second = Duration::from_secs(1);
    let retry = RetryPlan { limit: 20, initial: second, factor: 1, max: second, has_backoff: true };
    let id = s.insert(&Task { retry, ..task.clone() }).await?;
    let missing = "spec.target.http.headers: there is no Secret api in namespace";
    s.wait(id, "retried", |run| run.outcome.message.as_deref().is_some_and(|text| text.starts_with(missing)))
        .await;
    assert!(server.received().is_empty());

    let secret = "correct-horse-battery";
    s.t.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api", "namespace": s.t.namespace},
        "stringData": {"token": format!("{secret}\n")},
    }))
    .await;
    let calls = server.wait(1).await;
    assert_eq!(calls[0].header("authorization"), format!("Bearer {secret}"));
    let (id, result) = s.execute(&task).await?;
    assert_eq!(result, "Failed HTTP 500 Internal Server Error: Bearer ***");
    let tail = s.tail(id, 1).await?;
    assert!(tail.contains("\"message\": \"Bearer ***\""), "{tail}");
    let encoded = STANDARD.encode(format!("me:{secret}"));
    assert!(!tail.contains(&encoded[4..24]), "{tail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_a_listed_service_account_is_sent() -> Result<()> {
    let s = Runner::new("token", TestDatabase::sqlite()?).await?;
    let namespace = s.t.namespace.clone();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "caller", "namespace": namespace}});
    s.t.apply(&account).await;
    let _runner = s.start("one")?;
    let server = Server::start(|call, _| Reply::new(200, call.header("authorization"))).await?;
    let task = |name: &str| {
        let token = json!({"serviceAccountName": name, "audience": "https://api.example.com"});
        Task::http(json!({"url": server.url("/"), "serviceAccountToken": token}))
    };
    let (id, result) = s.execute(&task("caller")).await?;
    assert_eq!(result, "Succeeded HTTP 200 OK");
    assert_eq!(s.tail(id, 1).await?, "Bearer ***");
    let calls = server.received();
    let token = calls[0].header("authorization").strip_prefix("Bearer ").expect("a bearer token");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims"))?)?;
    assert_eq!(claims["sub"], format!("system:serviceaccount:{namespace}:caller"));
    assert_eq!(claims["aud"], json!(["https://api.example.com"]));

    let (_, result) = s.execute(&task("default")).await?;
    assert!(
        result.starts_with(
            "Failed Forbidden: spec.target.http.serviceAccountToken.serviceAccountName: tenant "
        ) && result.contains("does not list the ServiceAccount default any more"),
        "{result}"
    );
    assert_eq!(server.received().len(), 1);
    Ok(())
}
