//! What is in Kafka and nobody registered.

use anyhow::{Context, Result};
use serde_json::json;

use crate::support::site::{CLUSTER, LIMIT, Site};

#[tokio::test]
async fn topics_that_nobody_registered_are_counted_and_named() -> Result<()> {
    let site = Site::new("unregistered").await?;
    site.make_foreign("unregistered.legacy").await?;
    site.make_foreign("elsewhere").await?;
    let operator = site.operator("a", &[])?;
    site.cluster_is(CLUSTER, "Available").await;
    site.declare("orders", json!({})).await?;
    site.declare("others", json!({})).await?;
    site.ready("others").await;
    let unmanaged = json!({"metadata": {"annotations": {"eventcenter.io/managed": "false"}}});
    site.topics().patch("others", &Default::default(), &kube::api::Patch::Merge(unmanaged)).await?;
    let told = async |expected: &[&str]| {
        site.eventually(&format!("{expected:?} are told"), LIMIT, async || {
            let cluster = site.kafka_clusters().get(CLUSTER).await.map_err(|error| error.to_string())?;
            let status = cluster.status.unwrap_or_default();
            let number = status.unregistered_topics == i64::try_from(expected.len()).ok();
            if number && status.unregistered == expected { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    };
    told(&["elsewhere", "unregistered.legacy"]).await;
    site.declare("legacy", json!({})).await?;
    told(&["elsewhere"]).await;
    site.make_foreign("another").await?;
    told(&["another", "elsewhere"]).await;
    let (_, metrics) = operator.get("/metrics").context("it answers")?;
    let gauge = "eventcenter_unregistered_topics{cluster=\"main\"} 2";
    assert!(metrics.lines().any(|line| line == gauge), "{metrics}");
    site.delete("legacy").await?;
    told(&["another", "elsewhere", "unregistered.legacy"]).await;
    Ok(())
}
