//! Renews all claims with one statement, and learns which of them are lost or to be cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::claims::{Claims, Stop};
use super::metrics::Metrics;
use crate::error_chain::ErrorChain;
use crate::store::{Claim, Error, Runs, Subscription};

/// Minimum time between two renewals that a signal causes: it also announces new runs, many times a second.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Delay after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Renews the claims.
pub(super) struct Renewer {
    runs: Runs,
    claims: Arc<Claims>,
    lease: Duration,
    metrics: Metrics,
    /// When the last successful renewal began.
    renewed: Mutex<Instant>,
}

impl Renewer {
    pub(super) fn new(runs: Runs, claims: Arc<Claims>, lease: Duration, metrics: Metrics) -> Self {
        Self { runs, claims, lease, metrics, renewed: Mutex::new(Instant::now()) }
    }

    /// Renews at an interval, and after a signal, until dropped.
    pub(super) async fn run(&self, mut signal: Subscription) {
        loop {
            let delay = match self.renew().await {
                Ok(()) => self.lease / 3,
                Err(_) => RETRY_DELAY,
            };
            let signalled = async {
                sleep(MIN_INTERVAL.min(delay)).await;
                signal.notified().await;
            };
            tokio::select! {
                () = sleep(delay) => {}
                () = signalled => {}
            }
        }
    }

    /// Renews the claims, unless that has been done recently. A process that was paused renews before it claims: otherwise it would
    /// take over its own runs.
    pub(super) async fn renew_if_late(&self) -> Result<(), Error> {
        let is_late = self.renewed.lock().await.elapsed() > self.lease / 2;
        if is_late { self.renew().await } else { Ok(()) }
    }

    /// Renews all claims.
    pub(super) async fn renew(&self) -> Result<(), Error> {
        let mut renewed = self.renewed.lock().await;
        let begin = Instant::now();
        for (runner, keys) in self.claims.by_runner() {
            let answers = match self.runs.renew(&runner, &keys, self.lease).await {
                Ok(answers) => answers,
                Err(error) => {
                    self.metrics.count_store_error("renew");
                    tracing::warn!(error = %ErrorChain(&error), "claims of runs were not renewed; retrying");
                    return Err(error);
                }
            };
            for (key, answer) in keys.into_iter().zip(answers) {
                match answer.claim {
                    Claim::Kept => {}
                    Claim::CancelRequested => self.claims.stop(key, Stop::Cancel),
                    // Also the answer if its result was stored meanwhile, and then nothing is left to stop.
                    Claim::Lost => self.claims.stop(key, Stop::Abandon),
                }
            }
        }
        *renewed = begin;
        Ok(())
    }
}
