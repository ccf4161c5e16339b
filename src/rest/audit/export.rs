//! Exports: all records of a log as a stream, of which only some pages are in memory at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use eventcenter_sdk::rest::ErrorResponse;
use eventcenter_sdk::rest::audit::ExportFormat;
use futures::stream::try_unfold;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::csv;
use super::documentation::{ErrorResponses, TenantHeader};
use super::filter::{self, LogParameters};
use crate::domain::audit::export::{End, Header, Line, VERSION};
use crate::domain::audit::merkle::Range;
use crate::domain::audit::{Action, Filter, LogName};
use crate::error_chain::ErrorChain;
use crate::rest::authentication::Caller;
use crate::rest::authorization::Verb;
use crate::rest::parameter::QueryParameters;
use crate::rest::request_id::RequestId;
use crate::rest::response::ApiError;
use crate::rest::state::ApiState;
use crate::store;

/// Records that are read at once.
const PAGE_SIZE: usize = 1_000;

/// Checkpoints in an export, the newest ones.
const MAX_CHECKPOINTS: usize = 100;

/// How long a client should wait when too many exports are in progress.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The media type of a format.
fn content_type(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "application/x-ndjson",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    }
}

/// The parameters of exports.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportParameters {
    /// The format.
    #[param(value_type = Option<ExportFormat>, default = "ndjson")]
    format: ExportFormat,
}

impl ExportParameters {
    const NAMES: [&str; 1] = ["format"];

    fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        Ok(Self { format: query.value("format")?.unwrap_or_default() })
    }
}

