//! Concurrent writers, each of which waits until its record is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::domain::audit::{LogName, Outcome};
use eventcenter::store::{Journal, Metrics, Options, Policy, Recorder, Store, WriteOutcome};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event;
use crate::protocol::{Latency, Message, Report};

/// The load to generate.
pub(crate) struct Load {
    pub(crate) records: u32,
    pub(crate) tenants: u32,
    pub(crate) writers: u32,
    pub(crate) timeout: Duration,
}

/// State shared by all writers.
struct Shared {
    recorder: Recorder,
    logs: Vec<LogName>,
    records: u32,
    /// The number of the next event.
    next: AtomicU32,
    done: AtomicU32,
}

pub(crate) async fn run(store: &Store, load: &Load) -> Result<Report> {
    let stop = CancellationToken::new();
    let options = Options {
        policy: Policy::Required,
        timeout: load.timeout,
        instance: "bench".to_owned(),
        spool: None,
    };
    let metrics = Metrics::register(&mut Registry::default());
    let (journal, running) = Journal::start(store.clone(), options, metrics, Timestamp::now, stop.clone())?;
    let running = tokio::spawn(running);
    let shared = Arc::new(Shared {
        recorder: journal.recorder("webhook"),
        logs: (0..load.tenants).map(event::log).collect::<Result<_>>()?,
        records: load.records,
        next: AtomicU32::new(0),
        done: AtomicU32::new(0),
    });
    store.ping(load.timeout).await.context("the database is unavailable")?;
    let start = crate::protocol::ready().await?;
    let mut writers = JoinSet::new();
    for _ in 0..load.writers {
        writers.spawn(write(shared.clone()));
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
                let done = shared.done.load(Ordering::Relaxed);
                Message::Progress { sent: shared.next.load(Ordering::Relaxed).min(load.records), done }.print()?;
            }
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let done = shared.done.load(Ordering::Relaxed);
    stop.cancel();
    running.await.context("the journal failed")?;
    Ok(Report {
        wall_seconds: wall,
        written_seconds: wall,
        count: load.records,
        done,
        latency_seconds: Latency::of(times),
        ..Report::default()
    })
}

/// Records events until none are left. A started action is completed by the next record.
async fn write(shared: Arc<Shared>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut next_completion = None;
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.records {
            return Ok(times);
        }
        let (event, is_completed) = match next_completion.take() {
            Some(completion) => (completion, false),
            None => {
                let log = shared.logs[number as usize % shared.logs.len()].clone();
                event::event(number, log)
            }
        };
        let started = is_completed.then(|| event.clone());
        let start = Instant::now();
        let outcome = shared.recorder.record(event).await.context("a record was not written")?;
        times.push(start.elapsed());
        shared.done.fetch_add(1, Ordering::Relaxed);
        let WriteOutcome::Durable(id) = outcome else {
            anyhow::bail!("a record is not durable: {outcome:?}")
        };
        next_completion = started.map(|start| start.completion(id, Outcome::Succeeded, None));
    }
}
