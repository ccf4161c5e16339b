//! Scheduled times at a fixed interval.

use std::time::Duration;

use jiff::Timestamp;

/// The shortest interval.
pub const MIN_PERIOD: Duration = Duration::from_secs(1);

/// The times `anchor`, `anchor + period`, `anchor + 2 * period`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedRate {
    period: Duration,
    anchor: Timestamp,
}

/// The interval is below [`MIN_PERIOD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the interval {0:?} is too short: write at least 1s")]
pub struct InvalidPeriod(pub Duration);

impl FixedRate {
    /// The times from `anchor` on.
    ///
    /// # Errors
    ///
    /// If `period` is below [`MIN_PERIOD`].
    pub fn new(period: Duration, anchor: Timestamp) -> Result<Self, InvalidPeriod> {
        if period < MIN_PERIOD { Err(InvalidPeriod(period)) } else { Ok(Self { period, anchor }) }
    }

    /// The interval.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The first time.
    #[must_use]
    pub fn anchor(&self) -> Timestamp {
        self.anchor
    }

    /// The first time after `after`. `None` beyond the calendar.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let elapsed = after.as_nanosecond() - self.anchor.as_nanosecond();
        let n = if elapsed < 0 { 0 } else { elapsed / self.nanoseconds() + 1 };
        Timestamp::from_nanosecond(self.anchor.as_nanosecond() + n * self.nanoseconds()).ok()
    }

    /// The number of times after `after`, until `until` inclusive, but at most `at_most`; and the last of them.
    pub(super) fn count(&self, after: Timestamp, until: Timestamp, at_most: u64) -> (u64, Option<Timestamp>) {
        let Some(first) = self.next_after(after).filter(|first| *first <= until && at_most > 0) else {
            return (0, None);
        };
        let more = (until.as_nanosecond() - first.as_nanosecond()) / self.nanoseconds();
        let more = more.min(i128::from(at_most) - 1);
        let last = Timestamp::from_nanosecond(first.as_nanosecond() + more * self.nanoseconds())
            .expect("between first and until");
        (u64::try_from(more + 1).expect("at most at_most"), Some(last))
    }

    fn nanoseconds(&self) -> i128 {
        // Longer than the calendar: there is no second time.
        i128::try_from(self.period.as_nanos()).expect("a Duration has less than 94 bits of nanoseconds")
    }
}
