//! The tenants of `bench admission`, and the installation of the webhook.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::stage::Stage;

/// The first part of the names of tenants and their namespaces, before -000, -001 and so on.
pub(crate) const TENANT: &str = "team";

/// How long the API server may take to notice that the webhook was installed or removed.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Tenants with a namespace each, and their default KafkaCluster.
pub(crate) fn manifests(tenants: u32, bootstrap: &str) -> Vec<Value> {
    let cluster = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "KafkaCluster", "metadata": {"name": "main"},
        "spec": {"default": true, "bootstrapServers": [bootstrap]},
    });
    let tenant = |number| {
        let name = format!("{TENANT}-{number:03}");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let tenant = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
            "spec": {
                "namespaces": [name],
                "topicPrefix": format!("{name}."),
                "naming": {"conventions": ["Entity", "Service"]},
                "quotas": {
                    "topics": 1_000_000,
                    "partitions": 10_000_000,
                    "retentionTime": "30d",
                    "messageSize": "1Mi",
                },
            },
        });
        [namespace, tenant]
    };
    std::iter::once(cluster).chain((0..tenants).flat_map(tenant)).collect()
}

/// Installs the webhook. Returns when the API server calls it.
pub(crate) fn install(stage: &Stage) -> Result<()> {
    stage.install_webhook()?;
    wait_until_called(stage, true)
}

/// Removes the webhook. Returns when the API server no longer calls it.
pub(crate) fn remove(stage: &Stage) -> Result<()> {
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    stage.kubectl().run(&["delete", kinds, "eventcenter"])?;
    wait_until_called(stage, false)
}

fn wait_until_called(stage: &Stage, wanted: bool) -> Result<()> {
    let begun = Instant::now();
    let namespace = format!("{TENANT}-000");
    let mut answer = String::new();
    while begun.elapsed() < MAX_DELAY {
        // The validating webhook refuses the first, and the mutating webhook adds a finalizer to the second.
        let (greedy, good) = (probe(stage, &namespace, "90d")?, probe(stage, &namespace, "7d")?);
        let is_called = match (&greedy, &good) {
            (Err(message), Ok(finalizers))
                if message.contains("denied the request: ") && !finalizers.is_empty() =>
            {
                Some(true)
            }
            (Ok(without), Ok(also_without)) if without.is_empty() && also_without.is_empty() => Some(false),
            _ => None,
        };
        if is_called == Some(wanted) {
            return Ok(());
        }
        answer = greedy.err().or(good.err()).unwrap_or_default();
        stage.sleep(Duration::from_millis(100))?;
    }
    let what = if wanted { "does not call the webhook" } else { "still calls the webhook" };
    bail!("the API server {what} after {MAX_DELAY:?}: {answer}")
}

/// Returns when the API server calls the webhook for the EventTopics of a namespace.
pub(crate) fn wait_for_finalizer(stage: &Stage, namespace: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        // The mutating webhook adds a finalizer.
        let answer = probe(stage, namespace, "7d")?;
        if answer.as_ref().is_ok_and(|finalizers| !finalizers.is_empty()) {
            return Ok(());
        }
        if begun.elapsed() >= MAX_DELAY {
            bail!("the API server does not call the webhook after {MAX_DELAY:?}: {answer:?}");
        }
        stage.sleep(Duration::from_millis(100))?;
    }
}

/// Applies an EventTopic as a dry run. Returns its finalizers, or the error.
fn probe(stage: &Stage, namespace: &str, retention: &str) -> Result<Result<String, String>> {
    let topic = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {"retention": {"time": retention}, "deletionPolicy": "Delete"},
    });
    let file = stage.write(&format!("probe-{retention}.json"), &topic)?;
    let mut command = stage.kubectl().command();
    command.args(["create", "--dry-run=server", "--output=jsonpath={.metadata.finalizers}", "-f", &file]);
    let output = xtask::process::output(command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_a_namespace_and_a_prefix_of_its_own() {
        let all = manifests(3, "kafka:9092");
        let names = |kind: &str| {
            let some = all.iter().filter(|one| one["kind"] == kind);
            some.map(|one| one["metadata"]["name"].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("Tenant"), [r#""team-000""#, r#""team-001""#, r#""team-002""#]);
        assert_eq!(names("Tenant"), names("Namespace"));
        assert_eq!(all[2]["spec"]["topicPrefix"], "team-000.");
    }
}
