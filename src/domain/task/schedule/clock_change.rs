//! Local times of a cron expression that a change of the wall clock skips or repeats.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::cron::CronSchedule;
use super::local::{Local, floor_second};
use super::once;

/// A local time of a cron expression that does not exist, or exists twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockChange {
    /// The local time.
    pub time: DateTime,
    /// When the wall clock changes.
    pub at: Timestamp,
    /// How it changes.
    pub kind: ClockChangeKind,
}

/// How the wall clock changes at a local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChangeKind {
    /// It is put forward: the local time does not exist.
    Skipped,
    /// It is put back: the local time exists twice.
    Repeated,
}

/// The local times of an expression that changes of the wall clock skip or repeat, from `from` (exclusive) to `to` (inclusive), at
/// most `limit`. An expression whose hour is a star follows elapsed time, and has none.
#[must_use]
pub fn clock_changes(cron: &CronSchedule, from: Timestamp, to: Timestamp, limit: usize) -> Vec<ClockChange> {
    let mut changes = Vec::new();
    if cron.fields.hour.is_star || cron.fields.are_empty() {
        return changes;
    }
    for transition in cron.zone.following(from).take_while(|transition| transition.timestamp() <= to) {
        let at = transition.timestamp();
        let second = floor_second(at);
        let Some(before) = Local::at(&cron.zone, second - 1) else { break };
        let Ok(old) = before.time.checked_add(jiff::Span::new().seconds(1)) else { break };
        let new = transition.offset().to_datetime(at);
        let (kind, start, end) = match new > old {
            true => (ClockChangeKind::Skipped, old, new),
            false => (ClockChangeKind::Repeated, new, old),
        };
        let last_year = end.year();
        let Ok(mut time) = start.checked_sub(jiff::Span::new().minutes(1)) else { break };
        while let Some(next) = once::next_time(&cron.fields, time, last_year).filter(|next| *next < end) {
            if changes.len() >= limit {
                return changes;
            }
            changes.push(ClockChange { time: next, at, kind });
            time = next;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::{CronExpression, DstPolicy, Schedule, parse_zone};
    use super::*;

    fn check(expression: &str, zone: &str, expected: Expect) {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let expression = CronExpression::parse(expression).expect("an expression");
        let zone = parse_zone(zone).expect("a zone");
        let created = time("2026-01-01T00:00:00Z");
        let Schedule::Cron(cron) = Schedule::from_cron(&expression, zone, DstPolicy::AsClock, created) else {
            panic!("no cron")
        };
        let changes = clock_changes(&cron, created, time("2026-12-31T00:00:00Z"), 4);
        let lines =
            changes.iter().map(|change| format!("{} {:?} at {}", change.time, change.kind, change.at));
        expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn skipped_and_repeated_times_are_found() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            expect![[r#"
            2026-03-29T02:30:00 Skipped at 2026-03-29T01:00:00Z
            2026-10-25T02:30:00 Repeated at 2026-10-25T01:00:00Z"#]],
        );
        check(
            "0,30 1-3 * * *",
            "Europe/Berlin",
            expect![[r#"
            2026-03-29T02:00:00 Skipped at 2026-03-29T01:00:00Z
            2026-03-29T02:30:00 Skipped at 2026-03-29T01:00:00Z
            2026-10-25T02:00:00 Repeated at 2026-10-25T01:00:00Z
            2026-10-25T02:30:00 Repeated at 2026-10-25T01:00:00Z"#]],
        );
        check(
            "45 1 * * *",
            "Australia/Lord_Howe",
            expect![[r#"
            2026-04-05T01:45:00 Repeated at 2026-04-04T15:00:00Z"#]],
        );
        check("0 3 * * *", "Europe/Berlin", expect![""]);
        check("30 * * * *", "Europe/Berlin", expect![""]);
        check("30 2 * * *", "Etc/UTC", expect![""]);
    }
}
