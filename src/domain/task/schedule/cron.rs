//! Cron expressions in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::field::Fields;
use super::{as_clock, once};

/// Expressions have no earlier times: a search may go back to the beginning of its month, which the calendar has to contain.
pub(super) const EARLIEST: Timestamp = Timestamp::constant(-377_700_000_000, 0);

/// What happens to scheduled times when the wall clock changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DstPolicy {
    /// As Kubernetes' CronJob controller: a time in a gap does not run, a repeated time may run twice.
    #[default]
    AsClock,
    /// Each scheduled local time runs exactly once: one in a gap at the end of the gap, a repeated one at its first
    /// occurrence.
    Once,
}

/// The local times of a cron expression in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSchedule {
    pub(super) fields: Fields,
    pub(super) zone: TimeZone,
    dst: DstPolicy,
}

impl CronSchedule {
    pub(super) fn new(fields: Fields, zone: TimeZone, dst: DstPolicy) -> Self {
        Self { fields, zone, dst }
    }

    /// The time zone of the expression.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The policy for changes of the wall clock.
    #[must_use]
    pub fn dst(&self) -> DstPolicy {
        self.dst
    }

    /// The first time after `after`. `None` if there is none in this and the five following years, as in Kubernetes.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(EARLIEST);
        match self.dst {
            DstPolicy::AsClock => as_clock::next_after(&self.fields, &self.zone, after),
            DstPolicy::Once => once::next_after(&self.fields, &self.zone, after),
        }
    }
}
