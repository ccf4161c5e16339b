//! Schedules of every kind, and their bounds.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::count;
use super::cron::{CronSchedule, DstPolicy};
use super::expression::{CronExpression, Rule};
use super::fixed_rate::FixedRate;

/// When a task is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At local times.
    Cron(CronSchedule),
    /// At a fixed interval.
    Every(FixedRate),
    /// Once.
    At(Timestamp),
}

impl Schedule {
    /// The schedule of a cron expression. `@every` becomes a fixed rate: its first time is one interval after `created`,
    /// the creation time of the task, as in Kubernetes.
    #[must_use]
    pub fn from_cron(
        expression: &CronExpression,
        zone: TimeZone,
        dst: DstPolicy,
        created: Timestamp,
    ) -> Self {
        match &expression.rule {
            Rule::Fields(fields) => Self::Cron(CronSchedule::new(*fields, zone, dst)),
            Rule::Every(period) => {
                let second = created.as_second() - i64::from(created.subsec_nanosecond() < 0);
                let first = Timestamp::from_second(second)
                    .ok()
                    .and_then(|second| second.checked_add(*period).ok())
                    .unwrap_or(Timestamp::MAX);
                Self::Every(
                    FixedRate::new(*period, first).expect("an interval of @every is at least one second"),
                )
            }
        }
    }

    /// The first time after `after`. `None` if there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(after),
            Self::Every(rate) => rate.next_after(after),
            Self::At(time) => Some(*time).filter(|time| *time > after),
        }
    }

    /// The times after `after` in order.
    pub fn occurrences_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time))
    }

    /// The zone in which people read the times: that of a cron expression, otherwise UTC.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::Cron(cron) => cron.zone().clone(),
            Self::Every(_) | Self::At(_) => TimeZone::UTC,
        }
    }
}

/// A schedule between two times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// The schedule.
    pub schedule: Schedule,
    /// Earlier times do not count.
    pub not_before: Option<Timestamp>,
    /// Later times do not count.
    pub not_after: Option<Timestamp>,
}

impl Timetable {
    /// A schedule without bounds.
    #[must_use]
    pub fn unbounded(schedule: Schedule) -> Self {
        Self { schedule, not_before: None, not_after: None }
    }

    /// The first time after `after` within the bounds. `None` if there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.schedule.next_after(self.start(after))?;
        self.not_after.is_none_or(|end| next <= end).then_some(next)
    }

    /// The times after `after` within the bounds, in order.
    pub fn occurrences_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time))
    }

    /// The number of times after `after`, until `until` inclusive, but at most `at_most`; and the last of them. Their number
    /// does not determine the effort, see [`count`].
    pub(super) fn count(&self, after: Timestamp, until: Timestamp, at_most: u64) -> (u64, Option<Timestamp>) {
        let after = self.start(after);
        let until = self.not_after.map_or(until, |end| until.min(end));
        match &self.schedule {
            Schedule::Cron(cron) => count::count(cron, after, until, at_most),
            Schedule::Every(rate) => rate.count(after, until, at_most),
            Schedule::At(time) if at_most > 0 && *time > after && *time <= until => (1, Some(*time)),
            Schedule::At(_) => (0, None),
        }
    }

    /// Where a search after `after` starts: right before `not_before` if that is later.
    fn start(&self, after: Timestamp) -> Timestamp {
        match self.not_before {
            Some(start) if start > after => {
                start.checked_sub(SignedDuration::from_nanos(1)).expect("later than another time")
            }
            _ => after,
        }
    }
}
