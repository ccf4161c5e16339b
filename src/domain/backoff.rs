//! Retry delays.

use std::time::Duration;

use jiff::Timestamp;

/// Minimum delay between retries.
pub const MIN_DELAY: Duration = Duration::from_secs(5);
/// Maximum delay between retries.
pub const MAX_DELAY: Duration = Duration::from_secs(300);

/// The delay before the next retry: the time since the first failure, between [`MIN_DELAY`] and [`MAX_DELAY`]. This
/// doubles with every retry and needs no counter, so a restart loses nothing.
#[must_use]
pub fn delay(failing_since: Option<Timestamp>, now: Timestamp) -> Duration {
    failing_since
        .and_then(|since| Duration::try_from(now.duration_since(since)).ok())
        .unwrap_or(MIN_DELAY)
        .clamp(MIN_DELAY, MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_the_time_since_the_first_failure_within_bounds() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let seconds = |since: Option<i64>, now| delay(since.map(at), at(now)).as_secs();
        assert_eq!(seconds(None, 100), 5);
        assert_eq!(seconds(Some(100), 100), 5);
        assert_eq!(seconds(Some(100), 120), 20);
        assert_eq!(seconds(Some(100), 100_000), 300);
        assert_eq!(seconds(Some(200), 100), 5, "a clock that went back does not make it negative");
    }
}
