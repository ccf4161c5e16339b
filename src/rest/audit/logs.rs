//! Pages of records, and single ones.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use eventcenter_sdk::Reason;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::described::{Refusals, TenantHeader};
use super::filter::{FilterParameters, LogParameters};
use super::shape;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::filter::Cursor;
use crate::domain::audit::merkle::{Hash, Inclusion};
use crate::domain::audit::{Action, LogName};
use crate::rest::Rest;
use crate::rest::access::Verb;
use crate::rest::envelope::{Envelope, Failure, Refused, success};
use crate::rest::identity::Caller;
use crate::rest::parameter::{Parameters, refused};
use crate::store::Stored;

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

/// Some records, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct Page {
    /// The records. There may be fewer than asked for, or none, although there is a next page: so many were looked at.
    #[schema(value_type = Vec<shape::Record>)]
    items: Vec<Box<RawValue>>,
    /// The cursor of the next page; null if this is the last one.
    #[schema(required)]
    next: Option<String>,
}

/// A record, and the proof that it is in its log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct Shown {
    /// The record. Its canonical JSON (RFC 8785) is a leaf of the log's tree.
    #[schema(value_type = shape::Record)]
    record: Box<RawValue>,
    /// The hash of the leaf.
    #[schema(value_type = String)]
    hash: Hash,
    /// The record that tells how this ended, if this is a start and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shape::Record, required = false, nullable = false)]
    completion: Option<Box<RawValue>>,
    /// That it is in the log.
    proof: Proof,
}

/// That a record is in its log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct Proof {
    /// The way from the leaf to the root.
    #[schema(value_type = shape::Inclusion)]
    inclusion: Inclusion,
    /// The signed checkpoint that has this root; null if none covers the record yet.
    #[schema(required)]
    checkpoint: Option<String>,
    /// The root.
    #[schema(value_type = String)]
    root: Hash,
}

/// Records of a log, the newest first. That they are read is recorded in that log.
#[utoipa::path(
    get,
    path = "/api/audit/logs",
    tag = "audit",
    params(TenantHeader, LogParameters, FilterParameters, PageParameters),
    responses(
        (status = 200, description = "A page of records", body = Envelope<Page>),
        Refusals,
    )
)]
pub(in crate::rest) async fn list(
    State(rest): State<Rest>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let known = [&LogParameters::NAMES[..], &FilterParameters::NAMES, &["limit", "cursor"]].concat();
    let mut given = Parameters::read(&uri, &known)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let filter = FilterParameters::read(&mut given)?.filter();
    let page = PageParameters { limit: given.number("limit", 1..=MOST)?, cursor: given.text("cursor")? };
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;
    let cursor = page.cursor.map(|text| Cursor::read(&text, &log, &filter)).transpose();
    let before = cursor.map_err(|error| refused("cursor", &error.to_string()))?.map(|cursor| cursor.before);

    let recorded = rest.record_question(&caller, &log, filter.words()).await?;
    let limit = usize::try_from(page.limit.unwrap_or(USUAL)).unwrap_or(1);
    let found = rest.audit.page(&log, &filter, before, limit).await?;
    Ok(recorded.tell(success(Page {
        items: found.records.into_iter().map(raw).collect::<Result<_, _>>()?,
        next: found.next.map(|before| Cursor { before }.text(&log, &filter)),
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
        (status = 200, description = "The record", body = Envelope<Shown>),
        Refusals,
        (status = 404, description = "No record with this id in this log", body = Refused),
    )
)]
pub(in crate::rest) async fn show(
    State(rest): State<Rest>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let mut given = Parameters::read(&uri, &LogParameters::NAMES)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let id: Option<Uuid> = id.ok().and_then(|Path(text)| text.parse().ok());
    let id = id.ok_or_else(|| refused("id", "write the UUID of a record"))?;
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let recorded = rest.record_read(&caller, &log, Action::ReadAudit, format!("the record {id}")).await?;
    let Some(stored) = rest.audit.get(&log, id).await? else {
        return Err(Failure::new(Reason::NotFound, format!("the log {log} has no record {id}")));
    };
    let completion = rest.audit.completion(&log, id).await?;
    let proof = rest.prove(&log, stored.record.seq).await?;
    Ok(recorded.tell(success(Shown {
        hash: stored.hash,
        record: raw(stored)?,
        completion: completion.map(raw).transpose()?,
        proof,
    })))
}

impl Rest {
    /// That a record is below the newest checkpoint, or below the root of the log as it is now.
    async fn prove(&self, log: &LogName, seq: u64) -> Result<Proof, Failure> {
        let newest = self.audit.checkpoints(log, 1).await?.into_iter().next();
        let signed = newest.filter(|noted| seq < noted.size).and_then(|noted| {
            let root = Checkpoint::read(&noted.note).ok()?.root;
            Some((noted.size, root, noted.note))
        });
        let (size, root, checkpoint) = match signed {
            Some((size, root, note)) => (size, root, Some(note)),
            None => {
                let head = self.audit.head(log).await?;
                (head.size, root_of(&head)?, None)
            }
        };
        Ok(Proof { inclusion: self.audit.inclusion(log, seq, size).await?, checkpoint, root })
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
fn raw(stored: Stored) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(stored.body).map_err(|error| {
        tracing::error!(%error, id = %stored.record.id, "a record is no JSON");
        Failure::new(Reason::Internal, "a record cannot be read; our log says why, under this request's id")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_answered_as_it_is_kept() {
        let body = r#"{"z":1,"a":{"number":1.0}}"#;
        let raw = RawValue::from_string(body.to_owned()).unwrap();
        let page = Page { items: vec![raw], next: None };
        assert_eq!(serde_json::to_string(&page).unwrap(), format!(r#"{{"items":[{body}],"next":null}}"#));
    }
}
