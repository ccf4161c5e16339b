//! What the controllers count and show.

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

use super::checkpoint;
use crate::api::{EventTopic, KafkaCluster, Tenant};
use crate::domain::quota::Limits;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

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
struct OfTenant {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCluster {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindAndCondition {
    kind: &'static str,
    condition: String,
    status: String,
    reason: String,
}

/// The controllers' metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<KindAndOutcome, Counter>,
    duration: Family<Kind, Histogram>,
    depth: Family<Kind, Gauge>,
    in_force: Family<Kind, Histogram>,
    drift: Family<KindAndOutcome, Counter>,
    unregistered: Family<OfCluster, Gauge>,
    changes: Family<Outcome, Counter>,
    approved: Histogram,
    pub(super) checkpoints: checkpoint::Metrics,
    running: Arc<Running>,
    shown: Arc<OnceLock<Shown>>,
}

/// The resources whose state is shown.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) tenants: Store<DeserializeGuard<Tenant>>,
    pub(super) clusters: Store<DeserializeGuard<KafkaCluster>>,
    pub(super) topics: Store<DeserializeGuard<EventTopic>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

/// When each reconcile that is under way has begun, by a number of its own.
#[derive(Debug, Default)]
struct Running {
    begun: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
}

/// A reconcile that is under way; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    kind: &'static str,
    number: u64,
    begun: Instant,
    metrics: Metrics,
}

