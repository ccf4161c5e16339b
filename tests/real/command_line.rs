//! The program as whoever runs it sees it: refusals, help, logs, health and metrics.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Output;

use anyhow::{Context, Result};
use eventcenter::api::EventTopic;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;
use xtask::process;
use xtask::test_environment::TestEnvironment;

use crate::support::proxy::Mode;
use crate::support::site::{CLUSTER, LIMIT, Site, is_ready};

/// Runs the program to its end, with nothing in its environment that the test did not put there.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = process::child_command(env!("CARGO_BIN_EXE_eventcenter"));
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
        command.env_remove(name);
    }
    let empty = tempfile::tempdir()?;
    command.args(arguments).env("HOME", empty.path()).envs(variables.iter().copied());
    process::output(command)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_not_known_or_malformed_is_refused_by_name() -> Result<()> {
    for (arguments, named) in [
        (&["run", "--unknown"][..], "--unknown"),
        (&["run", "extra"], "extra"),
        (&["run", "--roles", "kitchen"], "--roles"),
        (&["run", "--roles", "controllers,kitchen"], "--roles"),
        (&["run", "--resync-interval", "soon"], "--resync-interval"),
        (&["run", "--resync-interval", "99ms"], "--resync-interval"),
        (&["run", "--resync-interval=-5s"], "--resync-interval"),
        (&["run", "--heartbeat-interval", "10"], "--heartbeat-interval"),
        (&["run", "--kafka-settle-time", "0s"], "--kafka-settle-time"),
        (&["run", "--listen", "localhost"], "--listen"),
        (&["run", "--listen", "127.0.0.1:70000"], "--listen"),
        (&["run", "--concurrency", "0"], "--concurrency"),
        (&["run", "--concurrency", "many"], "--concurrency"),
        (&["run", "--log-format", "xml"], "--log-format"),
        (&["crds", "--output-dir"], "--output-dir"),
        (&["dance"], "dance"),
        (&[], "Usage"),
    ] {
        let output = run(arguments, &[])?;
        let complaint = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        assert!(complaint.contains(named), "{arguments:?}: {complaint}");
    }
    for (variable, value, flag) in [
        ("EVENTCENTER_ROLES", "kitchen", "--roles"),
        ("EVENTCENTER_RESYNC_INTERVAL", "soon", "--resync-interval"),
        ("EVENTCENTER_CONCURRENCY", "0", "--concurrency"),
    ] {
        let output = run(&["run"], &[(variable, value)])?;
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert!(complaint(&output).contains(flag), "{variable}: {}", complaint(&output));
    }
    Ok(())
}

#[test]
fn a_log_filter_that_is_none_is_refused_by_name() -> Result<()> {
    let output = run(&["run", "--log", "eventcenter=loud"], &[])?;
    let complaint = complaint(&output);
    assert!(!output.status.success());
    assert!(complaint.contains("--log") && complaint.contains("loud"), "{complaint}");
    Ok(())
}

#[test]
fn without_a_cluster_it_says_what_to_set() -> Result<()> {
    for variables in [&[][..], &[("KUBECONFIG", "/nowhere/kubeconfig")]] {
        let output = run(&["run", "--listen", "127.0.0.1:0"], variables)?;
        let complaint = complaint(&output);
        assert!(!output.status.success(), "{variables:?}");
        assert!(complaint.contains("KUBECONFIG"), "{variables:?}: {complaint}");
        assert!(!complaint.contains("panicked"), "{variables:?}: {complaint}");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, "this is: [no kubeconfig")?;
    let output = run(&["run", "--listen", "127.0.0.1:0"], &[("KUBECONFIG", &file.display().to_string())])?;
    assert!(!output.status.success() && complaint(&output).contains("KUBECONFIG"), "{}", complaint(&output));
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&file, kubeconfig.to_string())?;
    let output = run(&["run", "--listen", &address], &[("KUBECONFIG", &file.display().to_string())])?;
    let complaint = complaint(&output);
    assert!(!output.status.success());
    assert!(complaint.contains("--listen") && complaint.contains(&address), "{complaint}");
    Ok(())
}

