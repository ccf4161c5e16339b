//! The steps about the audit log: what it records, and the proof that it is unchanged.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    stage::{Demo, SOON},
    topic::Topic,
};

pub(super) fn audit(demo: &Demo<'_>, topic: &Topic) -> Result<()> {
    if demo.variable("WEBHOOK_URL").is_empty() {
        // Only the webhook can identify requesters and approvers.
        return Ok(());
    }
    let Topic { namespace, name, .. } = topic;
    demo.heading("The audit log of the tenant: requests, approvals and effects");
    demo.run("kubectl apply -f examples/audit/auditor.yaml")?;
    let token = format!("--token \"$(kubectl create token auditor -n {namespace})\"");
    demo.run(&format!("eventctl audit list --text {name} --limit 16 {token}"))?;

    demo.heading("Proof that the log is unchanged: an export is verified without a server");
    let (export, keys) = (demo.folder.join("shop.ndjson"), demo.folder.join("keys"));
    let (export, keys) = (demo.display_path(&export), demo.display_path(&keys));
    // Tampering is detected only in records that a checkpoint covers, so it has to cover the record that is changed below.
    let approval = demo.query(&format!("eventctl audit list --actor ben --limit 1 -o json {token}"))?;
    let approval: Value = serde_json::from_str(&approval).context("reading the record of ben's approval")?;
    let seq = approval[0]["seq"].as_u64().context("ben's approval is not recorded")?;
    let size = "kubectl get configmap eventcenter-audit-checkpoints -n eventcenter-system -o jsonpath={.data.shop} | \
                sed -n 2p";
    let signed = format!("if [ \"$({size})\" -gt {seq} ]; then echo signed; fi");
    demo.wait_for("Waiting for a signed checkpoint", &signed, "signed", SOON)?;
    demo.run(&format!("eventctl audit export --to {export} {token}"))?;
    let audit = "{.data.audit}";
    demo.run(&format!(
        "kubectl get configmap eventcenter-seals -n eventcenter-system -o jsonpath={audit} > {keys}"
    ))?;
    let verify = |file: &str| format!("eventctl audit verify --file {file} --key {keys}");
    demo.run(&verify(&export))?;
    let forged = demo.display_path(&demo.folder.join("forged.ndjson"));
    let edit = r#"'s/"user":"ben"/"user":"ann"/'"#;
    demo.run(&format!("sed {edit} {export} > {forged}"))?;
    demo.run_refused(&verify(&forged))?;
    demo.complete("The audit log recorded all of it, and a record that was changed afterwards was found.");
    Ok(())
}
