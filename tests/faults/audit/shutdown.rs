//! The last records of a process.

use anyhow::Result;
use eventcenter::domain::audit::{Action, Filter, LogName};

use crate::fixture::FaultFixture;
use crate::support::audit::{AuditLogs, has_record};

#[tokio::test]
async fn the_last_actions_are_recorded_before_the_process_ends() -> Result<()> {
    let t = FaultFixture::new("itself").await?;
    let operator = t.parts.start_operator("a", &[])?;
    let data = operator.data().to_owned();
    let output = operator.output()?;
    assert!(output.contains("the database is ready"), "{output}");
    assert!(
        !output.contains("the database does not answer"),
        "the operator reads tables before they exist:\n{output}"
    );
    assert!(operator.stop()?.success());
    let filter = Filter { action: Some(Action::StopLeading.as_str().into()), ..Filter::default() };
    let records = AuditLogs::in_folder(&data).read(&LogName::platform(), &filter).await;
    assert!(has_record(&records, "Succeeded StopLeading Lease eventcenter-controllers"), "{records:#?}");
    assert!(records.iter().all(|record| record.actor.user == "a"), "{records:#?}");
    Ok(())
}
