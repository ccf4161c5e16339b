//! `TaskTemplate`: the target of several tasks, with parameters.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovedSpec, PendingChange, TaskTarget};

/// The target of several ScheduledTasks, with parameters.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventcenter.io",
    version = "v1alpha1",
    kind = "TaskTemplate",
    namespaced,
    status = "TaskTemplateStatus",
    derive = "PartialEq",
    shortname = "ttpl",
    category = "eventcenter",
    doc = "The target of several ScheduledTasks, with parameters.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether tasks can use the template"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(
        name = "Tasks",
        type_ = "integer",
        json_path = ".status.tasks",
        description = "Number of ScheduledTasks that use the template"
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
#[serde(rename_all = "camelCase")]
pub struct TaskTemplateSpec {
    /// Parameters of the template. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub parameters: Vec<TemplateParameter>,

    /// What the tasks do.
    pub target: TaskTarget,

    /// Purpose of the template, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
}

/// A parameter of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateParameter {
    /// Its name; the target contains it as `$(params.NAME)`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// Its value for tasks that set none. A parameter without a default must be set by each task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub default: Option<String>,
    /// Purpose of the parameter, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
}

/// Observed state of a TaskTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskTemplateStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::conditions")]
    #[allow(missing_docs, reason = "documented in the schema function")]
    pub conditions: Vec<Condition>,

    /// The `metadata.generation` observed by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Number of ScheduledTasks that use the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<i64>,

    /// The active spec: the one that was approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedSpec>,

    /// The change that is pending approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<PendingChange>>,
}
