use std::fmt::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::Timestamp;

use super::{at, cron};
use crate::domain::task::schedule::{
    CatchUp, CatchUpKind, DstPolicy, DuePlan, FixedRate, MAX_LISTED_MISSED, Schedule, Timetable, plan_due,
};

fn policy(kind: CatchUpKind, window: Option<u64>) -> CatchUp {
    CatchUp { kind, window: window.map(Duration::from_secs) }
}

fn render(plan: &DuePlan) -> String {
    let mut out = String::new();
    for run in &plan.runs {
        writeln!(out, "run {}{}", run.scheduled, if run.is_on_time { "" } else { " late" })
            .expect("a string");
    }
    if let Some(range) = &plan.missed_before {
        writeln!(out, "missed {} from {} to {}: {}", range.count, range.first, range.last, range.reason)
            .expect("a string");
    }
    for run in &plan.missed {
        writeln!(out, "missed {}: {}", run.scheduled, run.reason).expect("a string");
    }
    writeln!(out, "cursor {}{}", plan.cursor, if plan.is_complete { "" } else { ", incomplete" })
        .expect("a string");
    out
}

/// A task with a period of four seconds whose cursor is at 12:00:00.
fn check(kind: CatchUpKind, window: Option<u64>, now: &str, limit: usize, expected: &Expect) {
    let rate = FixedRate::new(Duration::from_secs(4), at("2026-01-01T00:00:00Z")).expect("long enough");
    let plan = plan_due(
        &Timetable::unbounded(Schedule::Every(rate)),
        at("2026-05-01T12:00:00Z"),
        at(&format!("2026-05-01T{now}Z")),
        policy(kind, window),
        NonZeroUsize::new(limit).expect("positive"),
    );
    expected.assert_eq(&render(&plan));
}

