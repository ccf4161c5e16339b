//! Pages of records, and single ones.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::audit::{Page, RawRecord, RecordDetail, RecordProof};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use utoipa::IntoParams;
use uuid::Uuid;

use super::described::{Refusals, TenantHeader};
use super::filter::{self, LogParameters};
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::cursor::Cursor;
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::{Action, Filter, LogName};
use crate::rest::Rest;
use crate::rest::access::Verb;
use crate::rest::envelope::{Failure, success};
use crate::rest::identity::Caller;
use crate::rest::parameter::{Parameters, refused};
use crate::store::StoredRecord;

/// How many records a page has, at most and unless it is said.
const MOST: u64 = 500;
const USUAL: u64 = 50;

/// Parameters of pages.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParameters {
    /// How many records at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u64>,
    /// Where to go on: `next` of the page before, with the same filter.
    cursor: Option<String>,
}

/// Records of a log, the newest first. That they are read is recorded in that log.
#[utoipa::path(
    get,
    path = "/api/audit/logs",
    tag = "audit",
    params(TenantHeader, LogParameters, Filter, PageParameters),
    responses(
        (status = 200, description = "A page of records", body = Response<Page>),
        Refusals,
    )
)]
pub(in crate::rest) async fn list(
    State(rest): State<Rest>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, Failure> {
    let known = [&LogParameters::NAMES[..], &Filter::PARAMETERS, &["limit", "cursor"]].concat();
    let mut given = Parameters::read(&uri, &known)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let filter = filter::read(&mut given)?;
    let page = PageParameters { limit: given.number("limit", 1..=MOST)?, cursor: given.text("cursor")? };
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;
    let cursor = page.cursor.map(|text| Cursor::decode(&text, &log, &filter)).transpose();
    let before = cursor.map_err(|error| refused("cursor", &error.to_string()))?.map(|cursor| cursor.before);

    let recorded = rest.record_question(&caller, &log, filter.to_string()).await?;
    let limit = usize::try_from(page.limit.unwrap_or(USUAL)).unwrap_or(1);
    let found = rest.audit.list_backward(&log, &filter, before, limit).await?;
    Ok(recorded.tell(success(Page {
        items: found.records.into_iter().map(raw).collect::<Result<_, _>>()?,
        next: found.next.map(|before| Cursor { before }.encode(&log, &filter)),
    })))
}

/// One record of a log, with the proof that it is in it. That it is read is recorded in that log.
#[utoipa::path(
    get,
    path = "/api/audit/logs/{id}",
    tag = "audit",
    params(
        ("id" = Uuid, Path, description = "The record's id"),
        TenantHeader, LogParameters,
    ),
    responses(
        (status = 200, description = "The record", body = Response<RecordDetail>),
        Refusals,
        (status = 404, description = "No record with this id in this log", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn show(
    State(rest): State<Rest>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, Failure> {
    let mut given = Parameters::read(&uri, &LogParameters::NAMES)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let id: Option<Uuid> = id.ok().and_then(|Path(text)| text.parse().ok());
    let id = id.ok_or_else(|| refused("id", "write the UUID of a record"))?;
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let recorded = rest.record_read(&caller, &log, Action::ReadAudit, format!("the record {id}")).await?;
    let Some(stored) = rest.audit.get_record(&log, id).await? else {
        return Err(Failure::new(Reason::NotFound, format!("the log {log} has no record {id}")));
    };
    let completion = rest.audit.get_completion(&log, id).await?;
    let proof = rest.prove(&log, stored.record.seq).await?;
    Ok(recorded.tell(success(RecordDetail {
        hash: stored.hash,
        record: raw(stored)?,
        completion: completion.map(raw).transpose()?,
        proof,
    })))
}

impl Rest {
    /// That a record is below the newest checkpoint, or below the root of the log as it is now.
    async fn prove(&self, log: &LogName, seq: u64) -> Result<RecordProof, Failure> {
        let newest = self.audit.list_checkpoints(log, 1).await?.into_iter().next();
        let signed = newest.filter(|noted| seq < noted.size).and_then(|noted| {
            let root = Checkpoint::parse_unverified(&noted.note).ok()?.root;
            Some((noted.size, root, noted.note))
        });
        let (size, root, checkpoint) = match signed {
            Some((size, root, note)) => (size, root, Some(note)),
            None => {
                let head = self.audit.read_head(log).await?;
                (head.size, root_of(&head)?, None)
            }
        };
        Ok(RecordProof { inclusion: self.audit.prove_inclusion(log, seq, size).await?, checkpoint, root })
    }
}

/// The root of a whole log.
pub(super) fn root_of(head: &crate::store::Head) -> Result<Hash, Failure> {
    head.range.root().ok_or_else(|| {
        tracing::error!("the compact range of a log does not begin at its first record");
        Failure::new(Reason::Internal, "the log has no root; our log says why, under this request's id")
    })
}

/// A record as it is kept.
fn raw(stored: StoredRecord) -> Result<RawRecord, Failure> {
    RawRecord::from_json(stored.body).map_err(|error| {
        tracing::error!(%error, id = %stored.record.id, "a record is no JSON");
        Failure::new(Reason::Internal, "a record cannot be read; our log says why, under this request's id")
    })
}