/// All records of a log, oldest first, as a stream. The export is recorded in that log before it begins. A stream that fails
/// is aborted: a complete export in NDJSON ends with the line `end`.
#[utoipa::path(
    get,
    path = "/api/audit/logs/export",
    tag = "audit",
    params(TenantHeader, LogParameters, Filter, ExportParameters),
    responses(
        (status = 200, description = "The records", content(
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        ErrorResponses,
        (status = 403, description = "No permission to export this log (verb `list`)", body = ErrorResponse),
        (status = 429, description = "Too many requests, or too many exports at once", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let known = [&LogParameters::NAMES[..], &Filter::PARAMETERS, &ExportParameters::NAMES].concat();
    let mut query = QueryParameters::parse(&uri, &known)?;
    let tenant = LogParameters::read(&mut query)?.tenant;
    let filter = filter::read(&mut query)?;
    let format = ExportParameters::read(&mut query)?.format;
    let log = state.authorizer.authorize(&caller, &headers, tenant.as_deref(), Verb::List).await?;
    let Ok(permit) = Arc::clone(&state.exports).try_acquire_owned() else {
        let text = "too many exports are in progress: try again later";
        return Err(ApiError::too_many_requests(text, RETRY_AFTER));
    };

    let (origin, actor, message) = (&caller.origin, caller.actor(), filter.to_string());
    let recorded = state.access_log.record_read(origin, actor, &log, Action::ExportAudit, message).await?;
    let date = (state.clock)().strftime("%Y%m%dT%H%M%SZ");
    let disposition = format!("attachment; filename=\"audit-{log}-{date}.{format}\"");
    let head = [(CONTENT_TYPE, content_type(format).to_owned()), (CONTENT_DISPOSITION, disposition)];
    let export = Export::start(state, log, filter, format, caller.origin.id, permit).await?;
    let body = Body::from_stream(try_unfold(Some(export), Export::next));
    Ok(recorded.warn_if_lost((head, body).into_response()))
}

/// An export in progress.
struct Export {
    state: ApiState,
    log: LogName,
    filter: Filter,
    format: ExportFormat,
    request: RequestId,
    /// The sizes of the signed checkpoints, ascending.
    signed_sizes: Vec<u64>,
    /// The size of the log when the export began; later records are not exported.
    size: u64,
    /// Records before this position are exported, as records or as gaps.
    written: u64,
    /// Records before this position are read.
    read: u64,
    /// The number of exported records.
    records: u64,
    /// The record which shows that the retention dropped the first records. It is exported whether or not it matches the filter.
    drop: Option<store::StoredRecord>,
    /// The first bytes, until they are sent.
    prologue: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Export {
    async fn start(
        state: ApiState,
        log: LogName,
        filter: Filter,
        format: ExportFormat,
        request: RequestId,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ApiError> {
        let head = state.audit.read_head(&log).await?;
        let mut checkpoints = state.audit.list_checkpoints(&log, MAX_CHECKPOINTS).await?;
        // Roots of sizes within the deleted records cannot be computed.
        checkpoints.retain(|checkpoint| (head.first..=head.size).contains(&checkpoint.size));
        checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        let signed_sizes = checkpoints.iter().map(|checkpoint| checkpoint.size).collect();
        let needs_drop = format == ExportFormat::Ndjson && head.first > 0;
        let drop = if needs_drop { state.audit.find_drop(&log, head.first).await? } else { None };
        let mut prologue = Vec::new();
        match format {
            ExportFormat::Csv => prologue = csv::header(),
            ExportFormat::Ndjson => {
                let header = Header {
                    version: VERSION.to_owned(),
                    installation: state.options.installation.clone(),
                    log: log.clone(),
                    filter: filter.clone(),
                    dropped: state.audit.read_range(&log, 0, head.first).await?,
                    chain: state.audit.read_first_chain(&log).await?,
                    size: head.size,
                };
                write(&mut prologue, &Line::Export(header));
                let notes = checkpoints.into_iter().map(|checkpoint| Line::Checkpoint(checkpoint.note));
                notes.for_each(|note| write(&mut prologue, &note));
            }
        }
        Ok(Self {
            state,
            log,
            filter,
            format,
            request,
            signed_sizes,
            size: head.size,
            written: head.first,
            read: head.first,
            records: 0,
            drop: drop.filter(|drop| (head.first..head.size).contains(&drop.record.seq)),
            prologue,
            _permit: permit,
        })
    }

    /// The next part, and the export that continues after it. An error aborts the stream, so that no client takes it for
    /// complete.
    async fn next(export: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, io::Error> {
        let Some(mut export) = export else { return Ok(None) };
        let stop = export.state.stop.clone();
        let part = tokio::select! {
            part = export.part() => part,
            () = stop.cancelled() => return Err(io::Error::other("the process is shutting down")),
        };
        match part {
            Ok((part, true)) => Ok(Some((part.into(), None))),
            Ok((part, false)) => Ok(Some((part.into(), Some(export)))),
            Err(error) => {
                let (id, error) = (&export.request, ErrorChain(&error));
                tracing::warn!(%id, log = %export.log, %error, "an export is aborted");
                Err(io::Error::other("the log cannot be read"))
            }
        }
    }

    /// The next bytes, which are not empty, and whether they are the last.
    async fn part(&mut self) -> Result<(Vec<u8>, bool), store::Error> {
        let mut part = std::mem::take(&mut self.prologue);
        if !part.is_empty() {
            return Ok((part, false));
        }
        while part.is_empty() && self.read < self.size {
            let audit = &self.state.audit;
            let mut page =
                audit.list_forward(&self.log, &self.filter, self.read, self.size, PAGE_SIZE).await?;
            self.read = page.next.unwrap_or(self.size);
            self.add_drop(&mut page.records);
            self.write_page(&page.records, &mut part).await?;
        }
        if self.read < self.size {
            return Ok((part, false));
        }
        if self.format == ExportFormat::Ndjson {
            let gaps = self.gaps(&[self.size]).await?;
            gaps.into_iter().flatten().for_each(|gap| write(&mut part, &Line::Gap(gap)));
            write(&mut part, &Line::End(End { records: self.records }));
        }
        Ok((part, true))
    }

    /// Adds the record of the drop to the page that it belongs to.
    fn add_drop(&mut self, page: &mut Vec<store::StoredRecord>) {
        let Some(drop) = self.drop.take_if(|drop| drop.record.seq < self.read) else { return };
        if let Err(at) = page.binary_search_by_key(&drop.record.seq, |stored| stored.record.seq) {
            page.insert(at, drop);
        }
    }

    async fn write_page(
        &mut self,
        page: &[store::StoredRecord],
        part: &mut Vec<u8>,
    ) -> Result<(), store::Error> {
        match self.format {
            ExportFormat::Csv if page.is_empty() => {}
            ExportFormat::Csv => *part = csv::lines(page.iter().map(|stored| &stored.record)),
            ExportFormat::Ndjson => {
                let positions: Vec<u64> = page.iter().map(|stored| stored.record.seq).collect();
                let gaps = self.gaps(&positions).await?;
                for (stored, gaps) in page.iter().zip(gaps) {
                    gaps.into_iter().for_each(|gap| write(part, &Line::Gap(gap)));
                    // The same as `Line::Record`, without parsing the stored JSON.
                    part.extend_from_slice(br#"{"record":"#);
                    part.extend_from_slice(stored.body.as_bytes());
                    part.extend_from_slice(b"}\n");
                    self.written = stored.record.seq + 1;
                }
            }
        }
        let count = page.len() as u64;
        self.records += count;
        self.state.metrics.count_exported(count);
        Ok(())
    }

    /// For each of these positions, the hashes of the records before it that are not exported. They are split at the sizes of
    /// checkpoints, so that the root at each can be computed. An export without a filter has no gaps: a missing record is not
    /// covered up.
    async fn gaps(&self, positions: &[u64]) -> Result<Vec<Vec<Range>>, store::Error> {
        if self.filter == Filter::default() {
            return Ok(vec![Vec::new(); positions.len()]);
        }
        let begins = std::iter::once(self.written).chain(positions.iter().map(|position| position + 1));
        let parts: Vec<_> = begins
            .zip(positions)
            .map(|(from, until)| split(from, *until, self.signed_sizes.iter().copied()))
            .collect();
        let mut ranges = self.state.audit.read_ranges(&self.log, &parts.concat()).await?.into_iter();
        Ok(parts.iter().map(|parts| ranges.by_ref().take(parts.len()).collect()).collect())
    }
}

/// A range, split at those of these positions that are within it.
fn split(from: u64, until: u64, positions: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ends: Vec<u64> = positions.filter(|position| (from + 1..until).contains(position)).collect();
    ends.push(until);
    ends.dedup();
    let begins = std::iter::once(from).chain(ends.iter().copied());
    begins.zip(ends.iter().copied()).filter(|(from, to)| from < to).collect()
}

fn write(part: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *part, line).expect("a line is JSON, and a Vec accepts all bytes");
    part.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn gaps_are_split_at_checkpoints() {
        let check = |from, until, expected: &[(u64, u64)]| {
            assert_eq!(split(from, until, [3, 7, 7, 20].into_iter()), expected, "{from} to {until}");
        };
        check(0, 10, &[(0, 3), (3, 7), (7, 10)]);
        check(3, 7, &[(3, 7)]);
        check(4, 6, &[(4, 6)]);
        check(2, 4, &[(2, 3), (3, 4)]);
        check(7, 7, &[]);
        check(9, 7, &[]);
        check(19, 21, &[(19, 20), (20, 21)]);
    }

    #[test]
    fn a_record_is_a_line_of_the_export_format() {
        let body = r#"{"a":1}"#;
        let mut part = Vec::new();
        write(&mut part, &Line::Record(RawValue::from_string(body.to_owned()).unwrap()));
        assert_eq!(part, format!("{{\"record\":{body}}}\n").into_bytes());
    }
}
