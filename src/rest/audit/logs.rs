//! Pages of records, and single records.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::audit::{Filter, LogName, Page, RawRecord, RecordDetail, RecordProof};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use utoipa::IntoParams;
use uuid::Uuid;

use super::documentation::{ErrorResponses, TenantHeader};
use super::filter::{self, LogParameters};
use super::root::root_of;
use crate::domain::audit::Action;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::cursor::Cursor;
use crate::rest::authentication::Caller;
use crate::rest::authorization::Verb;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;
use crate::store::{Audit, StoredRecord};

const MAX_PAGE_SIZE: u64 = 500;
const DEFAULT_PAGE_SIZE: u64 = 50;

/// The parameters of pages.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParameters {
    /// The maximum number of records.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u64>,
    /// `next` of the previous page, with the same filter.
    cursor: Option<String>,
}

impl PageParameters {
    const NAMES: [&str; 2] = ["limit", "cursor"];

    fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        Ok(Self { limit: query.number("limit", 1..=MAX_PAGE_SIZE)?, cursor: query.text("cursor")? })
    }
}

/// Records of a log, newest first. The read is recorded in that log.
#[utoipa::path(
    get,
    path = "/api/audit/logs",
    tag = "audit",
    params(TenantHeader, LogParameters, Filter, PageParameters),
    responses(
        (status = 200, description = "A page of records", body = Response<Page>),
        ErrorResponses,
    )
)]
pub(in crate::rest) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let known = [&LogParameters::NAMES[..], &Filter::PARAMETERS, &PageParameters::NAMES].concat();
    let mut query = QueryParameters::parse(&uri, &known)?;
    let tenant = LogParameters::read(&mut query)?.tenant;
    let filter = filter::read(&mut query)?;
    let page = PageParameters::read(&mut query)?;
    let log = state.authorizer.authorize(&caller, &headers, tenant.as_deref(), Verb::Get).await?;
    let cursor = page.cursor.map(|text| Cursor::decode(&text, &log, &filter)).transpose();
    let cursor = cursor.map_err(|error| invalid_parameter("cursor", &error.to_string()))?;
    let before = cursor.map(|cursor| cursor.before);

    let (origin, actor) = (&caller.origin, caller.actor());
    let recorded = state.access_log.record_query(origin, actor, &log, &filter).await?;
    let limit = usize::try_from(page.limit.unwrap_or(DEFAULT_PAGE_SIZE)).unwrap_or(1);
    let found = state.audit.list_backward(&log, &filter, before, limit).await?;
    Ok(recorded.warn_if_lost(success(Page {
        items: found.records.into_iter().map(raw).collect::<Result<_, _>>()?,
        next: found.next.map(|before| Cursor { before }.encode(&log, &filter)),
    })))
}

/// A record of a log with the proof that the log contains it. The read is recorded in that log.
#[utoipa::path(
    get,
    path = "/api/audit/logs/{id}",
    tag = "audit",
    params(
        ("id" = Uuid, Path, description = "The id of the record"),
        TenantHeader, LogParameters,
    ),
    responses(
        (status = 200, description = "The record", body = Response<RecordDetail>),
        ErrorResponses,
        (status = 404, description = "The log has no record with this id", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let mut query = QueryParameters::parse(&uri, &LogParameters::NAMES)?;
    let tenant = LogParameters::read(&mut query)?.tenant;
    let id: Option<Uuid> = id.ok().and_then(|Path(text)| text.parse().ok());
    let id = id.ok_or_else(|| invalid_parameter("id", "write the UUID of a record"))?;
    let log = state.authorizer.authorize(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let (origin, actor) = (&caller.origin, caller.actor());
    let message = format!("the record {id}");
    let recorded = state.access_log.record_read(origin, actor, &log, Action::ReadAudit, message).await?;
    let Some(stored) = state.audit.get_record(&log, id).await? else {
        return Err(ApiError::new(Reason::NotFound, format!("the log {log} has no record {id}")));
    };
    let completion = state.audit.get_completion(&log, id).await?;
    let proof = prove(&state.audit, &log, stored.record.seq).await?;
    Ok(recorded.warn_if_lost(success(RecordDetail {
        hash: stored.hash,
        record: raw(stored)?,
        completion: completion.map(raw).transpose()?,
        proof,
    })))
}

/// The proof that a record is under the newest checkpoint, or else under the root of the current log.
async fn prove(audit: &Audit, log: &LogName, seq: u64) -> Result<RecordProof, ApiError> {
    let newest = audit.list_checkpoints(log, 1).await?.into_iter().next();
    let signed = newest.filter(|checkpoint| seq < checkpoint.size).and_then(|checkpoint| {
        let root = Checkpoint::parse_unverified(&checkpoint.note).ok()?.root;
        Some((checkpoint.size, root, checkpoint.note))
    });
    let (size, root, checkpoint) = match signed {
        Some((size, root, note)) => (size, root, Some(note)),
        None => {
            let head = audit.read_head(log).await?;
            (head.size, root_of(&head)?, None)
        }
    };
    Ok(RecordProof { inclusion: audit.prove_inclusion(log, seq, size).await?, checkpoint, root })
}

/// The stored bytes of a record.
fn raw(stored: StoredRecord) -> Result<RawRecord, ApiError> {
    RawRecord::from_json(stored.body).map_err(|error| {
        tracing::error!(%error, id = %stored.record.id, "a record is not JSON");
        let text = "a record cannot be read; the server's log has the cause under this request's id";
        ApiError::new(Reason::Internal, text)
    })
}
