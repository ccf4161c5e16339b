//! The ends of the search, of the calendar and of a timetable.

use std::time::Duration;

use expect_test::expect;
use jiff::Timestamp;

use super::{at, cron};
use crate::domain::task::schedule::{
    CronExpression, DstPolicy, FixedRate, InvalidPeriod, Schedule, Timetable, next_times, parse_zone,
};

const POLICIES: [DstPolicy; 2] = [DstPolicy::AsClock, DstPolicy::Once];

#[test]
fn years_without_a_match_end_the_search() {
    for dst in POLICIES {
        for expression in [
            "0 0 31 2 *",
            "0 0 30 feb *",
            "0 0 31 4,6,9,11 *",
            ", * * * *",
            "* , * * *",
            "* * , * *",
            "* * * , *",
            "* * * * ,",
            "* * , * ,",
        ] {
            let schedule = cron(expression, "Europe/Berlin", dst);
            assert_eq!(schedule.next_after(at("2026-01-01T00:00:00Z")), None, "{expression}");
        }
        // 2100 is not a leap year, and the search ends with 2101.
        let leap_day = cron("0 0 29 2 *", "UTC", dst);
        assert_eq!(leap_day.next_after(at("2096-02-28T00:00:00Z")), Some(at("2096-02-29T00:00:00Z")));
        assert_eq!(leap_day.next_after(at("2096-02-29T00:00:00Z")), None);
        assert_eq!(leap_day.next_after(at("2099-01-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
        // Without a value for the weekday, the day of the month decides.
        let schedule = cron("0 0 5 * ,", "UTC", dst);
        assert_eq!(schedule.next_after(at("2026-01-01T00:00:00Z")), Some(at("2026-01-05T00:00:00Z")));
    }
}

#[test]
fn times_at_the_ends_of_the_calendar_do_not_panic() {
    for dst in POLICIES {
        for zone in ["UTC", "Pacific/Kiritimati", "America/Adak", "Europe/Berlin"] {
            for expression in [
                "* * * * *",
                "0 0 31 12 *",
                "0 0 29 2 *",
                "59 23 * * 0",
                "@hourly",
                "@every 2540400h",
                "30 2 * * *",
            ] {
                let schedule = cron(expression, zone, dst);
                for seconds in [0, 1, 3600, 86_400 * 3] {
                    for after in [
                        Timestamp::MIN.checked_add(Duration::from_secs(seconds)).expect("in range"),
                        Timestamp::MAX.checked_sub(Duration::from_secs(seconds)).expect("in range"),
                    ] {
                        assert!(
                            schedule.next_after(after).is_none_or(|next| next > after),
                            "{expression} {after}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_time_between_two_seconds_is_rounded_down() {
    for dst in POLICIES {
        let schedule = cron("* * * * *", "UTC", dst);
        for (after, expected) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("2025-12-31T23:59:59.999999999Z", "2026-01-01T00:00:00Z"),
            ("2026-01-01T00:00:00.000000001Z", "2026-01-01T00:01:00Z"),
            ("1969-12-31T23:58:59.5Z", "1969-12-31T23:59:00Z"),
            ("1969-12-31T23:59:00.5Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(schedule.next_after(at(after)), Some(at(expected)), "{after}");
        }
    }
}

#[test]
fn a_fixed_rate_counts_from_its_anchor() {
    let rate = FixedRate::new(Duration::from_secs(90), at("2026-01-01T00:00:10Z")).expect("long enough");
    for (after, expected) in [
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:10Z"),
        ("2026-01-01T00:00:09.999Z", "2026-01-01T00:00:10Z"),
        ("2026-01-01T00:00:10Z", "2026-01-01T00:01:40Z"),
        ("2026-01-01T00:01:39Z", "2026-01-01T00:01:40Z"),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:10Z"),
    ] {
        assert_eq!(rate.next_after(at(after)), Some(at(expected)), "{after}");
    }
    assert_eq!(rate.next_after(Timestamp::MAX), None);
    assert_eq!(rate.next_after(Timestamp::MIN), Some(rate.anchor()));
    let once = FixedRate::new(Duration::MAX, Timestamp::MIN).expect("long enough");
    assert_eq!(once.next_after(Timestamp::MIN), None);
    let short = FixedRate::new(Duration::from_millis(999), Timestamp::MIN);
    assert_eq!(short, Err(InvalidPeriod(Duration::from_millis(999))));
    assert_eq!(
        short.map_err(|error| error.to_string()),
        Err("the interval 999ms is too short: write at least 1s".to_owned())
    );
}

#[test]
fn an_interval_counts_from_the_creation() {
    let schedule = |expression, created| {
        let expression = CronExpression::parse(expression).expect("valid");
        Schedule::from_cron(&expression, parse_zone("UTC").expect("a zone"), DstPolicy::AsClock, created)
    };
    let created = at("2026-01-01T00:00:00.7Z");
    let hourly = schedule("@every 1h0m0.9s", created);
    assert_eq!(hourly.next_after(created), Some(at("2026-01-01T01:00:00Z")));
    assert_eq!(hourly.next_after(at("2026-01-01T01:30:00Z")), Some(at("2026-01-01T02:00:00Z")));
    assert_eq!(schedule("@every 1ms", created).next_after(created), Some(at("2026-01-01T00:00:01Z")));
    assert_eq!(schedule("@every 2h", Timestamp::MAX).next_after(created), Some(Timestamp::MAX));
}

#[test]
fn bounds_are_inclusive() {
    let bounded = |schedule| Timetable {
        schedule,
        not_before: Some(at("2026-01-02T00:00:00Z")),
        not_after: Some(at("2026-01-03T00:00:00Z")),
    };
    let list = |timetable: &Timetable, after| {
        timetable.occurrences_after(at(after)).map(|time| time.to_string()).collect::<Vec<_>>().join(" ")
    };
    let daily = bounded(cron("0 */12 * * *", "UTC", DstPolicy::AsClock));
    expect!["2026-01-02T00:00:00Z 2026-01-02T12:00:00Z 2026-01-03T00:00:00Z"]
        .assert_eq(&list(&daily, "2020-01-01T00:00:00Z"));
    expect!["2026-01-02T12:00:00Z 2026-01-03T00:00:00Z"].assert_eq(&list(&daily, "2026-01-02T00:00:00Z"));
    expect![].assert_eq(&list(&daily, "2026-01-03T00:00:00Z"));
    let once = |time| list(&bounded(Schedule::At(at(time))), "2020-01-01T00:00:00Z");
    assert_eq!(once("2026-01-01T23:59:59Z"), "");
    assert_eq!(once("2026-01-02T00:00:00Z"), "2026-01-02T00:00:00Z");
    assert_eq!(once("2026-01-03T00:00:00Z"), "2026-01-03T00:00:00Z");
    assert_eq!(once("2026-01-03T00:00:01Z"), "");
}

#[test]
fn the_next_times_are_in_the_zone_of_the_schedule() {
    let list = |schedule| {
        let times = next_times(&Timetable::unbounded(schedule), at("2026-10-23T12:00:00Z"), 3);
        times.iter().map(|time| format!("{time}\n")).collect::<String>()
    };
    expect![[r#"
        2026-10-24T02:30:00+02:00[Europe/Berlin]
        2026-10-25T02:30:00+02:00[Europe/Berlin]
        2026-10-26T02:30:00+01:00[Europe/Berlin]
    "#]]
    .assert_eq(&list(cron("30 2 * * *", "Europe/Berlin", DstPolicy::Once)));
    expect![[r#"
        2026-12-24T18:00:00+00:00[UTC]
    "#]]
    .assert_eq(&list(Schedule::At(at("2026-12-24T18:00:00Z"))));
}
