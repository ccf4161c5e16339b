//! Updates the inverted index concurrently to writes. Searches scan what is not indexed yet.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::LogName;
use crate::store::{Audit, Error};

/// Capacity of the queue of logs with a complete segment. The next sweep finds further ones.
pub(super) const QUEUE_CAPACITY: usize = 64;
/// Interval of the search for logs that are not indexed, because another replica was killed or the database was unavailable.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Indexes complete segments until stopped, or until the journal is dropped.
pub(super) async fn run(audit: Audit, mut completed: mpsc::Receiver<LogName>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let indexing = async {
        loop {
            let logs = tokio::select! {
                log = completed.recv() => match log {
                    Some(log) => Ok(vec![log]),
                    None => return,
                },
                _ = sweep.tick() => audit.list_unindexed_logs().await,
            };
            match logs {
                Ok(logs) => {
                    for log in logs {
                        index_log(&audit, &log).await.unwrap_or_else(|error| log_failure(&error, &log));
                    }
                }
                Err(error) => tracing::debug!(error = error.chain(), "listing logs to index"),
            }
        }
    };
    tokio::select! {
        () = indexing => {}
        () = stop.cancelled() => {}
    }
}

/// Indexes a log, during at most half of the time: commits take precedence.
async fn index_log(audit: &Audit, log: &LogName) -> Result<(), Error> {
    loop {
        let start = Instant::now();
        if !audit.index_next_segment(log).await? {
            return Ok(());
        }
        tokio::time::sleep(start.elapsed()).await;
    }
}

/// Logs a failure, which the next sweep retries. The writer already warns about an unavailable database.
fn log_failure(error: &Error, log: &LogName) {
    match error {
        Error::Unavailable { .. } => {
            tracing::debug!(error = error.chain(), %log, "the index waits for the database")
        }
        _ => {
            tracing::error!(error = error.chain(), %log, "indexing a log failed: searches in it take longer")
        }
    }
}
