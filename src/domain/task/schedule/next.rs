//! The next scheduled times, for people.

use jiff::{Timestamp, Zoned};

use super::timetable::Timetable;

/// The next times after `now`, at most `n`, in the zone of the schedule: that of a cron expression, otherwise UTC.
///
/// They do not contain the jitter. A caller shows them in another zone with [`Zoned::with_time_zone`].
#[must_use]
pub fn next_times(timetable: &Timetable, now: Timestamp, n: usize) -> Vec<Zoned> {
    let zone = timetable.schedule.zone();
    timetable.occurrences_after(now).take(n).map(|time| time.to_zoned(zone.clone())).collect()
}
