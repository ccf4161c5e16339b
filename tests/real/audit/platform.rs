//! The records of the operator's own Leases, certificates and keys.

use anyhow::Result;
use eventcenter::domain::audit::{Filter, LogName};

use crate::stage;
use crate::support::audit::has_record;

/// No other operator ran in that cluster before.
#[tokio::test]
async fn the_operators_own_actions_are_in_the_platforms_log() -> Result<()> {
    let expected = [
        "Succeeded Lead Lease eventcenter-controllers",
        "Succeeded MakeKey Secret eventcenter-seal-webhook",
        "Succeeded MakeKey Secret eventcenter-seal-controllers",
        "Succeeded RenewCertificate Secret eventcenter-webhook",
        "Succeeded RenewCertificate ValidatingWebhookConfiguration eventcenter",
        "Succeeded RenewCertificate MutatingWebhookConfiguration eventcenter",
    ];
    let (log, all) = (LogName::platform(), Filter::default());
    let records = stage::webhook_logs()
        .wait(&log, &all, |records| expected.iter().all(|text| has_record(records, text)))
        .await;
    for record in &records {
        let text = serde_json::to_string(record)?;
        assert!(!text.contains("PRIVATE KEY") && !text.contains("\"seed\""), "{text}");
    }
    Ok(())
}
