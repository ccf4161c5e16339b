//! The next time of a cron expression as robfig/cron v3 computes it (`SpecSchedule.Next`).
//!
//! The library walks from field to field in local time, and its steps near a change of the wall clock have effects that
//! no other definition has. This module makes the same steps; it only takes many at once where the wall clock does not
//! change. `tests/faults/schedule.rs` compares both. What users may notice:
//!
//! - A time in a gap does not run. A repeated time runs twice; a repeated midnight may run at its second occurrence only.
//! - Where the wall clock changes by less than an hour (Lord Howe Island), a fixed hour after the change does not run on
//!   that day, unless the search starts after the change; and a minute of the hour before may run in the hour after.
//! - Where midnight is in the gap, an expression that is restricted to the day before may run at the end of the gap, and
//!   one that is restricted to the day itself may not run.
//! - Where the midnight of the first day of a month is in the gap, an expression that is restricted to the month may only
//!   run from its 30th day on.
//!
//! One difference: where a zone skips a whole day (Samoa, 2011), the library may never end. This module continues after the
//! gap.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::field::{Field, Fields};
use super::local::{DAY, HOUR, Local, MINUTE, floor_second, next_month, second_of};

/// The search ends with the fifth year after the one in which it starts.
pub(super) const MAX_YEARS: i16 = 5;

/// The first time after `after`. `None` if there is none within [`MAX_YEARS`] or the calendar.
pub(super) fn next_after(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if fields.are_empty() {
        return None;
    }
    let at = Local::at(zone, floor_second(after).checked_add(1)?)?;
    let last_year = at.time.year().saturating_add(MAX_YEARS);
    let mut walk = Walk { fields, zone, at, is_truncated: false };
    while walk.at.time.year() <= last_year {
        let is_found = walk.find_month()? == Step::Matched
            && walk.find_day()? == Step::Matched
            && walk.find_hour()? == Step::Matched
            && walk.find_minute()? == Step::Matched
            && walk.find_second()? == Step::Matched;
        if is_found {
            return walk.at.timestamp();
        }
    }
    None
}

#[derive(PartialEq, Eq)]
enum Step {
    Matched,
    /// A greater field has changed and has to be compared again.
    Carried,
}

struct Walk<'a> {
    fields: &'a Fields,
    zone: &'a TimeZone,
    at: Local,
    /// Whether smaller fields have been set to their minimum, which happens once.
    is_truncated: bool,
}

impl Walk<'_> {
    fn find_month(&mut self) -> Option<Step> {
        while !self.fields.month.contains(self.at.time.month()) {
            if self.truncate() {
                self.at = self.resolve(self.at.time.date().first_of_month().to_datetime(Time::MIN))?;
            }
            let next = add_month(self.at.time.date())?;
            self.at = self.resolve(next.to_datetime(self.at.time.time()))?;
            if self.at.time.month() == 1 {
                return Some(Step::Carried);
            }
        }
        Some(Step::Matched)
    }

    fn find_day(&mut self) -> Option<Step> {
        while !self.fields.match_day(self.at.time.date()) {
            if self.truncate() {
                self.at = self.resolve(self.at.time.date().to_datetime(Time::MIN))?;
            }
            self.at = match self.skip_days() {
                Some(at) => at,
                None => self.next_day()?,
            };
            if self.at.time.day() == 1 {
                return Some(Step::Carried);
            }
        }
        Some(Step::Matched)
    }

    /// The midnight of the next day that matches or begins a month, if the wall clock does not change until then.
    fn skip_days(&self) -> Option<Local> {
        if !self.at.is_midnight() {
            return None;
        }
        let mut date = self.at.time.date().tomorrow().ok()?;
        let mut days = 1;
        while date.day() != 1 && !self.fields.match_day(date) {
            date = date.tomorrow().ok()?;
            days += 1;
        }
        // The library chooses the instant of a midnight anew: it may be the second of two, or none.
        self.resolve(date.to_datetime(Time::MIN))
            .filter(|at| at.is_midnight() && at.second == self.at.second + days * DAY)
    }

    fn next_day(&self) -> Option<Local> {
        let next = self.at.time.date().tomorrow().ok()?;
        let at = self.resolve(next.to_datetime(self.at.time.time()))?;
        let at = match i64::from(at.time.hour()) {
            0 => at,
            hour @ 13.. => self.after(at, (24 - hour) * HOUR)?,
            hour => self.after(at, -hour * HOUR)?,
        };
        // A zone that skips this day: the library would return to the same midnight for ever.
        if at.second <= self.at.second { self.after(self.at, DAY) } else { Some(at) }
    }

    fn find_hour(&mut self) -> Option<Step> {
        while !self.fields.hour.contains(self.at.time.hour()) {
            if self.truncate() {
                let (date, hour) = (self.at.time.date(), self.at.time.hour());
                self.at = self.resolve(date.at(hour, 0, 0, 0))?;
            }
            self.at = self.advance(self.fields.hour, self.at.time.hour(), 24, HOUR)?;
            if self.at.time.hour() == 0 {
                return Some(Step::Carried);
            }
        }
        Some(Step::Matched)
    }

    fn find_minute(&mut self) -> Option<Step> {
        while !self.fields.minute.contains(self.at.time.minute()) {
            if self.truncate() {
                self.at = self.after(self.at, -self.at.second.rem_euclid(MINUTE))?;
            }
            self.at = self.advance(self.fields.minute, self.at.time.minute(), 60, MINUTE)?;
            if self.at.time.minute() == 0 {
                return Some(Step::Carried);
            }
        }
        Some(Step::Matched)
    }

    fn find_second(&mut self) -> Option<Step> {
        if self.at.time.second() == 0 {
            return Some(Step::Matched);
        }
        self.truncate();
        while self.at.time.second() != 0 {
            self.at = self.after(self.at, 60 - i64::from(self.at.time.second()))?;
        }
        Some(Step::Carried)
    }

    /// The next value of a field, or its first one at `end`: in one step if the wall clock does not change until then.
    fn advance(&self, field: Field, value: i8, end: i8, unit: i64) -> Option<Local> {
        let next = field.first_from(value + 1).unwrap_or(end);
        self.same_offset(i64::from(next - value) * unit).or_else(|| self.after(self.at, unit))
    }

    fn truncate(&mut self) -> bool {
        !std::mem::replace(&mut self.is_truncated, true)
    }

    fn same_offset(&self, seconds: i64) -> Option<Local> {
        self.after(self.at, seconds).filter(|at| at.offset == self.at.offset)
    }

    fn after(&self, at: Local, seconds: i64) -> Option<Local> {
        Local::at(self.zone, at.second.checked_add(seconds)?)
    }

    /// The instant of a local time, as Go's `time.Date` chooses it if there is none or more than one.
    fn resolve(&self, time: DateTime) -> Option<Local> {
        let as_utc = second_of(time, Offset::UTC)?;
        let guess = Local::at(self.zone, as_utc)?.offset;
        let offset = Local::at(self.zone, second_of(time, guess)?)?.offset;
        Local::at(self.zone, second_of(time, offset)?)
    }
}

/// The same day of the next month, as Go's `AddDate` computes it: days beyond the end of the month are in the month after it.
fn add_month(date: Date) -> Option<Date> {
    let first = next_month(date)?;
    match date.day() - first.days_in_month() {
        ..=0 => Date::new(first.year(), first.month(), date.day()).ok(),
        excess => Date::new(first.year(), first.month() + 1, excess).ok(),
    }
}
