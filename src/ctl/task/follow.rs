//! Waiting for the end of a run.

use std::time::Duration;

use eventcenter_sdk::rest::schedule::{Attempt, Run, RunDetail};
use uuid::Uuid;

use super::super::output::{Answer, print_note, print_warning, render_error};
use super::super::terminal::plain;
use super::job_log_client::JobLogClient;
use super::run_table::{attempt_result, summary};

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
    let mut shown = Vec::new();
    let ended = poll(client, run, async |detail| {
        for line in progress(detail) {
            if !shown.contains(&line) {
                print_note(&line);
                shown.push(line);
            }
        }
        Ok(())
    });
    let ended = ended.await?;
    Ok(Answer { yes: ended.state == "Succeeded", text: summary(&ended) })
}

/// What has happened with a run so far, one line each: why it waits, and its attempts.
fn progress(detail: &RunDetail) -> Vec<String> {
    let RunDetail { run, attempts } = detail;
    if attempts.is_empty() {
        let is_waiting = run.state == "Queued";
        let message = run.message.as_deref().map(|message| format!(": {}", plain(message)));
        return is_waiting.then(|| format!("Queued{}", message.unwrap_or_default())).into_iter().collect();
    }
    // The end of the last attempt is the end of the run, which the command prints as its answer.
    let last = if run.has_ended() { attempts.len() - 1 } else { attempts.len() };
    attempts[..last].iter().flat_map(lines_of).collect()
}

fn lines_of(attempt: &Attempt) -> Vec<String> {
    let number = attempt.number;
    let ended = attempt.ended_at.map(|_| format!("attempt {number}: {}", attempt_result(attempt)));
    [format!("attempt {number} is running")].into_iter().chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use super::super::run_table::tests::run;
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    fn check(state: Value, attempts: Value, expected: Expect) {
        let attempts: Vec<Attempt> = serde_json::from_value(attempts).expect("attempts");
        expected.assert_eq(&progress(&RunDetail { run: run(state), attempts }).join("\n"));
    }

    #[test]
    fn progress_names_each_attempt_and_why_a_run_waits() {
        let failed = json!({
            "number": 1, "state": "Failed", "startedAt": "2026-11-21T08:00:00Z", "endedAt": "2026-11-21T08:00:02Z",
            "exitCode": 1, "message": "exit code 1",
        });
        let second = json!({"number": 2, "state": "Running", "startedAt": "2026-11-21T08:00:03Z"});
        check(json!({"state": "Ready", "attempts": 0}), json!([]), expect![""]);
        let waiting = json!({"state": "Queued", "attempts": 0, "message": "waits in group import; at most 1 of its runs run at once"});
        check(
            waiting,
            json!([]),
            expect!["Queued: waits in group import; at most 1 of its runs run at once"],
        );
        // The message of the run is still that of the first attempt.
        let running = json!({"state": "Running", "attempts": 2, "message": "exit code 1"});
        check(
            running,
            json!([failed, second]),
            expect![[r#"
            attempt 1 is running
            attempt 1: Failed (exit code 1)
            attempt 2 is running"#]],
        );
        check(json!({"state": "Failed", "attempts": 1}), json!([failed]), expect![""]);
    }
}
