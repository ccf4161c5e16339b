//! Runs: the entries of the job log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A run of a task, or the record why an occurrence did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// The id. HTTP calls of the run carry it as `Idempotency-Key`.
    pub id: Uuid,
    /// The tenant.
    pub tenant: String,
    /// The namespace of the task.
    pub namespace: String,
    /// The name of the task. The task may be deleted.
    pub task: String,
    /// `metadata.uid` of the task.
    pub task_uid: Uuid,
    /// The cause.
    pub trigger: RunTrigger,
    /// The time that the run is planned for; for a trigger by hand, when it was requested.
    pub scheduled_at: Timestamp,
    /// When the run, or its next attempt, may start.
    pub due_at: Timestamp,
    /// `Requested`, `Queued`, `Ready` or `Running`; or how it ended: `Succeeded`, `Failed`, `TimedOut`, `Cancelled`, `Missed` or
    /// `Skipped`.
    #[cfg_attr(feature = "openapi", schema(example = "Succeeded"))]
    pub state: String,
    /// Who executes it: `CronJob`, `Job` or `Runner`; missing while it is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub executor: Option<String>,
    /// Runs that follow from one another have the same chain.
    pub chain: Uuid,
    /// Values that replace the task's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub parameters: BTreeMap<String, String>,
    /// The user who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub requested_by: Option<String>,
    /// The user or the rule that cancelled it. A running one is cancelled by its executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub cancelled_by: Option<String>,
    /// Number of attempts that have started.
    pub attempts: u32,
    /// When the first attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub started_at: Option<Timestamp>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub ended_at: Option<Timestamp>,
    /// Milliseconds from the start of the first attempt to the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub duration_ms: Option<i64>,
    /// Exit code of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub exit_code: Option<i32>,
    /// Status of the HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub http_status: Option<u16>,
    /// What happened, or why the run waits, was missed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub message: Option<String>,
    /// Number of items that the program reports as processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub items: Option<i64>,
    /// Number of items that the program reports as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub errors: Option<i64>,
    /// Name of the Job or of the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub executed_by: Option<String>,
}

impl Run {
    /// The states of runs that have not ended.
    pub const OPEN_STATES: [&'static str; 4] = ["Requested", "Queued", "Ready", "Running"];

    /// Whether the run has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !Self::OPEN_STATES.contains(&self.state.as_str())
    }
}

/// The cause of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunTrigger {
    /// `Schedule`, `Manual`, `Upstream`, `Event`, `Rerun` or `Failure`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Schedule`: the time of the occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub time: Option<Timestamp>,
    /// `Manual`: the id that the user chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub id: Option<String>,
    /// `Upstream`: the chain of the runs that it follows; after a repetition of one of them, the repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub chain: Option<Uuid>,
    /// `Event`: Kafka topic, partition and offset of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub position: Option<String>,
    /// `Rerun`: the run that is repeated. `Failure`: the run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub of: Option<Uuid>,
    /// `Rerun`: the number of the repetition, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub number: Option<u32>,
}

/// One try of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// `Running`, or how it ended.
    pub state: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; missing while it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub ended_at: Option<Timestamp>,
    /// Milliseconds from its start to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub duration_ms: Option<i64>,
    /// Exit code of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub exit_code: Option<i32>,
    /// Status of the HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub http_status: Option<u16>,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub message: Option<String>,
    /// Number of items that the program reports as processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub items: Option<i64>,
    /// Number of items that the program reports as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub errors: Option<i64>,
    /// Name of the pod or of the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub executed_by: Option<String>,
}

/// A run with its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its attempts, oldest first, the running one included.
    pub attempts: Vec<Attempt>,
}

/// A page of runs, by scheduled time, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunPage {
    /// The runs. A page may have fewer runs than the limit and still a next page.
    pub items: Vec<Run>,
    /// The cursor of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub next: Option<String>,
}

/// Which runs to list. A run has to match all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct RunFilter {
    /// The namespace; by default all namespaces of which the caller may list runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// States, separated by commas, such as `Failed,TimedOut`; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Kinds of causes, separated by commas, such as `Manual,Rerun`; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Not scheduled before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Scheduled before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Of this chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Uuid>,
}

impl RunFilter {
    /// The names of the parameters.
    pub const PARAMETERS: [&'static str; 7] =
        ["namespace", "task", "state", "trigger", "from", "to", "chain"];

    /// The parameters with their values, not percent-encoded.
    #[must_use]
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let Self { namespace, task, state, trigger, from, to, chain } = self;
        let values = [
            namespace.clone(),
            task.clone(),
            state.clone(),
            trigger.clone(),
            from.map(|time| time.to_string()),
            to.map(|time| time.to_string()),
            chain.map(|chain| chain.to_string()),
        ];
        Self::PARAMETERS.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
