mod bounds;
mod catch_up;
mod dst;
mod expression;
mod property;

use jiff::Timestamp;

use super::{CronExpression, DstPolicy, Schedule, parse_zone};

/// The schedule of an expression in a zone.
fn cron(expression: &str, zone: &str, dst: DstPolicy) -> Schedule {
    let expression = CronExpression::parse(expression).expect("a valid expression");
    Schedule::from_cron(&expression, parse_zone(zone).expect("a time zone"), dst, at("2026-01-01T00:00:00Z"))
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}
