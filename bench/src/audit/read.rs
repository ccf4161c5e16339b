//! Verifies, searches and exports a log.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use eventcenter::domain::audit::export::{End, Header, Line, VERSION};
use eventcenter::domain::audit::verify::TrustedCheckpoints;
use eventcenter::domain::audit::{Filter, Outcome};
use eventcenter::store::{Audit, Store};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::event::{self, scatter};
use crate::protocol::{Case, Latency, Report};

/// Number of records per page of a search.
const PAGE_RECORDS: usize = 50;

/// Number of records per page of an export.
const EXPORT_PAGE_RECORDS: usize = 1000;

pub(crate) async fn verify(store: &Store) -> Result<Report> {
    let (audit, log) = (store.audit(), event::log(0)?);
    let head = audit.read_head(&log).await?;
    let start = crate::protocol::ready().await?;
    let verified = match audit.verify(&log, &TrustedCheckpoints::default(), |_, _| {}).await? {
        Ok(verified) => verified,
        Err(mismatch) => bail!("the log was tampered with: {}", mismatch.finding),
    };
    let wall = start.elapsed();
    ensure!(Some(verified.root) == head.range.root(), "the root differs");
    report(wall, verified.records, head.size)
}

fn report(wall: Duration, done: u64, count: u64) -> Result<Report> {
    let wall = wall.as_secs_f64();
    Ok(Report {
        wall_seconds: wall,
        written_seconds: wall,
        count: u32::try_from(count)?,
        done: u32::try_from(done)?,
        ..Report::default()
    })
}

/// The position of a page in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// The first page.
    First,
    /// A page after nine tenths of the log.
    Deep,
}

