//! The metrics of the runner.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the lateness, in seconds.
const LATENESS: [f64; 13] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    tenant: String,
    target: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// The metrics of the runner.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<AttemptLabels, Counter>,
    duration: Family<TargetLabels, Histogram>,
    lateness: Histogram,
    active: Gauge,
    takeovers: Counter,
    lost_claims: Counter,
    store_errors: Family<OperationLabels, Counter>,
}

impl Metrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.002, 2.5, 13))),
            lateness: Histogram::new(LATENESS),
            active: Gauge::default(),
            takeovers: Counter::default(),
            lost_claims: Counter::default(),
            store_errors: Family::default(),
        };
        registry.register(
            "runner_attempts",
            "Stored results of attempts by tenant, target and outcome (Retried, if another attempt follows)",
            metrics.attempts.clone(),
        );
        registry.register_with_unit(
            "runner_attempt_duration",
            "Time from the claim of a run until its result",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "runner_lateness",
            "Time from when an attempt was due until it was claimed",
            Unit::Seconds,
            metrics.lateness.clone(),
        );
        registry.register("runner_active", "Claimed runs whose result is not stored", metrics.active.clone());
        registry.register(
            "runner_takeovers",
            "Runs taken over from other runners",
            metrics.takeovers.clone(),
        );
        registry.register(
            "runner_lost_claims",
            "Claims that another runner took over from this one",
            metrics.lost_claims.clone(),
        );
        registry.register(
            "runner_store_errors",
            "Failed operations of the runner in the database",
            metrics.store_errors.clone(),
        );
        metrics
    }

    /// Counts a stored result. `tenant` is `None` for one that no longer exists, so that the number of labels is bounded.
    pub(super) fn count_attempt(
        &self,
        tenant: Option<&str>,
        target: &'static str,
        outcome: &'static str,
        duration: Duration,
    ) {
        let tenant = tenant.unwrap_or("unknown").to_owned();
        self.attempts.get_or_create(&AttemptLabels { tenant, target, outcome }).inc();
        self.duration.get_or_create(&TargetLabels { target }).observe(duration.as_secs_f64());
    }

    pub(super) fn observe_lateness(&self, lateness: Duration) {
        self.lateness.observe(lateness.as_secs_f64());
    }

    pub(super) fn set_active(&self, active: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    pub(super) fn count_takeover(&self) {
        self.takeovers.inc();
    }

    pub(super) fn count_lost_claim(&self) {
        self.lost_claims.inc();
    }

    pub(super) fn count_store_error(&self, operation: &'static str) {
        self.store_errors.get_or_create(&OperationLabels { operation }).inc();
    }
}
