//! A receiver of the HTTP calls of tasks.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::domain::task::{RunId, RunState};
use eventcenter::store::{Runs, Store, StoreUrl};
use eventcenter_sdk::name::TenantName;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval};

use super::manifest::{KEY, SCHEDULED};
use super::schedule::Schedule;
use crate::load::Load;
use crate::protocol::{self, Latency, Message, Report};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// After the last expected call, how long the step waits for repeated calls.
const WAIT_FOR_REPEATED: Duration = Duration::from_secs(2);

/// Of this many calls, the run of one is looked up in the run log when the call arrives.
const CALLS_PER_LOOKUP: usize = 100;

/// The received calls.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// The ids of the runs.
    keys: HashSet<String>,
    /// From when a run was scheduled until its first call was received.
    late: Vec<Duration>,
    /// The number of calls whose key was received before.
    repeated: u32,
    /// When the last call was received.
    last: Option<Instant>,
    /// The number of runs that were looked up, and of those that the run log did not have as running.
    looked_up: u32,
    unstored: u32,
    /// Where runs are looked up.
    log: Option<(Runs, TenantName)>,
}

impl Received {
    /// Records a call. Returns the id of its run if that is to be looked up.
    fn record(&mut self, headers: &HeaderMap, now: Timestamp) -> Option<RunId> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.last = Some(Instant::now());
        if !self.keys.insert(header(KEY).unwrap_or_default().to_owned()) {
            self.repeated += 1;
        } else if let Some(scheduled) = header(SCHEDULED).and_then(|time| time.parse::<Timestamp>().ok()) {
            self.late.push(Duration::try_from(now.duration_since(scheduled)).unwrap_or_default());
        }
        let is_looked_up = self.keys.len() % CALLS_PER_LOOKUP == 1;
        is_looked_up.then(|| header(KEY).and_then(|key| key.parse().ok()).map(RunId)).flatten()
    }

    /// The number of runs that were called.
    fn count(&self) -> u32 {
        u32::try_from(self.late.len()).unwrap_or(u32::MAX)
    }
}

/// Receives the calls of all runs. The latency is the time from when a run was scheduled until its call was received.
pub(super) async fn receive(load: &Load, schedule: Schedule, port: u16, store: &StoreUrl) -> Result<Report> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("listening for calls")?;
    let log = (Store::open(store)?.runs(), load.namespace.parse()?);
    let received = Rc::new(RefCell::new(Received { log: Some(log), ..Received::default() }));
    let server = LocalSet::new();
    server.spawn_local(accept(listener, Rc::clone(&received)));
    server.run_until(wait(load, schedule, &received)).await
}

async fn wait(load: &Load, schedule: Schedule, received: &RefCell<Received>) -> Result<Report> {
    let due = schedule.future_due()?;
    protocol::ready().await?;
    let count = load.count * schedule.times();
    let start = Instant::now() + Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (done, last) = (received.borrow().count(), received.borrow().last.unwrap_or(start));
        Message::Progress { sent: count, done }.print()?;
        let limit = if done >= count { WAIT_FOR_REPEATED } else { load.inactivity_timeout };
        if Instant::now().saturating_duration_since(last) >= limit {
            break;
        }
    }
    let received = received.take();
    let end = received.last.unwrap_or(start);
    Ok(Report {
        wall_seconds: end.saturating_duration_since(start).as_secs_f64(),
        count,
        done: received.count(),
        events: received.repeated,
        looked_up: received.looked_up,
        unstored: received.unstored,
        latency_seconds: Latency::of(received.late),
        ..Report::default()
    })
}

/// Answers calls until dropped.
pub(super) async fn accept(listener: TcpListener, received: Rc<RefCell<Received>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = Rc::clone(&received);
        tokio::task::spawn_local(async move {
            let answer = service_fn(|request| answer(request, &received));
            // The caller may close the connection at any time.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    received: &Rc<RefCell<Received>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let looked_up = received.borrow_mut().record(request.headers(), Timestamp::now());
    if let Some(run) = looked_up {
        tokio::task::spawn_local(look_up(run, Rc::clone(received)));
    }
    // Otherwise the connection could not be used again.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Empty::new()))
}

/// Looks a run up whose call has arrived: its attempt must be in the run log already.
async fn look_up(id: RunId, received: Rc<RefCell<Received>>) {
    let Some((runs, tenant)) = received.borrow().log.clone() else { return };
    let run = runs.get(&tenant, id).await;
    let is_stored = matches!(run, Ok(Some(run)) if run.state == RunState::Running || run.state.is_final());
    let mut received = received.borrow_mut();
    received.looked_up += 1;
    received.unstored += u32::from(!is_stored);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_counted_apart() {
        let mut received = Received::default();
        let now = "2026-12-01T08:05:00.25Z".parse().expect("a time");
        for key in ["a", "b", "a"] {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, key.parse().expect("a value"));
            headers.insert(SCHEDULED, "2026-12-01T08:05:00Z".parse().expect("a value"));
            let _ = received.record(&headers, now);
        }
        assert_eq!((received.count(), received.repeated), (2, 1));
        assert_eq!(received.late, [Duration::from_millis(250); 2]);
    }
}
