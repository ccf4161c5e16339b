//! The job log: runs, their attempts and logs.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response as HttpResponse};
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::Response;
use eventcenter_sdk::rest::schedule::{RunDetail, RunFilter, RunPage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::access::{Permission, run_not_found};
use super::documentation::{ErrorResponses, PageParameters, TenantParameter};
use super::task::{parse_run_id, target};
use super::{cursor, wire};
use crate::domain::audit::LogName;
use crate::domain::task::{Run, RunId, RunState, TaskKey};
use crate::rest::authentication::Caller;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;
use crate::store;

/// The kinds of causes.
const TRIGGERS: [&str; 6] = ["Schedule", "Manual", "Upstream", "Event", "Rerun", "Failure"];

/// Where a page begins: after this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RunPosition {
    scheduled_at: Timestamp,
    id: Uuid,
}

/// Runs, by scheduled time, newest first.
#[utoipa::path(
    get,
    path = "/api/schedule/job-logs",
    tag = "schedule",
    params(TenantParameter, RunFilter, PageParameters),
    responses((status = 200, description = "A page of runs", body = Response<RunPage>), ErrorResponses)
)]
pub(in crate::rest) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let known = [&TenantParameter::NAMES[..], &RunFilter::PARAMETERS, &PageParameters::NAMES].concat();
    let mut query = QueryParameters::parse(&uri, &known)?;
    let tenant = TenantParameter::read(&mut query)?.tenant;
    let filter = read_filter(&mut query)?;
    let page = PageParameters::read(&mut query)?;
    let (states, triggers) = (read_states(&filter)?, read_triggers(&filter)?);
    let query = (&filter, &tenant);
    let after = page.cursor.as_deref().map(|text| cursor::decode::<RunPosition>(&query, text)).transpose()?;
    let after = after.map(|after| store::RunCursor { scheduled_at: after.scheduled_at, id: RunId(after.id) });
    let namespace = filter.namespace.as_deref();
    let authorizer = &state.task_authorizer;
    let scope =
        authorizer.list_scope(&caller, Permission::ListRuns, &headers, tenant.as_deref(), namespace).await?;
    let stored = store::RunFilter {
        tenants: scope.tenants.clone(),
        namespaces: scope.namespaces.clone(),
        task: filter.task.clone(),
        uid: None,
        states,
        triggers,
        from: filter.from,
        until: filter.to,
        chain: filter.chain,
    };
    let found = state.runs.list(&stored, after, page.limit()).await;
    let store::RunPage { runs, next } = found.map_err(|error| ApiError::run_log(&error))?;
    let next = next.map(|next| RunPosition { scheduled_at: next.scheduled_at, id: next.id.0 });
    Ok(success(RunPage {
        items: runs.into_iter().filter(|run| scope.has(run)).map(wire::run).collect(),
        next: next.map(|position| cursor::encode(&query, &position)),
    }))
}

/// A run with its attempts.
#[utoipa::path(
    get,
    path = "/api/schedule/job-logs/{run}",
    tag = "schedule",
    params(("run" = Uuid, Path, description = "The id of the run")),
    responses((status = 200, description = "The run", body = Response<RunDetail>), ErrorResponses)
)]
pub(in crate::rest) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let run = find(&state, &caller, parse_run_id(id)?, Permission::GetRun).await?;
    let attempts = state.runs.attempts(&run.task.tenant, run.id).await;
    let attempts = attempts.map_err(|error| ApiError::run_log(&error))?;
    Ok(success(RunDetail {
        run: wire::run(run),
        attempts: attempts.into_iter().map(wire::attempt).collect(),
    }))
}

/// The parameters of a log.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documentation: the handler reads the parameter")]
struct LogParameters {
    /// The number of the attempt, from 1; by default the last one that has ended.
    #[param(minimum = 1)]
    attempt: Option<u32>,
}

