//! The default KafkaCluster, on an API server of its own: every other test needs the default of its API server.

use anyhow::Result;
use eventcenter::api::KafkaCluster;
use serde_json::json;

use crate::fixture::{CLUSTER, FaultFixture};
use crate::support::message;

#[tokio::test]
async fn a_topic_without_a_default_waits_for_one_and_then_keeps_its_cluster() -> Result<()> {
    let t = FaultFixture::new("defaults").await?;
    let set_default = async |name: &str, default: bool| {
        t.resource::<KafkaCluster>(name).patch_spec(json!({"default": default})).await
    };
    // Watches of two kinds are not ordered: a running operator might see the topic first, and create it on the cluster that
    // it still knows as the default.
    set_default(CLUSTER, false).await;
    let _operator = t.parts.start_operator("only", &[])?;
    t.topic("orders").apply("{}").await;
    let refused = t.topic("orders").wait_for_condition("Ready=False ClusterNotFound").await;
    assert_eq!(
        message(&refused, "Reconciling"),
        "spec.cluster is not set and no KafkaCluster has spec.default: true: name a cluster, or ask the platform's \
         administrator for a default"
    );
    assert!(t.kafka_topic("orders").await.is_none());
    set_default(CLUSTER, true).await;
    t.topic("orders").wait_until_ready().await;

    // Another default is for new topics; this one keeps its cluster.
    let other = json!({"bootstrapServers": [t.parts.bootstrap()], "default": true});
    t.resource::<KafkaCluster>("other").apply(other).await;
    set_default(CLUSTER, false).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    let text = message(&refused, "Stalled");
    assert!(
        text.starts_with("spec.cluster: the topic lives in cluster main and would now live in other"),
        "{text}"
    );
    set_default("other", false).await;
    set_default(CLUSTER, true).await;
    t.topic("orders").wait_until_ready().await;
    Ok(())
}
