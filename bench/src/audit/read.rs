//! Verifying, searching and exporting one log.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use eventcenter::domain::audit::export::{End, Header, Line, VERSION};
use eventcenter::domain::audit::verify::Witnesses;
use eventcenter::domain::audit::{Filter, Outcome};
use eventcenter::store::{Audit, Store};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::event::{self, scatter};
use crate::protocol::{Case, Latency, Report};

/// How many records are on a page of a search, as people are shown them.
const PAGE: usize = 50;

/// How many records an export reads at a time.
const EXPORTED: usize = 1000;

pub(crate) async fn verify(store: &Store) -> Result<Report> {
    let (audit, log) = (store.audit(), event::log(0)?);
    let head = audit.head(&log).await?;
    let begun = crate::ready().await?;
    let verified = match audit.verify(&log, &Witnesses::default(), |_, _| {}).await? {
        Ok(verified) => verified,
        Err(found) => bail!("the log is not as it was written: {}", found.finding),
    };
    let wall = begun.elapsed();
    ensure!(Some(verified.root) == head.range.root(), "the root is another one");
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

/// Where in the log a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// At its end.
    First,
    /// After nine tenths of it.
    Deep,
}

/// A question, and the value it asks for the n-th time.
type Question = (&'static str, Box<dyn Fn(u32, Depth) -> Filter>);

fn questions(first: Timestamp, last: Timestamp) -> Vec<Question> {
    let some = |text: String| Some(text);
    let none = Filter::default;
    // A hundredth of all the time there is, somewhere in it; for a deep page in the tenth that is still ahead.
    let span = move |number: u32, depth: Depth| {
        let places = if depth == Depth::Deep { 90 } else { 1000 };
        let (from, to) = (first.as_microsecond(), last.as_microsecond());
        let length = (to - from) / 100;
        let since = from + (to - from - length) / 1000 * i64::from(scatter(number, 7) % places);
        let time = |microsecond| Timestamp::from_microsecond(microsecond).ok();
        Filter { since: time(since), until: time(since + length), ..Filter::default() }
    };
    vec![
        ("everything", Box::new(move |_, _| none())),
        ("actor", Box::new(move |n, _| Filter { actor: some(event::user(scatter(n, 3))), ..none() })),
        (
            "action",
            Box::new(move |n, _| {
                let actions = ["Create", "Update", "Delete", "AlterConfig"];
                Filter { action: some(actions[n as usize % 4].to_owned()), ..none() }
            }),
        ),
        (
            "kind",
            Box::new(move |n, _| Filter { kind: some(event::KINDS[n as usize % 3].to_owned()), ..none() }),
        ),
        (
            "namespace",
            Box::new(move |n, _| Filter { namespace: some(event::namespace(scatter(n, 5))), ..none() }),
        ),
        ("name", Box::new(move |n, _| Filter { name: some(event::name(scatter(n, 6))), ..none() })),
        (
            "kind, namespace, name",
            Box::new(move |n, _| Filter {
                kind: some(event::KINDS[0].to_owned()),
                namespace: some(event::namespace(scatter(n, 5))),
                name: some(event::name(scatter(n, 6))),
                ..none()
            }),
        ),
        ("outcome Denied", Box::new(move |_, _| Filter { outcome: Some(Outcome::Denied), ..none() })),
        ("open", Box::new(move |_, _| Filter { open: true, ..none() })),
        ("time", Box::new(span)),
        (
            "text, often",
            Box::new(move |n, _| Filter { text: some(event::name(scatter(n, 6))[..9].to_owned()), ..none() }),
        ),
        ("text, nowhere", Box::new(move |n, _| Filter { text: some(format!("nowhere-{n}")), ..none() })),
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
    let head = audit.head(&log).await?;
    let newest = audit.page(&log, &Filter::default(), None, 1).await?;
    let oldest = audit.following(&log, &Filter::default(), head.first, head.size, 1).await?;
    let time = |page: &eventcenter::store::Page| page.records.first().map(|stored| stored.record.time);
    let (first, last) = time(&oldest).zip(time(&newest)).context("there are no records")?;
    let begun = crate::ready().await?;
    let mut cases = Vec::new();
    for (what, filter) in questions(first, last) {
        let deep = head.first + (head.size - head.first) / 10;
        for (depth, page, before) in
            [(Depth::First, "first page", None), (Depth::Deep, "deep page", Some(deep))]
        {
            let (name, filter) = (format!("{what}: {page}"), |number| filter(number, depth));
            cases.push(ask(&audit, &log, &name, times, filter, before).await?);
        }
    }
    let asked = u32::try_from(cases.len())? * times;
    let mut report = report(begun.elapsed(), asked.into(), asked.into())?;
    report.cases = cases;
    Ok(report)
}

async fn ask(
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
        let asked = Instant::now();
        let page = audit.page(log, &filter, before, PAGE).await?;
        taken.push(asked.elapsed());
        found += u32::try_from(page.records.len())?;
    }
    let seconds = Latency::of(taken).context("it was asked at least once")?;
    Ok(Case { name: name.to_owned(), found, seconds })
}

/// A place that forgets what is written to it, but for its length.
#[derive(Default)]
struct Nowhere(u64);

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the report counts are records that are told or passed over.
pub(crate) async fn export(store: &Store, filter: Filter) -> Result<Report> {
    let (audit, log) = (store.audit(), event::log(0)?);
    let begun = crate::ready().await?;
    let head = audit.head(&log).await?;
    let mut out = Nowhere::default();
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
        dropped: audit.range(&log, 0, head.first).await?,
        chain: audit.chain_before(&log).await?,
        size: head.size,
    }))?;
    let (mut at, mut records, mut told) = (Some(head.first), 0, head.first);
    while let Some(from) = at {
        let page = audit.following(&log, &filter, from, head.size, EXPORTED).await?;
        let last = page.next.is_none().then_some(head.size);
        let places = page.records.iter().map(|stored| stored.record.seq).chain(last);
        let parts: Vec<(u64, u64)> =
            places.map(|place| (std::mem::replace(&mut told, place + 1), place)).collect();
        let gaps = audit.ranges(&log, &parts).await?;
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
    ensure!(out.0 > records, "something was written");
    let all = head.size - head.first;
    report(begun.elapsed(), all, all)
}