impl Metrics {
    /// Makes the metrics and registers them.
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
            shown: Arc::default(),
        };
        registry.register(
            "reconciles",
            "Reconciles that have ended, by kind and outcome (the reason of Ready, or the failure)",
            metrics.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time a reconcile took",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("queue_depth", "Resources that wait for a reconcile", metrics.depth.clone());
        registry.register_with_unit(
            "change_in_force",
            "Time from seeing a changed declaration until it was Ready",
            Unit::Seconds,
            metrics.in_force.clone(),
        );
        registry.register(
            "drift",
            "Kafka topics found different from what is declared, by what was done about it",
            metrics.drift.clone(),
        );
        registry.register(
            "unregistered_topics",
            "Kafka topics that no EventTopic stands for",
            metrics.unregistered.clone(),
        );
        registry.register(
            "changes",
            "Changes in tenants with rules of approval, by what became of them",
            metrics.changes.clone(),
        );
        registry.register_with_unit(
            "approval_in_force",
            "Time from the approval that was missing until Kafka had the change",
            Unit::Seconds,
            metrics.approved.clone(),
        );
        registry.register_collector(Box::new(Snapshot {
            running: metrics.running.clone(),
            shown: metrics.shown.clone(),
        }));
        metrics
    }

    /// Says which resources' state is shown from now on.
    pub(super) fn show(&self, shown: Shown) {
        // Set once a process: the controllers run once.
        drop(self.shown.set(shown));
    }

    pub(super) fn depth(&self, kind: &'static str, depth: usize) {
        self.depth.get_or_create(&Kind { kind }).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    pub(super) fn in_force(&self, kind: &'static str, took: Duration) {
        self.in_force.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    pub(super) fn drift(&self, kind: &'static str, outcome: &'static str) {
        self.drift.get_or_create(&KindAndOutcome { kind, outcome }).inc();
    }

    /// What became of a change that could need approval.
    pub(super) fn change(&self, outcome: &'static str) {
        self.changes.get_or_create(&Outcome { outcome }).inc();
    }

    /// A change that was approved is in Kafka.
    pub(super) fn approved(&self, took: Duration) {
        self.approved.observe(took.as_secs_f64());
    }

    pub(super) fn unregistered(&self, cluster: &ClusterName, number: i64) {
        self.unregistered.get_or_create(&OfCluster { cluster: cluster.to_string() }).set(number);
    }

    /// A cluster is no longer declared.
    pub(super) fn forget_cluster(&self, cluster: &ClusterName) {
        self.unregistered.remove(&OfCluster { cluster: cluster.to_string() });
    }

    /// A reconcile begins.
    pub(super) fn begin(&self, kind: &'static str) -> Visit {
        let begun = Instant::now();
        let number = self.running.next.fetch_add(1, Ordering::Relaxed);
        self.running.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(number, begun);
        Visit { kind, number, begun, metrics: self.clone() }
    }
}

impl Visit {
    /// The reconcile has ended like this.
    pub(super) fn end(self, outcome: &'static str) {
        let Self { kind, metrics, begun, .. } = &self;
        metrics.duration.get_or_create(&Kind { kind }).observe(begun.elapsed().as_secs_f64());
        metrics.reconciles.get_or_create(&KindAndOutcome { kind, outcome }).inc();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.metrics.running.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// What is worked out only when somebody asks.
#[derive(Debug)]
struct Snapshot {
    running: Arc<Running>,
    shown: Arc<OnceLock<Shown>>,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let oldest = {
            let running = self.running.begun.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().min().map_or(Duration::ZERO, Instant::elapsed)
        };
        let gauge = ConstGauge::new(oldest.as_secs_f64());
        gauge.encode(encoder.encode_descriptor(
            "longest_running_reconcile_age",
            "Age of the reconcile that has been under way longest, 0 if there is none",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?)?;

        let Some(shown) = self.shown.get() else { return Ok(()) };
        let mut counts: HashMap<KindAndCondition, i64> = HashMap::new();
        count(&mut counts, "Tenant", &shown.tenants, |tenant| Some(&tenant.status.as_ref()?.conditions));
        count(&mut counts, "KafkaCluster", &shown.clusters, |cluster| {
            Some(&cluster.status.as_ref()?.conditions)
        });
        count(&mut counts, "EventTopic", &shown.topics, |topic| Some(&topic.status.as_ref()?.conditions));
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
        quotas(&shown.tenants, &mut encoder)?;
        pending(shown, &mut encoder)
    }
}

/// What tenants have, and what they may have where that is limited.
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
    let what = "What tenants have of what can be limited, in topics, partitions and bytes";
    used.encode(encoder.encode_descriptor("tenant_usage", what, None, gauge)?)?;
    let what = "The tenants' quotas, where there are any, in topics, partitions and bytes";
    limits.encode(encoder.encode_descriptor("tenant_quota", what, None, gauge)?)
}

/// How many changes of each tenant wait for approval, of tenants that have rules.
fn pending(shown: &Shown, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut by_namespace: HashMap<String, i64> = HashMap::new();
    for topic in shown.topics.state() {
        let Ok(topic) = &topic.0 else { continue };
        if topic.status.as_ref().is_some_and(|status| status.pending.is_some()) {
            *by_namespace.entry(topic.namespace().unwrap_or_default()).or_default() += 1;
        }
    }
    let all = Family::<OfTenant, Gauge>::default();
    for tenant in shown.tenants.state() {
        let Ok(tenant) = &tenant.0 else { continue };
        if tenant.spec.approval.is_some() {
            let number = tenant.spec.namespaces.iter().filter_map(|name| by_namespace.get(name)).sum();
            all.get_or_create(&OfTenant { tenant: tenant.name_any() }).set(number);
        }
    }
    let gauge = prometheus_client::metrics::MetricType::Gauge;
    let what = "Changes that wait for approval, of tenants that have rules";
    all.encode(encoder.encode_descriptor("changes_pending", what, None, gauge)?)
}

fn count<K>(
    counts: &mut HashMap<KindAndCondition, i64>,
    kind: &'static str,
    store: &Store<DeserializeGuard<K>>,
    conditions: impl Fn(&K) -> Option<&Vec<Condition>>,
) where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    for resource in store.state() {
        let read = resource.0.as_ref().ok();
        let conditions = read.and_then(&conditions).map(Vec::as_slice).unwrap_or_default();
        for condition in conditions {
            let labels = KindAndCondition {
                kind,
                condition: condition.type_.clone(),
                status: condition.status.clone(),
                reason: condition.reason.clone(),
            };
            *counts.entry(labels).or_default() += 1;
        }
    }
}
