//! Stores the results of attempts, many with one transaction.
//!
//! A result that the database has not accepted is kept, and the claim with it, until the database answers. Only if another runner
//! has taken the run over meanwhile is the result dropped: the database then refuses it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::claims::{Claims, Key};
use super::metrics::Metrics;
use super::platform::Platform;
use crate::domain::task::Outcome;
use crate::error_chain::ErrorChain;
use crate::store::{Error, FinishedAttempt, Runs, Then};

/// How long results are collected.
const COLLECTION: Duration = Duration::from_millis(3);
/// The number of results with which the collection ends.
const MAX_BATCH: usize = 100;
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// A result to be stored.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) attempt: FinishedAttempt,
    /// The tenant of the run.
    pub(super) tenant: String,
    /// The kind of the target.
    pub(super) target: &'static str,
    /// How long the attempt took.
    pub(super) duration: Duration,
}

/// Stores results.
pub(super) struct Reporter {
    pub(super) runs: Runs,
    pub(super) claims: Arc<Claims>,
    pub(super) platform: Arc<Platform>,
    pub(super) metrics: Metrics,
}

impl Reporter {
    /// Stores results until the channel is closed and empty. The channel is bounded by the number of claims.
    pub(super) async fn run(&self, mut results: mpsc::UnboundedReceiver<Ended>) {
        while let Some(first) = results.recv().await {
            let mut batch = vec![first];
            let end = Instant::now() + COLLECTION;
            while batch.len() < MAX_BATCH
                && let Ok(Some(next)) = timeout_at(end, results.recv()).await
            {
                batch.push(next);
            }
            self.store(batch).await;
        }
    }

    /// Stores a batch. A result that the database rejects does not keep it from the others.
    async fn store(&self, batch: Vec<Ended>) {
        let Err(rejected) = self.finish(&batch).await else { return };
        tracing::error!(error = %ErrorChain(&rejected), "the database rejects results of runs; storing them one by one");
        for mut result in batch {
            let Err(error) = self.finish(std::slice::from_ref(&result)).await else { continue };
            let message = Some(format!("the result cannot be stored: {}", ErrorChain(&error)));
            result.attempt.outcome = Outcome { message, ..Outcome::default() };
            if let Err(error) = self.finish(std::slice::from_ref(&result)).await {
                let run = result.attempt.id;
                tracing::error!(%run, error = %ErrorChain(&error), "a result cannot be stored; the run is repeated");
                self.claims.remove(key(&result.attempt));
            }
        }
    }

    /// Stores results, and retries while the database is unavailable. An error is one that a retry does not resolve.
    async fn finish(&self, batch: &[Ended]) -> Result<(), Error> {
        let attempts: Vec<FinishedAttempt> = batch.iter().map(|result| result.attempt.clone()).collect();
        let mut delay = MIN_RETRY_DELAY;
        let accepted = loop {
            match self.runs.finish_attempt(&attempts).await {
                Ok(accepted) => break accepted,
                Err(error @ Error::Unavailable { .. }) => {
                    self.metrics.count_store_error("finish");
                    tracing::warn!(error = %ErrorChain(&error), results = batch.len(), "results of runs are not stored; retrying");
                }
                Err(error) => {
                    self.metrics.count_store_error("finish");
                    return Err(error);
                }
            }
            sleep(delay).await;
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        };
        let tenants = self.platform.tenants();
        for result in batch {
            let FinishedAttempt { id, state, then, .. } = &result.attempt;
            self.claims.remove(key(&result.attempt));
            if !accepted.contains(id) {
                // After a failed commit it may have been stored before.
                self.metrics.count_lost_claim();
                tracing::info!(run = %id, "the database has this result already, or another runner has the run");
                continue;
            }
            let outcome = match then {
                Then::End => state.as_str(),
                Then::Retry { .. } => "Retried",
            };
            let tenant = tenants.by_name(&result.tenant).map(|tenant| tenant.name.as_str());
            self.metrics.count_attempt(tenant, result.target, outcome, result.duration);
        }
        Ok(())
    }
}

fn key(attempt: &FinishedAttempt) -> Key {
    (attempt.id, attempt.attempt)
}
