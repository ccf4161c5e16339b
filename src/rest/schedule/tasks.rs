//! ScheduledTasks, read and written as the caller.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response as HttpResponse};
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::schedule::{
    DeletedTask, NewTask, Task, TaskAction, TaskFilter, TaskId, TaskPage, TaskPatch, TaskReplacement,
};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use serde_json::{Value, json};

use super::access::Permission;
use super::cursor::{self, TaskPosition};
use super::documentation::{ErrorResponses, PageParameters, TenantParameter};
use super::task::parse_id;
use super::{task_filter, wire};
use crate::api::ScheduledTask;
use crate::kubernetes::{CallerSession, SessionError};
use crate::rest::authentication::{Caller, bearer_token};
use crate::rest::body::Body;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;

/// Requests to the API server for one page: with a filter that few tasks match, a page may have fewer than its limit.
const MAX_LISTS: usize = 20;

const API_VERSION: &str = "eventcenter.io/v1alpha1";
const KIND: &str = "ScheduledTask";

/// Tasks, by namespace and name.
#[utoipa::path(
    get,
    path = "/api/schedule/tasks",
    tag = "schedule",
    params(TenantParameter, TaskFilter, PageParameters),
    responses((status = 200, description = "A page of tasks", body = Response<TaskPage>), ErrorResponses)
)]
pub(in crate::rest) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let known = [&TenantParameter::NAMES[..], &TaskFilter::PARAMETERS, &PageParameters::NAMES].concat();
    let mut query = QueryParameters::parse(&uri, &known)?;
    let tenant = TenantParameter::read(&mut query)?.tenant;
    let filter = task_filter::read(&mut query)?;
    let page = PageParameters::read(&mut query)?;
    let session = session(&state, &headers)?;
    let namespace = filter.namespace.as_deref();
    let authorizer = &state.task_authorizer;
    let scope =
        authorizer.list_scope(&caller, Permission::ListTasks, &headers, tenant.as_deref(), namespace).await?;
    let namespaces: Vec<Option<String>> = match &scope.namespaces {
        Some(namespaces) => namespaces.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let query = (&filter, &tenant);
    let mut position = match &page.cursor {
        Some(text) => cursor::decode::<TaskPosition>(&query, text)?,
        None => TaskPosition { namespace: namespaces.first().cloned().flatten(), token: None },
    };
    let mut items: Vec<Task> = Vec::new();
    let mut next = None;
    for _ in 0..MAX_LISTS {
        let limit = u32::try_from(page.limit() - items.len()).unwrap_or(1);
        let listed =
            session.list::<ScheduledTask>(position.namespace.as_deref(), limit, position.token.as_deref());
        let (found, token) = listed.await.map_err(|error| ApiError::kubernetes(&error))?;
        let found = found.iter().filter(|task| task_filter::matches(&filter, task));
        let found = found.map(|task| wire::task(task, &scope.directory));
        let is_of_tenant = |task: &Task| match &task.tenant {
            Some(tenant) => scope.tenants.iter().any(|name| name.as_str() == tenant),
            None => tenant.is_none(),
        };
        items.extend(found.filter(is_of_tenant));
        next = match token {
            Some(token) => Some(TaskPosition { token: Some(token), ..position }),
            // The caller may have lost the permission for the namespace of the cursor since the previous page.
            None => namespaces
                .iter()
                .find(|namespace| **namespace > position.namespace)
                .map(|namespace| TaskPosition { namespace: namespace.clone(), token: None }),
        };
        match next.clone() {
            Some(more) if items.len() < page.limit() => position = more,
            _ => break,
        }
    }
    Ok(success(TaskPage { items, next: next.map(|position| cursor::encode(&query, &position)) }))
}

/// A task.
#[utoipa::path(
    get,
    path = "/api/schedule/tasks/{id}",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly")),
    responses((status = 200, description = "The task", body = Response<Task>), ErrorResponses)
)]
pub(in crate::rest) async fn show(
    State(state): State<ApiState>,
    _: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let id = parse_id(id)?;
    let task = session(&state, &headers)?.get::<ScheduledTask>(id.namespace(), id.name()).await;
    answer(&state, task).await
}

