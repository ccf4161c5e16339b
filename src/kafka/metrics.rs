//! The metrics of requests to Kafka.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cluster: String,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    cluster: String,
    operation: &'static str,
    outcome: &'static str,
}

/// The number, duration and batch size of requests to Kafka.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<OutcomeLabels, Counter>,
    duration: Family<Labels, Histogram>,
    size: Family<Labels, Histogram>,
}

impl Metrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            size: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 12))),
        };
        registry.register(
            "kafka_requests",
            "Requests to Kafka by cluster, operation and outcome (success, or the reason for the failure)",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "kafka_request_duration",
            "Time from sending a request to Kafka until its response",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "kafka_request_topics",
            "Number of topics in one request to Kafka",
            metrics.size.clone(),
        );
        metrics
    }

    pub(super) fn record_request(
        &self,
        cluster: &str,
        operation: &'static str,
        outcome: &'static str,
        topics: usize,
        seconds: f64,
    ) {
        let labels = Labels { cluster: cluster.to_owned(), operation };
        self.duration.get_or_create(&labels).observe(seconds);
        #[allow(clippy::cast_precision_loss, reason = "a batch has some thousand topics at most")]
        self.size.get_or_create(&labels).observe(topics as f64);
        let labels = OutcomeLabels { cluster: cluster.to_owned(), operation, outcome };
        self.requests.get_or_create(&labels).inc();
    }
}
