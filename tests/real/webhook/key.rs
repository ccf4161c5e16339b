//! The webhook's keys for seals, and what others do to them.

use std::collections::BTreeMap;

use anyhow::Result;
use eventcenter::domain::signature::{PublicKeys, SigningKey};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use xtask::kubectl::NAMESPACE;

use super::availability::answers;
use crate::support::site::Site;

const SEALS: &str = "eventcenter-seals";

fn maps(site: &Site) -> Api<ConfigMap> {
    Api::namespaced(site.client(), NAMESPACE)
}

/// Somebody writes whose seals are believed.
async fn write(site: &Site, text: &str) -> Result<()> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SEALS}, "data": {"webhook": text},
    });
    let parameters = PatchParams::apply("somebody").force();
    maps(site).patch(SEALS, &parameters, &Patch::Apply(map)).await.map(drop)?;
    Ok(())
}

async fn read(site: &Site) -> Result<String> {
    let data: BTreeMap<_, _> = maps(site).get(SEALS).await?.data.unwrap_or_default();
    Ok(data.get("webhook").cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_text_that_somebody_has_edited_is_no_obstacle() -> Result<()> {
    let site = Site::new("edited").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let other = SigningKey::from_seed(&"7".repeat(64)).expect("a key").public_key();

    // Without an end of the line.
    write(&site, &other).await?;
    let webhook = site.webhook("a", port, &[], true)?;
    answers(&site, "edited").await;
    let text = read(&site).await?;
    let ours = text.split_whitespace().last().unwrap_or_default();
    assert_eq!(text, format!("{other}\n{ours}\n"));
    assert_eq!((text.split_whitespace().count(), PublicKeys::count_invalid(&text)), (2, 0), "{text}");
    assert!(!webhook.output()?.contains(SEALS), "nothing is wrong with it");

    // While it runs, what makes no sense is told.
    write(&site, &format!("{text}{other}{other}")).await?;
    site.says(&webhook, "1 of the words in ConfigMap eventcenter-seals").await;
    answers(&site, "edited").await;
    write(&site, &text.replace('\n', "")).await?;
    site.says(&webhook, "ConfigMap eventcenter-seals has no key").await;
    write(&site, &text).await?;
    answers(&site, "edited").await;

    // A start makes the best of it.
    assert!(webhook.stop()?.success());
    write(&site, "nonsense").await?;
    let webhook = site.webhook("b", port, &[], true)?;
    answers(&site, "edited").await;
    assert_eq!(read(&site).await?, format!("nonsense\n{ours}\n"));
    site.says(&webhook, "1 of the words in ConfigMap eventcenter-seals").await;
    maps(&site).delete(SEALS, &DeleteParams::default()).await?;
    Ok(())
}