/// The end of the log of an attempt, at most 64 KiB, as text; values of Secrets are masked. The read is recorded in the audit
/// log of the tenant.
#[utoipa::path(
    get,
    path = "/api/schedule/job-logs/{run}/log",
    tag = "schedule",
    params(("run" = Uuid, Path, description = "The id of the run"), LogParameters),
    responses(
        (status = 200, description = "The end of the log", body = String, content_type = "text/plain"),
        ErrorResponses,
    )
)]
pub(in crate::rest) async fn log(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let mut query = QueryParameters::parse(&uri, &["attempt"])?;
    let number = query.number("attempt", 1..=u64::from(u32::MAX))?;
    let run = find(&state, &caller, parse_run_id(id)?, Permission::GetRun).await?;
    let TaskKey { tenant, .. } = &run.task;
    let attempts = state.runs.attempts(tenant, run.id).await.map_err(|error| ApiError::run_log(&error))?;
    let attempt = match number {
        Some(number) => attempts.iter().find(|attempt| u64::from(attempt.number) == number),
        None => attempts.iter().rfind(|attempt| attempt.ended_at.is_some()).or(attempts.last()),
    };
    let not_found = |text: String| Err(ApiError::new(Reason::NotFound, text));
    let Some(attempt) = attempt else {
        return not_found(match (number, run.state) {
            (Some(number), _) => format!("the run has no attempt {number}: it has {}", attempts.len()),
            (None, state) => format!("the run has no log: no attempt has started, its state is {state}"),
        });
    };
    let number = attempt.number;
    if attempt.ended_at.is_none() {
        let pods = attempt
            .executed_by
            .as_deref()
            .map(|job| format!(" (kubectl logs job/{job} -n {} shows it now)", run.task.namespace));
        let pods = pods.filter(|_| run.executor != Some(crate::domain::task::Executor::Runner));
        return not_found(format!(
            "attempt {number} is running: its log is stored when it ends{}",
            pods.unwrap_or_default()
        ));
    }
    let what = format!("the log of run {}, attempt {number}", run.id);
    let log = LogName::of(Some(tenant.as_str()));
    let (origin, actor) = (&caller.origin, caller.actor());
    let recorded = state.access_log.record_run_log(origin, actor, &log, target(&run.task), what).await?;
    let tail =
        state.runs.log_tail(tenant, run.id, number).await.map_err(|error| ApiError::run_log(&error))?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok(recorded.warn_if_lost((headers, tail.unwrap_or_default()).into_response()))
}

/// A run that the caller has a permission for.
pub(super) async fn find(
    state: &ApiState,
    caller: &Caller,
    id: RunId,
    permission: Permission,
) -> Result<Run, ApiError> {
    let task = state.runs.task_of(id).await.map_err(|error| ApiError::run_log(&error))?;
    let task = task.ok_or_else(run_not_found)?;
    state.task_authorizer.require_for_run(caller, permission, &task).await?;
    let run = state.runs.get(&task.tenant, id).await.map_err(|error| ApiError::run_log(&error))?;
    run.ok_or_else(run_not_found)
}

fn read_filter(query: &mut QueryParameters) -> Result<RunFilter, ApiError> {
    let filter = RunFilter {
        namespace: query.text("namespace")?,
        task: query.text("task")?,
        state: query.text("state")?,
        trigger: query.text("trigger")?,
        from: query.time("from")?,
        to: query.time("to")?,
        chain: query.value("chain")?,
    };
    match (filter.from, filter.to) {
        (Some(from), Some(to)) if from >= to => {
            Err(invalid_parameter("to", "the range is empty: write a time after that of from"))
        }
        _ => Ok(filter),
    }
}

fn read_states(filter: &RunFilter) -> Result<Vec<RunState>, ApiError> {
    let words = filter.state.iter().flat_map(|states| states.split(','));
    let states: Result<Vec<RunState>, String> = words.map(str::parse).collect();
    let mut states = states.map_err(|error| invalid_parameter("state", &error))?;
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

fn read_triggers(filter: &RunFilter) -> Result<Vec<String>, ApiError> {
    let words = filter.trigger.iter().flat_map(|triggers| triggers.split(','));
    let read = |word: &str| match TRIGGERS.contains(&word) {
        true => Ok(word.to_owned()),
        false => Err(invalid_parameter(
            "trigger",
            &format!("{word:?} is no cause: write one of {}", TRIGGERS.join(", ")),
        )),
    };
    words.map(read).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(query: &str, expected: Expect) {
        let uri = format!("/job-logs?{query}").parse().unwrap();
        let read = || {
            let mut query = QueryParameters::parse(&uri, &RunFilter::PARAMETERS)?;
            let filter = read_filter(&mut query)?;
            Ok((read_states(&filter)?, read_triggers(&filter)?))
        };
        expected.assert_eq(&match read() {
            Ok((states, triggers)) => format!("{states:?} {triggers:?}"),
            Err(error) => ApiError::message(&error).to_owned(),
        });
    }

    #[test]
    fn states_and_triggers_are_lists() {
        check("", expect!["[] []"]);
        check("state=TimedOut,Failed,Failed&trigger=Manual", expect![[r#"[Failed, TimedOut] ["Manual"]"#]]);
        check(
            "state=Failed,",
            expect![[
                r#"state: "" is unknown: write Requested, Queued, Ready, Running, Succeeded, Failed, TimedOut, Cancelled, Missed, Skipped"#
            ]],
        );
        check(
            "trigger=manual",
            expect![[
                r#"trigger: "manual" is no cause: write one of Schedule, Manual, Upstream, Event, Rerun, Failure"#
            ]],
        );
        check(
            "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            expect!["to: the range is empty: write a time after that of from"],
        );
    }
}
