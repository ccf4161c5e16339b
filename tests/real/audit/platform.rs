//! What the operator does for itself: leading, certificates and keys.

use anyhow::Result;
use eventcenter::domain::audit::{Action, Filter, LogName, Record};

use crate::support::Stage;
use crate::support::audit::Logs;
use crate::support::site::Site;

fn told(record: &Record) -> String {
    let target = record.target.as_ref().map(|target| format!("{} {}", target.kind, target.name));
    format!("{} {} {}", record.outcome, record.action, target.unwrap_or_default())
}

fn has(records: &[Record], text: &str) -> bool {
    records.iter().any(|record| told(record) == text)
}

/// Nobody was in that cluster before this operator.
#[tokio::test]
async fn what_the_operator_does_for_itself_is_in_the_platforms_log() -> Result<()> {
    let expected = [
        "Succeeded Lead Lease eventcenter-controllers",
        "Succeeded MakeKey Secret eventcenter-seal-webhook",
        "Succeeded MakeKey Secret eventcenter-seal-controllers",
        "Succeeded RenewCertificate Secret eventcenter-webhook",
        "Succeeded RenewCertificate ValidatingWebhookConfiguration eventcenter",
        "Succeeded RenewCertificate MutatingWebhookConfiguration eventcenter",
    ];
    let (log, all) = (LogName::platform(), Filter::default());
    let records = Stage::webhook_logs()
        .wait(&log, &all, |records| expected.iter().all(|text| has(records, text)))
        .await;
    for record in &records {
        let text = serde_json::to_string(record)?;
        assert!(!text.contains("PRIVATE KEY") && !text.contains("\"seed\""), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_last_is_recorded_before_the_process_ends() -> Result<()> {
    let site = Site::new("itself").await?;
    let operator = site.operator("a", &[])?;
    let data = operator.data().to_owned();
    let said = operator.output()?;
    assert!(said.contains("the database is ready"), "{said}");
    assert!(
        !said.contains("the database does not answer"),
        "tables that are not made yet are looked at:\n{said}"
    );
    assert!(operator.stop()?.success());
    let leaving = Filter { action: Some(Action::StopLeading.as_str().into()), ..Filter::default() };
    let records = Logs::of(&data).read(&LogName::platform(), &leaving).await;
    assert!(has(&records, "Succeeded StopLeading Lease eventcenter-controllers"), "{records:#?}");
    assert!(records.iter().all(|record| record.actor.user == "a"), "{records:#?}");
    Ok(())
}
