//! `ScheduledTask`: work that runs by time, after other tasks, on events or by hand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovedSpec, EventTarget, HttpTarget, PendingChange, TaskSchedule, TaskTarget};

/// Work that runs by time, after other tasks, on events or by hand.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "ScheduledTask",
    namespaced,
    status = "ScheduledTaskStatus",
    derive = "PartialEq",
    shortname = "stask",
    category = "eventcenter",
    doc = "Work that runs by time, after other tasks, on events or by hand.",
    printcolumn(
        name = "Schedule",
        type_ = "string",
        json_path = ".status.schedule",
        description = "When the task runs"
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        description = "Whether the schedule is suspended"
    ),
    printcolumn(
        name = "Active",
        type_ = "integer",
        json_path = ".status.active",
        description = "Number of runs that have not ended"
    ),
    printcolumn(
        name = "Last",
        type_ = "date",
        json_path = ".status.last.scheduled",
        description = "Time of the last run"
    ),
    printcolumn(
        name = "Result",
        type_ = "string",
        json_path = ".status.last.state",
        description = "State of the last run"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the task is scheduled as declared"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.next",
        priority = 1,
        description = "Time of the next run"
    ),
    printcolumn(
        name = "Engine",
        type_ = "string",
        json_path = ".status.engine.type",
        priority = 1,
        description = "Who executes the runs"
    ),
    printcolumn(
        name = "Succeeded",
        type_ = "integer",
        json_path = ".status.runs.succeeded",
        priority = 1,
        description = "Number of runs that succeeded"
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.runs.failed",
        priority = 1,
        description = "Number of runs that failed or timed out"
    ),
    printcolumn(
        name = "Pending",
        type_ = "string",
        json_path = ".status.pending.approvals",
        priority = 1,
        description = "Approvals of the pending change and required approvals"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "Message of the condition Ready"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.target) != has(self.template)")
        .message("spec: set either target or template"),
    validation = Rule::new("!has(self.shards) || !has(self.target) || has(self.target.container)")
        .message("spec.shards applies to container targets only: remove it")
        .field_path(".shards"),
    validation = Rule::new("!has(self.shards) || !has(self.retry) || !has(self.retry.backoff)")
        .message("spec.retry.backoff does not apply to shards, each of which Kubernetes retries alone: remove it")
        .field_path(".retry.backoff"),
)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledTaskSpec {
    /// When the task runs. A task without a schedule runs by hand only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<TaskSchedule>,

    /// Whether the schedule is suspended. Runs that have started continue, and the task can be triggered by hand. Times and events
    /// that pass meanwhile are not made up for. Defaults to false.
    #[serde(default)]
    pub suspend: bool,

    /// What the task does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TaskTarget>,

    /// Name of a TaskTemplate in the same namespace that has the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub template: Option<String>,

    /// Parameters with their values, which the target contains as `$(params.NAME)`. A trigger by hand may replace the values.
    /// Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$') && self[k].size() <= 4096)").message("spec.parameters: a name has at most 63 letters, digits and '_', a value at most 4096 characters"))]
    pub parameters: BTreeMap<String, String>,

    /// How runs of the task behave that would overlap. Defaults to `Forbid`, and to `Queue` for a task that runs on events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,

    /// How a failed run is retried. Defaults to no retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,

    /// Maximum duration of an attempt: a number with the unit `s`, `m`, `h` or `d`, such as `15m`. Defaults to no limit for
    /// containers, and to `30s` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,6}(s|m|h|d)$')").message("spec.timeout: write a number and its unit (s, m, h or d), such as 15m"))]
    pub timeout: Option<String>,

    /// Number of pods that share the work of a run. Each has its index and their number in the environment variables
    /// `SHARD_INDEX` and `SHARD_TOTAL`, and is retried alone. Defaults to one pod without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub shards: Option<i32>,

    /// Number of ended Jobs that are kept. The run log has its own retention. Defaults to 3 of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,

    /// What happens when a run has failed after all retries. Defaults to a Kubernetes Event, a metric and a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailureAction>,

    /// Purpose of the task, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
}

