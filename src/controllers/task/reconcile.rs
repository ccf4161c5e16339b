//! Makes a task active, or says why it is not.

use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::object::HasSpec;
use kube::runtime::reflector::ObjectRef as StoreRef;
use uuid::Uuid;

use super::super::approval::{
    ApprovalDecision, ApprovalReport, Disposition, FactsLookup, GovernedReconciler, Obstacle, activate,
    decide, prune_revisions, report_status,
};
use super::super::context::Context;
use super::super::effect::ToFailure;
use super::super::queue::Watched;
use super::super::runtime::{Informer, ReconcileResult, Reconciled, Reconciler};
use super::super::services::Services;
use super::cron_job;
use super::destination::{TopicError, find_topic};
use super::event_trigger::begin_positions;
use crate::api::{EngineType, EventTarget, ScheduledTask, TRIGGER, WhenSuspended};
use crate::domain::condition;
use crate::domain::management::{ManagementMode, management_mode};
use crate::domain::task::engine::{EngineChoice, choose};
use crate::domain::task::event_trigger::EventSource;
use crate::domain::task::planning::{ActiveTask, schedule_hash};
use crate::domain::task::request::new_run;
use crate::domain::task::status::{Outcome, build_status, describe_schedule};
use crate::domain::task::validate::created;
use crate::domain::task::work::Destination;
use crate::domain::task::{Definition, Target, TaskIndex, TaskKey, Timing, Trigger, validate};
use crate::domain::topic::validate::suspended;
use crate::domain::{Failure, ObjectRef, Refusal, backoff};
use crate::error_chain::ErrorChain;

/// Delay before a task is reconciled again that waits for an EventTopic.
const TOPIC_RETRY: Duration = Duration::from_secs(5);

/// Reconciles ScheduledTasks.
pub(in crate::controllers) struct TaskReconciler(pub(in crate::controllers) Arc<Context>);

impl Reconciler for TaskReconciler {
    type Object = ScheduledTask;

    fn services(&self) -> &Services {
        &self.0.services
    }

    fn informer(&self) -> &Informer<ScheduledTask> {
        &self.0.tasks
    }

    /// A task that the reconciler has not seen counts with its declared spec.
    fn object_delivered(&self, task: &ScheduledTask) {
        let mut catalog = self.0.services.catalog.lock();
        if !catalog.tasks().has_task(&ObjectRef::of(task)) {
            catalog.tasks_mut().set_task(task, &task.spec);
        }
    }

    fn object_deleted(&self, task: &Watched<ScheduledTask>) {
        self.0.services.approvals.forget(task);
        self.0.services.catalog.lock().tasks_mut().remove_task(&ObjectRef::of(task));
        if let Some(uid) = uid_of(task) {
            self.0.task_registry.delete(uid);
        }
    }

    fn objects_listed(&self) {
        let tasks = self.0.tasks.objects.state();
        let mut catalog = self.0.services.catalog.lock();
        for task in tasks.iter().filter_map(|task| task.0.as_ref().ok()) {
            catalog.tasks_mut().set_task(task, &task.spec);
        }
        let present = tasks.iter().map(|task| ObjectRef::of(&**task)).collect();
        catalog.tasks_mut().retain_tasks(&present);
    }

    async fn reconcile(&self, task: &ScheduledTask) -> ReconcileResult {
        if task.metadata.deletion_timestamp.is_some() {
            self.deactivate(task);
            return Ok(Reconciled::until_change(Reason::Deleting));
        }
        let ApprovalDecision { resource, disposition, mut report } = decide(self, task).await?;
        match disposition {
            Disposition::Apply => {
                let outcome = self.apply(&resource).await;
                self.report(&resource, outcome, &report).await
            }
            Disposition::Activate(activation) => {
                let (active, record) =
                    activate(&*resource, &activation, &self.0.tasks, &self.0.services).await?;
                report.record = Some(record.clone());
                let outcome = self.apply(&active).await;
                let reconciled = self.report(&active, outcome, &report).await?;
                prune_revisions(&active, record.as_status(), &self.0.services).await;
                Ok(reconciled)
            }
            Disposition::Hold(Some(obstacle)) => {
                let outcome = self.hold(task, obstacle).await;
                self.report(task, outcome, &report).await
            }
            Disposition::Hold(None) => Ok(Reconciled::requeue(Reason::Progressing, backoff::MIN_DELAY)),
        }
    }

