//! Counts the scheduled times of a cron expression without computing each.
//!
//! Near a change of the wall clock, each time is computed from the one before. Elsewhere all times of one month are counted
//! at once: the matching days, times the hours and minutes of a day. So the effort grows with the number of months and of
//! changes, not with the number of scheduled times.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::cron::{CronSchedule, EARLIEST};
use super::field::Fields;
use super::local::{DAY, HOUR, floor_second};

/// The distance from a change of the wall clock at which the two policies and the steps of [`super::as_clock`] are those
/// of a zone without changes.
const MARGIN: i64 = DAY + 2 * HOUR;

/// The number of times after `after`, until `until` inclusive, but at most `at_most`; and the last of them.
pub(super) fn count(
    cron: &CronSchedule,
    after: Timestamp,
    until: Timestamp,
    at_most: u64,
) -> (u64, Option<Timestamp>) {
    let (mut total, mut position, mut last) = (0, after.max(EARLIEST), None);
    let mut quiet = Quiet::around(cron, position);
    while total < at_most {
        if floor_second(position) >= quiet.end {
            quiet = Quiet::around(cron, position);
        }
        if let Some((count, time)) = quiet.count(&cron.fields, position, until, at_most - total) {
            (total, position, last) = (total + count, time, Some(time));
            continue;
        }
        match cron.next_after(position).filter(|time| *time <= until) {
            Some(time) => (total, position, last) = (total + 1, time, Some(time)),
            None => break,
        }
    }
    (total, last)
}

/// The time between two changes of the wall clock, in seconds since 1970.
struct Quiet {
    offset: Offset,
    /// The first second that is far enough from the change before.
    start: i64,
    /// The change after.
    end: i64,
}

impl Quiet {
    fn around(cron: &CronSchedule, position: Timestamp) -> Self {
        let position = Timestamp::from_second(floor_second(position)).unwrap_or(Timestamp::MIN);
        // The transitions before a time do not include one at that time.
        let next = Timestamp::from_second(position.as_second() + 1).unwrap_or(Timestamp::MAX);
        let before = cron.zone.preceding(next).next();
        let after = cron.zone.following(position).next();
        Self {
            offset: cron.zone.to_offset(position),
            start: before.map_or(i64::MIN, |change| change.timestamp().as_second() + MARGIN),
            end: after.map_or(i64::MAX, |change| change.timestamp().as_second()),
        }
    }

    /// The times after `position` in the rest of its month, or until `until`. `None` if it has none, or is not quiet.
    fn count(
        &self,
        fields: &Fields,
        position: Timestamp,
        until: Timestamp,
        at_most: u64,
    ) -> Option<(u64, Timestamp)> {
        let from = floor_second(position);
        let to = floor_second(until).min(self.end.saturating_sub(MARGIN));
        if from < self.start || to <= from {
            return None;
        }
        let local =
            |second| Timestamp::from_second(second).ok().map(|second| self.offset.to_datetime(second));
        let (from, to) = (local(from)?, local(to)?);
        if !fields.month.contains(from.month()) {
            return None;
        }
        let (count, last) = count_in_month(fields, from, to, at_most)?;
        Some((count, self.offset.to_timestamp(last).ok()?))
    }
}

/// The times after `from`, until `to` inclusive, in the month of `from`, as long as whole days have at most `at_most`.
fn count_in_month(fields: &Fields, from: DateTime, to: DateTime, at_most: u64) -> Option<(u64, DateTime)> {
    let (mut date, mut total, mut last) = (from.date(), 0, None);
    while date <= to.date() && date.month() == from.month() {
        if fields.match_day(date) {
            let start = if date == from.date() { count_until(fields, from.hour(), from.minute()) } else { 0 };
            let (hour, minute) = if date == to.date() { (to.hour(), to.minute()) } else { (23, 59) };
            let count = count_until(fields, hour, minute) - start;
            if total + count > at_most {
                break;
            }
            if count > 0 {
                total += count;
                last = last_until(fields, date, hour, minute);
            }
        }
        date = date.tomorrow().ok()?;
    }
    last.map(|last| (total, last))
}

/// The number of times of a day until this hour and minute inclusive.
fn count_until(fields: &Fields, hour: i8, minute: i8) -> u64 {
    let whole = fields.hour.count_below(hour) * fields.minute.count_below(60);
    let part = if fields.hour.contains(hour) { fields.minute.count_below(minute + 1) } else { 0 };
    whole + part
}

/// The last time of a day until this hour and minute inclusive.
fn last_until(fields: &Fields, date: Date, hour: i8, minute: i8) -> Option<DateTime> {
    if fields.hour.contains(hour)
        && let Some(minute) = fields.minute.last_to(minute)
    {
        return Some(date.at(hour, minute, 0, 0));
    }
    let hour = fields.hour.last_to(hour.checked_sub(1)?)?;
    Some(date.at(hour, fields.minute.last_to(59)?, 0, 0))
}
