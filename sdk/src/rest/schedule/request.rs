//! What callers send, and the answers to requests for runs.
//!
//! Unknown fields of requests are refused: they may be misspelt.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Run;

/// A task to be created: a manifest of a ScheduledTask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTask {
    /// `eventcenter.io/v1alpha1`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub api_version: Option<String>,
    /// `ScheduledTask`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub kind: Option<String>,
    /// Namespace, name, labels and annotations.
    pub metadata: NewTaskMetadata,
    /// `spec` of the ScheduledTask.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub spec: Value,
}

/// The metadata of a new task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTaskMetadata {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub annotations: BTreeMap<String, String>,
}

/// The new spec of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskReplacement {
    /// `spec` of the ScheduledTask.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub spec: Value,
    /// The version that is replaced; by default the current one. A newer version is not replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub resource_version: Option<String>,
}

/// Starts or stops the schedule of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPatch {
    /// What to do.
    pub action: TaskAction,
}

/// What happens with the schedule of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TaskAction {
    /// It is resumed: `spec.suspend` becomes false.
    Start,
    /// It is suspended: `spec.suspend` becomes true.
    Stop,
}

/// A run by hand. All fields are optional, and so is the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TriggerRequest {
    /// An id of 1 to 128 letters, digits, `-`, `_`, `.`, `:` and `/`: the same id never runs twice. The header
    /// `Idempotency-Key` is the same. By default the server makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub id: Option<String>,
    /// Values that replace those of the task's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub parameters: BTreeMap<String, String>,
}

/// A requested run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Triggered {
    /// The run.
    pub run: Run,
    /// Whether this request created it; false if it existed already.
    pub created: bool,
}

/// A range of times whose occurrences shall run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackfillRequest {
    /// The first time, inclusive.
    pub from: Timestamp,
    /// The end of the range, exclusive; not in the future.
    pub to: Timestamp,
    /// Maximum number of occurrences. A range with more of them is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(required = false, nullable = false, minimum = 1, maximum = 1000, default = 100)
    )]
    pub limit: Option<u32>,
    /// Whether to only list the times.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub dry_run: bool,
}

/// The occurrences of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Backfill {
    /// Whether nothing was requested.
    pub dry_run: bool,
    /// The occurrences, oldest first.
    pub items: Vec<BackfillTime>,
}

/// An occurrence of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackfillTime {
    /// The time of the occurrence.
    pub time: Timestamp,
    /// The run of this time: the requested one, or the one that exists.
    pub run: Uuid,
    /// What happens.
    pub action: BackfillAction,
    /// The state of the run that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub state: Option<String>,
}

/// What a backfill does with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BackfillAction {
    /// It runs for the first time.
    Run,
    /// It was missed or skipped, and is run again.
    Rerun,
    /// It has run or will run, and is left alone.
    Keep,
}

/// A cancelled run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cancellation {
    /// The run.
    pub run: Run,
    /// The result.
    pub result: CancelResult,
}

/// The result of a request to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CancelResult {
    /// The run had not started, and is cancelled.
    Cancelled,
    /// The run is running; its executor ends it.
    Requested,
    /// The run had ended before.
    AlreadyEnded,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_fields_of_requests_are_refused() {
        assert!(serde_json::from_value::<TriggerRequest>(json!({"paramters": {}})).is_err());
        assert!(serde_json::from_value::<TaskPatch>(json!({"action": "pause"})).is_err());
        let request = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "dryrun": true});
        assert!(serde_json::from_value::<BackfillRequest>(request).is_err());
        let patch: TaskPatch = serde_json::from_value(json!({"action": "stop"})).unwrap();
        assert_eq!(patch.action, TaskAction::Stop);
        assert_eq!(serde_json::from_value::<TriggerRequest>(json!({})).unwrap(), TriggerRequest::default());
    }
}
