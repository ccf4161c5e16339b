//! Approved changes take effect.

use std::time::Instant;

use anyhow::Result;
use eventcenter::domain::approval::Rules;
use serde_json::json;

use super::is_pending;
use crate::fixture::FaultFixture;
use crate::support::signer::{DecisionInput, WebhookSigner};

/// Without resyncs only the approval can trigger the reconcile that changes Kafka.
#[tokio::test]
async fn the_deciding_approval_takes_effect_without_a_resync() -> Result<()> {
    let t = FaultFixture::new("no-resync").await?;
    let approval = json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}]});
    let rules = Rules::parse(Some(&serde_json::from_value(approval.clone())?)).expect("rules");
    t.tenant().patch_spec(json!({ "approval": approval })).await;
    let webhook = WebhookSigner::new(t.kube.client()).await;
    let operator = t.parts.start_operator("a", &["--resync-interval", "24h"])?;
    let mut times = Vec::new();
    for number in 0..20 {
        let name = format!("topic-{number}");
        t.topic(&name).apply("{}").await;
        webhook.sign_request(&t.namespace, &name, "alice", &rules).await;
        t.topic(&name).wait_for_status("pending, with its requester", is_pending).await;
        webhook.decide(&t.namespace, &name, DecisionInput::approve("bob")).await;
        let begin = Instant::now();
        t.wait_for_kafka_topic(&name, "created", |_| true).await;
        times.push(begin.elapsed());
    }
    times.sort();
    println!(
        "from the approval to Kafka: median {:?}, p95 {:?}, maximum {:?}",
        times[10], times[18], times[19]
    );
    t.wait_for_metric(&operator, "eventcenter_approval_in_force_seconds_count", &[], 20.0).await;
    Ok(())
}