/// A kind of search, and the filter of its n-th repetition.
type SearchCase = (&'static str, Box<dyn Fn(u32, Depth) -> Filter>);

fn search_cases(first: Timestamp, last: Timestamp) -> Vec<SearchCase> {
    let some = |text: String| Some(text);
    let any = Filter::default;
    // A hundredth of the time span of the log; for a deep page within the oldest tenth.
    let span = move |number: u32, depth: Depth| {
        let places = if depth == Depth::Deep { 90 } else { 1000 };
        let (from, to) = (first.as_microsecond(), last.as_microsecond());
        let length = (to - from) / 100;
        let since = from + (to - from - length) / 1000 * i64::from(scatter(number, 7) % places);
        let time = |microsecond| Timestamp::from_microsecond(microsecond).ok();
        Filter { since: time(since), until: time(since + length), ..Filter::default() }
    };
    vec![
        ("everything", Box::new(move |_, _| any())),
        ("actor", Box::new(move |n, _| Filter { actor: some(event::user(scatter(n, 3))), ..any() })),
        (
            "action",
            Box::new(move |n, _| {
                let actions = ["Create", "Update", "Delete", "AlterConfig"];
                Filter { action: some(actions[n as usize % 4].to_owned()), ..any() }
            }),
        ),
        (
            "kind",
            Box::new(move |n, _| Filter { kind: some(event::KINDS[n as usize % 3].to_owned()), ..any() }),
        ),
        (
            "namespace",
            Box::new(move |n, _| Filter { namespace: some(event::namespace(scatter(n, 5))), ..any() }),
        ),
        ("name", Box::new(move |n, _| Filter { name: some(event::name(scatter(n, 6))), ..any() })),
        (
            "kind, namespace, name",
            Box::new(move |n, _| Filter {
                kind: some(event::KINDS[0].to_owned()),
                namespace: some(event::namespace(scatter(n, 5))),
                name: some(event::name(scatter(n, 6))),
                ..any()
            }),
        ),
        ("outcome Denied", Box::new(move |_, _| Filter { outcome: Some(Outcome::Denied), ..any() })),
        ("open", Box::new(move |_, _| Filter { open: true, ..any() })),
        ("time", Box::new(span)),
        (
            "text, often",
            Box::new(move |n, _| Filter { text: some(event::name(scatter(n, 6))[..9].to_owned()), ..any() }),
        ),
        ("text, nowhere", Box::new(move |n, _| Filter { text: some(format!("nowhere-{n}")), ..any() })),
        (
            "actor, Denied, time",
            Box::new(move |n, depth| Filter {
                actor: some(event::user(scatter(n, 3))),
                outcome: Some(Outcome::Denied),
                ..span(n, depth)
            }),
        ),
    ]
}

pub(crate) async fn query(store: &Store, times: u32) -> Result<Report> {
    let (audit, log) = (store.audit(), event::log(0)?);
    let head = audit.read_head(&log).await?;
    let newest = audit.list_backward(&log, &Filter::default(), None, 1).await?;
    let oldest = audit.list_forward(&log, &Filter::default(), head.first, head.size, 1).await?;
    let time = |page: &eventcenter::store::Page| page.records.first().map(|stored| stored.record.time);
    let (first, last) = time(&oldest).zip(time(&newest)).context("there are no records")?;
    let start = crate::protocol::ready().await?;
    let mut cases = Vec::new();
    for (what, filter) in search_cases(first, last) {
        let deep = head.first + (head.size - head.first) / 10;
        for (depth, page, before) in
            [(Depth::First, "first page", None), (Depth::Deep, "deep page", Some(deep))]
        {
            let (name, filter) = (format!("{what}: {page}"), |number| filter(number, depth));
            cases.push(measure_search(&audit, &log, &name, times, filter, before).await?);
        }
    }
    let searches = u32::try_from(cases.len())? * times;
    let mut report = report(start.elapsed(), searches.into(), searches.into())?;
    report.cases = cases;
    Ok(report)
}

async fn measure_search(
    audit: &Audit,
    log: &eventcenter::domain::audit::LogName,
    name: &str,
    times: u32,
    filter: impl Fn(u32) -> Filter,
    before: Option<u64>,
) -> Result<Case> {
    let (mut taken, mut found) = (Vec::new(), 0);
    for number in 0..times {
        let filter = filter(number);
        let start = Instant::now();
        let page = audit.list_backward(log, &filter, before, PAGE_RECORDS).await?;
        taken.push(start.elapsed());
        found += u32::try_from(page.records.len())?;
    }
    let seconds = Latency::of(taken).context("at least one repetition")?;
    Ok(Case { name: name.to_owned(), found, seconds })
}

/// Discards what is written, and counts the bytes.
#[derive(Default)]
struct CountingSink(u64);

impl Write for CountingSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Exports the log. The report counts exported and omitted records.
pub(crate) async fn export(store: &Store, filter: Filter) -> Result<Report> {
    let (audit, log) = (store.audit(), event::log(0)?);
    let start = crate::protocol::ready().await?;
    let head = audit.read_head(&log).await?;
    let mut out = CountingSink::default();
    let mut line = |line: &Line| -> Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
        Ok(())
    };
    line(&Line::Export(Header {
        version: VERSION.to_owned(),
        installation: "bench".to_owned(),
        log: log.clone(),
        filter: filter.clone(),
        dropped: audit.read_range(&log, 0, head.first).await?,
        chain: audit.read_first_chain(&log).await?,
        size: head.size,
    }))?;
    let (mut at, mut records, mut next) = (Some(head.first), 0, head.first);
    while let Some(from) = at {
        let page = audit.list_forward(&log, &filter, from, head.size, EXPORT_PAGE_RECORDS).await?;
        let last = page.next.is_none().then_some(head.size);
        let places = page.records.iter().map(|stored| stored.record.seq).chain(last);
        let parts: Vec<(u64, u64)> =
            places.map(|place| (std::mem::replace(&mut next, place + 1), place)).collect();
        let gaps = audit.read_ranges(&log, &parts).await?;
        let mut records_of_page = page.records.into_iter();
        for gap in gaps {
            if gap.end() > gap.start() {
                line(&Line::Gap(gap))?;
            }
            if let Some(stored) = records_of_page.next() {
                line(&Line::Record(RawValue::from_string(stored.body)?))?;
                records += 1;
            }
        }
        at = page.next;
    }
    line(&Line::End(End { records }))?;
    ensure!(out.0 > records, "no output");
    let all = head.size - head.first;
    report(start.elapsed(), all, all)
}
