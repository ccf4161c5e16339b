//! Prometheus metrics of the controllers.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use eventcenter_sdk::name::ClusterName;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use super::checkpoint::metrics as checkpoint;
use crate::api::Tenant;
use crate::domain::quota::Limits;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindAndOutcome {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantAndQuota {
    tenant: String,
    quota: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindAndCondition {
    pub(super) kind: &'static str,
    pub(super) condition: String,
    pub(super) status: String,
    pub(super) reason: String,
}

/// The controllers' metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<KindAndOutcome, Counter>,
    duration: Family<Kind, Histogram>,
    depth: Family<Kind, Gauge>,
    in_force: Family<Kind, Histogram>,
    drift: Family<KindAndOutcome, Counter>,
    unregistered: Family<ClusterLabel, Gauge>,
    changes: Family<Outcome, Counter>,
    approved: Histogram,
    pub(super) checkpoints: checkpoint::Metrics,
    running: Arc<Running>,
    exported: Arc<OnceLock<Exported>>,
}

/// The resources whose conditions, usage and pending changes are exported.
pub(super) struct Exported {
    pub(super) tenants: Store<DeserializeGuard<Tenant>>,
    /// The resources of all kinds.
    pub(super) kinds: Vec<Arc<dyn CountResources>>,
}

/// Counts the resources of a kind.
pub(super) trait CountResources: Send + Sync {
    /// Adds the conditions of all resources.
    fn count_conditions(&self, counts: &mut HashMap<KindAndCondition, i64>);
    /// Adds the pending changes of each namespace.
    fn count_pending(&self, _by_namespace: &mut HashMap<String, i64>) {}
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exported").finish_non_exhaustive()
    }
}

/// The start of each running reconcile, by a unique number.
#[derive(Debug, Default)]
struct Running {
    started: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
}

/// A running reconcile; ends when dropped.
#[derive(Debug)]
pub(super) struct ReconcileTimer {
    kind: &'static str,
    number: u64,
    started: Instant,
    metrics: Metrics,
}

