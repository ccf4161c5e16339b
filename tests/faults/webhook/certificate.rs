//! Certificates with a validity of seconds, and changes to them by others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::json;
use xtask::kubectl::NAMESPACE;

use super::availability::{Stream, wait_until_answered};
use super::caller::Paths;
use crate::fixture::{FaultFixture, metric};
use crate::support::MAX_WAIT;

const SECRET: &str = "eventcenter-webhook";

fn secrets(t: &FaultFixture) -> Api<Secret> {
    Api::namespaced(t.kube.client(), NAMESPACE)
}

fn configurations(t: &FaultFixture) -> Api<ValidatingWebhookConfiguration> {
    Api::all(t.kube.client())
}

async fn data(t: &FaultFixture) -> Result<BTreeMap<String, ByteString>> {
    secrets(t).get(SECRET).await?.data.context("the Secret has no data")
}

async fn bundles(t: &FaultFixture) -> Result<Vec<Vec<u8>>> {
    let configuration = configurations(t).get("eventcenter").await?;
    let webhooks = configuration.webhooks.context("the configuration has no webhooks")?;
    Ok(webhooks.into_iter().map(|webhook| webhook.client_config.ca_bundle.unwrap_or_default().0).collect())
}

/// Waits until a value of the Secret has changed this many times.
async fn wait_for_changes(t: &FaultFixture, key: &str, times: usize) {
    let mut seen = Vec::new();
    t.eventually_within(2 * MAX_WAIT, &format!("{key} has changed {times} times"), async || {
        let now = data(t).await.map_err(|error| error.to_string())?.remove(key).unwrap_or_default();
        if !seen.contains(&now) {
            seen.push(now);
        }
        if seen.len() > times { Ok(()) } else { Err(format!("{} times", seen.len() - 1)) }
    })
    .await;
}

#[tokio::test]
async fn certificates_are_rotated_under_load_without_a_failed_review() -> Result<()> {
    let t = FaultFixture::new("rotation").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    // The authority is renewed every 20 s and signs 2 s after its publication; the certificate about every 6 s.
    let validity = ["--webhook-authority-validity", "30s", "--webhook-certificate-validity", "9s"];
    let webhook = t.parts.start_webhook("a", port, &validity)?;
    wait_until_answered(&t).await;
    let stream = Stream::begin(&t, "rotation", 3);
    let before = data(&t).await?;
    let paths = Paths::read(&t).await?;
    wait_for_changes(&t, "tls.crt", 4).await;
    wait_for_changes(&t, "ca.key", 2).await;
    stream.wait_for_progress(20).await;
    let (failed, last) = stream.end(&t, "rotation").await?;
    assert_eq!(failed, 0, "{last}");
    // Each certificate comes with new tokens in both paths.
    let renewed = Paths::read(&t).await?;
    assert!(renewed.validate != paths.validate && renewed.mutate != paths.mutate);
    let output = webhook.output()?;
    assert!(output.matches("wrote the path of the webhook").count() >= 8, "{output}");
    assert!(output.matches("serving a new certificate").count() >= 4, "{output}");
    let after = data(&t).await?;
    assert!(["ca.crt", "ca.key", "tls.crt", "tls.key"].iter().all(|key| before[*key] != after[*key]));
    let expiry = webhook.get("/metrics").context("the operator answers")?.1;
    assert!(expiry.contains("eventcenter_webhook_certificate_expiry_timestamp_seconds "), "{expiry}");
    for key in ["ca.key", "tls.key"] {
        let key = String::from_utf8_lossy(&after[key].0).lines().nth(1).unwrap_or_default().to_owned();
        assert!(
            key.len() > 20 && !output.contains(&key) && !output.contains("PRIVATE"),
            "the log contains a key"
        );
    }
    Ok(())
}

