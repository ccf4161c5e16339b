//! Retries of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration::parse_duration;
use crate::api::Retry;
use crate::domain::Refusal;

const DEFAULT_INITIAL: Duration = Duration::from_secs(10);
const DEFAULT_FACTOR: u32 = 2;
const DEFAULT_MAX: Duration = Duration::from_mins(10);

/// How a failed run is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPlan {
    /// Maximum number of retries after the first attempt.
    pub limit: u32,
    /// Delay before the first retry.
    pub initial: Duration,
    /// Factor by which each delay is longer than the previous one.
    pub factor: u32,
    /// The longest delay.
    pub max: Duration,
    /// Whether the delays are declared, and not the defaults.
    pub has_backoff: bool,
}

impl Default for RetryPlan {
    fn default() -> Self {
        Self {
            limit: 0,
            initial: DEFAULT_INITIAL,
            factor: DEFAULT_FACTOR,
            max: DEFAULT_MAX,
            has_backoff: false,
        }
    }
}

impl RetryPlan {
    /// Reads `spec.retry`.
    ///
    /// # Errors
    /// A delay is not a duration.
    pub fn read(retry: Option<&Retry>) -> Result<Self, Refusal> {
        let Some(retry) = retry else { return Ok(Self::default()) };
        let backoff = retry.backoff.clone().unwrap_or_default();
        let delay = |field: &str, text: Option<&String>, default| {
            text.map_or(Ok(default), |text| parse_duration(&format!("spec.retry.backoff.{field}"), text))
        };
        Ok(Self {
            limit: u32::try_from(retry.limit).unwrap_or(0),
            initial: delay("initial", backoff.initial.as_ref(), DEFAULT_INITIAL)?,
            factor: backoff.factor.and_then(|factor| u32::try_from(factor).ok()).unwrap_or(DEFAULT_FACTOR),
            max: delay("max", backoff.max.as_ref(), DEFAULT_MAX)?,
            has_backoff: retry.backoff.is_some(),
        })
    }

    /// The delay before the next attempt, after this number of attempts has failed; `None` if none is left.
    #[must_use]
    pub fn delay_after(&self, attempts: u32) -> Option<Duration> {
        if attempts > self.limit {
            return None;
        }
        let factor = self.factor.checked_pow(attempts.saturating_sub(1));
        let delay = factor.and_then(|factor| self.initial.checked_mul(factor));
        Some(delay.unwrap_or(self.max).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_maximum_and_end_with_the_limit() {
        let retry: Retry =
            serde_yaml::from_str("{limit: 4, backoff: {initial: 10s, factor: 3, max: 2m}}").expect("YAML");
        let plan = RetryPlan::read(Some(&retry)).expect("valid");
        let delays: Vec<_> =
            (1..=5).map(|attempts| plan.delay_after(attempts).map(|delay| delay.as_secs())).collect();
        assert_eq!(delays, [Some(10), Some(30), Some(90), Some(120), None]);
        assert_eq!(RetryPlan::default().delay_after(1), None);
        let huge = RetryPlan { limit: 100, ..plan };
        assert_eq!(huge.delay_after(90), Some(Duration::from_mins(2)));
    }
}
