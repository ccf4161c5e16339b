//! Kafka topics that no EventTopic declares.

use anyhow::Result;

use crate::fixture::{FaultFixture, metric};

#[tokio::test]
async fn unregistered_topics_are_counted_and_listed() -> Result<()> {
    let t = FaultFixture::new("unregistered").await?;
    t.stage.kafka.create("unregistered.legacy", 1, &[]).await;
    t.stage.kafka.create("elsewhere", 1, &[]).await;
    let operator = t.parts.start_operator("a", &[])?;
    t.topic("orders").apply_and_wait("{}").await;
    t.topic("others").apply_and_wait("{}").await;
    t.topic("others").annotate("managed", Some("false")).await;
    let wait_for_unregistered = async |expected: &[&str]| {
        t.cluster()
            .wait_for(&format!("status.unregistered is {expected:?}"), |cluster| {
                let status = cluster.status.clone().unwrap_or_default();
                let number = i64::try_from(expected.len()).ok();
                status.unregistered_topics == number && status.unregistered == expected
            })
            .await;
    };
    wait_for_unregistered(&["elsewhere", "unregistered.legacy"]).await;
    t.topic("legacy").apply("{}").await;
    wait_for_unregistered(&["elsewhere"]).await;
    t.stage.kafka.create("another", 1, &[]).await;
    wait_for_unregistered(&["another", "elsewhere"]).await;
    let gauge = metric(&operator, "eventcenter_unregistered_topics", &["cluster=\"main\""]);
    assert_eq!(gauge, Some(2.0));
    t.topic("legacy").delete().await;
    wait_for_unregistered(&["another", "elsewhere", "unregistered.legacy"]).await;
    Ok(())
}
