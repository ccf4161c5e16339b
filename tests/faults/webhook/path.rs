//! The paths with tokens in the webhook configurations: their renewal, and changes to them by others.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyhow::{Context, Result};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use xtask::process;

use super::authentication::{count_refused, made_up_review};
use super::availability::{Stream, topic, wait_until_answered};
use super::balancer::Balancer;
use super::caller::{Caller, Paths, review};
use crate::fixture::FaultFixture;
use crate::support::audit::LockedDatabase;
use crate::support::operator::program;
use crate::support::{KubeClient, MAX_WAIT, WriteMethod};

/// Waits until both paths differ from these.
async fn wait_for_other_paths(t: &FaultFixture, before: &Paths) -> Paths {
    t.eventually("both paths have new tokens", async || {
        let now = Paths::read(t).await.map_err(|error| error.to_string())?;
        let differ = now.validate != before.validate && now.mutate != before.mutate;
        if differ && now.validate.starts_with("/validate/") && now.mutate.starts_with("/mutate/") {
            Ok(now)
        } else {
            Err(now.validate)
        }
    })
    .await
}

/// Waits until the webhook refuses a path.
async fn wait_until_refused(t: &FaultFixture, caller: &Caller, path: &str) {
    t.eventually("the path is refused", async || match caller.post(path, "{}") {
        Ok((403, body)) if body.contains("is not that of the webhook configurations. Try again") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_path_that_the_api_server_has_shown_is_replaced() -> Result<()> {
    let t = FaultFixture::new("shown").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let before = Paths::read(&t).await?;
    assert!(webhook.stop()?.success());

    // Every user who writes reads the path in the error of the API server.
    let kube = KubeClient::without_retries(&t.stage.kubeconfig).await;
    let answer = kube.write(&topic("shown", "orders", json!({})), WriteMethod::Apply).await;
    assert!(answer.message().contains(&format!("127.0.0.1:{port}{}", before.mutate)), "{answer:?}");

    let webhook = t.parts.start_webhook("a", port, &[])?;
    let after = wait_for_other_paths(&t, &before).await;
    wait_until_answered(&t).await;
    let caller = Caller::new(&t, port).await?;
    wait_until_refused(&t, &caller, &before.mutate).await;
    wait_until_refused(&t, &caller, &before.validate).await;
    let current = caller.post(&after.mutate, &made_up_review("shown"))?;
    assert_eq!(current.0, 200, "{current:?}");
    assert!(count_refused(&webhook, "unknown_token") >= 2.0);

    // No log has a token.
    let output = webhook.output()?;
    for path in [before.validate, before.mutate, after.validate, after.mutate] {
        let secret = path.rsplit_once('-').context("a token")?.1;
        assert!(!output.contains(secret), "{output}");
    }
    Ok(())
}

/// The API server shows the path to its user as well if it abandons a review, because it takes too long.
async fn abandon(t: &FaultFixture, port: u16, announced: usize, body: &str) -> Result<()> {
    let before = Paths::read(t).await?;
    let mut connection = Caller::new(t, port).await?.connect()?;
    let path = &before.validate;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {announced}\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    // The webhook asks for the body once it has identified the caller.
    let mut answer = [0; 25];
    connection.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(body.as_bytes())?;
    // Closing the socket with unread data would reset the connection, and the webhook might not receive the request.
    connection.sock.shutdown(Shutdown::Write)?;
    wait_for_other_paths(t, &before).await;
    Ok(())
}

#[tokio::test]
async fn a_review_that_is_abandoned_before_it_is_sent_renews_the_paths() -> Result<()> {
    let t = FaultFixture::new("unsent").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    abandon(&t, port, 100, "{").await?;
    wait_until_answered(&t).await;
    Ok(())
}

#[tokio::test]
async fn a_review_that_is_abandoned_before_it_is_answered_renews_the_paths() -> Result<()> {
    let t = FaultFixture::new("unanswered").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    // A refusal is answered after its record is written.
    let mut refused = topic("unanswered", "orders", json!({"topicName": "not.ours"}));
    refused["metadata"]["creationTimestamp"] = Value::Null;
    let review = review("EventTopic", "CREATE", &refused).to_string();
    let locked = LockedDatabase::lock(webhook.data()).await;
    abandon(&t, port, review.len(), &review).await?;
    locked.unlock().await;
    wait_until_answered(&t).await;
    Ok(())
}

#[tokio::test]
async fn replicas_renew_the_paths_without_a_failed_review() -> Result<()> {
    let t = FaultFixture::new("renewal").await?;
    let (first, second) = (xtask::port::free()?, xtask::port::free()?);
    let balancer = Balancer::start(&[first, second])?;
    t.parts.install_webhook(balancer.port())?;
    // The certificate is renewed about every 6 s, and the tokens with it.
    let validity = ["--webhook-authority-validity", "90s", "--webhook-certificate-validity", "9s"];
    let mut a = t.parts.launch_webhook("a", first, &validity)?;
    let mut b = t.parts.launch_webhook("b", second, &validity)?;
    a.wait_ready(MAX_WAIT)?;
    b.wait_ready(MAX_WAIT)?;
    wait_until_answered(&t).await;
    let stream = Stream::begin(&t, "renewal", 3);
    let mut paths = Paths::read(&t).await?;
    for _ in 0..3 {
        paths = wait_for_other_paths(&t, &paths).await;
        stream.wait_for_progress(10).await;
    }
    let (failed, last) = stream.end(&t, "renewal").await?;
    assert_eq!(failed, 0, "{last}");
    for replica in [&a, &b] {
        assert_eq!(count_refused(replica, "unknown_token"), 0.0);
        assert_eq!(count_refused(replica, "unchecked"), 0.0);
    }
    Ok(())
}

#[tokio::test]
async fn a_path_that_others_write_is_replaced() -> Result<()> {
    let t = FaultFixture::new("rewritten").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let parameters = PatchParams::default();
    for path in ["", "/validate", "/validate/secret", "/elsewhere"] {
        let before = Paths::read(&t).await?;
        let patch = json!([{
            "op": "replace", "path": "/webhooks/0/clientConfig/url", "value": format!("https://127.0.0.1:{port}{path}"),
        }]);
        let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
        let validating = Api::<ValidatingWebhookConfiguration>::all(t.kube.client());
        validating.patch("eventcenter", &parameters, &patch).await?;
        let mutating = Api::<MutatingWebhookConfiguration>::all(t.kube.client());
        mutating.patch("eventcenter", &parameters, &patch).await?;
        // The other webhooks of the configuration still have the token, and it is not renewed.
        t.eventually("the paths are as before", async || {
            let now = Paths::read(&t).await.map_err(|error| error.to_string())?;
            let is_restored = now.validate == before.validate && now.mutate.starts_with("/mutate/");
            if is_restored { Ok(()) } else { Err(now.validate) }
        })
        .await;
    }
    wait_until_answered(&t).await;

    // Without any token in the configuration, as with the manifest of an earlier version.
    let before = Paths::read(&t).await?;
    t.parts.install_webhook(port)?;
    wait_for_other_paths(&t, &before).await;
    wait_until_answered(&t).await;
    Ok(())
}

/// Server-side apply as a GitOps tool does it, without taking over fields of others.
fn apply(t: &FaultFixture, arguments: &[&str]) -> Result<String> {
    let mut manifest = process::child_command(program());
    manifest.arg("webhooks").args(arguments);
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(process::run(manifest)?.as_bytes())?;
    let file = file.path().to_str().context("UTF-8")?;
    t.stage.kubectl().run(&["apply", "--server-side", "--field-manager", "gitops", "-f", file])
}

#[tokio::test]
async fn the_manifest_of_a_service_is_applied_again_without_a_conflict() -> Result<()> {
    let t = FaultFixture::new("gitops").await?;
    // The API server cannot reach this Service, and need not.
    apply(&t, &["--service", "gitops/webhook"])?;
    let _webhook = t.parts.start_webhook("a", xtask::port::free()?, &[])?;
    let client_configs = async || -> Result<Vec<Value>> {
        let validating = Api::<ValidatingWebhookConfiguration>::all(t.kube.client());
        let webhooks = validating.get("eventcenter").await?.webhooks.context("webhooks")?;
        webhooks.into_iter().map(|webhook| Ok(serde_json::to_value(webhook.client_config)?)).collect()
    };
    let written = t.eventually("all paths and bundles are written", async || {
        let now = client_configs().await.map_err(|error| error.to_string())?;
        let has_both = |client: &Value| {
            let path = client["service"]["path"].as_str().unwrap_or_default();
            path.starts_with("/validate/") && client["caBundle"].is_string()
        };
        if now.iter().all(has_both) { Ok(now) } else { Err(format!("{now:?}")) }
    });
    let written = written.await;
    apply(&t, &["--service", "gitops/webhook"])?;
    assert_eq!(client_configs().await?, written, "the path and caBundle stay");
    Ok(())
}

#[tokio::test]
async fn the_manifest_of_a_url_needs_force_conflicts() -> Result<()> {
    let t = FaultFixture::new("forced").await?;
    let port = xtask::port::free()?;
    let url = format!("https://127.0.0.1:{port}");
    apply(&t, &["--url", &url])?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let error = format!("{:#}", apply(&t, &["--url", &url]).expect_err("a conflict"));
    assert!(error.contains("clientConfig.url") && error.contains("conflict"), "{error}");
    let before = Paths::read(&t).await?;
    t.parts.install_webhook(port)?;
    wait_for_other_paths(&t, &before).await;
    wait_until_answered(&t).await;
    for wrong in ["https://a/validate", "http://a", "https://", "https://u@a"] {
        let error = format!("{:#}", apply(&t, &["--url", wrong]).expect_err("it is not an origin"));
        assert!(
            error.contains(&format!("--url {wrong}: a webhook has scheme, host and port only")),
            "{error}"
        );
    }
    Ok(())
}
