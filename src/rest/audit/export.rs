//! All records of a log, streamed: only some pages of them are in memory at once.

use std::io;
use std::sync::Arc;

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

use super::checkpoints::MOST;
use super::csv;
use super::described::{Refusals, TenantHeader};
use super::filter::{self, LogParameters};
use crate::domain::audit::export::{End, Header, Line, VERSION};
use crate::domain::audit::merkle::Range;
use crate::domain::audit::{Action, Filter, LogName};
use crate::rest::Rest;
use crate::rest::access::Verb;
use crate::rest::envelope::{Chain, Failure};
use crate::rest::identity::Caller;
use crate::rest::parameter::{Parameters, refused};
use crate::rest::request_id::RequestId;
use crate::store;

/// How many records are read at once.
const PAGE: usize = 1_000;

/// The media type of a format.
fn content_type(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "application/x-ndjson",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    }
}

/// Parameters of exports.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportParameters {
    /// The form.
    #[param(value_type = Option<ExportFormat>, default = "ndjson")]
    format: ExportFormat,
}

/// All records of a log, oldest first, as a stream. That they are taken along is recorded in that log, before it begins.
/// A stream that could not be finished is broken off: an export in NDJSON that is complete ends with the line `end`.
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
        Refusals,
        (status = 403, description = "No right to take this log along (verb `list`)", body = ErrorResponse),
        (status = 429, description = "Too many requests, or too many exports at once", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn export(
    State(rest): State<Rest>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let known = [&LogParameters::NAMES[..], &Filter::PARAMETERS, &["format"]].concat();
    let mut given = Parameters::read(&uri, &known)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let filter = filter::read(&mut given)?;
    let format = match given.text("format")?.as_deref() {
        None | Some("ndjson") => ExportFormat::Ndjson,
        Some("csv") => ExportFormat::Csv,
        Some(other) => return Err(refused("format", &format!("write ndjson or csv, not {other:?}"))),
    };
    let asked = ExportParameters { format };
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::List).await?;
    let Ok(place) = Arc::clone(&rest.exports).try_acquire_owned() else {
        return Err(Failure::too_many("too many exports are under way: try again later", 5));
    };

    let recorded = rest.record_read(&caller, &log, Action::ExportAudit, filter.to_string()).await?;
    let date = (rest.clock)().strftime("%Y%m%dT%H%M%SZ");
    let disposition = format!("attachment; filename=\"audit-{log}-{date}.{}\"", asked.format);
    let export = Export::begin(rest, log, filter, asked.format, caller.sender.id, place).await?;
    let head = [(CONTENT_TYPE, content_type(asked.format).to_owned()), (CONTENT_DISPOSITION, disposition)];
    let body = Body::from_stream(try_unfold(Some(export), Export::next));
    Ok(recorded.tell((head, body).into_response()))
}

