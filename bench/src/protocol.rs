//! What is said to the program that measures.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// One line of standard output.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Message {
    /// All is prepared; the step begins with a line on standard input.
    Ready,
    /// How far it is.
    Progress {
        /// Written.
        sent: u32,
        /// Seen to be done.
        done: u32,
    },
    /// How it went.
    Result(Report),
}

/// How a step went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// From the first write to the last topic that was done.
    pub(crate) wall_seconds: f64,
    /// From the first write to the answer to the last one.
    pub(crate) written_seconds: f64,
    /// How many were to be done.
    pub(crate) count: u32,
    /// How many were done.
    pub(crate) done: u32,
    /// From each write to the moment it was seen to be done: the middle one, the 99th of 100, the longest.
    pub(crate) latency_seconds: Option<Latency>,
    /// From each request to its answer.
    pub(crate) answer_seconds: Option<Latency>,
    /// What happened that nobody asked for.
    pub(crate) events: u32,
    /// What a step consists of, where each part counts by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cases: Vec<Case>,
}

/// One question that was asked many times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// How much all answers had.
    pub(crate) found: u32,
    /// From each question to its answer.
    pub(crate) seconds: Latency,
}

/// Times of many, as four of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of all these times, if there are any.
    pub(crate) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        // The nearest rank: the smallest time that at least that share of all does not exceed.
        let rank = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).map(Duration::as_secs_f64)
        };
        Some(Self { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, max: rank(100)? })
    }
}

impl Message {
    /// Prints it as one line, at once.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let text = serde_json::to_string(self).context("writing JSON")?;
        writeln!(out, "{text}").and_then(|()| out.flush()).context("nobody reads the results any more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(Latency::of(Vec::new()), None);
        let times = (1..=200).rev().map(Duration::from_secs).collect();
        assert_eq!(Latency::of(times), Some(Latency { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 }));
        let one = Latency::of(vec![Duration::from_secs(3)]);
        assert_eq!(one, Some(Latency { p50: 3.0, p95: 3.0, p99: 3.0, max: 3.0 }));
    }

    #[test]
    fn messages_are_told_apart_by_their_key() {
        let text = |message: Message| serde_json::to_string(&message).expect("it is plain data");
        assert_eq!(text(Message::Ready), r#""ready""#);
        assert_eq!(text(Message::Progress { sent: 2, done: 1 }), r#"{"progress":{"sent":2,"done":1}}"#);
        assert!(text(Message::Result(Report::default())).starts_with(r#"{"result":{"wallSeconds":0.0"#));
    }
}
