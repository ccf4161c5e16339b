//! Tasks for tests.

use serde_json::{Value, json};

use super::{Definition, TaskRules};
use crate::api::{ScheduledTask, TaskLimits};
use crate::domain::callback::HostPolicy;

/// A task with this spec, as YAML. `metadata` overrides its metadata.
pub(crate) fn task(spec: &str) -> ScheduledTask {
    let mut spec: Value = serde_yaml::from_str(spec).expect("YAML");
    let metadata = spec.as_object_mut().and_then(|spec| spec.remove("metadata"));
    let status = spec.as_object_mut().and_then(|spec| spec.remove("status"));
    let mut object = json!({
        "apiVersion": "eventcenter.io/v1alpha1",
        "kind": "ScheduledTask",
        "metadata": {
            "namespace": "shop", "name": "nightly", "uid": "00000000-0000-0000-0000-000000000001",
            "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    });
    for (name, value) in metadata.iter().flat_map(|metadata| metadata.as_object().expect("an object")) {
        object["metadata"][name] = value.clone();
    }
    if let Some(status) = status {
        object["status"] = status;
    }
    serde_json::from_value(object).expect("a ScheduledTask")
}

/// The definition of a valid task without a template, of a tenant without rules.
pub(crate) fn definition(task: &ScheduledTask) -> Definition {
    let created = task.metadata.creation_timestamp.as_ref().expect("created").0;
    Definition::read(&task.spec, None, created, &rules()).expect("a valid task")
}

/// The rules of a tenant that declares none.
pub(crate) fn rules() -> TaskRules {
    rules_of("{}")
}

/// The rules of a tenant with this `spec.tasks`.
pub(crate) fn rules_of(tasks: &str) -> TaskRules {
    let tenant = "shop".parse().expect("a name");
    let limits: TaskLimits = serde_yaml::from_str(tasks).expect("YAML");
    let hosts = HostPolicy::of(&tenant, &[]).expect("no hosts");
    TaskRules::of(tenant, Some(&limits), hosts)
}
