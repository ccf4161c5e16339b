//! What follows from the result of an attempt by a runner.

use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::{Outcome, RetryPlan, RunState};
use crate::domain::Refusal;

/// Maximum size of a message, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// Maximum size of a log tail, in bytes.
const MAX_TAIL_BYTES: usize = 64 * 1024;

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    /// How it ended.
    pub end: AttemptEnd,
    /// What is stored about it.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// As expected.
    Succeeded,
    /// It failed, and the next attempt may succeed.
    Failed {
        /// The delay that the server asked for.
        retry_after: Option<Duration>,
    },
    /// It failed, and so would every further attempt: something has to be changed first.
    Refused,
    /// It exceeded its timeout.
    TimedOut,
    /// Somebody cancelled the run.
    Cancelled,
}

impl AttemptEnd {
    /// The state of the attempt.
    #[must_use]
    pub fn state(self) -> RunState {
        match self {
            Self::Succeeded => RunState::Succeeded,
            Self::Failed { .. } | Self::Refused => RunState::Failed,
            Self::TimedOut => RunState::TimedOut,
            Self::Cancelled => RunState::Cancelled,
        }
    }

    /// The delay before the next attempt, after this number of attempts; `None` if none follows.
    #[must_use]
    pub fn retry_delay(self, plan: &RetryPlan, attempts: u32) -> Option<Duration> {
        let asked = match self {
            Self::Succeeded | Self::Refused | Self::Cancelled => return None,
            Self::TimedOut => None,
            Self::Failed { retry_after } => retry_after,
        };
        let planned = plan.delay_after(attempts)?;
        Some(planned.max(asked.unwrap_or_default().min(plan.max)))
    }
}

impl AttemptResult {
    /// An attempt that ended with a message.
    #[must_use]
    pub fn with_message(end: AttemptEnd, message: impl AsRef<str>) -> Self {
        let message = Some(cut(message.as_ref(), MAX_MESSAGE_BYTES).to_owned());
        Self { end, outcome: Outcome { message, ..Outcome::default() } }
    }

    /// An attempt that failed, and that may be retried.
    #[must_use]
    pub fn failed(message: impl AsRef<str>) -> Self {
        Self::with_message(AttemptEnd::Failed { retry_after: None }, message)
    }

    /// An attempt that cannot succeed until something is changed.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        Self::with_message(AttemptEnd::Refused, refusal.to_string())
    }

    /// An attempt of work that this version cannot execute.
    #[must_use]
    pub fn invalid_work(detail: impl std::fmt::Display) -> Self {
        let detail = format!("the stored work of the run cannot be executed: {detail}");
        Self::refused(&Refusal::new(Reason::Internal, detail))
    }

    /// Adds a log tail: its end, if it is too long.
    #[must_use]
    pub fn with_tail(mut self, tail: &str) -> Self {
        let excess = tail.len().saturating_sub(MAX_TAIL_BYTES);
        let start = (excess..=tail.len()).find(|place| tail.is_char_boundary(*place)).unwrap_or(tail.len());
        self.outcome.log_tail = Some(tail[start..].to_owned()).filter(|tail| !tail.is_empty());
        self
    }
}

/// The beginning of a text, at most this many bytes.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|place| text.is_char_boundary(*place));
    &text[..end.unwrap_or(0)]
}

/// The delay in a header `Retry-After`: a number of seconds or a date (RFC 9110). `None` if it is neither.
#[must_use]
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number can have are a long time as well.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(limit: u32) -> RetryPlan {
        let second = Duration::from_secs;
        RetryPlan { limit, initial: second(10), factor: 2, max: second(60), has_backoff: true }
    }

    #[test]
    fn what_can_change_is_retried_up_to_the_limit() {
        let failed =
            |seconds: Option<u64>| AttemptEnd::Failed { retry_after: seconds.map(Duration::from_secs) };
        for (end, attempts, limit, expected) in [
            (AttemptEnd::Succeeded, 1, 3, None),
            (AttemptEnd::Refused, 1, 3, None),
            (AttemptEnd::Cancelled, 1, 3, None),
            (AttemptEnd::TimedOut, 1, 3, Some(10)),
            (AttemptEnd::TimedOut, 2, 3, Some(20)),
            (failed(None), 1, 0, None),
            (failed(None), 1, 1, Some(10)),
            (failed(None), 2, 1, None),
            (failed(None), 9, 20, Some(60)),
            (failed(Some(0)), 1, 1, Some(10)),
            (failed(Some(5)), 1, 1, Some(10)),
            (failed(Some(30)), 1, 1, Some(30)),
            (failed(Some(86_400)), 1, 1, Some(60)),
            (failed(Some(30)), 2, 1, None),
        ] {
            let delay = end.retry_delay(&plan(limit), attempts).map(|delay| delay.as_secs());
            assert_eq!(delay, expected, "{end:?} after {attempts} of {limit}");
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().expect("a time");
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(value, now).map(|delay| delay.as_secs()), expected, "{value:?}");
        }
    }

    #[test]
    fn messages_and_tails_are_bounded_at_a_character() {
        let long = "ü".repeat(40_000);
        let result = AttemptResult::failed(&long).with_tail(&format!("x{long}"));
        let message = result.outcome.message.expect("a message");
        assert_eq!((message.len(), message.chars().next()), (4096, Some('ü')));
        let tail = result.outcome.log_tail.expect("a tail");
        assert_eq!(tail.len(), 65_536);
        assert_eq!(AttemptResult::failed("").with_tail("").outcome.log_tail, None);
    }
}
