//! Metrics of tasks.

use std::time::Duration;

use eventcenter_sdk::name::ClusterName;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::domain::task::Run;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    tenant: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    cluster: String,
    kind: &'static str,
}

/// Metrics of tasks. The names of tasks are no labels: there may be tens of thousands.
#[derive(Clone, Debug)]
pub(in crate::controllers) struct TaskMetrics {
    ended: Family<RunLabels, Counter>,
    duration: Family<TenantLabel, Histogram>,
    lateness: Histogram,
    waiting: Gauge,
    failure_actions: Family<RunLabels, Counter>,
    published_events: Counter,
    waiting_events: Gauge,
    expired: Counter,
    records: Family<RecordLabels, Counter>,
    event_runs: Family<ClusterLabel, Counter>,
    event_lag: Family<ClusterLabel, Gauge>,
}

impl TaskMetrics {
    /// Creates and registers the metrics.
    pub(in crate::controllers) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ended: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.05, 3.0, 12))),
            lateness: Histogram::new(exponential_buckets(0.005, 2.5, 12)),
            waiting: Gauge::default(),
            failure_actions: Family::default(),
            published_events: Counter::default(),
            waiting_events: Gauge::default(),
            expired: Counter::default(),
            records: Family::default(),
            event_runs: Family::default(),
            event_lag: Family::default(),
        };
        registry.register(
            "task_event_records",
            "Kafka records that were read for tasks, by KafkaCluster and kind (event, or other if it is no CloudEvent)",
            metrics.records.clone(),
        );
        registry.register(
            "task_event_runs",
            "Runs of tasks for events, by KafkaCluster",
            metrics.event_runs.clone(),
        );
        registry.register(
            "task_event_lag",
            "Kafka records that are not planned yet for the task that is behind the most, by KafkaCluster",
            metrics.event_lag.clone(),
        );
        registry.register(
            "task_runs",
            "Ended runs of ScheduledTasks, by tenant and state",
            metrics.ended.clone(),
        );
        registry.register_with_unit(
            "task_run_duration",
            "Time from the first start to the end of runs",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "task_job_lateness",
            "Time from the due time of a run to the creation of its Job by the operator",
            Unit::Seconds,
            metrics.lateness.clone(),
        );
        registry.register(
            "task_runs_waiting",
            "Runs that wait for others (concurrency, groups, limits of tenants)",
            metrics.waiting.clone(),
        );
        registry.register(
            "task_failure_actions",
            "Ended failure actions of ScheduledTasks (spec.onFailure), by tenant and state",
            metrics.failure_actions.clone(),
        );
        registry.register(
            "task_events_published",
            "Events about runs of ScheduledTasks that were published (--task-events)",
            metrics.published_events.clone(),
        );
        registry.register(
            "task_events_waiting",
            "Approximate number of events about runs that are not published yet",
            metrics.waiting_events.clone(),
        );
        registry.register(
            "task_runs_expired",
            "Runs that the retention has deleted from the run log",
            metrics.expired.clone(),
        );
        metrics
    }

    /// Counts an ended run.
    pub(super) fn observe_end(&self, run: &Run) {
        let tenant = run.task.tenant.to_string();
        let labels = RunLabels { tenant: tenant.clone(), state: run.state.as_str() };
        self.ended.get_or_create(&labels).inc();
        let duration = run.started_at.zip(run.ended_at).map(|(start, end)| end.duration_since(start));
        if let Some(Ok(duration)) = duration.map(Duration::try_from) {
            self.duration.get_or_create(&TenantLabel { tenant }).observe(duration.as_secs_f64());
        }
    }

    /// Counts an ended failure action.
    pub(super) fn observe_failure_action(&self, run: &Run) {
        let labels = RunLabels { tenant: run.task.tenant.to_string(), state: run.state.as_str() };
        self.failure_actions.get_or_create(&labels).inc();
    }

    /// Counts published events about runs.
    pub(super) fn count_published_events(&self, events: usize) {
        self.published_events.inc_by(u64::try_from(events).unwrap_or_default());
    }

    /// Sets the number of events about runs that are not published yet.
    pub(super) fn set_waiting_events(&self, events: u64) {
        self.waiting_events.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// Measures how late a Job was created.
    pub(super) fn observe_start(&self, run: &Run, now: Timestamp) {
        let late = Duration::try_from(now.duration_since(run.due_at)).unwrap_or_default();
        self.lateness.observe(late.as_secs_f64());
    }

    /// Counts runs that the retention has deleted.
    pub(super) fn count_expired(&self, runs: usize) {
        self.expired.inc_by(u64::try_from(runs).unwrap_or(u64::MAX));
    }

    /// Counts a record that was read.
    pub(super) fn count_record(&self, cluster: &ClusterName, is_event: bool) {
        let kind = if is_event { "event" } else { "other" };
        self.records.get_or_create(&RecordLabels { cluster: cluster.to_string(), kind }).inc();
    }

    /// Counts runs for events.
    pub(super) fn count_event_runs(&self, cluster: &ClusterName, runs: usize) {
        let labels = ClusterLabel { cluster: cluster.to_string() };
        self.event_runs.get_or_create(&labels).inc_by(u64::try_from(runs).unwrap_or(u64::MAX));
    }

    /// Sets the number of records that are not planned yet; `None` if no task reads events of the cluster.
    pub(super) fn set_event_lag(&self, cluster: &ClusterName, lag: Option<i64>) {
        let labels = ClusterLabel { cluster: cluster.to_string() };
        match lag {
            Some(lag) => drop(self.event_lag.get_or_create(&labels).set(lag)),
            None => drop(self.event_lag.remove(&labels)),
        }
    }

    /// Sets the number of waiting runs.
    pub(super) fn set_waiting(&self, waiting: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
