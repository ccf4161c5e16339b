//! Claims runs that are due, and starts their attempts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::claims::{Claims, Stop};
use super::execution::{Execution, Plan};
use super::metrics::Metrics;
use super::options::Options;
use super::renewer::Renewer;
use super::reporter::Ended;
use crate::domain::task::{AttemptEnd, AttemptResult, Executor};
use crate::error_chain::ErrorChain;
use crate::store::{ClaimedRun, FinishedAttempt, Runs, Subscription, Then};

/// How long to wait for a signal before looking for due runs anyway.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time between two claims, in which further runs become due.
const MIN_INTERVAL: Duration = Duration::from_millis(5);
/// Delay after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Claims runs.
pub(super) struct Claimer {
    pub(super) runs: Runs,
    pub(super) claims: Arc<Claims>,
    pub(super) renewer: Arc<Renewer>,
    pub(super) execution: Arc<Execution>,
    pub(super) results: mpsc::UnboundedSender<Ended>,
    pub(super) metrics: Metrics,
    pub(super) options: Options,
    pub(super) clock: fn() -> Timestamp,
}

impl Claimer {
    /// Claims runs until `stop` is cancelled. A claim that has begun is completed: its runs would be lost until it expires.
    pub(super) async fn run(&self, mut signal: Subscription, stop: &CancellationToken) {
        let mut failures: u64 = 0;
        while !stop.is_cancelled() {
            let room = tokio::select! {
                room = self.claims.wait_for_room() => room,
                () = stop.cancelled() => return,
            };
            let delay = match self.claim(room, failures).await {
                Ok(delay) => delay,
                Err(error) => {
                    self.metrics.count_store_error("claim");
                    tracing::warn!(error = %ErrorChain(&error), "runs were not claimed; retrying");
                    failures += 1;
                    RETRY_DELAY
                }
            };
            let wake = async {
                sleep(MIN_INTERVAL).await;
                signal.notified().await;
            };
            tokio::select! {
                () = sleep(delay.max(MIN_INTERVAL)) => {}
                () = wake => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Claims runs, starts them, and returns when to look again.
    async fn claim(&self, room: usize, failures: u64) -> Result<Duration, crate::store::Error> {
        // A failed claim may have been committed. Its runs are taken over under another name, and those that this runner executes
        // are renewed before that.
        let name: Arc<str> = match failures {
            0 => self.options.name.as_str().into(),
            number => format!("{}-{number}", self.options.name).into(),
        };
        self.renewer.renew_if_late().await?;
        let now = (self.clock)();
        let claimed = self.runs.claim(&name, now, room, self.options.lease).await?;
        let is_full = claimed.len() >= room;
        for one in claimed {
            self.start(one, &name, now);
        }
        if is_full {
            return Ok(Duration::ZERO);
        }
        let next = self.runs.next_due(Executor::Runner).await?;
        let until_due =
            |due: Timestamp| Duration::try_from(due.duration_since((self.clock)())).unwrap_or_default();
        Ok(next.map_or(POLL_INTERVAL, until_due).min(POLL_INTERVAL))
    }

    /// Starts the attempt of a claimed run.
    fn start(&self, claimed: ClaimedRun, name: &Arc<str>, now: Timestamp) {
        let ClaimedRun { run, attempt, is_taken_over } = claimed;
        if is_taken_over {
            self.metrics.count_takeover();
        } else {
            let lateness = Duration::try_from(now.duration_since(run.due_at)).unwrap_or_default();
            self.metrics.observe_lateness(lateness);
        }
        let key = (run.id, attempt);
        let stopped = self.claims.insert(key, Arc::clone(name));
        let (execution, claims) = (Arc::clone(&self.execution), Arc::clone(&self.claims));
        let (results, clock, metrics) = (self.results.clone(), self.clock, self.metrics.clone());
        let runner = name.to_string();
        tokio::spawn(async move {
            let begin = Instant::now();
            let plan = Plan::of(&run);
            let executed = AssertUnwindSafe(execution.execute(&run, &plan, attempt)).catch_unwind();
            let result = tokio::select! {
                result = executed => result.unwrap_or_else(|_| {
                    tracing::error!(run = %run.id, "panic while executing a run");
                    AttemptResult::failed("the runner failed: its log has details")
                }),
                stop = stopped => match stop {
                    Ok(Stop::Cancel) => AttemptResult::with_message(AttemptEnd::Cancelled, "cancelled while it was running"),
                    Ok(Stop::Abandon) | Err(_) => {
                        metrics.count_lost_claim();
                        tracing::info!(run = %run.id, attempt, "an attempt was abandoned");
                        claims.remove(key);
                        return;
                    }
                },
            };
            let AttemptResult { end, outcome } = result;
            let at = clock();
            let retry = end.retry_delay(&plan.retry(), attempt);
            let due_at = retry.map(|delay| at.saturating_add(delay).unwrap_or(at));
            let ended = Ended {
                tenant: run.task.tenant.to_string(),
                target: plan.target(),
                duration: begin.elapsed(),
                attempt: FinishedAttempt {
                    id: run.id,
                    attempt,
                    at,
                    state: end.state(),
                    outcome,
                    executed_by: None,
                    runner: Some(runner),
                    then: due_at.map_or(Then::End, |due_at| Then::Retry { due_at }),
                },
            };
            // An error means that the runner has stopped: the claim was given up.
            drop(results.send(ended));
        });
    }
}