    async fn report_failure(&self, task: &ScheduledTask, failure: Failure) -> ReconcileResult {
        self.report(task, Outcome::Failed(failure), &ApprovalReport::unchanged(task)).await
    }
}

impl GovernedReconciler for TaskReconciler {
    async fn look_up_facts(&self, _: &ScheduledTask) -> FactsLookup<()> {
        FactsLookup::Available(())
    }
}

impl TaskReconciler {
    /// Makes a task with its active spec active.
    async fn apply(&self, task: &ScheduledTask) -> Outcome {
        match management_mode(task) {
            Ok(ManagementMode::Managed) => {}
            Ok(ManagementMode::Paused) => {
                return self.stop(task, "the task is paused", Outcome::Paused).await;
            }
            Ok(ManagementMode::Unmanaged) => {
                self.deactivate(task);
                return Outcome::Unmanaged;
            }
            Err(refusal) => return self.hold(task, Obstacle::Refused(refusal)).await,
        }
        match self.try_apply(task).await {
            Ok(outcome) => match self.request_trigger(task).await {
                Ok(()) => outcome,
                Err(failure) => Outcome::Failed(failure),
            },
            Err(obstacle) => self.hold(task, obstacle).await,
        }
    }

    /// Stops a task that is refused. After a failure, what is active stays so until a retry succeeds.
    async fn hold(&self, task: &ScheduledTask, obstacle: Obstacle) -> Outcome {
        match obstacle {
            Obstacle::Refused(refusal) => {
                self.stop(task, &refusal.message(), Outcome::Refused(refusal.clone())).await
            }
            Obstacle::Failed(failure) => Outcome::Failed(failure),
        }
    }

    /// Starts no further run of a task.
    async fn stop(&self, task: &ScheduledTask, because: &str, outcome: Outcome) -> Outcome {
        self.deactivate(task);
        match cron_job::suspend(task, because, &self.0).await {
            Ok(()) => outcome,
            Err(error) => Outcome::Failed(error.to_failure()),
        }
    }

    async fn try_apply(&self, task: &ScheduledTask) -> Result<Outcome, Obstacle> {
        let context = &*self.0;
        let (definition, tenant) = {
            let mut catalog = context.services.catalog.lock();
            catalog.tasks_mut().set_task(task, task.spec());
            let tenant = catalog.tenants().of_namespace(&task.namespace().unwrap_or_default()).cloned();
            let tenant = tenant.map_err(Obstacle::Refused)?;
            if tenant.suspended == Some(WhenSuspended::Stop) {
                return Err(Obstacle::Refused(suspended(&tenant)));
            }
            let definition = match validate(task, task.spec(), catalog.task_neighbours()) {
                Ok(definition) => definition,
                Err(refusal) if self.awaits_template(task, catalog.tasks()) => {
                    return Err(Obstacle::Failed(Failure::retryable(refusal)));
                }
                Err(refusal) => return Err(Obstacle::Refused(refusal)),
            };
            (definition, tenant)
        };
        let find = |field, target| self.find_destination(task, field, target);
        let destination = match &definition.target {
            Target::Event(target) => Some(find("spec.target.event", target)?),
            Target::Container(_) | Target::Http(_) => None,
        };
        let event = definition.on_failure.as_ref().and_then(|action| action.event.as_ref());
        let failure_destination = event.map(|target| find("spec.onFailure.event", target)).transpose()?;
        let source = self.find_source(task, &definition)?;
        let choice = choose(task.spec(), &definition);
        let cron_job = Box::pin(cron_job::sync(task, &definition, &choice, context)).await?;
        let EngineChoice { engine, .. } = choice;
        let is_suspended = definition.is_suspended;
        let schedule = describe_schedule(task.spec());
        if let Some(key) = key_of(task, tenant.name.clone()) {
            let since = self.since(task, engine);
            let active = ActiveTask {
                key,
                definition,
                engine,
                destination,
                failure_destination,
                source,
                schedule_hash: schedule_hash(task.spec()),
                since,
            };
            begin_positions(&active, context).await.map_err(Obstacle::Failed)?;
            let failure =
                active.event_source().and_then(|source| context.task_registry.event_failure(source));
            let last = task.status.as_ref().and_then(|status| status.last.as_ref());
            let last_scheduled = last.map(|last| last.scheduled);
            context.task_registry.set(active, last_scheduled, context.services.now());
            if let Some(refusal) = failure {
                return Err(Obstacle::Failed(Failure::retryable(refusal)));
            }
        }
        Ok(Outcome::Scheduled { engine: choice, cron_job, schedule, is_suspended })
    }

