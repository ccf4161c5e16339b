//! Properties over random schedules near changes of the wall clock.

use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

use super::at;
use crate::domain::task::schedule::local::Local;
use crate::domain::task::schedule::{
    CatchUp, CatchUpKind, CronExpression, DstPolicy, DuePlan, FixedRate, MissedReason, Schedule, Timetable,
    parse_zone, plan_due,
};

const DAY: i64 = 86_400;

/// Zones, and a time within two days of a change of their wall clocks.
const CHANGES: &[(&str, &str)] = &[
    ("Etc/UTC", "2026-03-01T00:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    // Midnight is in the gap, or is repeated.
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("America/Asuncion", "2017-10-01T04:00:00Z"),
    // Two hours, half an hour, a day.
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
];

fn expression() -> impl Strategy<Value = String> {
    let minute = select(vec!["0", "30", "*/15", "*/20", "*", "59", "5,35", "45-50/2"]);
    let hour = select(vec!["*", "*", "0", "1", "2", "*/2", "1-3", "0-23", "23", "0,12", "6/5"]);
    let day = select(vec!["*", "*", "*", "1", "*/2", "31", "1-7", "15-31/3"]);
    let month = select(vec!["*", "*", "*", "*", "3,10", "4-11", "*/2"]);
    let weekday = select(vec!["*", "*", "*", "0", "sat,sun", "1-5", "*/3"]);
    (minute, hour, day, month, weekday)
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

fn cron() -> impl Strategy<Value = (Schedule, Timestamp)> {
    let dst = select(vec![DstPolicy::AsClock, DstPolicy::Once]);
    (expression(), select(CHANGES), dst, -3 * DAY..2 * DAY).prop_map(
        |(expression, (zone, change), dst, distance)| {
            (super::cron(&expression, zone, dst), second(at(change).as_second() + distance))
        },
    )
}

fn schedule() -> impl Strategy<Value = (Schedule, Timestamp)> {
    let start = at("2026-01-01T00:00:00Z").as_second();
    let rate = (1000..500_000_u64, -DAY..DAY).prop_map(move |(period, anchor)| {
        let rate =
            FixedRate::new(Duration::from_millis(period), second(start + anchor)).expect("long enough");
        (Schedule::Every(rate), second(start))
    });
    let once = (-DAY..DAY).prop_map(move |time| (Schedule::At(second(start + time)), second(start)));
    prop_oneof![6 => cron(), 2 => rate, 1 => once]
}

fn policy() -> impl Strategy<Value = CatchUp> {
    let kind = select(vec![CatchUpKind::Skip, CatchUpKind::Latest, CatchUpKind::All]);
    let window = proptest::option::of((0..DAY.unsigned_abs()).prop_map(Duration::from_secs));
    (kind, window).prop_map(|(kind, window)| CatchUp { kind, window })
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// Consecutive occurrences: the first, the last, the number, and why they do not run.
type Handled = (Timestamp, Timestamp, u64, Option<MissedReason>);

/// What a plan does with its occurrences, in order.
fn handled(plan: &DuePlan) -> Vec<Handled> {
    let before =
        plan.missed_before.iter().map(|range| (range.first, range.last, range.count, Some(range.reason)));
    let missed = plan.missed.iter().map(|run| (run.scheduled, run.scheduled, 1, Some(run.reason)));
    let runs = plan.runs.iter().map(|run| (run.scheduled, run.scheduled, 1, None));
    before.chain(missed).chain(runs).collect()
}

fn config() -> Config {
    Config { failure_persistence: None, ..Config::with_cases(200) }
}

proptest! {
    #![proptest_config(config())]

    /// Every occurrence runs or is missed exactly once, whenever the task is planned and whatever the limits are.
    #[test]
    fn every_occurrence_is_planned_once(
        (schedule, start) in schedule(),
        steps in proptest::collection::vec((-3600..DAY, 1..50_usize), 1..12),
        policy in policy(),
        bounds in (proptest::option::of(-DAY..DAY), proptest::option::of(0..10 * DAY)),
    ) {
        let bound = |distance: Option<i64>| distance.map(|distance| second(start.as_second() + distance));
        let timetable = Timetable { schedule, not_before: bound(bounds.0), not_after: bound(bounds.1) };
        let (mut cursor, mut now, mut latest) = (start, start, start);
        let mut all = Vec::new();
        for (step, limit) in steps {
            now = second(now.as_second() + step);
            latest = latest.max(now);
            loop {
                let plan = plan_due(&timetable, cursor, now, policy, NonZeroUsize::new(limit).expect("positive"));
                prop_assert!(plan.cursor >= cursor && plan.cursor <= cursor.max(now) && plan.runs.len() <= limit);
                all.extend(handled(&plan));
                cursor = plan.cursor;
                if plan.is_complete {
                    break;
                }
            }
        }
        let mut expected = timetable.occurrences_after(start).take_while(|time| *time <= latest);
        for (first, last, count, _) in all {
            let range: Vec<Timestamp> = expected.by_ref().take(usize::try_from(count).expect("few")).collect();
            prop_assert_eq!((range.first(), range.last(), range.len() as u64), (Some(&first), Some(&last), count));
        }
        prop_assert_eq!(expected.next(), None);
    }

    /// Several limited plans have the result of one without a limit.
    #[test]
    fn the_limit_does_not_change_the_result(
        (schedule, start) in schedule(),
        policy in policy(),
        distance in 0..3 * DAY,
        limit in 1..7_usize,
    ) {
        let timetable = Timetable::unbounded(schedule);
        let now = second(start.as_second() + distance);
        let whole = plan_due(&timetable, start, now, policy, NonZeroUsize::MAX);
        prop_assert!(whole.is_complete);
        let (mut cursor, mut parts) = (start, Vec::new());
        loop {
            let plan = plan_due(&timetable, cursor, now, policy, NonZeroUsize::new(limit).expect("positive"));
            parts.extend(handled(&plan));
            cursor = plan.cursor;
            if plan.is_complete {
                break;
            }
        }
        prop_assert_eq!(parts, handled(&whole));
        prop_assert_eq!(cursor, whole.cursor);
    }

    /// Counting has the result of computing each time from the one before.
    #[test]
    fn occurrences_are_counted_as_they_are_computed(
        (schedule, start) in cron(),
        distance in 0..75 * DAY,
        at_most in prop_oneof![Just(u64::MAX), 0..5000_u64],
    ) {
        let timetable = Timetable::unbounded(schedule);
        let until = second(start.as_second() + distance);
        let (mut count, mut last) = (0, None);
        for time in timetable.occurrences_after(start).take_while(|time| *time <= until) {
            if count == at_most {
                break;
            }
            (count, last) = (count + 1, Some(time));
        }
        prop_assert_eq!(timetable.count(start, until, at_most), (count, last));
    }

    /// A local time runs at the first minute at which the wall clock shows it or a later one; a star, at each minute at
    /// which the wall clock shows a time of the expression.
    #[test]
    fn once_runs_each_local_time_once(
        expression in expression(),
        (zone, change) in select(CHANGES),
        distance in -3 * DAY..DAY,
    ) {
        let schedule = super::cron(&expression, zone, DstPolicy::Once);
        let Schedule::Cron(cron) = &schedule else { unreachable!("fields") };
        let zone = parse_zone(zone).expect("a zone");
        let start = at(change).as_second() + distance;
        let start = start - start.rem_euclid(60);
        let shows = |time: jiff::civil::DateTime| {
            cron.fields.match_date(time.date())
                && cron.fields.hour.contains(time.hour())
                && cron.fields.minute.contains(time.minute())
        };
        let local = |second| Local::at(&zone, second).expect("in range").time;
        // The wall clock may have shown later times within the day before.
        let mut shown = (0..=1440).map(|minute| local(start - minute * 60)).max().expect("one");
        let mut expected = Vec::new();
        for second in (1..=4 * 1440).map(|minute| start + minute * 60) {
            let time = local(second);
            let mut is_due = cron.fields.hour.is_star && shows(time);
            while shown < time {
                shown = shown.checked_add(jiff::SignedDuration::from_mins(1)).expect("in range");
                is_due |= !cron.fields.hour.is_star && shows(shown);
            }
            if is_due {
                expected.push(second);
            }
        }
        let computed: Vec<i64> = schedule
            .occurrences_after(second(start))
            .map(Timestamp::as_second)
            .take_while(|time| *time <= start + 4 * DAY)
            .collect();
        prop_assert_eq!(computed, expected);
    }

    /// No text makes the parser panic, and a valid expression has a next time or none, after the given time.
    #[test]
    fn every_text_is_parsed_or_refused(
        text in "(@every |@)?[-+*?/,0-9a-zA-Z .\u{130}]{0,24}",
        (zone, change) in select(CHANGES),
    ) {
        if let Ok(expression) = CronExpression::parse(&text) {
            let zone = parse_zone(zone).expect("a zone");
            for dst in [DstPolicy::AsClock, DstPolicy::Once] {
                let schedule = Schedule::from_cron(&expression, zone.clone(), dst, at(change));
                prop_assert!(schedule.next_after(at(change)).is_none_or(|next| next > at(change)));
            }
        }
    }
}
