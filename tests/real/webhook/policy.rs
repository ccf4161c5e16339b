//! What the API server keeps by itself while no webhook is installed.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::site::Site;
use crate::support::{Kube, Way, cluster_scoped, until};

/// A site where the policies are installed and nobody is asked.
async fn policies(name: &'static str) -> Result<(Site, Kube)> {
    let site = Site::new(name).await?;
    let kube = Kube::of(site.client());
    site.install_webhook(1)?;
    site.kubectl().run(&[
        "delete",
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        "--all",
    ])?;
    // The API server compiles them in the background: wait until one of each answers.
    let (claim, name) = (tenant("probe", json!({"namespaces": [name]})), name.to_owned());
    until(async || match kube.ask(&claim, Way::DryRun).await {
        answer if answer.message().contains(&format!("belongs to tenant {name}")) => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await
    .map_err(anyhow::Error::msg)?;
    Ok((site, kube))
}

fn tenant(name: &str, spec: Value) -> Value {
    cluster_scoped("Tenant", name, spec)
}

#[tokio::test]
async fn namespaces_and_prefixes_of_tenants_are_apart() -> Result<()> {
    let (_site, kube) = policies("apart").await?;
    let refused = async |spec: Value, words: &str| {
        for way in Way::ALL {
            let answer = kube.ask(&tenant("other", spec.clone()), way).await;
            assert_eq!(answer.status, 422, "{answer:?}");
            assert!(answer.message().contains(words), "{}", answer.message());
        }
    };
    refused(
        json!({"namespaces": ["free", "apart"]}),
        "ResourceConflict: spec.namespaces: apart belongs to tenant apart. Take it out of one of the two tenants",
    )
    .await;
    for prefix in ["apart.more.", "ap.", "apart."] {
        let words =
            format!("ResourceConflict: spec.topicPrefix: {prefix} overlaps with apart. of tenant apart");
        if prefix == "ap." {
            kube.accepts(&tenant("other", json!({"topicPrefix": prefix}))).await;
        } else {
            refused(json!({"topicPrefix": prefix}), &words).await;
        }
    }
    // By its name: `apart-` has no prefix of its own, so its topics begin with `apart-x.`, which is another.
    kube.accepts(&tenant("apart-x", json!({"namespaces": ["free"]}))).await;

    // An older tenant may not take a younger one's either, and what did not change is held against nobody.
    kube.apply(&tenant("younger", json!({"namespaces": ["young"], "description": "a"}))).await;
    let claim = tenant("apart", json!({"namespaces": ["apart", "young"]}));
    let answer = until(async || match kube.ask(&claim, Way::DryRun).await {
        answer if answer.status == 422 => Ok(answer),
        answer => Err(format!("{answer:?}")),
    });
    let answer = answer.await.map_err(anyhow::Error::msg)?;
    assert!(answer.message().contains("young belongs to tenant younger"), "{}", answer.message());
    kube.apply(&tenant("apart", json!({"namespaces": ["apart"], "description": "changed"}))).await;
    Ok(())
}

/// Lists as long as the definition allows cost the API server less than it gives a policy.
#[tokio::test]
async fn the_largest_tenants_can_be_compared() -> Result<()> {
    let (_site, kube) = policies("large").await?;
    let names = |start: &str| -> Vec<String> {
        (0..512).map(|number| format!("{start}-{}-{number:03}", "n".repeat(40))).collect()
    };
    let mut with_last = names("b");
    kube.apply(&tenant("first", json!({"namespaces": names("a")}))).await;
    kube.accepts(&tenant("second", json!({"namespaces": with_last}))).await;
    with_last[511] = names("a").remove(511);
    let answer = until(async || {
        match kube.ask(&tenant("second", json!({"namespaces": with_last})), Way::DryRun).await {
            answer if answer.status == 422 => Ok(answer),
            answer => Err(format!("{answer:?}")),
        }
    });
    let answer = answer.await.map_err(anyhow::Error::msg)?;
    assert!(answer.message().contains("belongs to tenant first"), "{}", answer.message());
    Ok(())
}

#[tokio::test]
async fn a_topic_stays_what_its_status_says() -> Result<()> {
    let (site, _kube) = policies("stays").await?;
    let operator = site.operator("a", &[])?;
    site.declare("orders", json!({})).await?;
    site.ready("orders").await;
    for status in [
        json!({"topicName": "stays.other"}),
        json!({"topicName": null}),
        json!({"cluster": "other"}),
        json!({"cluster": null}),
    ] {
        let patch = json!({"status": status});
        let words =
            ["patch", "etopic", "orders", "-n", "stays", "--subresource=status", "--type=merge", "-p"];
        let said = site.kubectl().run(&[&words[..], &[&patch.to_string()]].concat());
        let said = format!("{:#}", said.expect_err("it is refused"));
        assert!(said.contains("NotSupported: status."), "{said}");
        assert!(said.contains("an EventTopic cannot become another Kafka topic"), "{said}");
    }
    // The operator's own writes go on.
    site.meddle("orders", "retention.ms", "1000").await?;
    site.topic("orders", "put right", crate::support::site::LIMIT, |topic| {
        topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
    })
    .await;
    assert!(operator.stop()?.success());
    Ok(())
}
