//! Metrics of the audit logs. Each tenant has a log, which remains after the tenant is deleted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::domain::audit::LogName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabel {
    log: String,
}

impl LogLabel {
    fn of(log: &LogName) -> Self {
        Self { log: log.to_string() }
    }
}

/// The metrics of all logs.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Metrics {
    consistent: Family<LogLabel, Gauge>,
    size: Family<LogLabel, Gauge>,
    covered: Ages,
}

/// When each log was last covered by a published checkpoint.
#[derive(Clone, Debug, Default)]
struct Ages(Arc<Mutex<BTreeMap<LogName, Instant>>>);

impl Ages {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogName, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Creates and registers the metrics.
    pub(in super::super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "audit_consistent",
            "Whether a log is consistent with its signed checkpoints (1) or not (0)",
            metrics.consistent.clone(),
        );
        registry.register("audit_log_size", "Records of a log, including dropped ones", metrics.size.clone());
        registry.register_collector(Box::new(metrics.covered.clone()));
        metrics
    }

    /// A log is consistent with its signed checkpoints.
    pub(super) fn set_consistent(&self, log: &LogName, size: u64) {
        self.consistent.get_or_create(&LogLabel::of(log)).set(1);
        self.size.get_or_create(&LogLabel::of(log)).set(i64::try_from(size).unwrap_or(i64::MAX));
        // Without a checkpoint the age counts from when the log was first read.
        self.covered.lock().entry(log.clone()).or_insert_with(Instant::now);
    }

    /// A log is not consistent with its signed checkpoints.
    pub(super) fn set_inconsistent(&self, log: &LogName) {
        self.consistent.get_or_create(&LogLabel::of(log)).set(0);
        self.covered.lock().entry(log.clone()).or_insert_with(Instant::now);
    }

    /// A published checkpoint covers all records of a log.
    pub(super) fn set_covered(&self, log: &LogName) {
        self.covered.lock().insert(log.clone(), Instant::now());
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ages: Family<LogLabel, Gauge<f64, std::sync::atomic::AtomicU64>> = Family::default();
        for (log, since) in self.lock().iter() {
            ages.get_or_create(&LogLabel::of(log)).set(since.elapsed().as_secs_f64());
        }
        ages.encode(encoder.encode_descriptor(
            "audit_checkpoint_age",
            "Time since a published checkpoint covered all records of a log",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)
    }
}
