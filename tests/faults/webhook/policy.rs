//! What the API server's policies enforce while no webhook is installed.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::FaultFixture;
use crate::support::{KubeClient, WriteMethod, cluster_scoped, until};

/// A fixture with the policies and without the webhook.
async fn policies(name: &'static str) -> Result<(FaultFixture, KubeClient)> {
    let t = FaultFixture::new(name).await?;
    let kube = t.kube.clone();
    t.parts.install_webhook(1)?;
    t.stage.kubectl().run(&[
        "delete",
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        "--all",
    ])?;
    // The API server compiles policies in the background.
    let (claim, name) = (tenant("probe", json!({"namespaces": [name]})), name.to_owned());
    until(async || match kube.write(&claim, WriteMethod::DryRun).await {
        answer if answer.message().contains(&format!("belongs to tenant {name}")) => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await
    .map_err(anyhow::Error::msg)?;
    Ok((t, kube))
}

fn tenant(name: &str, spec: Value) -> Value {
    cluster_scoped("Tenant", name, spec)
}

#[tokio::test]
async fn namespaces_and_prefixes_of_tenants_do_not_overlap() -> Result<()> {
    let (_t, kube) = policies("apart").await?;
    let assert_refused = async |spec: Value, expected: &str| {
        for method in WriteMethod::ALL {
            let answer = kube.write(&tenant("other", spec.clone()), method).await;
            assert_eq!(answer.status, 403, "{answer:?}");
            assert!(answer.message().contains(expected), "{}", answer.message());
        }
    };
    assert_refused(
        json!({"namespaces": ["free", "apart"]}),
        "ResourceConflict: spec.namespaces: apart belongs to tenant apart. Take it out of one of the two tenants",
    )
    .await;
    // Kafka does not distinguish `.` and `_` in the names of topics.
    for prefix in ["apart.more.", "ap.", "apart.", "apart_", "apart_more-"] {
        let expected =
            format!("ResourceConflict: spec.topicPrefix: {prefix} overlaps with apart. of tenant apart");
        if prefix == "ap." {
            kube.assert_accepted(&tenant("other", json!({"topicPrefix": prefix}))).await;
        } else {
            assert_refused(json!({"topicPrefix": prefix}), &expected).await;
        }
    }
    // The default prefix of the tenant is its name: `apart-x.` does not overlap with `apart.`.
    kube.assert_accepted(&tenant("apart-x", json!({"namespaces": ["free"]}))).await;

    // An older tenant cannot take the namespace of a younger one either. Unchanged fields are not checked.
    kube.apply(&tenant("younger", json!({"namespaces": ["young"], "description": "a"}))).await;
    let claim = tenant("apart", json!({"namespaces": ["apart", "young"]}));
    let answer = until(async || match kube.write(&claim, WriteMethod::DryRun).await {
        answer if answer.status == 403 => Ok(answer),
        answer => Err(format!("{answer:?}")),
    });
    let answer = answer.await.map_err(anyhow::Error::msg)?;
    assert!(answer.message().contains("young belongs to tenant younger"), "{}", answer.message());
    kube.apply(&tenant("apart", json!({"namespaces": ["apart"], "description": "changed"}))).await;
    Ok(())
}

/// Lists of the maximum length stay within the API server's cost limit of policies.
#[tokio::test]
async fn the_largest_tenants_can_be_compared() -> Result<()> {
    let (_t, kube) = policies("large").await?;
    let names = |start: &str| -> Vec<String> {
        (0..512).map(|number| format!("{start}-{}-{number:03}", "n".repeat(40))).collect()
    };
    let mut with_last = names("b");
    kube.apply(&tenant("first", json!({"namespaces": names("a")}))).await;
    kube.assert_accepted(&tenant("second", json!({"namespaces": with_last}))).await;
    with_last[511] = names("a").remove(511);
    let answer = until(async || {
        match kube.write(&tenant("second", json!({"namespaces": with_last})), WriteMethod::DryRun).await {
            answer if answer.status == 403 => Ok(answer),
            answer => Err(format!("{answer:?}")),
        }
    });
    let answer = answer.await.map_err(anyhow::Error::msg)?;
    assert!(answer.message().contains("belongs to tenant first"), "{}", answer.message());
    Ok(())
}

#[tokio::test]
async fn a_topic_keeps_the_kafka_topic_of_its_status() -> Result<()> {
    let (t, _kube) = policies("stays").await?;
    let operator = t.parts.start_operator("a", &[])?;
    t.topic("orders").apply(json!({})).await;
    t.topic("orders").wait_until_ready().await;
    // The API server compiles each policy by itself.
    let patch = ["patch", "etopic", "orders", "-n", "stays", "--subresource=status", "--type=merge", "-p"];
    let probe = [&patch[..], &["{\"status\": {\"cluster\": null}}", "--dry-run=server"]].concat();
    t.eventually("the policy is in force", async || match t.stage.kubectl().run(&probe) {
        Err(error) if format!("{error:#}").contains("NotSupported: status.") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    for status in [
        json!({"topicName": "stays.other"}),
        json!({"topicName": null}),
        json!({"cluster": "other"}),
        json!({"cluster": null}),
    ] {
        let patch = json!({"status": status});
        let arguments =
            ["patch", "etopic", "orders", "-n", "stays", "--subresource=status", "--type=merge", "-p"];
        let result = t.stage.kubectl().run(&[&arguments[..], &[&patch.to_string()]].concat());
        let error = format!("{:#}", result.expect_err("the request is refused"));
        assert!(error.contains("NotSupported: status."), "{error}");
        assert!(error.contains("an EventTopic cannot become another Kafka topic"), "{error}");
    }
    // The operator itself can still write the status.
    t.set_kafka_config("orders", "retention.ms", "1000").await;
    t.topic("orders")
        .wait_for("status.lastDrift is set", |topic| {
            topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
        })
        .await;
    assert!(operator.stop()?.success());
    Ok(())
}
