//! The CronJobs of tasks: applies them, and reconciles their tasks when they change.

use futures::StreamExt;
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef as StoreRef;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::super::context::Context;
use super::super::effect::EffectError;
use crate::api::{EngineType, ScheduledTask, ScheduledTaskSpec};
use crate::domain::audit::Action;
use crate::domain::task::Definition;
use crate::domain::task::engine::EngineChoice;
use crate::domain::task::job::{build_cron_job, cron_job_name};
use crate::kubernetes::WriteError;

/// Watches CronJobs until dropped. A CronJob that changes without the operator is reconciled with its task.
pub(super) async fn follow(context: &Context) {
    let Some(writer) = context.cron_jobs.take_writer() else { return };
    let events = context.services.kubernetes.watch_of_tasks::<CronJob>().reflect(writer);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(cron_job) | Event::Delete(cron_job)) => enqueue_owner(context, &cron_job),
            Ok(Event::Init | Event::InitApply(_)) => {}
            // What was deleted meanwhile is created again.
            Ok(Event::InitDone) => {
                for task in context.tasks.objects.state() {
                    context.tasks.queue.enqueue(task.namespace().as_deref(), &task.name_any());
                }
            }
            Err(error) => tracing::warn!(%error, "watching CronJobs"),
        }
    }
}

fn enqueue_owner(context: &Context, cron_job: &DeserializeGuard<CronJob>) {
    let owner = cron_job.owner_references().iter().find(|owner| owner.kind == "ScheduledTask");
    if let Some(owner) = owner {
        context.tasks.queue.enqueue(cron_job.namespace().as_deref(), &owner.name);
    }
}

/// Makes the CronJob of a task as its engine needs it. Returns its name, if the task has one.
pub(super) async fn sync(
    task: &ScheduledTask,
    spec: &ScheduledTaskSpec,
    definition: &Definition,
    choice: &EngineChoice,
    context: &Context,
) -> Result<Option<String>, EffectError<WriteError>> {
    if !choice.has_cron_job {
        delete(task, context).await?;
        return Ok(None);
    }
    let suspended_because = (choice.engine != EngineType::CronJob)
        .then(|| format!("eventcenter creates the Jobs, because {}", choice.reason));
    let cron_job = build_cron_job(task, spec, definition, suspended_because.as_deref());
    let name = cron_job.name_any();
    let reference = StoreRef::new(&name).within(&task.namespace().unwrap_or_default());
    if let Some(existing) = context.cron_jobs.objects.get(&reference)
        && let Ok(existing) = &existing.0
        && covers(
            &serde_json::to_value(existing).unwrap_or_default(),
            &serde_json::to_value(&cron_job).unwrap_or_default(),
        )
        && existing.annotations().contains_key(crate::api::SUSPENDED_BECAUSE) == suspended_because.is_some()
    {
        return Ok(Some(name));
    }
    let what = format!("CronJob {name}");
    let apply = context.services.kubernetes.apply(&cron_job);
    context.services.effect(task, Action::ApplyCronJob, what, apply).await?;
    Ok(Some(name))
}

/// Deletes the CronJob of a task, if there is one.
pub(super) async fn delete(task: &ScheduledTask, context: &Context) -> Result<(), EffectError<WriteError>> {
    let name = cron_job_name(&task.name_any());
    let reference = StoreRef::new(&name).within(&task.namespace().unwrap_or_default());
    let Some(existing) = context.cron_jobs.objects.get(&reference) else { return Ok(()) };
    let Ok(existing) = &existing.0 else { return Ok(()) };
    let uid = task.uid().unwrap_or_default();
    if !existing.owner_references().iter().any(|owner| owner.uid == uid) {
        return Ok(());
    }
    let delete = context.services.kubernetes.delete_owned(existing);
    context.services.effect(task, Action::DeleteCronJob, format!("CronJob {name}"), delete).await
}

/// Whether an existing object has all wanted fields. Fields that only the existing one has are defaults of the API server.
fn covers(existing: &Value, wanted: &Value) -> bool {
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            existing.get(key).map_or(wanted.is_null(), |existing| covers(existing, wanted))
        }),
        (Value::Array(existing), Value::Array(wanted)) => {
            existing.len() == wanted.len()
                && existing.iter().zip(wanted).all(|(existing, wanted)| covers(existing, wanted))
        }
        (existing, wanted) => existing == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let wanted = json!({"spec": {"schedule": "@daily", "list": [{"a": 1}]}});
        assert!(covers(
            &json!({"spec": {"schedule": "@daily", "list": [{"a": 1, "b": 2}], "c": 3}, "status": {}}),
            &wanted
        ));
        for other in [
            json!({"spec": {"schedule": "@hourly", "list": [{"a": 1}]}}),
            json!({"spec": {"list": [{"a": 1}]}}),
            json!({"spec": {"schedule": "@daily", "list": [{"a": 1}, {"a": 2}]}}),
        ] {
            assert!(!covers(&other, &wanted), "{other}");
        }
    }
}