#[test]
fn help_says_everything() -> Result<()> {
    let help = |arguments: &[&str]| -> Result<String> {
        let output = run(arguments, &[])?;
        assert!(output.status.success(), "{arguments:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let all = help(&["--help"])?;
    for word in ["run", "crds", "--version", "Usage"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    let text = help(&["run", "--help"])?;
    for flag in [
        "roles",
        "namespace",
        "listen",
        "resync-interval",
        "heartbeat-interval",
        "kafka-settle-time",
        "concurrency",
        "instance",
        "lease",
        "log-format",
        "log",
    ] {
        let section =
            text.split(&format!("--{flag} <")).nth(1).with_context(|| format!("--{flag}: {text}"))?;
        let section = section.split("\n      --").next().unwrap_or_default();
        let variable = format!("[env: EVENTCENTER_{}=]", flag.to_uppercase().replace('-', "_"));
        assert!(section.contains(&variable), "--{flag}: {section}");
        let default = section.contains("[default: ") || section.contains("Default: ");
        assert!(default, "--{flag} tells no default: {section}");
        let sentence = section.split("[default").next().unwrap_or_default();
        assert!(sentence.len() > 30, "--{flag} is not explained: {section}");
    }
    assert!(help(&["crds", "--help"])?.contains("--output-dir <DIR>"));
    let version = help(&["--version"])?;
    assert_eq!(version.trim(), format!("eventcenter {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[test]
fn the_definitions_it_prints_are_accepted() -> Result<()> {
    let environment = TestEnvironment::get()?;
    let printed = run(&["crds"], &[])?;
    assert!(printed.status.success());
    let folder = tempfile::tempdir()?;
    let written = run(&["crds", "--output-dir", &folder.path().display().to_string()], &[])?;
    assert!(written.status.success() && written.stdout.is_empty());
    let one = tempfile::NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(one.path(), &printed.stdout)?;
    for what in [one.path(), folder.path()] {
        let path = what.display().to_string();
        let accepted = environment.kubectl().run(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--output=name",
            "-f",
            &path,
        ])?;
        let names: BTreeSet<&str> = accepted.lines().filter_map(|line| line.split('/').nth(1)).collect();
        let expected = ["changeapprovals", "eventtopics", "kafkaclusters", "tenants"]
            .map(|kind| format!("{kind}.eventcenter.io"));
        assert_eq!(names, expected.iter().map(String::as_str).collect(), "{accepted}");
    }
    let nowhere = run(&["crds", "--output-dir", "/nowhere/at/all"], &[])?;
    assert!(!nowhere.status.success() && complaint(&nowhere).contains("/nowhere/at/all"));
    Ok(())
}

#[tokio::test]
async fn each_line_of_a_json_log_is_one_object_that_names_its_resource() -> Result<()> {
    let site = Site::new("json-log").await?;
    let operator = site.operator("a", &["--log-format", "json"])?;
    site.declare("noted", json!({"deletionPolicy": "Delete"})).await?;
    site.ready("noted").await;
    site.delete("noted").await?;
    site.gone("noted").await;
    let output = operator.output()?;
    operator.stop()?;
    let mut named = 0;
    for line in output.lines() {
        let object: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        for field in ["timestamp", "level", "target"] {
            assert!(object[field].is_string(), "{field}: {line}");
        }
        if object["message"].as_str().is_some_and(|message| message.contains("changing Kafka")) {
            assert_eq!(object["span"]["name"], "reconcile", "{line}");
            assert_eq!(object["span"]["kind"], "EventTopic", "{line}");
            assert_eq!(object["span"]["resource"], "noted", "{line}");
            assert_eq!(object["span"]["namespace"], "json-log", "{line}");
            assert_eq!(object["span"]["tenant"], "json-log", "{line}");
            named += 1;
        }
    }
    assert_eq!(named, 2, "made and deleted: {output}");
    Ok(())
}

#[tokio::test]
async fn no_log_shows_a_password() -> Result<()> {
    let site = Site::new("no-password").await?;
    let kafka = TestEnvironment::get()?.sasl_bootstrap.clone();
    let secrets = Api::<Secret>::namespaced(site.client(), NAMESPACE);
    let (user, password) = xtask::kafka::USERS[0];
    let wrong = "wrong-but-secret-too";
    for (name, password) in [("right", password), ("wrong", wrong)] {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"username": user, "password": password},
        });
        let parameters = PatchParams::apply("tests").force();
        secrets.patch(name, &parameters, &Patch::Apply(&secret)).await?;
        let cluster = json!({
            "metadata": {"name": name},
            "spec": {"bootstrapServers": [kafka], "sasl": {"secret": {"name": name}}},
        });
        site.kafka_clusters().create(&PostParams::default(), &serde_json::from_value(cluster)?).await?;
    }
    let clusters = Patch::Merge(json!({"spec": {"clusters": [CLUSTER, "right", "wrong"]}}));
    site.tenants().patch("no-password", &PatchParams::default(), &clusters).await?;

    let operator = site.operator("a", &["--log", "debug"])?;
    site.cluster_is("right", "Available").await;
    site.cluster_is("wrong", "AuthenticationFailed").await;
    // One that lives in the shared broker, so it is taken away again.
    site.declare("held", json!({"cluster": "right", "deletionPolicy": "Delete"})).await?;
    site.ready("held").await;
    let rotated = Patch::Merge(json!({"stringData": {"password": password}}));
    secrets.patch("wrong", &PatchParams::default(), &rotated).await?;
    site.cluster_is("wrong", "Available").await;
    site.delete("held").await?;
    site.gone("held").await;
    let output = operator.output()?;
    assert!(output.contains("DEBUG"), "{output}");
    for secret in [password, wrong] {
        assert!(!output.contains(secret), "{secret} is in the log");
        let encoded = serde_json::to_value(k8s_openapi::ByteString(secret.into()))?;
        assert!(!output.contains(encoded.as_str().unwrap_or(secret)), "{secret} is in the log, encoded");
    }
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_say_what_is() -> Result<()> {
    let site = Site::new("health").await?;
    site.declare("known", json!({})).await?;
    site.api.set(Mode::Refuse);
    let operator = site.launch("a", &[], false)?;
    let get = |path: &str| operator.get(path).map(|(status, body)| (status, body.trim().to_owned()));
    site.eventually("it answers", LIMIT, async || get("/livez").ok_or("no")).await;
    // Nothing has been read, and nobody is known to lead: however often it has tried, it is not ready.
    site.eventually("it has tried again and again", LIMIT, async || {
        let (status, body) = get("/readyz").context("it answers")?;
        assert_eq!(status, 503, "{body}");
        assert_eq!(body, "not ready: see the log for the reason");
        assert_eq!(get("/livez").map(|(status, _)| status), Some(200));
        let tries = operator.output()?.matches("cannot acquire the Lease").count();
        anyhow::ensure!(tries >= 4, "{tries} tries");
        Ok(())
    })
    .await;
    let (status, metrics) = get("/metrics").context("it answers")?;
    assert_eq!(status, 200);
    assert!(metrics.contains("eventcenter_build_info{version="), "{metrics}");

    site.api.set(Mode::Pass);
    site.eventually("it is ready", LIMIT, async || match get("/readyz") {
        Some((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    site.topic("known", "Ready", LIMIT, |topic: &EventTopic| is_ready(topic)).await;
    // Gauges tell of the moment, in which something may just be under way.
    let expected = [
        "eventcenter_resources{kind=\"EventTopic\",condition=\"Ready\",status=\"True\",reason=\"Available\"} 1",
        "eventcenter_reconciles_total{kind=\"EventTopic\",outcome=\"Available\"}",
        "eventcenter_queue_depth{kind=\"EventTopic\"} 0",
        "eventcenter_change_in_force_seconds_count{kind=\"EventTopic\"} 1",
        "eventcenter_longest_running_reconcile_age_seconds 0",
        "eventcenter_kafka_requests_total{cluster=\"main\",operation=\"CreateTopics\",outcome=\"success\"} 1",
        "eventcenter_kafka_request_duration_seconds_bucket{le=",
        "eventcenter_kafka_request_topics_sum{cluster=\"main\",operation=\"CreateTopics\"} 1",
    ];
    let metrics = site
        .eventually("the metrics tell it", LIMIT, async || {
            let (_, metrics) = get("/metrics").unwrap_or_default();
            let missing: Vec<_> = expected.iter().filter(|name| !metrics.contains(**name)).collect();
            if missing.is_empty() { Ok(metrics) } else { Err(format!("without {missing:?}:\n{metrics}")) }
        })
        .await;
    assert!(metrics.ends_with("# EOF"), "{metrics}");
    assert_eq!(get("/nothing").map(|(status, _)| status), Some(404));
    Ok(())
}
