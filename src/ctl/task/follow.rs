//! Waiting for the end of a run.

use std::time::Duration;

use eventcenter_sdk::rest::schedule::{Run, RunDetail};
use uuid::Uuid;

use super::super::output::{Answer, print_note, print_warning, render_error};
use super::super::terminal::plain;
use super::job_log_client::JobLogClient;
use super::run_table::summary;

/// Interval at which a run is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum interval while the server is unavailable.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Reads a run again and again until it has ended. Calls `changed` with each version.
pub(super) async fn poll(
    client: &JobLogClient,
    run: Uuid,
    mut changed: impl AsyncFnMut(&RunDetail) -> anyhow::Result<()>,
) -> anyhow::Result<Run> {
    let mut wait = POLL_INTERVAL;
    let mut before: Option<RunDetail> = None;
    loop {
        match client.run(run).await {
            Ok(detail) => {
                wait = POLL_INTERVAL;
                if before.as_ref() != Some(&detail) {
                    changed(&detail).await?;
                }
                if detail.run.has_ended() {
                    return Ok(detail.run);
                }
                before = Some(detail);
            }
            Err(error) if error.is_retriable() => {
                if wait == POLL_INTERVAL {
                    print_warning(&format!("{}; retrying", render_error(&error.into())));
                }
                wait = (wait * 2).min(MAX_RETRY_INTERVAL);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(wait).await;
    }
}

/// Waits for the end of a run, and reports its progress on standard error. The answer is yes if it has succeeded.
pub(super) async fn wait_for_end(client: &JobLogClient, run: Uuid) -> anyhow::Result<Answer> {
    let mut shown = String::new();
    let ended = poll(client, run, async |detail| {
        let line = progress(detail);
        if line != shown && !detail.run.has_ended() {
            print_note(&line);
            shown = line;
        }
        Ok(())
    });
    let ended = ended.await?;
    Ok(Answer { yes: ended.state == "Succeeded", text: summary(&ended) })
}

/// One line about a run that has not ended.
fn progress(detail: &RunDetail) -> String {
    let run = &detail.run;
    let attempt = match detail.attempts.last() {
        Some(attempt) if attempt.ended_at.is_none() => format!(", attempt {}", attempt.number),
        Some(attempt) => format!(", attempt {} {}", attempt.number, attempt.state),
        None => String::new(),
    };
    let message = run.message.as_deref().map(|message| format!(": {}", plain(message)));
    format!("{}{attempt}{}", run.state, message.unwrap_or_default())
}
