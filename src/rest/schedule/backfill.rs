//! Backfills: runs for the occurrences of a time range.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response as HttpResponse;
use eventcenter_sdk::rest::Response;
use eventcenter_sdk::rest::schedule::{self as wire, BackfillRequest};

use super::access::Permission;
use super::documentation::ErrorResponses;
use super::task::{RequestedTask, parse_id};
use crate::domain::audit::Action;
use crate::domain::task::backfill::{
    BackfillAction, BackfillTime, DEFAULT_BACKFILL, MAX_BACKFILL, decide, occurrences, runs_of,
};
use crate::domain::task::request::new_run;
use crate::domain::task::{NewRun, planning, read_timing};
use crate::rest::authentication::Caller;
use crate::rest::body::Body;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;

/// Runs a task for the occurrences of a time range by its active schedule. A time that has run or will run is left alone; one that
/// was missed or skipped runs again. Repeating the request has no effect.
#[utoipa::path(
    post,
    path = "/api/schedule/tasks/{id}/backfill",
    tag = "schedule",
    params(("id" = String, Path, description = "NAMESPACE.NAME", example = "shop.nightly")),
    request_body = BackfillRequest,
    responses((status = 200, description = "The occurrences", body = Response<wire::Backfill>), ErrorResponses)
)]
pub(in crate::rest) async fn backfill(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let id = parse_id(id)?;
    let BackfillRequest { from, to, limit, dry_run } = body.parse()?;
    let limit = limit.map_or(DEFAULT_BACKFILL, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if !(1..=MAX_BACKFILL).contains(&limit) {
        return Err(invalid_parameter("limit", &format!("write a number from 1 to {MAX_BACKFILL}")));
    }
    state.task_authorizer.require(&caller, Permission::Trigger, id.namespace(), id.name()).await?;
    let task = RequestedTask::load(&state, id.namespace(), id.name()).await?;
    let spec = task.active_spec(&state).await?;
    let now = (state.clock)();
    let timing = read_timing(spec.schedule.as_ref(), task.created())?;
    let times = occurrences(&timing, from, to, limit, now)?;
    let states = state.runs.states(&task.key.tenant, &runs_of(task.key.uid, &times)).await;
    let states = states.map_err(|error| ApiError::run_log(&error))?;
    let decided = decide(task.key.uid, &times, &states);
    let runs: Vec<NewRun> = decided
        .iter()
        .filter(|one| one.action != BackfillAction::Keep)
        .map(|one| NewRun {
            scheduled_at: one.time,
            requested_by: Some(caller.user.username.clone()),
            ..new_run(
                &task.key,
                one.trigger.clone(),
                Some(planning::chain_of(&task.key.namespace, one.time)),
                now,
            )
        })
        .collect();
    if !dry_run && !runs.is_empty() {
        let message = format!("{} runs for the times from {from} to {to}", runs.len());
        let event = task.event(caller.actor(), Action::TriggerRun, message);
        let effect = async {
            let inserted = state.runs.insert(&runs, now).await;
            inserted.map(drop).map_err(|error| ApiError::run_log(&error))
        };
        state.access_log.record_effect(&caller.origin, event, effect).await?;
    }
    Ok(success(wire::Backfill { dry_run, items: decided.into_iter().map(to_wire).collect() }))
}

fn to_wire(one: BackfillTime) -> wire::BackfillTime {
    wire::BackfillTime {
        time: one.time,
        run: one.run.0,
        action: match one.action {
            BackfillAction::Run => wire::BackfillAction::Run,
            BackfillAction::Rerun => wire::BackfillAction::Rerun,
            BackfillAction::Keep => wire::BackfillAction::Keep,
        },
        state: one.state.map(|state| state.to_string()),
    }
}
