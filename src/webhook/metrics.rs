//! Prometheus metrics of the webhook.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: fine around the expected duration, up to a second.
const BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindAndReason {
    kind: &'static str,
    operation: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalCause {
    cause: &'static str,
}

/// The webhook's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    duration: Family<Kind, Histogram>,
    reviews: Family<KindAndReason, Counter>,
    expiry: Gauge<i64, AtomicI64>,
    refused_callers: Family<RefusalCause, Counter>,
}

/// The labels of a finished review.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReviewLabels {
    pub(super) kind: &'static str,
    pub(super) operation: &'static str,
    pub(super) outcome: &'static str,
    /// The first reason of a refusal, or empty.
    pub(super) reason: &'static str,
}

impl Metrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            reviews: Family::default(),
            expiry: Gauge::default(),
            refused_callers: Family::default(),
        };
        registry.register_with_unit(
            "webhook_review",
            "Duration of reviews, from the request's last byte to the response",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "webhook_reviews",
            "Reviews by kind, operation, outcome and reason of a refusal",
            metrics.reviews.clone(),
        );
        registry.register_with_unit(
            "webhook_certificate_expiry_timestamp",
            "Expiry of the serving certificate, 0 if there is none yet",
            Unit::Seconds,
            metrics.expiry.clone(),
        );
        registry.register(
            "webhook_refused_callers",
            "Callers of the webhook's port that are not the API server, by cause",
            metrics.refused_callers.clone(),
        );
        metrics
    }

    pub(super) fn record_review(&self, labels: ReviewLabels, took: Duration) {
        let ReviewLabels { kind, operation, outcome, reason } = labels;
        self.duration.get_or_create(&Kind { kind, operation, outcome }).observe(took.as_secs_f64());
        self.reviews.get_or_create(&KindAndReason { kind, operation, outcome, reason }).inc();
    }

    pub(super) fn count_refused_caller(&self, cause: &'static str) {
        self.refused_callers.get_or_create(&RefusalCause { cause }).inc();
    }

    pub(super) fn set_certificate_expiry(&self, at: Timestamp) {
        self.expiry.set(at.as_second());
    }
}
