//! Runs and tasks as the API answers them.

use std::collections::BTreeMap;

use eventcenter_sdk::rest::schedule::{Attempt, Run, RunTrigger, Task, TaskId};
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::task::reference::EventProperty;
use crate::domain::task::{self as domain, Executor, Trigger};
use crate::domain::tenant::Tenants;

/// A run.
pub(super) fn run(run: domain::Run) -> Run {
    let domain::Run { task, outcome, .. } = run;
    Run {
        id: run.id.0,
        tenant: task.tenant.to_string(),
        namespace: task.namespace,
        task: task.name,
        task_uid: task.uid,
        trigger: trigger(run.trigger),
        scheduled_at: run.scheduled_at,
        due_at: run.due_at,
        state: run.state.to_string(),
        executor: run.executor.map(|executor| Executor::as_str(executor).to_owned()),
        chain: run.chain,
        parameters: shown(run.parameters),
        requested_by: run.requested_by,
        cancelled_by: run.cancelled_by,
        attempts: run.attempts,
        started_at: run.started_at,
        ended_at: run.ended_at,
        duration_ms: duration(run.started_at, run.ended_at),
        exit_code: outcome.exit_code,
        http_status: outcome.http_status,
        message: outcome.message,
        items: outcome.items,
        errors: outcome.errors,
        executed_by: run.executed_by,
    }
}

/// The parameters of a run as everybody sees them who may read runs: without the data of its event, which whoever may read events
/// may read.
fn shown(mut parameters: BTreeMap<String, String>) -> BTreeMap<String, String> {
    parameters.remove(EventProperty::Data.parameter());
    parameters
}

/// An attempt.
pub(super) fn attempt(attempt: domain::Attempt) -> Attempt {
    let outcome = attempt.outcome;
    Attempt {
        number: attempt.number,
        state: attempt.state.to_string(),
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
        duration_ms: duration(Some(attempt.started_at), attempt.ended_at),
        exit_code: outcome.exit_code,
        http_status: outcome.http_status,
        message: outcome.message,
        items: outcome.items,
        errors: outcome.errors,
        executed_by: attempt.executed_by,
    }
}

fn trigger(trigger: Trigger) -> RunTrigger {
    let kind = RunTrigger { kind: trigger.kind().to_owned(), ..RunTrigger::default() };
    match trigger {
        Trigger::Schedule { time } => RunTrigger { time: Some(time), ..kind },
        Trigger::Manual { id } => RunTrigger { id: Some(id), ..kind },
        Trigger::Upstream { chain } => RunTrigger { chain: Some(chain), ..kind },
        Trigger::Event { position, .. } => RunTrigger { position: Some(position), ..kind },
        Trigger::Rerun { of, number } => RunTrigger { of: Some(of.0), number: Some(number), ..kind },
        Trigger::Failure { of } => RunTrigger { of: Some(of.0), ..kind },
    }
}

fn duration(started: Option<Timestamp>, ended: Option<Timestamp>) -> Option<i64> {
    i64::try_from(ended?.duration_since(started?).as_millis()).ok()
}

/// A task as the API server has it.
pub(super) fn task(resource: &Value, directory: &Tenants) -> Task {
    let text =
        |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let id = TaskId::new(&namespace, &name).map(|id| id.to_string());
    Task {
        id: id.unwrap_or_else(|_| format!("{namespace}.{name}")),
        tenant: directory.of_namespace(&namespace).ok().map(|owner| owner.name.to_string()),
        namespace,
        name,
        uid: text("/metadata/uid"),
        resource_version: text("/metadata/resourceVersion"),
        created_at: text("/metadata/creationTimestamp").parse().ok(),
        spec: resource.get("spec").cloned().unwrap_or_default(),
        status: resource.get("status").cloned().unwrap_or_else(|| Value::Object(Default::default())),
    }
}