/// Creates a task, as the caller. A change that needs approval is pending until it is approved.
#[utoipa::path(
    post,
    path = "/api/schedule/tasks",
    tag = "schedule",
    request_body = NewTask,
    responses(
        (status = 201, description = "The task", body = Response<Task>),
        ErrorResponses,
        (status = 409, description = "The task exists", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn create(
    State(state): State<ApiState>,
    _: Caller,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let NewTask { api_version, kind, metadata, spec } = body.parse()?;
    for (field, value, expected) in [("apiVersion", api_version, API_VERSION), ("kind", kind, KIND)] {
        if let Some(value) = value.filter(|value| value != expected) {
            return Err(invalid_parameter(
                field,
                &format!("{value:?} is not supported: write {expected}, or omit it"),
            ));
        }
    }
    let id = TaskId::new(&metadata.namespace, &metadata.name);
    let id = id.map_err(|error| ApiError::invalid(format!("metadata: {error}")))?;
    let task = json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec});
    let task = session(&state, &headers)?.create::<ScheduledTask>(id.namespace(), &task).await;
    Ok((StatusCode::CREATED, answer(&state, task).await?).into_response())
}

/// Replaces the spec of a task, as the caller.
#[utoipa::path(
    put,
    path = "/api/schedule/tasks/{id}",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly")),
    request_body = TaskReplacement,
    responses(
        (status = 200, description = "The task", body = Response<Task>),
        ErrorResponses,
        (status = 409, description = "The task has changed meanwhile", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn replace(
    State(state): State<ApiState>,
    _: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let id = parse_id(id)?;
    let TaskReplacement { spec, resource_version } = body.parse()?;
    let session = session(&state, &headers)?;
    let current = session.get::<ScheduledTask>(id.namespace(), id.name()).await;
    let mut task = current.map_err(|error| ApiError::kubernetes(&error))?;
    task["spec"] = spec;
    if let Some(version) = resource_version {
        task["metadata"]["resourceVersion"] = version.into();
    }
    let task = session.replace::<ScheduledTask>(id.namespace(), id.name(), &task).await;
    answer(&state, task).await
}

/// Starts or stops the schedule of a task, or changes any of its fields by a JSON merge patch, as the caller.
#[utoipa::path(
    patch,
    path = "/api/schedule/tasks/{id}",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly")),
    request_body(content(
        (TaskPatch = "application/json"),
        (Object = "application/merge-patch+json"),
    )),
    responses((status = 200, description = "The task", body = Response<Task>), ErrorResponses)
)]
pub(in crate::rest) async fn patch(
    State(state): State<ApiState>,
    _: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let id = parse_id(id)?;
    let patch: Value = match body.is_merge_patch() {
        true => body.parse()?,
        false => json!({"spec": {"suspend": body.parse::<TaskPatch>()?.action == TaskAction::Stop}}),
    };
    if !patch.is_object() {
        return Err(ApiError::invalid(
            "the body: a merge patch is an object, such as {\"spec\": {\"suspend\": true}}",
        ));
    }
    let session = session(&state, &headers)?;
    let task = session.merge_patch::<ScheduledTask>(id.namespace(), id.name(), &patch).await;
    answer(&state, task).await
}

/// Deletes a task, as the caller. Its runs stay in the job log.
#[utoipa::path(
    delete,
    path = "/api/schedule/tasks/{id}",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly")),
    responses((status = 200, description = "The task is deleted", body = Response<DeletedTask>), ErrorResponses)
)]
pub(in crate::rest) async fn delete(
    State(state): State<ApiState>,
    _: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let id = parse_id(id)?;
    let deleted = session(&state, &headers)?.delete::<ScheduledTask>(id.namespace(), id.name()).await;
    deleted.map_err(|error| ApiError::kubernetes(&error))?;
    Ok(success(DeletedTask { id: id.to_string() }))
}

/// The API server as the caller.
pub(super) fn session(state: &ApiState, headers: &HeaderMap) -> Result<CallerSession, ApiError> {
    let session = bearer_token(headers).and_then(|token| state.kube.as_caller(token));
    session.ok_or_else(ApiError::unauthenticated)
}

async fn answer(state: &ApiState, task: Result<Value, SessionError>) -> Result<HttpResponse, ApiError> {
    let task = task.map_err(|error| match &error {
        SessionError::Status { code: 409, .. } => ApiError::new(
            Reason::ResourceConflict,
            format!("{error}: read the task that exists, or choose another name"),
        ),
        _ => ApiError::kubernetes(&error),
    })?;
    let directory = state.task_authorizer.directory().await?;
    Ok(success(wire::task(&task, &directory)))
}