    /// Whether the template of a task exists and is not reconciled yet, such as after the start of a leader. Its reconcile enqueues the task.
    fn awaits_template(&self, task: &ScheduledTask, tasks: &TaskIndex) -> bool {
        let (Some(name), Some(namespace)) = (&task.spec().template, task.namespace()) else { return false };
        let template = self.0.templates.objects.get(&StoreRef::new(name).within(&namespace));
        template
            .as_ref()
            .and_then(|template| template.0.as_ref().ok())
            .filter(|template| template.metadata.deletion_timestamp.is_none())
            .is_some_and(|template| !tasks.has_template(&ObjectRef::of(template)))
    }

    /// Where the event in `field` of a task is published.
    fn find_destination(
        &self,
        task: &ScheduledTask,
        field: &str,
        target: &EventTarget,
    ) -> Result<Destination, Obstacle> {
        let types = std::slice::from_ref(&target.event_type);
        self.find_declared(task, field, "type", &target.topic, types)
    }

    /// Where the events are read that a task runs for.
    fn find_source(
        &self,
        task: &ScheduledTask,
        definition: &Definition,
    ) -> Result<Option<EventSource>, Obstacle> {
        let Timing::OnEvent(trigger) = &definition.timing else { return Ok(None) };
        let (field, types) = ("spec.schedule.onEvent", &trigger.types);
        let Destination { cluster, topic } =
            self.find_declared(task, field, "types", &trigger.topic, types)?;
        Ok(Some(EventSource { cluster, topic }))
    }

    /// The Kafka topic of an EventTopic that a task names, with event types that the EventTopic has to declare if it declares any.
    /// `parent` and `types_field` are the fields.
    fn find_declared(
        &self,
        task: &ScheduledTask,
        parent: &str,
        types_field: &str,
        name: &str,
        types: &[String],
    ) -> Result<Destination, Obstacle> {
        let namespace = task.namespace().unwrap_or_default();
        let refuse = |message| Refusal::at(Reason::TopicNotFound, format!("{parent}.topic"), message);
        let (topic, found) = find_topic(&self.0, &namespace, name).map_err(|error| match error {
            TopicError::Missing { .. } | TopicError::Unowned { .. } => {
                Obstacle::Refused(refuse(error.to_string()))
            }
            // What is active stays so: runs that were requested are not skipped while Kafka is away.
            TopicError::NotReady { .. } => {
                Obstacle::Failed(Failure::retryable(refuse(format!("{error}. Retrying automatically."))))
            }
        })?;
        let declared = &topic.event_types;
        let undeclared = types.iter().find(|one| !declared.iter().any(|declared| declared.name == **one));
        if let Some(undeclared) = undeclared.filter(|_| !declared.is_empty()) {
            return Err(Obstacle::Refused(Refusal::at(
                Reason::InvalidResource,
                format!("{parent}.{types_field}"),
                format!("EventTopic {name} does not declare {undeclared}: add it there, or correct it"),
            )));
        }
        Ok(found)
    }