/// How runs behave that would overlap.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.limit) || has(self.group) || (has(self.policy) && self.policy in ['Queue', 'Allow'])")
        .message("spec.concurrency.limit needs a group, or the policy Queue or Allow")
        .field_path(".limit"),
)]
pub struct Concurrency {
    /// What happens when a run is due while another one has not ended. Defaults to `Forbid`, and to `Queue` for a task that runs on
    /// events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ConcurrencyPolicy>,
    /// Name of a group of tasks in the namespace that share a limit. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub group: Option<String>,
    /// Maximum number of concurrent runs of the group, or of the task if it has no group. Tasks of a group that declare
    /// different limits have the lowest. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<i32>,
}

/// What happens when a run is due while another one of the task has not ended. Defaults to `Forbid`, and to `Queue` for a task that runs
/// on events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Both run.
    Allow,
    /// The new run is skipped.
    Forbid,
    /// The running one is cancelled.
    Replace,
    /// The new run waits.
    Queue,
}

/// How a failed run is retried.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Maximum number of retries after the first attempt.
    #[schemars(range(min = 0, max = 100))]
    pub limit: i32,
    /// The delay between attempts. Defaults to Kubernetes' own delay for containers, and to these defaults otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// The delay between attempts, which grows with each of them.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// The first delay, a number with the unit `s`, `m` or `h`. Defaults to `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(s|m|h)$')").message("spec.retry.backoff.initial: write a number and its unit (s, m or h), such as 10s"))]
    pub initial: Option<String>,
    /// The factor by which each delay is longer than the previous one. Defaults to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub factor: Option<i32>,
    /// The longest delay, a number with the unit `s`, `m` or `h`. Defaults to `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(s|m|h)$')").message("spec.retry.backoff.max: write a number and its unit (s, m or h), such as 10m"))]
    pub max: Option<String>,
}

/// Number of ended Jobs that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Number of Jobs that succeeded. Defaults to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub succeeded: Option<i32>,
    /// Number of Jobs that failed. Defaults to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub failed: Option<i32>,
}

/// What happens when a run has failed. Exactly one of `http` and `event` is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.http) != has(self.event)").message("spec.onFailure: set either http or event"),
)]
pub struct FailureAction {
    /// Calls an HTTP server. `$(run.message)` is the message of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpTarget>>,
    /// Publishes an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<EventTarget>>,
}

/// Observed state of a ScheduledTask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledTaskStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` observed by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// When the task runs, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,

    /// Who executes the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// The last run that was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRun>,

    /// When the next run is due (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,

    /// Number of runs that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<i64>,

    /// Number of runs that wait for others, and how many runs are before the first of them in its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,

    /// Number of ended runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<RunCounts>,

    /// The value of the annotation `eventcenter.io/trigger` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_trigger: Option<String>,

    /// The active spec: the one that was approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedSpec>,

    /// The change that is pending approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<PendingChange>>,
}

/// Who executes the runs of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// Who executes the runs.
    #[serde(rename = "type")]
    pub engine: EngineType,
    /// Why.
    pub reason: String,
    /// Name of the CronJob, if the task has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_job: Option<String>,
}

/// Who executes the runs of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineType {
    /// Kubernetes' CronJob controller.
    CronJob,
    /// Jobs that the operator creates.
    Job,
    /// The role `runner`, without a pod.
    Runner,
}

/// The last run of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// When it was due (RFC 3339).
    pub scheduled: Timestamp,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Runs that wait for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Number of waiting runs of the task.
    pub waiting: i64,
    /// Place of the first of them among all waiting runs of its group, from 1.
    pub place: i64,
}

/// Number of ended runs of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunCounts {
    /// Runs that succeeded.
    pub succeeded: i64,
    /// Runs that failed or timed out.
    pub failed: i64,
    /// Runs that were cancelled.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cancelled: i64,
    /// Runs that were not started in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: i64,
    /// Runs that were not started because of the concurrency policy or a condition.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: i64,
    /// Mean duration of the runs that succeeded, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_duration_ms: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
