//! Instants in whole seconds with their local time.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// An instant and its local time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    /// Seconds since 1970.
    pub(super) second: i64,
    pub(super) offset: Offset,
    pub(super) time: DateTime,
}

impl Local {
    /// `None` beyond the calendar.
    pub(super) fn at(zone: &TimeZone, second: i64) -> Option<Self> {
        let timestamp = Timestamp::from_second(second).ok()?;
        let offset = zone.to_offset(timestamp);
        Some(Self { second, offset, time: offset.to_datetime(timestamp) })
    }

    pub(super) fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_second(self.second).ok()
    }

    pub(super) fn is_midnight(self) -> bool {
        (self.time.hour(), self.time.minute(), self.time.second()) == (0, 0, 0)
    }
}

/// The last whole second until `timestamp`.
pub(super) fn floor_second(timestamp: Timestamp) -> i64 {
    timestamp.as_second() - i64::from(timestamp.subsec_nanosecond() < 0)
}

/// The second at which an offset shows this local time.
pub(super) fn second_of(time: DateTime, offset: Offset) -> Option<i64> {
    offset.to_timestamp(time).ok().map(Timestamp::as_second)
}

/// The first day of the next month.
pub(super) fn next_month(date: Date) -> Option<Date> {
    match date.month() {
        12 => Date::new(date.year().checked_add(1)?, 1, 1).ok(),
        month => Date::new(date.year(), month + 1, 1).ok(),
    }
}
