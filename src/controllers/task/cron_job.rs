//! The CronJobs of tasks: applies them, and reconciles their tasks when they change.

use eventcenter_sdk::Reason;
use futures::StreamExt;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::core::object::HasSpec;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef as StoreRef;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::super::approval::Obstacle;
use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use crate::api::{EngineType, SUSPENDED_BECAUSE, ScheduledTask};
use crate::domain::Refusal;
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
            Ok(Event::Apply(cron_job)) => {
                if context.cron_jobs.remember(&cron_job) {
                    enqueue_owner(context, &cron_job);
                }
            }
            Ok(Event::Delete(cron_job)) => {
                context.cron_jobs.forget(&cron_job);
                enqueue_owner(context, &cron_job);
            }
            Ok(Event::Init) => {}
            Ok(Event::InitApply(cron_job)) => drop(context.cron_jobs.remember(&cron_job)),
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
    definition: &Definition,
    choice: &EngineChoice,
    context: &Context,
) -> Result<Option<String>, Obstacle> {
    if !choice.has_cron_job {
        delete(task, context).await.map_err(|error| Obstacle::Failed(error.to_failure()))?;
        return Ok(None);
    }
    let suspended_because = (choice.engine != EngineType::CronJob)
        .then(|| format!("eventcenter creates the Jobs, because {}", choice.reason));
    let wanted = build_cron_job(task, task.spec(), definition, suspended_because.as_deref());
    let name = wanted.name_any();
    let result = match find(task, context) {
        Some(existing) if !is_owner(task, &existing) => return Err(Obstacle::Refused(foreign(&name))),
        Some(existing) if is_as_wanted(&existing, &wanted) => return Ok(Some(name)),
        Some(existing) => apply(task, &existing, &wanted, context).await,
        None => create(task, &wanted, context).await,
    };
    match result {
        Ok(Synced::Applied) => Ok(Some(name)),
        Ok(Synced::Foreign) => Err(Obstacle::Refused(foreign(&name))),
        Err(error) => Err(Obstacle::Failed(error.to_failure())),
    }
}

/// The result of a creation.
enum Synced {
    Applied,
    /// A CronJob of this name exists that is not the task's.
    Foreign,
}

/// Creates a CronJob. One that exists and was not delivered yet is changed if it is the task's.
async fn create(
    task: &ScheduledTask,
    wanted: &CronJob,
    context: &Context,
) -> Result<Synced, EffectError<WriteError>> {
    let kubernetes = &context.services.kubernetes;
    let (namespace, name) = (task.namespace().unwrap_or_default(), wanted.name_any());
    let existing: Option<CronJob> = kubernetes.get(&namespace, &name).await?;
    match existing {
        Some(existing) if is_owner(task, &existing) => apply(task, &existing, wanted, context).await,
        Some(_) => Ok(Synced::Foreign),
        None => {
            let create = kubernetes.apply_new(wanted);
            let created =
                context.services.effect(task, Action::ApplyCronJob, describe(&name), create).await?;
            context.cron_jobs.remember(&created);
            Ok(Synced::Applied)
        }
    }
}

/// Changes the CronJob of a task.
async fn apply(
    task: &ScheduledTask,
    existing: &CronJob,
    wanted: &CronJob,
    context: &Context,
) -> Result<Synced, EffectError<WriteError>> {
    let services = &context.services;
    let name = wanted.name_any();
    let change = async {
        if would_make_up(existing, wanted) {
            services.kubernetes.set_last_schedule_time(existing, services.now()).await?;
        }
        services.kubernetes.apply(wanted).await
    };
    let changed = services.effect(task, Action::ApplyCronJob, describe(&name), change).await?;
    context.cron_jobs.remember(&changed);
    Ok(Synced::Applied)
}