/// How far an export has come.
struct Export {
    rest: Rest,
    log: LogName,
    filter: Filter,
    format: ExportFormat,
    request: RequestId,
    /// The places at which something was signed, in their order.
    signed: Vec<u64>,
    /// The number of records of the log when this began; none after them are exported.
    size: u64,
    /// Records before this place have been told, as records or as gaps.
    told: u64,
    /// Records before this place have been looked at.
    seen: u64,
    /// How many records have been told.
    records: u64,
    /// What is sent first.
    first: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl Export {
    async fn begin(
        rest: Rest,
        log: LogName,
        filter: Filter,
        format: ExportFormat,
        request: RequestId,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Failure> {
        let head = rest.audit.read_head(&log).await?;
        let mut noted = rest.audit.list_checkpoints(&log, MOST).await?;
        // What is known of records that were dropped is the root of all of them.
        noted.retain(|noted| (head.first..=head.size).contains(&noted.size));
        noted.sort_by_key(|noted| noted.size);
        let signed = noted.iter().map(|noted| noted.size).collect();
        let mut first = Vec::new();
        match format {
            ExportFormat::Csv => first = csv::header(),
            ExportFormat::Ndjson => {
                let header = Header {
                    version: VERSION.to_owned(),
                    installation: rest.options.installation.clone(),
                    log: log.clone(),
                    filter: filter.clone(),
                    dropped: rest.audit.read_range(&log, 0, head.first).await?,
                    chain: rest.audit.read_first_chain(&log).await?,
                    size: head.size,
                };
                write(&mut first, &Line::Export(header));
                noted.into_iter().for_each(|noted| write(&mut first, &Line::Checkpoint(noted.note)));
            }
        }
        let (size, from) = (head.size, head.first);
        let (told, seen, records) = (from, from, 0);
        Ok(Self {
            rest,
            log,
            filter,
            format,
            request,
            signed,
            size,
            told,
            seen,
            records,
            first,
            _place: place,
        })
    }

    /// The next part, and how to go on. An error breaks the stream off, so that nobody takes it for complete.
    async fn next(export: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, io::Error> {
        let Some(mut export) = export else { return Ok(None) };
        let stop = export.rest.stop.clone();
        let part = tokio::select! {
            part = export.part() => part,
            () = stop.cancelled() => return Err(io::Error::other("the process ends")),
        };
        match part {
            Ok((part, true)) => Ok(Some((part.into(), None))),
            Ok((part, false)) => Ok(Some((part.into(), Some(export)))),
            Err(error) => {
                let (id, error) = (&export.request, Chain(&error));
                tracing::warn!(%id, log = %export.log, %error, "an export is broken off");
                Err(io::Error::other("the log cannot be read"))
            }
        }
    }

    /// Some bytes that are not empty, and whether they are the last.
    async fn part(&mut self) -> Result<(Vec<u8>, bool), store::Error> {
        let mut part = std::mem::take(&mut self.first);
        if !part.is_empty() {
            return Ok((part, false));
        }
        while part.is_empty() && self.seen < self.size {
            let page =
                self.rest.audit.list_forward(&self.log, &self.filter, self.seen, self.size, PAGE).await?;
            self.seen = page.next.unwrap_or(self.size);
            self.write_page(&page.records, &mut part).await?;
        }
        if self.seen < self.size {
            return Ok((part, false));
        }
        if self.format == ExportFormat::Ndjson {
            let gaps = self.gaps(&[self.size]).await?;
            gaps.into_iter().flatten().for_each(|gap| write(&mut part, &Line::Gap(gap)));
            write(&mut part, &Line::End(End { records: self.records }));
        }
        Ok((part, true))
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
                let places: Vec<u64> = page.iter().map(|stored| stored.record.seq).collect();
                let gaps = self.gaps(&places).await?;
                for (stored, gaps) in page.iter().zip(gaps) {
                    gaps.into_iter().for_each(|gap| write(part, &Line::Gap(gap)));
                    // As a line of the form, without reading again what was written as JSON.
                    part.extend_from_slice(br#"{"record":"#);
                    part.extend_from_slice(stored.body.as_bytes());
                    part.extend_from_slice(b"}\n");
                    self.told = stored.record.seq + 1;
                }
            }
        }
        let told = page.len() as u64;
        self.records += told;
        self.rest.metrics.exported(told);
        Ok(())
    }

    /// For each of these places what is not told before it, by its hashes. It is split where something was signed, so that the
    /// root there can be found. Without a filter everything is told: what is missing then is not covered up.
    async fn gaps(&self, places: &[u64]) -> Result<Vec<Vec<Range>>, store::Error> {
        if self.filter == Filter::default() {
            return Ok(vec![Vec::new(); places.len()]);
        }
        let begins = std::iter::once(self.told).chain(places.iter().map(|place| place + 1));
        let parts: Vec<_> = begins
            .zip(places)
            .map(|(from, until)| pieces(from, *until, self.signed.iter().copied()))
            .collect();
        let mut ranges = self.rest.audit.read_ranges(&self.log, &parts.concat()).await?.into_iter();
        Ok(parts.iter().map(|parts| ranges.by_ref().take(parts.len()).collect()).collect())
    }
}

/// A range, split at those of these places that are in it.
fn pieces(from: u64, until: u64, places: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ends: Vec<u64> = places.filter(|place| (from + 1..until).contains(place)).collect();
    ends.push(until);
    ends.dedup();
    let begins = std::iter::once(from).chain(ends.iter().copied());
    begins.zip(ends.iter().copied()).filter(|(from, to)| from < to).collect()
}

fn write(part: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *part, line).expect("a line is JSON, and memory takes everything");
    part.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn gaps_are_split_where_something_was_signed() {
        let check = |from, until, expected: &[(u64, u64)]| {
            assert_eq!(pieces(from, until, [3, 7, 7, 20].into_iter()), expected, "{from} to {until}");
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
    fn a_record_is_written_as_a_line_of_the_form() {
        let body = r#"{"a":1}"#;
        let mut part = Vec::new();
        write(&mut part, &Line::Record(RawValue::from_string(body.to_owned()).unwrap()));
        assert_eq!(part, format!("{{\"record\":{body}}}\n").into_bytes());
    }
}
