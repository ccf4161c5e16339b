//! What the operator does for itself: leading, certificates and keys.

use anyhow::Result;
use eventcenter::domain::audit::{Action, Filter, LogName, Record};
use xtask::kubectl::NAMESPACE;

use crate::support::audit::Logs;
use crate::support::site::Site;

fn told(record: &Record) -> String {
    let target = record.target.as_ref().map(|target| format!("{} {}", target.kind, target.name));
    format!("{} {} {} by {}", record.outcome, record.action, target.unwrap_or_default(), record.actor.user)
}

fn has(records: &[Record], action: Action, text: &str) -> bool {
    records.iter().any(|record| record.action == action.as_str() && told(record) == text)
}

#[tokio::test]
async fn what_the_operator_does_for_itself_is_in_the_platforms_log() -> Result<()> {
    let site = Site::new("itself").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    // Whatever another test has left there: this operator is the first.
    let secrets = ["eventcenter-seal-webhook", "eventcenter-seal-controllers", "eventcenter-webhook"];
    let delete = ["delete", "secret", "-n", NAMESPACE, "--ignore-not-found"];
    site.kubectl().run(&[&delete[..], &secrets].concat())?;
    let listen = format!("127.0.0.1:{port}");
    let roles = ["--roles", "controllers,webhook", "--webhook-listen", &listen, "--webhook-drain", "100ms"];
    let operator = site.operator("a", &roles)?;
    let data = operator.data().to_owned();
    let (logs, log, all) = (Logs::of(&data), LogName::platform(), Filter::default());
    let expected = [
        (Action::Lead, "Succeeded Lead Lease eventcenter-controllers by a"),
        (Action::MakeKey, "Succeeded MakeKey Secret eventcenter-seal-webhook by a"),
        (Action::MakeKey, "Succeeded MakeKey Secret eventcenter-seal-controllers by a"),
        (Action::RenewCertificate, "Succeeded RenewCertificate Secret eventcenter-webhook by a"),
        (
            Action::RenewCertificate,
            "Succeeded RenewCertificate ValidatingWebhookConfiguration eventcenter by a",
        ),
        (
            Action::RenewCertificate,
            "Succeeded RenewCertificate MutatingWebhookConfiguration eventcenter by a",
        ),
    ];
    let records = logs
        .wait(&log, &all, |records| expected.iter().all(|(action, text)| has(records, *action, text)))
        .await;
    for record in &records {
        let text = serde_json::to_string(record)?;
        assert!(!text.contains("PRIVATE KEY") && !text.contains("\"seed\""), "{text}");
    }
    assert!(operator.stop()?.success());
    // What came last was written before the process ended.
    let records = logs.read(&log, &all).await;
    let left = "Succeeded StopLeading Lease eventcenter-controllers by a";
    assert!(has(&records, Action::StopLeading, left), "{records:#?}");
    Ok(())
}
