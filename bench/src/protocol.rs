//! The messages to `cargo xtask bench`.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// One line of standard output.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Message {
    /// The process is prepared; a line on standard input starts the step.
    Ready,
    /// The progress of the step.
    Progress {
        /// The number of writes with a response.
        sent: u32,
        /// The number of topics that reached the target.
        done: u32,
    },
    /// The result of the step.
    Result(Report),
}

/// The result of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// From the first write until the last topic reached the target.
    pub(crate) wall_seconds: f64,
    /// From the first write until the last response.
    pub(crate) written_seconds: f64,
    /// The number of items of the step.
    pub(crate) count: u32,
    /// The number of completed items.
    pub(crate) done: u32,
    /// From each write until the topic reached the target.
    pub(crate) latency_seconds: Option<Latency>,
    /// From each request until its response.
    pub(crate) answer_seconds: Option<Latency>,
    /// The number of unexpected watch events.
    pub(crate) events: u32,
    /// The number of runs that were looked up in the run log when their calls arrived.
    pub(crate) looked_up: u32,
    /// The number of those that the run log did not have.
    pub(crate) unstored: u32,
    /// The separately measured parts of a step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cases: Vec<Case>,
}

/// One query that was repeated many times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The total number of results.
    pub(crate) found: u32,
    /// From each query until its result.
    pub(crate) seconds: Latency,
}

/// The percentiles of a set of durations, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// The percentiles of `times`, `None` if it is empty.
    pub(crate) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        // The nearest-rank method: the smallest time that at least this percentage of all times does not exceed.
        let rank = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).map(Duration::as_secs_f64)
        };
        Some(Self { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, max: rank(100)? })
    }
}

impl Message {
    /// Prints the message as one line and flushes it.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let text = serde_json::to_string(self).context("writing JSON")?;
        writeln!(out, "{text}").and_then(|()| out.flush()).context("writing to standard output")
    }
}

/// Prints `ready` and waits for the start signal on standard input. Returns the start time.
pub(crate) async fn ready() -> Result<Instant> {
    Message::Ready.print()?;
    let start = tokio::task::spawn_blocking(|| std::io::stdin().read_exact(&mut [0]));
    start.await?.context("waiting for the start signal on standard input")?;
    Ok(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_use_the_nearest_rank() {
        assert_eq!(Latency::of(Vec::new()), None);
        let times = (1..=200).rev().map(Duration::from_secs).collect();
        assert_eq!(Latency::of(times), Some(Latency { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 }));
        let one = Latency::of(vec![Duration::from_secs(3)]);
        assert_eq!(one, Some(Latency { p50: 3.0, p95: 3.0, p99: 3.0, max: 3.0 }));
    }

    #[test]
    fn messages_are_distinguished_by_their_key() {
        let text = |message: Message| serde_json::to_string(&message).expect("serializable data");
        assert_eq!(text(Message::Ready), r#""ready""#);
        assert_eq!(text(Message::Progress { sent: 2, done: 1 }), r#"{"progress":{"sent":2,"done":1}}"#);
        assert!(text(Message::Result(Report::default())).starts_with(r#"{"result":{"wallSeconds":0.0"#));
    }
}
