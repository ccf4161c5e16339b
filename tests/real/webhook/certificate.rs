//! Certificates that live for seconds, and what others do to them.

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

use super::availability::{Stream, answers};
use crate::support::site::{LIMIT, Site};

const SECRET: &str = "eventcenter-webhook";

fn secrets(site: &Site) -> Api<Secret> {
    Api::namespaced(site.client(), NAMESPACE)
}

fn configurations(site: &Site) -> Api<ValidatingWebhookConfiguration> {
    Api::all(site.client())
}

async fn data(site: &Site) -> Result<BTreeMap<String, ByteString>> {
    secrets(site).get(SECRET).await?.data.context("it has data")
}

async fn bundles(site: &Site) -> Result<Vec<Vec<u8>>> {
    let configuration = configurations(site).get("eventcenter").await?;
    let webhooks = configuration.webhooks.context("it has webhooks")?;
    Ok(webhooks.into_iter().map(|webhook| webhook.client_config.ca_bundle.unwrap_or_default().0).collect())
}

/// Waits until the Secret's value has changed so often, and that there never was a review that failed.
async fn changes(site: &Site, key: &str, times: usize) {
    let mut seen = Vec::new();
    site.eventually(&format!("{key} has changed {times} times"), LIMIT * 2, async || {
        let now = data(site).await.map_err(|error| error.to_string())?.remove(key).unwrap_or_default();
        if !seen.contains(&now) {
            seen.push(now);
        }
        if seen.len() > times { Ok(()) } else { Err(format!("{} times", seen.len() - 1)) }
    })
    .await;
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failed_review() -> Result<()> {
    let site = Site::new("rotation").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    // The authority changes each 20 s and signs 2 s after it is published; the certificate about each 6 s.
    let lives = ["--webhook-authority-validity", "30s", "--webhook-certificate-validity", "9s"];
    let webhook = site.webhook("a", port, &lives, true)?;
    answers(&site, "rotation").await;
    let stream = Stream::begin(&site, "rotation", 3);
    let before = data(&site).await?;
    changes(&site, "tls.crt", 4).await;
    changes(&site, "ca.key", 2).await;
    stream.goes_on(20).await;
    let (unasked, last) = stream.end(&site, "rotation").await?;
    assert_eq!(unasked, 0, "{last}");
    let said = webhook.output()?;
    assert!(said.matches("serving a new certificate").count() >= 4, "{said}");
    let after = data(&site).await?;
    assert!(["ca.crt", "ca.key", "tls.crt", "tls.key"].iter().all(|key| before[*key] != after[*key]));
    let expiry = webhook.get("/metrics").context("it answers")?.1;
    assert!(expiry.contains("eventcenter_webhook_certificate_expiry_timestamp_seconds "), "{expiry}");
    for key in ["ca.key", "tls.key"] {
        let key = String::from_utf8_lossy(&after[key].0).lines().nth(1).unwrap_or_default().to_owned();
        assert!(key.len() > 20 && !said.contains(&key) && !said.contains("PRIVATE"), "a key is in the log");
    }
    Ok(())
}

#[tokio::test]
async fn what_others_change_is_put_right() -> Result<()> {
    let site = Site::new("meddled").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let webhook = site.webhook("a", port, &[], true)?;
    answers(&site, "meddled").await;
    let before = data(&site).await?;

    // caBundle is overwritten.
    let patch = json!([{"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bm9uc2Vuc2U="}]);
    let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
    configurations(&site).patch("eventcenter", &PatchParams::default(), &patch).await?;
    let right = async |authorities: &ByteString| {
        site.eventually("caBundle is right", LIMIT, async || {
            let all = bundles(&site).await.map_err(|error| error.to_string())?;
            if all.iter().all(|bundle| *bundle == authorities.0) {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        })
        .await;
    };
    right(&before["ca.crt"]).await;
    assert_eq!(data(&site).await?, before, "nothing else changed");

    // The configurations are applied once more, as a GitOps tool does, and from nothing.
    site.install_webhook(port)?;
    right(&before["ca.crt"]).await;
    configurations(&site).delete("eventcenter", &DeleteParams::default()).await?;
    site.install_webhook(port)?;
    right(&before["ca.crt"]).await;

    // The Secret is deleted: everything is made anew, and nothing of before is trusted.
    secrets(&site).delete(SECRET, &DeleteParams::default()).await?;
    let anew = async |before: &BTreeMap<String, ByteString>| {
        site.eventually("all is new", LIMIT, async || match data(&site).await {
            Ok(now) if before.iter().all(|(key, value)| now.get(key).is_some_and(|new| new != value)) => {
                Ok(now)
            }
            other => Err(format!("{:?}", other.map(|data| data.len()))),
        })
        .await
    };
    let second = anew(&before).await;
    right(&second["ca.crt"]).await;
    answers(&site, "meddled").await;

    // Its content is destroyed, one part after the other.
    for broken in
        [json!({"tls.key": "bm9uc2Vuc2U="}), json!({"ca.crt": null}), json!({"ca.key": second["tls.key"]})]
    {
        let before = data(&site).await?;
        secrets(&site).patch(SECRET, &PatchParams::default(), &Patch::Merge(json!({"data": broken}))).await?;
        let now = anew(&before).await;
        right(&now["ca.crt"]).await;
        answers(&site, "meddled").await;
    }
    site.says(&webhook, "the webhook's certificates are invalid; issuing new ones").await;
    Ok(())
}

#[tokio::test]
async fn others_may_make_the_certificate() -> Result<()> {
    let site = Site::new("manager").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let mode = ["--webhook-certificates", "secret", "--webhook-certificate-secret", "made-elsewhere"];
    let webhook = site.webhook("a", port, &mode, false)?;
    site.says(&webhook, "the Secret with the webhook's certificate does not exist").await;
    assert_eq!(webhook.get("/readyz").map(|(status, _)| status), Some(503));

    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let issue = || -> Result<(String, String)> {
        let pair = KeyPair::generate()?;
        let made = CertificateParams::new(vec!["127.0.0.1".into()])?.signed_by(&pair, &authority)?;
        Ok((made.pem(), pair.serialize_pem()))
    };
    let put = async |certificate: &str, key: &str| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "made-elsewhere", "namespace": NAMESPACE},
            "stringData": {"tls.crt": certificate, "tls.key": key},
        });
        let parameters = PatchParams::apply("cert-manager").force();
        secrets(&site).patch("made-elsewhere", &parameters, &Patch::Apply(secret)).await.map(drop)
    };
    // cert-manager's part: whom to trust.
    let mut configuration = configurations(&site).get("eventcenter").await?;
    for webhook in configuration.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(authority.pem().into_bytes()));
    }
    let name = configuration.name_any();
    configurations(&site).replace(&name, &Default::default(), &configuration).await?;
    let mutating = Api::<MutatingWebhookConfiguration>::all(site.client());
    let mut configuration = mutating.get("eventcenter").await?;
    for webhook in configuration.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(authority.pem().into_bytes()));
    }
    mutating.replace(&name, &Default::default(), &configuration).await?;

    let (certificate, key) = issue()?;
    put(&certificate, &key).await?;
    answers(&site, "manager").await;
    site.eventually("it is ready", LIMIT, async || match webhook.get("/readyz") {
        Some((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;

    // Something that cannot be used is told, and what was served before still is.
    put(&certificate, "no key at all").await?;
    site.says(&webhook, "still serving the previous one").await;
    answers(&site, "manager").await;
    let stream = Stream::begin(&site, "manager", 2);
    let (certificate, key) = issue()?;
    put(&certificate, &key).await?;
    site.eventually("the other one is served", LIMIT, async || {
        let said = webhook.output().map_err(|error| error.to_string())?;
        if said.matches("serving a new certificate").count() == 2 { Ok(()) } else { Err(said) }
    })
    .await;
    stream.goes_on(10).await;
    let (unasked, last) = stream.end(&site, "manager").await?;
    assert_eq!(unasked, 0, "{last}");
    assert!(secrets(&site).get_opt(SECRET).await?.is_none(), "nothing is made here");
    let trusted = bundles(&site).await?;
    assert!(
        trusted.iter().all(|bundle| *bundle == authority.pem().into_bytes()),
        "caBundle is cert-manager's"
    );
    Ok(())
}