    /// From when on the occurrences of a task count that has no cursor: its activation or creation. Those before the CronJob was
    /// replaced by another engine were the CronJob's.
    fn since(&self, task: &ScheduledTask, engine: EngineType) -> Timestamp {
        let status = task.status.as_ref();
        let before = status.and_then(|status| status.engine.as_ref()).map(|engine| engine.engine);
        if before == Some(EngineType::CronJob) && engine != EngineType::CronJob {
            return self.0.services.now();
        }
        let approved = status.and_then(|status| status.approved.as_ref());
        approved.map_or_else(|| created(task), |approved| approved.at)
    }

    /// Requests a run for a new value of the trigger annotation. The id of the run is derived from the value, so a repeated
    /// request is none.
    async fn request_trigger(&self, task: &ScheduledTask) -> Result<(), Failure> {
        let Some(id) = task.annotations().get(TRIGGER) else { return Ok(()) };
        let handled = task.status.as_ref().and_then(|status| status.last_trigger.as_ref());
        let registered = uid_of(task).and_then(|uid| self.0.task_registry.get(uid));
        let Some(registered) = registered.filter(|_| handled != Some(id)) else { return Ok(()) };
        let now = self.0.services.now();
        let run = new_run(&registered.active.key, Trigger::Manual { id: id.clone() }, None, now);
        self.0.runs.insert(&[run], now).await.map(drop).map_err(|error| {
            tracing::warn!(error = %ErrorChain(&error), "storing a triggered run");
            Failure::retryable(Refusal::new(
                Reason::StoreUnavailable,
                "the database is unavailable, so the triggered run is not stored. Retrying automatically.",
            ))
        })
    }

    fn deactivate(&self, task: &ScheduledTask) {
        if let Some(uid) = uid_of(task) {
            self.0.task_registry.deactivate(uid);
        }
    }

    async fn report(
        &self,
        task: &ScheduledTask,
        outcome: Outcome,
        report: &ApprovalReport,
    ) -> ReconcileResult {
        let context = &*self.0;
        let services = &context.services;
        let now = services.now();
        let is_scheduled = matches!(outcome, Outcome::Scheduled { .. });
        let mut facts = uid_of(task).map(|uid| context.task_registry.facts(uid)).unwrap_or_default();
        facts.last_trigger = task.annotations().get(TRIGGER).filter(|_| is_scheduled).cloned();
        let status = build_status(task, &outcome, &facts, now);
        let reported = report_status(task, status, is_scheduled, report, &context.tasks, services).await?;
        let ready = condition::find(&reported.status.conditions, condition::READY);
        let reason = ready.and_then(|ready| ready.reason.parse().ok()).unwrap_or(Reason::Internal);
        if ready.is_some_and(|ready| ready.status == "True") {
            context.tasks.queue.observe_active(task);
        }
        let retry = match &outcome {
            Outcome::Refused(refusal) | Outcome::Failed(Failure { refusal, .. })
                if refusal.reason == Reason::TopicNotFound =>
            {
                Some(TOPIC_RETRY)
            }
            Outcome::Failed(_) => {
                Some(backoff::delay(condition::failing_since(&reported.status.conditions), now))
            }
            _ => None,
        };
        Ok(Reconciled { reason, requeue_after: report.requeue_before_expiry(retry, now) })
    }
}

fn uid_of(task: &impl kube::Resource) -> Option<Uuid> {
    task.meta().uid.as_ref()?.parse().ok()
}

fn key_of(task: &ScheduledTask, tenant: TenantName) -> Option<TaskKey> {
    Some(TaskKey { tenant, namespace: task.namespace()?, name: task.name_any(), uid: uid_of(task)? })
}
