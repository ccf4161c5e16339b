//! The operator as a process: its log, health and metrics.

use anyhow::{Context, Result};
use eventcenter::api::KafkaCluster;
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;

use crate::fixture::{CLUSTER, FaultFixture};
use crate::proxy::Mode;

#[tokio::test]
async fn each_line_of_a_json_log_is_one_object_that_names_its_resource() -> Result<()> {
    let t = FaultFixture::new("json-log").await?;
    let operator = t.parts.start_operator("a", &["--log-format", "json"])?;
    t.topic("orders").apply(json!({"deletionPolicy": "Delete"})).await;
    t.topic("orders").wait_until_ready().await;
    t.topic("orders").delete().await;
    t.topic("orders").wait_until_deleted().await;
    let output = operator.output()?;
    operator.stop()?;
    let mut changes = 0;
    for line in output.lines() {
        let object: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        for field in ["timestamp", "level", "target"] {
            assert!(object[field].is_string(), "{field}: {line}");
        }
        if object["message"].as_str().is_some_and(|message| message.contains("changing Kafka")) {
            assert_eq!(object["span"]["name"], "reconcile", "{line}");
            assert_eq!(object["span"]["kind"], "EventTopic", "{line}");
            assert_eq!(object["span"]["resource"], "orders", "{line}");
            assert_eq!(object["span"]["namespace"], "json-log", "{line}");
            assert_eq!(object["span"]["tenant"], "json-log", "{line}");
            changes += 1;
        }
    }
    assert_eq!(changes, 2, "created and deleted: {output}");
    Ok(())
}

#[tokio::test]
async fn no_log_shows_a_password() -> Result<()> {
    let t = FaultFixture::new("no-password").await?;
    let broker = t.parts.start_sasl_broker()?;
    let (user, password) = xtask::kafka::USERS[0];
    let wrong = "wrong-but-secret-too";
    let secret = |name: &str, password: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": {"username": user, "password": password},
        })
    };
    for (name, password) in [("right", password), ("wrong", wrong)] {
        t.kube.apply(&secret(name, password)).await;
        let spec = json!({"bootstrapServers": [broker.bootstrap()], "sasl": {"secret": {"name": name}}});
        t.resource::<KafkaCluster>(name).apply(spec).await;
    }
    t.tenant().patch_spec(json!({"clusters": [CLUSTER, "right", "wrong"]})).await;

    let operator = t.parts.start_operator("a", &["--log", "debug"])?;
    t.resource::<KafkaCluster>("right").wait_for_condition("Ready=True Available").await;
    t.resource::<KafkaCluster>("wrong").wait_for_condition("Ready=False AuthenticationFailed").await;
    t.topic("held").apply_and_wait("{cluster: right, deletionPolicy: Delete}").await;
    t.kube.apply(&secret("wrong", password)).await;
    t.resource::<KafkaCluster>("wrong").wait_for_condition("Ready=True Available").await;
    t.topic("held").delete_and_wait().await;
    let output = operator.output()?;
    assert!(output.contains("DEBUG"), "{output}");
    for secret in [password, wrong] {
        assert!(!output.contains(secret), "the log contains {secret}");
        let encoded = serde_json::to_value(k8s_openapi::ByteString(secret.into()))?;
        assert!(!output.contains(encoded.as_str().unwrap_or(secret)), "the log contains {secret} in base64");
    }
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_show_the_state() -> Result<()> {
    let t = FaultFixture::new("health").await?;
    t.topic("known").apply("{}").await;
    let before = t.parts.api_proxy.refused();
    t.parts.api_proxy.set(Mode::Refuse);
    let operator = t.parts.launch_operator("a", &[])?;
    let get = |path: &str| operator.get(path).map(|(status, body)| (status, body.trim().to_owned()));
    t.eventually("the operator answers", async || get("/livez").ok_or("no answer")).await;
    // The operator has listed no resources and does not lead, so it is not ready.
    t.eventually("the operator has tried to connect four times", async || {
        let (status, body) = get("/readyz").context("the operator answers")?;
        assert_eq!(status, 503, "{body}");
        assert_eq!(body, "not ready: see the log for the reason");
        assert_eq!(get("/livez").map(|(status, _)| status), Some(200));
        let tries = t.parts.api_proxy.refused() - before;
        anyhow::ensure!(tries >= 4, "{tries} tries");
        Ok(())
    })
    .await;
    let (status, metrics) = get("/metrics").context("the operator answers")?;
    assert_eq!(status, 200);
    assert!(metrics.contains("eventcenter_build_info{version="), "{metrics}");

    t.parts.api_proxy.set(Mode::Pass);
    t.wait_for_readyz(&operator, 200).await;
    t.topic("known").wait_until_ready().await;
    // A gauge may count a running reconcile, so this polls.
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
    let metrics = t
        .eventually("the metrics show the topic", async || {
            let (_, metrics) = get("/metrics").unwrap_or_default();
            let missing: Vec<_> = expected.iter().filter(|name| !metrics.contains(**name)).collect();
            if missing.is_empty() { Ok(metrics) } else { Err(format!("without {missing:?}:\n{metrics}")) }
        })
        .await;
    assert!(metrics.ends_with("# EOF"), "{metrics}");
    assert_eq!(get("/nothing").map(|(status, _)| status), Some(404));
    Ok(())
}
