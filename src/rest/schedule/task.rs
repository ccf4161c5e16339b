//! The task of a request, and its active spec.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::schedule::TaskId;
use jiff::Timestamp;
use uuid::Uuid;

use crate::api::{HasApproval, ScheduledTask, ScheduledTaskSpec};
use crate::domain::approval::SpecHash;
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Target};
use crate::domain::task::{RunId, TaskKey, planning};
use crate::rest::parameter::invalid_parameter;
use crate::rest::response::ApiError;
use crate::rest::state::ApiState;

/// The id of a task in a path.
pub(super) fn parse_id(id: Result<Path<String>, PathRejection>) -> Result<TaskId, ApiError> {
    let Ok(Path(text)) = id else { return Err(invalid_parameter("id", "write NAMESPACE.NAME in UTF-8")) };
    text.parse().map_err(|error| ApiError::invalid(format!("id: {error}")))
}

/// The id of a run in a path.
pub(super) fn parse_run_id(id: Result<Path<String>, PathRejection>) -> Result<RunId, ApiError> {
    let id: Option<Uuid> = id.ok().and_then(|Path(text)| text.parse().ok());
    id.map(RunId).ok_or_else(|| invalid_parameter("run", "write the UUID of a run"))
}

/// A task that is requested to run.
#[derive(Debug)]
pub(super) struct RequestedTask {
    /// The task as the API server has it.
    pub(super) resource: ScheduledTask,
    /// Its identity in the run log.
    pub(super) key: TaskKey,
}

impl RequestedTask {
    /// Reads a task with the operator's rights. The caller must be authorized before.
    pub(super) async fn load(state: &ApiState, namespace: &str, name: &str) -> Result<Self, ApiError> {
        let directory = state.task_authorizer.directory().await?;
        let resource = state.kube.get::<ScheduledTask>(namespace, name).await;
        let resource = resource.map_err(|error| ApiError::read_failed(&error))?;
        let Some(resource) = resource else {
            let text = format!("there is no ScheduledTask {name} in namespace {namespace}");
            return Err(ApiError::new(Reason::NotFound, text));
        };
        if resource.metadata.deletion_timestamp.is_some() {
            let text = format!("task {name} is being deleted: it does not run any more");
            return Err(ApiError::new(Reason::NotSupported, text));
        }
        let tenant = directory.of_namespace(namespace)?.name.clone();
        let uid = resource.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
        let uid = uid.ok_or_else(|| ApiError::new(Reason::Internal, "the task has no uid"))?;
        let key = TaskKey { tenant, namespace: namespace.to_owned(), name: name.to_owned(), uid };
        Ok(Self { resource, key })
    }

    /// When the task was created.
    pub(super) fn created(&self) -> Timestamp {
        self.resource.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    /// The spec that is active: the declared one, or the previous one while a change is pending approval.
    ///
    /// The stored spec counts only with the hash in the status, which only the operator may write.
    pub(super) async fn active_spec(&self, state: &ApiState) -> Result<ScheduledTaskSpec, ApiError> {
        let status = self.resource.status.as_ref();
        let inactive = || ApiError::from(planning::inactive(&self.key.name));
        let Some(approved) = status.and_then(HasApproval::approved) else {
            return match status.and_then(HasApproval::pending) {
                Some(_) => Err(inactive()),
                None => Ok(self.resource.spec.clone()),
            };
        };
        let Some(revision) = approved
            .revision
            .as_deref()
            .filter(|_| SpecHash::of(&self.resource.spec).as_str() != approved.hash)
        else {
            return Ok(self.resource.spec.clone());
        };
        let stored = state.kube.get_approved_revision(&self.resource, revision).await;
        let stored = stored.map_err(|error| ApiError::read_failed(&error))?;
        let spec = stored.and_then(|mut stored| serde_json::from_value(stored["spec"].take()).ok());
        spec.filter(|spec: &ScheduledTaskSpec| SpecHash::of(spec).as_str() == approved.hash)
            .ok_or_else(inactive)
    }

    /// The first record of an effect on the task.
    pub(super) fn event(&self, actor: Actor, action: Action, message: String) -> Event {
        event(&self.key, actor, action, message)
    }
}

/// The first record of an effect on a task or one of its runs.
pub(super) fn event(task: &TaskKey, actor: Actor, action: Action, message: String) -> Event {
    let log = LogName::of(Some(task.tenant.as_str()));
    let event = Event::new(log, actor, action, Outcome::Started);
    Event { target: Some(target(task)), message: Some(message), ..event }
}

/// The task as the target of a record.
pub(super) fn target(task: &TaskKey) -> Target {
    Target {
        kind: "ScheduledTask".into(),
        namespace: Some(task.namespace.clone()),
        name: task.name.clone(),
        uid: Some(task.uid.to_string()),
    }
}