impl Metrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            depth: Family::default(),
            in_force: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 16))),
            drift: Family::default(),
            unregistered: Family::default(),
            changes: Family::default(),
            approved: Histogram::new(exponential_buckets(0.01, 2.0, 12)),
            checkpoints: checkpoint::Metrics::register(registry),
            running: Arc::default(),
            exported: Arc::default(),
        };
        registry.register(
            "reconciles",
            "Finished reconciles by kind and outcome (the reason of the condition Ready, or the failure)",
            metrics.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of reconciles",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("queue_depth", "Resources waiting for a reconcile", metrics.depth.clone());
        registry.register_with_unit(
            "change_in_force",
            "Time from receiving a changed spec until it was Ready",
            Unit::Seconds,
            metrics.in_force.clone(),
        );
        registry.register(
            "drift",
            "Kafka topics that differed from their declaration, by outcome (Corrected or Reported)",
            metrics.drift.clone(),
        );
        registry.register(
            "unregistered_topics",
            "Kafka topics without an EventTopic",
            metrics.unregistered.clone(),
        );
        registry.register(
            "changes",
            "Changes in tenants with approval rules, by outcome",
            metrics.changes.clone(),
        );
        registry.register_with_unit(
            "approval_in_force",
            "Time from the last required approval until Kafka had the change",
            Unit::Seconds,
            metrics.approved.clone(),
        );
        registry.register_collector(Box::new(Snapshot {
            running: metrics.running.clone(),
            exported: metrics.exported.clone(),
        }));
        metrics
    }

    /// Sets the resources to export.
    pub(super) fn export(&self, exported: Exported) {
        // The controllers run once in a process, so this is set once.
        drop(self.exported.set(exported));
    }

    pub(super) fn set_queue_depth(&self, kind: &'static str, depth: usize) {
        self.depth.get_or_create(&Kind { kind }).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    pub(super) fn observe_change(&self, kind: &'static str, took: Duration) {
        self.in_force.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    pub(super) fn count_drift(&self, kind: &'static str, outcome: &'static str) {
        self.drift.get_or_create(&KindAndOutcome { kind, outcome }).inc();
    }

    /// Counts a change in a tenant with approval rules.
    pub(super) fn count_change(&self, outcome: &'static str) {
        self.changes.get_or_create(&Outcome { outcome }).inc();
    }

    /// Records the time from the last required approval until Kafka had the change.
    pub(super) fn observe_approval(&self, took: Duration) {
        self.approved.observe(took.as_secs_f64());
    }

    pub(super) fn set_unregistered(&self, cluster: &ClusterName, number: i64) {
        self.unregistered.get_or_create(&ClusterLabel { cluster: cluster.to_string() }).set(number);
    }

    /// Removes the metrics of a cluster that is no longer declared.
    pub(super) fn forget_cluster(&self, cluster: &ClusterName) {
        self.unregistered.remove(&ClusterLabel { cluster: cluster.to_string() });
    }

    /// Starts to measure a reconcile.
    pub(super) fn start_reconcile(&self, kind: &'static str) -> ReconcileTimer {
        let started = Instant::now();
        let number = self.running.next.fetch_add(1, Ordering::Relaxed);
        self.running.started.lock().unwrap_or_else(PoisonError::into_inner).insert(number, started);
        ReconcileTimer { kind, number, started, metrics: self.clone() }
    }
}

impl ReconcileTimer {
    /// Ends the reconcile with an outcome.
    pub(super) fn finish(self, outcome: &'static str) {
        let Self { kind, metrics, started, .. } = &self;
        metrics.duration.get_or_create(&Kind { kind }).observe(started.elapsed().as_secs_f64());
        metrics.reconciles.get_or_create(&KindAndOutcome { kind, outcome }).inc();
    }
}

impl Drop for ReconcileTimer {
    fn drop(&mut self) {
        self.metrics.running.started.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Metrics that are computed at scrape time.
#[derive(Debug)]
struct Snapshot {
    running: Arc<Running>,
    exported: Arc<OnceLock<Exported>>,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let oldest = {
            let running = self.running.started.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().min().map_or(Duration::ZERO, Instant::elapsed)
        };
        let gauge = ConstGauge::new(oldest.as_secs_f64());
        gauge.encode(encoder.encode_descriptor(
            "longest_running_reconcile_age",
            "Age of the longest running reconcile, 0 if there is none",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?)?;

        let Some(exported) = self.exported.get() else { return Ok(()) };
        let mut counts: HashMap<KindAndCondition, i64> = HashMap::new();
        exported.kinds.iter().for_each(|kind| kind.count_conditions(&mut counts));
        let resources: Family<KindAndCondition, Gauge> = Family::default();
        for (labels, number) in counts {
            resources.get_or_create(&labels).set(number);
        }
        resources.encode(encoder.encode_descriptor(
            "resources",
            "Resources by kind, condition, its status and reason",
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?)?;
        quotas(&exported.tenants, &mut encoder)?;
        pending(exported, &mut encoder)
    }
}

/// Usage and quotas of the tenants.
fn quotas(
    tenants: &Store<DeserializeGuard<Tenant>>,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let (used, limits) =
        (Family::<TenantAndQuota, Gauge>::default(), Family::<TenantAndQuota, Gauge>::default());
    for tenant in tenants.state() {
        let Ok(tenant) = &tenant.0 else { continue };
        let usage = tenant.status.as_ref().and_then(|status| status.usage).unwrap_or_default();
        let limit = Limits::parse(tenant.spec.quotas.as_ref()).unwrap_or_default();
        for (quota, number, limit) in [
            ("topics", usage.topics, limit.topics),
            ("partitions", usage.partitions, limit.partitions),
            ("retentionSize", usage.retention_bytes, limit.retention_bytes),
        ] {
            let labels = TenantAndQuota { tenant: tenant.name_any(), quota };
            used.get_or_create(&labels).set(number);
            if let Some(limit) = limit {
                limits.get_or_create(&labels).set(limit);
            }
        }
    }
    let gauge = prometheus_client::metrics::MetricType::Gauge;
    let what = "Usage of each tenant in topics, partitions and bytes";
    used.encode(encoder.encode_descriptor("tenant_usage", what, None, gauge)?)?;
    let what = "Quotas of each tenant in topics, partitions and bytes, where set";
    limits.encode(encoder.encode_descriptor("tenant_quota", what, None, gauge)?)
}

/// The number of pending changes of each tenant with approval rules.
fn pending(exported: &Exported, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut by_namespace: HashMap<String, i64> = HashMap::new();
    exported.kinds.iter().for_each(|kind| kind.count_pending(&mut by_namespace));
    let all = Family::<TenantLabel, Gauge>::default();
    for tenant in exported.tenants.state() {
        let Ok(tenant) = &tenant.0 else { continue };
        if tenant.spec.approval.is_some() {
            let number = tenant.spec.namespaces.iter().filter_map(|name| by_namespace.get(name)).sum();
            all.get_or_create(&TenantLabel { tenant: tenant.name_any() }).set(number);
        }
    }
    let gauge = prometheus_client::metrics::MetricType::Gauge;
    let what = "Changes pending approval, for tenants with approval rules";
    all.encode(encoder.encode_descriptor("changes_pending", what, None, gauge)?)
}
