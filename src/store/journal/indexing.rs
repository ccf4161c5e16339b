//! Keeping the index up with the log, beside the writing: what is not in it yet is found all the same, only slower.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::LogName;
use crate::store::{Audit, Error};

/// Logs that wait to be indexed; others are found later.
pub(super) const QUEUE: usize = 64;
/// How often it is looked for logs that were missed: another replica was killed, or the database was away.
const SWEEP: Duration = Duration::from_secs(60);

/// Indexes what is complete, until it is told to stop or nobody writes any more.
pub(super) async fn run(audit: Audit, mut completed: mpsc::Receiver<LogName>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let indexing = async {
        loop {
            let logs = tokio::select! {
                log = completed.recv() => match log {
                    Some(log) => Ok(vec![log]),
                    None => return,
                },
                _ = sweep.tick() => audit.to_be_indexed().await,
            };
            match logs {
                Ok(logs) => {
                    for log in logs {
                        index(&audit, &log).await.unwrap_or_else(|error| tell(&error, &log));
                    }
                }
                Err(error) => tracing::debug!(error = error.chain(), "looking for what is to be indexed"),
            }
        }
    };
    tokio::select! {
        () = indexing => {}
        () = stop.cancelled() => {}
    }
}

/// For no more than half of the time: whoever waits for a commit goes first.
async fn index(audit: &Audit, log: &LogName) -> Result<(), Error> {
    loop {
        let begun = Instant::now();
        if !audit.index_next(log).await? {
            return Ok(());
        }
        tokio::time::sleep(begun.elapsed()).await;
    }
}

/// Nothing is lost, and it is tried again: that the database is away is told by who writes.
fn tell(error: &Error, log: &LogName) {
    match error {
        Error::Away { .. } => {
            tracing::debug!(error = error.chain(), %log, "the index waits for the database")
        }
        _ => {
            tracing::error!(error = error.chain(), %log, "a log cannot be indexed: searches in it take longer")
        }
    }
}
