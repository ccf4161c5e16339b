//! What is shown of the audit logs. A log is a tenant's, so there are as many as there ever were tenants.

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
struct OfLog {
    log: String,
}

impl OfLog {
    fn of(log: &LogName) -> Self {
        Self { log: log.to_string() }
    }
}

/// The metrics.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Metrics {
    consistent: Family<OfLog, Gauge>,
    size: Family<OfLog, Gauge>,
    covered: Ages,
}

/// When each log was last found to be covered by a checkpoint.
#[derive(Clone, Debug, Default)]
struct Ages(Arc<Mutex<BTreeMap<LogName, Instant>>>);

impl Ages {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogName, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(in super::super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "audit_consistent",
            "Whether a log was found to be a continuation of what was signed (1), or not (0)",
            metrics.consistent.clone(),
        );
        registry.register("audit_log_size", "Records of a log, dropped ones included", metrics.size.clone());
        registry.register_collector(Box::new(metrics.covered.clone()));
        metrics
    }

    /// A log is a continuation of what was signed.
    pub(super) fn sound(&self, log: &LogName, size: u64) {
        self.consistent.get_or_create(&OfLog::of(log)).set(1);
        self.size.get_or_create(&OfLog::of(log)).set(i64::try_from(size).unwrap_or(i64::MAX));
        // Counts from when a log was first seen, if nothing comes after that.
        self.covered.lock().entry(log.clone()).or_insert_with(Instant::now);
    }

    /// A log is not.
    pub(super) fn inconsistent(&self, log: &LogName) {
        self.consistent.get_or_create(&OfLog::of(log)).set(0);
        self.covered.lock().entry(log.clone()).or_insert_with(Instant::now);
    }

    /// All of a log, as it was a moment ago, is covered by a checkpoint that is published.
    pub(super) fn covered(&self, log: &LogName) {
        self.covered.lock().insert(log.clone(), Instant::now());
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ages: Family<OfLog, Gauge<f64, std::sync::atomic::AtomicU64>> = Family::default();
        for (log, since) in self.lock().iter() {
            ages.get_or_create(&OfLog::of(log)).set(since.elapsed().as_secs_f64());
        }
        ages.encode(encoder.encode_descriptor(
            "audit_checkpoint_age",
            "Time since all of a log was found to be covered by a published checkpoint",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)
    }
}