#[tokio::test]
async fn changes_by_others_are_corrected() -> Result<()> {
    let t = FaultFixture::new("meddled").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let before = data(&t).await?;

    // caBundle is overwritten.
    let patch = json!([{"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bm9uc2Vuc2U="}]);
    let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
    configurations(&t).patch("eventcenter", &PatchParams::default(), &patch).await?;
    let wait_for_bundle = async |authorities: &ByteString| {
        t.eventually("caBundle is restored", async || {
            let all = bundles(&t).await.map_err(|error| error.to_string())?;
            if all.iter().all(|bundle| *bundle == authorities.0) {
                Ok(())
            } else {
                Err("caBundle differs".to_owned())
            }
        })
        .await;
    };
    wait_for_bundle(&before["ca.crt"]).await;
    assert_eq!(data(&t).await?, before, "the Secret does not change");

    // The configurations are applied again, as a GitOps tool does, and recreated.
    t.parts.install_webhook(port)?;
    wait_for_bundle(&before["ca.crt"]).await;
    configurations(&t).delete("eventcenter", &DeleteParams::default()).await?;
    t.parts.install_webhook(port)?;
    wait_for_bundle(&before["ca.crt"]).await;

    // The Secret is deleted: authority and certificate are issued anew, and the old authority is no longer trusted.
    secrets(&t).delete(SECRET, &DeleteParams::default()).await?;
    let wait_for_new_secret = async |before: &BTreeMap<String, ByteString>| {
        t.eventually("every value is new", async || match data(&t).await {
            Ok(now) if before.iter().all(|(key, value)| now.get(key).is_some_and(|new| new != value)) => {
                Ok(now)
            }
            other => Err(format!("{:?}", other.map(|data| data.len()))),
        })
        .await
    };
    let second = wait_for_new_secret(&before).await;
    wait_for_bundle(&second["ca.crt"]).await;
    wait_until_answered(&t).await;

    // The values of the Secret are made invalid, one after the other.
    for broken in
        [json!({"tls.key": "bm9uc2Vuc2U="}), json!({"ca.crt": null}), json!({"ca.key": second["tls.key"]})]
    {
        let before = data(&t).await?;
        secrets(&t).patch(SECRET, &PatchParams::default(), &Patch::Merge(json!({"data": broken}))).await?;
        let now = wait_for_new_secret(&before).await;
        wait_for_bundle(&now["ca.crt"]).await;
        wait_until_answered(&t).await;
    }
    let output = webhook.output()?;
    assert!(output.contains("the webhook's certificates are invalid; issuing new ones"), "{output}");
    Ok(())
}

#[tokio::test]
async fn cert_manager_may_issue_the_certificate() -> Result<()> {
    let t = FaultFixture::new("manager").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let mode = ["--webhook-certificates", "secret", "--webhook-certificate-secret", "issued-elsewhere"];
    let webhook = t.parts.launch_webhook("a", port, &mode)?;
    t.wait_for_readyz(&webhook, 503).await;

    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let issue = |expiry_year: i32| -> Result<(String, String)> {
        let pair = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".into()])?;
        parameters.not_after = rcgen::date_time_ymd(expiry_year, 1, 1);
        let issued = parameters.signed_by(&pair, &authority)?;
        Ok((issued.pem(), pair.serialize_pem()))
    };
    let expiry = || metric(&webhook, "eventcenter_webhook_certificate_expiry_timestamp_seconds", &[]);
    let apply_certificate = async |certificate: &str, key: &str| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "issued-elsewhere", "namespace": NAMESPACE},
            "stringData": {"tls.crt": certificate, "tls.key": key},
        });
        let parameters = PatchParams::apply("cert-manager").force();
        secrets(&t).patch("issued-elsewhere", &parameters, &Patch::Apply(secret)).await.map(drop)
    };
    // The test sets caBundle, as cert-manager does.
    let mut configuration = configurations(&t).get("eventcenter").await?;
    for webhook in configuration.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(authority.pem().into_bytes()));
    }
    let name = configuration.name_any();
    configurations(&t).replace(&name, &Default::default(), &configuration).await?;
    let mutating = Api::<MutatingWebhookConfiguration>::all(t.kube.client());
    let mut configuration = mutating.get("eventcenter").await?;
    for webhook in configuration.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(authority.pem().into_bytes()));
    }
    mutating.replace(&name, &Default::default(), &configuration).await?;

    let (certificate, key) = issue(2090)?;
    apply_certificate(&certificate, &key).await?;
    wait_until_answered(&t).await;
    t.wait_for_readyz(&webhook, 200).await;
    let first = expiry();

    // With an invalid key the webhook still serves the previous certificate. Only the log shows that it has read the key.
    apply_certificate(&certificate, "no key at all").await?;
    t.eventually("the webhook has read the invalid key", async || {
        let output = webhook.output().map_err(|error| error.to_string())?;
        if output.contains("still serving the previous one") { Ok(()) } else { Err(output) }
    })
    .await;
    wait_until_answered(&t).await;
    assert_eq!(expiry(), first);
    let stream = Stream::begin(&t, "manager", 2);
    let (certificate, key) = issue(2091)?;
    apply_certificate(&certificate, &key).await?;
    t.eventually("the webhook serves the new certificate", async || {
        let now = expiry();
        if now > first { Ok(()) } else { Err(now) }
    })
    .await;
    stream.wait_for_progress(10).await;
    let (failed, last) = stream.end(&t, "manager").await?;
    assert_eq!(failed, 0, "{last}");
    assert!(secrets(&t).get_opt(SECRET).await?.is_none(), "the webhook issues no certificate itself");
    let trusted = bundles(&t).await?;
    assert!(
        trusted.iter().all(|bundle| *bundle == authority.pem().into_bytes()),
        "the webhook does not change caBundle"
    );
    Ok(())
}
