//! The webhook's published keys, and changes to them by others.

use std::collections::BTreeMap;

use anyhow::Result;
use eventcenter::domain::signature::{PublicKeys, SigningKey};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use xtask::kubectl::NAMESPACE;

use super::availability::wait_until_answered;
use crate::fixture::FaultFixture;
use crate::support::{KubeClient, WriteMethod};

const SEALS: &str = "eventcenter-seals";

fn maps(t: &FaultFixture) -> Api<ConfigMap> {
    Api::namespaced(t.kube.client(), NAMESPACE)
}

/// Writes the trusted keys, as another user.
async fn write(t: &FaultFixture, text: &str) -> Result<()> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SEALS}, "data": {"webhook": text},
    });
    let parameters = PatchParams::apply("other").force();
    maps(t).patch(SEALS, &parameters, &Patch::Apply(map)).await.map(drop)?;
    Ok(())
}

async fn read(t: &FaultFixture) -> Result<String> {
    let data: BTreeMap<_, _> = maps(t).get(SEALS).await?.data.unwrap_or_default();
    Ok(data.get("webhook").cloned().unwrap_or_default())
}

#[tokio::test]
async fn an_edited_list_of_keys_is_repaired() -> Result<()> {
    let t = FaultFixture::new("edited").await?;
    let port = xtask::port::free()?;
    // Where changes need approval, every review of a topic needs the keys.
    let approval = json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}]});
    t.tenant().patch_spec(json!({"approval": approval})).await;
    t.parts.install_webhook(port)?;
    let other = SigningKey::from_seed(&"7".repeat(64)).expect("a key").public_key();

    // The list has no trailing newline.
    write(&t, &other).await?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let text = read(&t).await?;
    let ours = text.split_whitespace().last().unwrap_or_default();
    assert_eq!(text, format!("{other}\n{ours}\n"));
    assert_eq!((text.split_whitespace().count(), PublicKeys::count_invalid(&text)), (2, 0), "{text}");
    assert!(!webhook.output()?.contains(SEALS), "the webhook reports no problem");

    // The keys are changed while the webhook runs: without its own key it refuses reviews. Once it has read the keys again, it has
    // also logged the invalid key.
    write(&t, &text.replace('\n', "")).await?;
    let valid = t.topic("probe").manifest("{}");
    let kube = KubeClient::without_retries(&t.stage.kubeconfig).await;
    t.eventually("the webhook refuses reviews", async || {
        match kube.write(&valid, WriteMethod::DryRun).await {
            answer if answer.status >= 400 => Ok(()),
            answer => Err(answer),
        }
    })
    .await;
    write(&t, &format!("{text}{other}{other}")).await?;
    wait_until_answered(&t).await;
    let output = webhook.output()?;
    assert!(output.contains("ConfigMap eventcenter-seals has no key"), "{output}");
    assert!(output.contains("1 of the words in ConfigMap eventcenter-seals"), "{output}");
    write(&t, &text).await?;
    wait_until_answered(&t).await;

    // A restarted webhook adds its key.
    assert!(webhook.stop()?.success());
    write(&t, "nonsense").await?;
    let webhook = t.parts.start_webhook("b", port, &[])?;
    wait_until_answered(&t).await;
    assert_eq!(read(&t).await?, format!("nonsense\n{ours}\n"));
    let output = webhook.output()?;
    assert!(output.contains("1 of the words in ConfigMap eventcenter-seals"), "{output}");
    maps(&t).delete(SEALS, &DeleteParams::default()).await?;
    Ok(())
}
