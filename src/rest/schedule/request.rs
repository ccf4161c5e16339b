//! Runs by hand: triggers, reruns and cancellations.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::schedule::{CancelResult, Cancellation, TriggerRequest, Triggered};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use utoipa::IntoParams;
use uuid::Uuid;

use super::access::Permission;
use super::documentation::ErrorResponses;
use super::runs::find;
use super::task::{RequestedTask, event, parse_id, parse_run_id};
use super::wire;
use crate::domain::audit::Action;
use crate::domain::task::request::{check_parameters, check_trigger_id, new_run};
use crate::domain::task::{NewRun, Run, RunId, TaskKey, Trigger};
use crate::rest::authentication::Caller;
use crate::rest::body::Body;
use crate::rest::parameter::QueryParameters;
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;
use crate::store::CancelOutcome;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Maximum number of repetitions of a run.
const MAX_RERUNS: u32 = 100;

/// The header with the id of a trigger.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documentation: the handler reads the header")]
pub(super) struct IdempotencyKeyHeader {
    /// The same as the field `id` of the body
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Runs a task by hand, also while its schedule is suspended. The same id never runs twice: a repeated request returns the same
/// run.
#[utoipa::path(
    post,
    path = "/api/schedule/tasks/{id}/trigger",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly"), IdempotencyKeyHeader),
    request_body(content = Option<TriggerRequest>),
    responses(
        (status = 200, description = "The run", body = Response<Triggered>),
        ErrorResponses,
        (status = 409, description = "The id was used with other parameters", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn trigger(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let task = parse_id(id)?;
    let TriggerRequest { id, parameters } = body.parse_optional()?;
    let id = trigger_id(id, &headers)?;
    let authorizer = &state.task_authorizer;
    authorizer.require(&caller, Permission::Trigger, task.namespace(), task.name()).await?;
    let task = RequestedTask::load(&state, task.namespace(), task.name()).await?;
    let trigger = Trigger::Manual { id: id.unwrap_or_else(|| Uuid::now_v7().to_string()) };
    if let Some(run) = get(&state, &task.key, RunId::of(task.key.uid, &trigger)).await? {
        if run.parameters != parameters {
            return Err(ApiError::new(
                Reason::ResourceConflict,
                format!("id: run {} of this id has other parameters: choose another id", run.id),
            ));
        }
        return Ok(success(Triggered { run: wire::run(run), created: false }));
    }
    check_parameters(&task.active_spec(&state).await?, &parameters)?;
    let by = caller.user.username.clone();
    let now = (state.clock)();
    let run = NewRun { parameters, requested_by: Some(by), ..new_run(&task.key, trigger, None, now) };
    let message = describe(&run);
    request(&state, &caller, run, message).await.map(success)
}

/// Repeats a run that has ended, with its parameters and its scheduled time. While a repetition has not ended, there is no
/// further one.
#[utoipa::path(
    post,
    path = "/api/schedule/job-logs/{run}/rerun",
    tag = "schedule",
    params(("run" = Uuid, Path, description = "The id of the run")),
    responses(
        (status = 200, description = "The repetition", body = Response<Triggered>),
        ErrorResponses,
        (status = 422, description = "The run has not ended", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn rerun(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let run = find(&state, &caller, parse_run_id(id)?, Permission::Trigger).await?;
    if !run.state.is_final() {
        let text = format!(
            "the run is {}: it can be repeated when it has ended; cancel it first, or wait",
            run.state
        );
        return Err(ApiError::new(Reason::NotSupported, text));
    }
    if run.trigger.is_failure() {
        let text = "a failure action is not repeated: repeat the run that failed, which the trigger of this one names";
        return Err(ApiError::new(Reason::NotSupported, text));
    }
    let task = RequestedTask::load(&state, &run.task.namespace, &run.task.name).await?;
    if task.key != run.task {
        let text = format!("task {} of the run was deleted: trigger the one that exists", run.task.name);
        return Err(ApiError::new(Reason::NotFound, text));
    }
    task.active_spec(&state).await?;
    let trigger = match next_rerun(&state, &run).await? {
        NextRerun::Open(open) => return Ok(success(Triggered { run: wire::run(*open), created: false })),
        NextRerun::New(trigger) => trigger,
    };
    let now = (state.clock)();
    let again = NewRun {
        scheduled_at: run.scheduled_at,
        parameters: run.parameters,
        requested_by: Some(caller.user.username.clone()),
        ..new_run(&task.key, trigger, Some(run.chain), now)
    };
    let message = describe(&again);
    request(&state, &caller, again, message).await.map(success)
}

/// Cancels a run: at once if it has not started, otherwise by its executor.
#[utoipa::path(
    post,
    path = "/api/schedule/job-logs/{run}/cancel",
    tag = "schedule",
    params(("run" = Uuid, Path, description = "The id of the run")),
    responses((status = 200, description = "The run", body = Response<Cancellation>), ErrorResponses)
)]
pub(in crate::rest) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let run = find(&state, &caller, parse_run_id(id)?, Permission::CancelRun).await?;
    if run.state.is_final() {
        return Ok(success(Cancellation { run: wire::run(run), result: CancelResult::AlreadyEnded }));
    }
    let message = format!("cancel run {}, which is {}", run.id, run.state);
    let event = event(&run.task, caller.actor(), Action::CancelRun, message);
    let effect = async {
        let cancelled = state.runs.cancel(run.id, &caller.user.username, (state.clock)()).await;
        cancelled.map_err(|error| ApiError::run_log(&error))
    };
    let result = match state.access_log.record_effect(&caller.origin, event, effect).await? {
        CancelOutcome::Cancelled => CancelResult::Cancelled,
        CancelOutcome::Requested => CancelResult::Requested,
        CancelOutcome::AlreadyEnded(_) | CancelOutcome::NotFound => CancelResult::AlreadyEnded,
    };
    let run = get(&state, &run.task, run.id).await?.unwrap_or(run);
    Ok(success(Cancellation { run: wire::run(run), result }))
}

/// Records the request of a run and inserts the run.
async fn request(
    state: &ApiState,
    caller: &Caller,
    run: NewRun,
    message: String,
) -> Result<Triggered, ApiError> {
    let event = event(&run.task, caller.actor(), Action::TriggerRun, message);
    let now = (state.clock)();
    let (task, id) = (run.task.clone(), run.id);
    let runs = [run];
    let effect = async {
        let inserted = state.runs.insert(&runs, now).await;
        Ok(!inserted.map_err(|error| ApiError::run_log(&error))?.is_empty())
    };
    let created = state.access_log.record_effect(&caller.origin, event, effect).await?;
    let stored = get(state, &task, id).await?;
    let stored =
        stored.ok_or_else(|| ApiError::new(Reason::Internal, "the run was requested and is not there"))?;
    Ok(Triggered { run: wire::run(stored), created })
}

async fn get(state: &ApiState, task: &TaskKey, id: RunId) -> Result<Option<Run>, ApiError> {
    state.runs.get(&task.tenant, id).await.map_err(|error| ApiError::run_log(&error))
}

/// The next repetition of a run.
enum NextRerun {
    /// One has not ended.
    Open(Box<Run>),
    /// There is none, or all have ended.
    New(Trigger),
}

async fn next_rerun(state: &ApiState, run: &Run) -> Result<NextRerun, ApiError> {
    let trigger = |number| Trigger::Rerun { of: run.id, number };
    let ids: Vec<RunId> = (1..=MAX_RERUNS).map(|number| RunId::of(run.task.uid, &trigger(number))).collect();
    let states =
        state.runs.states(&run.task.tenant, &ids).await.map_err(|error| ApiError::run_log(&error))?;
    let open = ids.iter().find(|id| states.get(id).is_some_and(|state| !state.is_final()));
    if let Some(open) = open
        && let Some(open) = get(state, &run.task, *open).await?
    {
        return Ok(NextRerun::Open(Box::new(open)));
    }
    let number =
        (1..=MAX_RERUNS).zip(&ids).find(|(_, id)| !states.contains_key(id)).map(|(number, _)| number);
    match number {
        Some(number) => Ok(NextRerun::New(trigger(number))),
        None => Err(ApiError::new(
            Reason::NotSupported,
            format!("the run was repeated {MAX_RERUNS} times already: trigger the task instead"),
        )),
    }
}

/// What is requested, without the values of the parameters.
fn describe(run: &NewRun) -> String {
    let names: Vec<&str> = run.parameters.keys().map(String::as_str).collect();
    let parameters = match names.as_slice() {
        [] => String::new(),
        names => format!(", with the parameters {}", names.join(", ")),
    };
    match &run.trigger {
        Trigger::Rerun { of, number } => {
            format!("run {}: repetition {number} of run {of}{parameters}", run.id)
        }
        Trigger::Manual { id } => format!("run {}: by hand, with the id {id}{parameters}", run.id),
        other => format!("run {}: {}{parameters}", run.id, other.kind()),
    }
}

/// The id of a trigger in the body or the header, which may be a string of structured fields (RFC 8941).
fn trigger_id(body: Option<String>, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
    let header = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default().trim();
            let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            Some(quoted.unwrap_or(text).to_owned())
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("Idempotency-Key: the header is repeated: send it once"));
        }
    };
    if let (Some(body), Some(header)) = (&body, &header)
        && body != header
    {
        let text =
            format!("id: it is {body:?}, and the header Idempotency-Key is {header:?}: send one of them");
        return Err(ApiError::invalid(text));
    }
    let id = body.or(header);
    if let Some(id) = &id {
        check_trigger_id("id", id)?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_in_the_body_or_the_header() {
        let read = |body: Option<&str>, headers: &[&str]| {
            let mut map = HeaderMap::new();
            for value in headers {
                map.append(IDEMPOTENCY_KEY, value.parse().unwrap());
            }
            trigger_id(body.map(ToOwned::to_owned), &map).map_err(|error| error.message().to_owned())
        };
        assert_eq!(read(None, &[]), Ok(None));
        assert_eq!(read(Some("a-1"), &[]), Ok(Some("a-1".into())));
        assert_eq!(read(None, &["a-1"]), Ok(Some("a-1".into())));
        assert_eq!(read(Some("a-1"), &["\"a-1\""]), Ok(Some("a-1".into())));
        for (body, headers, expected) in [
            (Some("a"), &["b"][..], "send one of them"),
            (None, &["a", "a"], "repeated"),
            (Some(""), &[], "id: a trigger id has 1 to 128"),
            (None, &["a b"], "id: a trigger id has 1 to 128"),
        ] {
            let error = read(body, headers).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
