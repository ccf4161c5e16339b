//! Many writers, each of which waits until its own record is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::domain::audit::{LogName, Outcome};
use eventcenter::store::{Journal, Metrics, Options, Policy, Recorder, Store, Written};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event;
use crate::protocol::{Latency, Message, Report};

/// How much is appended, by whom.
pub(crate) struct Load {
    pub(crate) records: u32,
    pub(crate) tenants: u32,
    pub(crate) writers: u32,
    pub(crate) patience: Duration,
}

/// What all writers share.
struct Work {
    recorder: Recorder,
    logs: Vec<LogName>,
    records: u32,
    /// The next number.
    next: AtomicU32,
    done: AtomicU32,
}

pub(crate) async fn run(store: &Store, load: &Load) -> Result<Report> {
    let stop = CancellationToken::new();
    let options = Options {
        policy: Policy::Required,
        patience: load.patience,
        instance: "bench".to_owned(),
        spool: None,
    };
    let metrics = Metrics::register(&mut Registry::default());
    let (journal, journalling) =
        Journal::start(store.clone(), options, metrics, Timestamp::now, stop.clone())?;
    let journalling = tokio::spawn(journalling);
    let work = Arc::new(Work {
        recorder: journal.recorder("webhook", false),
        logs: (0..load.tenants).map(event::log).collect::<Result<_>>()?,
        records: load.records,
        next: AtomicU32::new(0),
        done: AtomicU32::new(0),
    });
    store.ping(load.patience).await.context("the database does not answer")?;
    let begun = crate::ready().await?;
    let mut writers = JoinSet::new();
    for _ in 0..load.writers {
        writers.spawn(write(work.clone()));
    }
    let mut times = Vec::with_capacity(usize::try_from(load.records)?);
    let mut progress = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            ended = writers.join_next() => match ended {
                Some(written) => times.extend(written??),
                None => break,
            },
            _ = progress.tick() => {
                let done = work.done.load(Ordering::Relaxed);
                Message::Progress { sent: work.next.load(Ordering::Relaxed).min(load.records), done }.print()?;
            }
        }
    }
    let wall = begun.elapsed().as_secs_f64();
    let done = work.done.load(Ordering::Relaxed);
    stop.cancel();
    journalling.await.context("the journal failed")?;
    Ok(Report {
        wall_seconds: wall,
        written_seconds: wall,
        count: load.records,
        done,
        latency_seconds: Latency::of(times),
        ..Report::default()
    })
}

/// One writer: the next number as long as there is one, and the end of what it has started.
async fn write(work: Arc<Work>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut ending = None;
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= work.records {
            return Ok(times);
        }
        let (event, ends) = match ending.take() {
            Some(end) => (end, false),
            None => {
                let log = work.logs[number as usize % work.logs.len()].clone();
                event::at(number, log)
            }
        };
        let start = ends.then(|| event.clone());
        let asked = Instant::now();
        let written = work.recorder.record(event).await.context("a record is not written")?;
        times.push(asked.elapsed());
        work.done.fetch_add(1, Ordering::Relaxed);
        let Written::Durable(id) = written else {
            anyhow::bail!("a record is not in the database: {written:?}")
        };
        ending = start.map(|start| start.ended(id, Outcome::Succeeded, None));
    }
}
