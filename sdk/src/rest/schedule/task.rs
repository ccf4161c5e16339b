//! Tasks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A ScheduledTask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// The id in paths: `NAMESPACE.NAME`.
    #[cfg_attr(feature = "openapi", schema(example = "shop.nightly"))]
    pub id: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The tenant that owns the namespace; null if none does.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub tenant: Option<String>,
    /// `metadata.uid`: a task that is deleted and created again has another one.
    pub uid: String,
    /// `metadata.resourceVersion`, for a replacement of exactly this version.
    pub resource_version: String,
    /// When the task was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub created_at: Option<Timestamp>,
    /// `spec` of the ScheduledTask.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub spec: Value,
    /// `status` of the ScheduledTask.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub status: Value,
}

/// A page of tasks, by namespace and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPage {
    /// The tasks. A page may have fewer tasks than the limit, even none, and still a next page: the server examines a bounded
    /// number of tasks per request.
    pub items: Vec<Task>,
    /// The cursor of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub next: Option<String>,
}

/// Which tasks to list. A task has to match all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct TaskFilter {
    /// The namespace; by default all namespaces in which the caller may list tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The beginning of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Who executes the runs: `CronJob`, `Job` or `Runner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// `true` for tasks whose schedule is suspended, `false` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
    /// The state of the last run, such as `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_state: Option<String>,
}

impl TaskFilter {
    /// The names of the parameters.
    pub const PARAMETERS: [&'static str; 5] = ["namespace", "prefix", "engine", "suspended", "lastState"];
}

/// A task that is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeletedTask {
    /// The id of the task.
    pub id: String,
}
