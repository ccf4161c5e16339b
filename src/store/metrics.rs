//! Metrics of the journal and the database.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    component: &'static str,
    outcome: &'static str,
}

/// Metrics of writing the audit log.
#[derive(Clone, Debug)]
pub struct Metrics {
    records: Family<Labels, Counter>,
    duration: Histogram,
    batch: Histogram,
    depth: Gauge<i64, AtomicI64>,
    spool: Gauge<i64, AtomicI64>,
    up: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Family::default(),
            duration: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            depth: Gauge::default(),
            spool: Gauge::default(),
            up: Gauge::default(),
        };
        registry.register(
            "audit_records",
            "Records of the audit log by component and outcome (written, spooled, lost, refused)",
            metrics.records.clone(),
        );
        registry.register_with_unit(
            "audit_commit_duration",
            "Time from the begin of a transaction that writes records until it is durable",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "audit_group_records",
            "Number of records in one transaction",
            metrics.batch.clone(),
        );
        registry.register("audit_queue_depth", "Records waiting to be written", metrics.depth.clone());
        registry.register_with_unit(
            "audit_spool",
            "Size of the spool file, in which records wait while the database is unavailable",
            Unit::Bytes,
            metrics.spool.clone(),
        );
        registry.register(
            "store_up",
            "Whether the last write to the database succeeded (1) or not (0)",
            metrics.up.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, component: &'static str, outcome: &'static str, records: u64) {
        self.records.get_or_create(&Labels { component, outcome }).inc_by(records);
    }

    pub(super) fn observe_commit(&self, records: usize, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a batch has at most some thousand records")]
        self.batch.observe(records as f64);
    }

    pub(super) fn set_backlog(&self, waiting: usize, spooled: u64) {
        self.depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.spool.set(i64::try_from(spooled).unwrap_or(i64::MAX));
    }

    /// Sets whether the database is available.
    pub fn set_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }
}
