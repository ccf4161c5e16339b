//! The next time of a cron expression under `DstPolicy::Once`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::as_clock::MAX_YEARS;
use super::field::Fields;
use super::local::{DAY, Local, floor_second, next_month, second_of};

/// The first time after `after`. `None` if there is none within [`MAX_YEARS`] or the calendar.
pub(super) fn next_after(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if fields.are_empty() {
        return None;
    }
    let start = Local::at(zone, floor_second(after))?;
    let last_year = start.time.year().saturating_add(MAX_YEARS);
    let second = match fields.hour.is_star {
        true => next_elapsed(fields, zone, start, last_year)?,
        false => next_local(fields, zone, start, last_year)?,
    };
    Timestamp::from_second(second).ok()
}

/// Each local time at the one instant at which it runs.
fn next_local(fields: &Fields, zone: &TimeZone, start: Local, last_year: i16) -> Option<i64> {
    let mut time = start.time;
    loop {
        time = next_time(fields, time, last_year)?;
        // In the second pass of a repeated hour, the times of the first pass are over.
        let second = first_second_of(zone, time)?;
        if second > start.second {
            return Some(second);
        }
    }
}

/// The first instant at which the zone shows this local time; the end of the gap if it never does.
fn first_second_of(zone: &TimeZone, time: DateTime) -> Option<i64> {
    let second = match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => return second_of(time, offset),
        AmbiguousOffset::Fold { before, .. } => return second_of(time, before),
        // With the offset after the gap, it is an instant before the end of the gap.
        AmbiguousOffset::Gap { after, .. } => second_of(time, after)?,
    };
    let end = zone.following(Timestamp::from_second(second).ok()?).next()?;
    Some(end.timestamp().as_second())
}

/// Every instant at which the zone shows a time of the expression.
fn next_elapsed(fields: &Fields, zone: &TimeZone, start: Local, last_year: i16) -> Option<i64> {
    let (mut offset, mut from, mut position) = (start.offset, start.second, start.time);
    loop {
        let found = next_time(fields, position, last_year).and_then(|time| second_of(time, offset));
        // Within a day, an offset does not change twice.
        if let Some(second) = found.filter(|second| second - from < DAY && has_offset(zone, *second, offset))
        {
            return Some(second);
        }
        let change = zone.following(Timestamp::from_second(from).ok()?).next();
        let change = change.map(|change| (change.timestamp().as_second(), change.offset()));
        match (found, change) {
            (Some(second), Some((end, _))) if second < end => return Some(second),
            (found, None) => return found,
            (_, Some((end, next))) => {
                // From the change on, the change itself included.
                (offset, from) = (next, end);
                position = before(end, next)?;
                if position.year() > last_year {
                    return None;
                }
            }
        }
    }
}

fn before(second: i64, offset: Offset) -> Option<DateTime> {
    Some(offset.to_datetime(Timestamp::from_second(second.checked_sub(1)?).ok()?))
}

fn has_offset(zone: &TimeZone, second: i64, offset: Offset) -> bool {
    Local::at(zone, second).is_some_and(|local| local.offset == offset)
}

/// The first local time of the expression after `after`, whether or not it exists.
pub(super) fn next_time(fields: &Fields, after: DateTime, last_year: i16) -> Option<DateTime> {
    let date = after.date();
    if fields.match_date(date)
        && let Some((hour, minute)) = next_in_day(fields, after.hour(), after.minute().checked_add(1)?)
    {
        return Some(date.at(hour, minute, 0, 0));
    }
    let date = next_date(fields, date.tomorrow().ok()?, last_year)?;
    let (hour, minute) = next_in_day(fields, 0, 0)?;
    Some(date.at(hour, minute, 0, 0))
}

/// The first hour and minute from these on.
fn next_in_day(fields: &Fields, hour: i8, minute: i8) -> Option<(i8, i8)> {
    if fields.hour.contains(hour)
        && let Some(minute) = fields.minute.first_from(minute)
    {
        return Some((hour, minute));
    }
    Some((fields.hour.first_from(hour.checked_add(1)?)?, fields.minute.first_from(0)?))
}

/// The first date from `date` on.
fn next_date(fields: &Fields, mut date: Date, last_year: i16) -> Option<Date> {
    while date.year() <= last_year {
        if !fields.month.contains(date.month()) {
            date = next_month(date)?;
        } else if fields.match_day(date) {
            return Some(date);
        } else {
            date = date.tomorrow().ok()?;
        }
    }
    None
}