/// Suspends the CronJob of a task that does not run, if it has one.
pub(super) async fn suspend(
    task: &ScheduledTask,
    because: &str,
    context: &Context,
) -> Result<(), EffectError<WriteError>> {
    let Some(existing) = find(task, context).filter(|existing| is_owner(task, existing)) else {
        return Ok(());
    };
    let Some(spec) = existing.spec.as_ref().filter(|spec| spec.suspend != Some(true)) else { return Ok(()) };
    let suspended = CronJob {
        metadata: ObjectMeta {
            name: existing.metadata.name.clone(),
            namespace: existing.metadata.namespace.clone(),
            labels: existing.metadata.labels.clone(),
            owner_references: existing.metadata.owner_references.clone(),
            annotations: Some([(SUSPENDED_BECAUSE.to_owned(), because.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(CronJobSpec { suspend: Some(true), ..spec.clone() }),
        status: None,
    };
    let what = format!("CronJob {}: suspend, because {because}", existing.name_any());
    let apply = context.services.kubernetes.apply(&suspended);
    let suspended = context.services.effect(task, Action::ApplyCronJob, what, apply).await?;
    context.cron_jobs.remember(&suspended);
    Ok(())
}

/// Deletes the CronJob of a task, if there is one.
async fn delete(task: &ScheduledTask, context: &Context) -> Result<(), EffectError<WriteError>> {
    let Some(existing) = find(task, context).filter(|existing| is_owner(task, existing)) else {
        return Ok(());
    };
    let delete = context.services.kubernetes.delete_owned(&existing);
    context.services.effect(task, Action::DeleteCronJob, describe(&existing.name_any()), delete).await
}

/// The watched CronJob with the name that the one of a task has.
fn find(task: &ScheduledTask, context: &Context) -> Option<CronJob> {
    let name = cron_job_name(&task.name_any());
    let reference = StoreRef::new(&name).within(&task.namespace().unwrap_or_default());
    context.cron_jobs.objects.get(&reference)?.0.as_ref().ok().cloned()
}

/// Whether a CronJob is the one of a task, and not one that a user created.
fn is_owner(task: &ScheduledTask, cron_job: &CronJob) -> bool {
    let uid = task.uid().unwrap_or_default();
    cron_job.owner_references().iter().any(|owner| owner.uid == uid && owner.controller == Some(true))
}

fn foreign(name: &str) -> Refusal {
    Refusal::at(
        Reason::ResourceConflict,
        "metadata.name",
        format!(
            "CronJob {name} exists already and is not the one of this task: delete it, or give the task another name"
        ),
    )
}

fn describe(name: &str) -> String {
    format!("CronJob {name}")
}

fn is_as_wanted(existing: &CronJob, wanted: &CronJob) -> bool {
    let json = |cron_job: &CronJob| serde_json::to_value(cron_job).unwrap_or_default();
    let is_annotated = |cron_job: &CronJob| cron_job.annotations().contains_key(SUSPENDED_BECAUSE);
    covers(&json(existing), &json(wanted)) && is_annotated(existing) == is_annotated(wanted)
}

/// Whether Kubernetes would make up for times before a change: those that passed while the CronJob was suspended, or those of
/// the new schedule since the last Job. A task does neither.
fn would_make_up(existing: &CronJob, wanted: &CronJob) -> bool {
    let (Some(existing), Some(wanted)) = (&existing.spec, &wanted.spec) else { return false };
    let is_started = wanted.suspend != Some(true);
    let is_resumed = existing.suspend == Some(true);
    is_started
        && (is_resumed || existing.schedule != wanted.schedule || existing.time_zone != wanted.time_zone)
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
    fn only_a_cron_job_that_starts_makes_up_for_times() {
        let cron_job = |spec: &str| -> CronJob {
            serde_yaml::from_str(&format!("{{spec: {{jobTemplate: {{}}, {spec}}}}}")).expect("a CronJob")
        };
        for (existing, wanted, expected) in [
            ("schedule: '@daily', suspend: true", "schedule: '@daily', suspend: false", true),
            ("schedule: '@daily', suspend: false", "schedule: '@hourly', suspend: false", true),
            ("schedule: '@daily'", "schedule: '@daily', timeZone: Europe/Berlin", true),
            ("schedule: '@daily', suspend: false", "schedule: '@daily', suspend: false", false),
            ("schedule: '@daily', suspend: false", "schedule: '@hourly', suspend: true", false),
        ] {
            assert_eq!(
                would_make_up(&cron_job(existing), &cron_job(wanted)),
                expected,
                "{existing} {wanted}"
            );
        }
    }

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
