//! Cron expressions and time zones.

use eventcenter::domain::task::schedule::{CronExpression, DstPolicy, Schedule, parse_zone};
use jiff::Timestamp;

use crate::harness::Target;

/// A valid expression is written as it was read, and has a later time or none. An error quotes a part of it only.
#[test]
fn cron_expressions() {
    let zone = parse_zone("Europe/Berlin").unwrap();
    let now: Timestamp = "2026-03-28T12:00:00Z".parse().unwrap();
    Target::new("cron", 64, 4 * 1024).fuzz(
        |input| CronExpression::parse(&String::from_utf8_lossy(input)),
        |input, expression| match expression {
            Ok(expression) => {
                assert_eq!(expression.as_str(), String::from_utf8_lossy(input));
                for dst in [DstPolicy::AsClock, DstPolicy::Once] {
                    let schedule = Schedule::from_cron(&expression, zone.clone(), dst, now);
                    assert!(schedule.next_after(now).is_none_or(|next| next > now));
                }
            }
            Err(error) => check(&error.to_string()),
        },
    );
}

#[test]
fn zones() {
    Target::new("zone", 64, 16 * 1024).fuzz(
        |input| parse_zone(&String::from_utf8_lossy(input)),
        |input, zone| match zone {
            Ok(zone) => assert_eq!(zone.iana_name().map(str::as_bytes), Some(input)),
            Err(error) => check(&error.to_string()),
        },
    );
}

fn check(error: &str) {
    assert!(error.len() < 500, "{error}");
    assert!(!error.contains(|char: char| char.is_control()), "{error:?}");
}