#[test]
fn nothing_is_due() {
    check(
        CatchUpKind::All,
        None,
        "12:00:03.999",
        9,
        &expect![[r#"
        cursor 2026-05-01T12:00:00Z
    "#]],
    );
}

#[test]
fn a_clock_that_is_put_back_repeats_nothing() {
    check(
        CatchUpKind::All,
        None,
        "11:00:00",
        9,
        &expect![[r#"
        cursor 2026-05-01T12:00:00Z
    "#]],
    );
}

#[test]
fn what_is_on_time_runs_under_every_policy() {
    for kind in [CatchUpKind::Skip, CatchUpKind::Latest, CatchUpKind::All] {
        let expected = expect![[r#"
            run 2026-05-01T12:00:04Z
            run 2026-05-01T12:00:08Z
            run 2026-05-01T12:00:12Z
            cursor 2026-05-01T12:00:12Z
        "#]];
        check(kind, Some(0), "12:00:14", 9, &expected);
    }
}

#[test]
fn skip_runs_nothing_late() {
    check(
        CatchUpKind::Skip,
        None,
        "12:00:18.001",
        9,
        &expect![[r#"
        run 2026-05-01T12:00:12Z
        run 2026-05-01T12:00:16Z
        missed 2026-05-01T12:00:04Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-05-01T12:00:08Z: it could not start on time, and catchUp Skip starts no late run
        cursor 2026-05-01T12:00:16Z
    "#]],
    );
}

#[test]
fn latest_runs_nothing_late_if_something_is_on_time() {
    check(
        CatchUpKind::Latest,
        None,
        "12:00:18.001",
        9,
        &expect![[r#"
        run 2026-05-01T12:00:12Z
        run 2026-05-01T12:00:16Z
        missed 2026-05-01T12:00:04Z: it could not start on time, and catchUp Latest starts only the latest run
        missed 2026-05-01T12:00:08Z: it could not start on time, and catchUp Latest starts only the latest run
        cursor 2026-05-01T12:00:16Z
    "#]],
    );
}

#[test]
fn all_runs_what_is_within_the_window() {
    check(
        CatchUpKind::All,
        Some(16),
        "12:00:24",
        9,
        &expect![[r#"
        run 2026-05-01T12:00:08Z late
        run 2026-05-01T12:00:12Z late
        run 2026-05-01T12:00:16Z
        run 2026-05-01T12:00:20Z
        run 2026-05-01T12:00:24Z
        missed 2026-05-01T12:00:04Z: it could not start on time, and is later than the window of catchUp
        cursor 2026-05-01T12:00:24Z
    "#]],
    );
}

#[test]
fn the_limit_ends_a_plan() {
    check(
        CatchUpKind::All,
        None,
        "12:00:24",
        2,
        &expect![[r#"
        run 2026-05-01T12:00:04Z late
        run 2026-05-01T12:00:08Z late
        cursor 2026-05-01T12:00:08Z, incomplete
    "#]],
    );
    check(
        CatchUpKind::Skip,
        None,
        "12:00:24",
        2,
        &expect![[r#"
        run 2026-05-01T12:00:16Z
        run 2026-05-01T12:00:20Z
        missed 2026-05-01T12:00:04Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-05-01T12:00:08Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-05-01T12:00:12Z: it could not start on time, and catchUp Skip starts no late run
        cursor 2026-05-01T12:00:20Z, incomplete
    "#]],
    );
}

/// An hourly task whose cursor is at 08:00.
fn check_hourly(kind: CatchUpKind, window: Option<u64>, expected: &Expect) {
    let plan = plan_due(
        &Timetable::unbounded(cron("@hourly", "UTC", DstPolicy::AsClock)),
        at("2026-05-01T08:00:00Z"),
        at("2026-05-01T11:30:00Z"),
        policy(kind, window),
        NonZeroUsize::MIN,
    );
    expected.assert_eq(&render(&plan));
}

#[test]
fn latest_runs_the_latest_within_the_window() {
    check_hourly(
        CatchUpKind::Latest,
        None,
        &expect![[r#"
        run 2026-05-01T11:00:00Z late
        missed 2026-05-01T09:00:00Z: it could not start on time, and catchUp Latest starts only the latest run
        missed 2026-05-01T10:00:00Z: it could not start on time, and catchUp Latest starts only the latest run
        cursor 2026-05-01T11:00:00Z
    "#]],
    );
    check_hourly(
        CatchUpKind::Latest,
        Some(1800),
        &expect![[r#"
        run 2026-05-01T11:00:00Z late
        missed 2026-05-01T09:00:00Z: it could not start on time, and catchUp Latest starts only the latest run
        missed 2026-05-01T10:00:00Z: it could not start on time, and catchUp Latest starts only the latest run
        cursor 2026-05-01T11:00:00Z
    "#]],
    );
    check_hourly(
        CatchUpKind::Latest,
        Some(1799),
        &expect![[r#"
        missed 2026-05-01T09:00:00Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-01T10:00:00Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-01T11:00:00Z: it could not start on time, and is later than the window of catchUp
        cursor 2026-05-01T11:00:00Z
    "#]],
    );
}

#[test]
fn the_oldest_of_the_missed_are_summarized() {
    let year = |schedule, kind| {
        let plan = plan_due(
            &Timetable::unbounded(schedule),
            at("2025-06-01T00:00:00Z"),
            at("2026-06-01T00:00:30.5Z"),
            policy(kind, Some(3600)),
            NonZeroUsize::new(3).expect("positive"),
        );
        assert_eq!(plan.missed.len(), MAX_LISTED_MISSED);
        assert!(plan.missed.is_sorted_by_key(|run| run.scheduled));
        let ends = [plan.missed[0], plan.missed[MAX_LISTED_MISSED - 1]];
        render(&DuePlan { missed: ends.to_vec(), ..plan })
    };
    let rate = FixedRate::new(Duration::from_secs(1), Timestamp::MIN).expect("long enough");
    expect![[r#"
        run 2026-06-01T00:00:21Z
        run 2026-06-01T00:00:22Z
        run 2026-06-01T00:00:23Z
        missed 31535920 from 2025-06-01T00:00:01Z to 2026-05-31T23:58:40Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-05-31T23:58:41Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-06-01T00:00:20Z: it could not start on time, and catchUp Skip starts no late run
        cursor 2026-06-01T00:00:23Z, incomplete
    "#]].assert_eq(&year(Schedule::Every(rate), CatchUpKind::Skip));
    expect![[r#"
        run 2026-05-31T23:00:31Z late
        run 2026-05-31T23:00:32Z late
        run 2026-05-31T23:00:33Z late
        missed 31532330 from 2025-06-01T00:00:01Z to 2026-05-31T22:58:50Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-31T22:58:51Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-31T23:00:30Z: it could not start on time, and is later than the window of catchUp
        cursor 2026-05-31T23:00:33Z, incomplete
    "#]].assert_eq(&year(Schedule::Every(rate), CatchUpKind::All));
    let minutes = |dst| cron("* * * * *", "Europe/Berlin", dst);
    expect![[r#"
        missed 525500 from 2025-06-01T00:01:00Z to 2026-05-31T22:20:00Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-05-31T22:21:00Z: it could not start on time, and catchUp Skip starts no late run
        missed 2026-06-01T00:00:00Z: it could not start on time, and catchUp Skip starts no late run
        cursor 2026-06-01T00:00:00Z
    "#]].assert_eq(&year(minutes(DstPolicy::AsClock), CatchUpKind::Skip));
    expect![[r#"
        run 2026-06-01T00:00:00Z late
        missed 525499 from 2025-06-01T00:01:00Z to 2026-05-31T22:19:00Z: it could not start on time, and catchUp Latest starts only the latest run
        missed 2026-05-31T22:20:00Z: it could not start on time, and catchUp Latest starts only the latest run
        missed 2026-05-31T23:59:00Z: it could not start on time, and catchUp Latest starts only the latest run
        cursor 2026-06-01T00:00:00Z
    "#]].assert_eq(&year(minutes(DstPolicy::AsClock), CatchUpKind::Latest));
    let hours = cron("*/2 0-23 * * *", "Europe/Berlin", DstPolicy::Once);
    expect![[r#"
        run 2026-05-31T23:02:00Z late
        run 2026-05-31T23:04:00Z late
        run 2026-05-31T23:06:00Z late
        missed 262640 from 2025-06-01T00:02:00Z to 2026-05-31T19:40:00Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-31T19:42:00Z: it could not start on time, and is later than the window of catchUp
        missed 2026-05-31T23:00:00Z: it could not start on time, and is later than the window of catchUp
        cursor 2026-05-31T23:06:00Z, incomplete
    "#]].assert_eq(&year(hours, CatchUpKind::All));
}

#[test]
fn a_cursor_long_ago_is_counted() {
    for dst in [DstPolicy::AsClock, DstPolicy::Once] {
        let missed = |expression, zone, cursor| {
            let timetable = Timetable::unbounded(cron(expression, zone, dst));
            let now = at("2026-05-01T11:30:00Z");
            let plan = plan_due(&timetable, cursor, now, CatchUp::default(), NonZeroUsize::MIN);
            assert!(plan.is_complete && plan.runs.is_empty());
            plan.missed_before.expect("more than are listed").count
        };
        // Four times on each of 9617 days, without the first midnight, and three on the last day; a hundred are listed.
        assert_eq!(
            missed("0 */6 * * *", "Europe/Berlin", at("2000-01-01T00:00:00Z")),
            9617 * 4 - 1 + 3 - 100
        );
        // From the year -9998 to 2026.
        assert_eq!(missed("0 0 1 1 *", "UTC", Timestamp::MIN), 12_025 - 100);
    }
}
