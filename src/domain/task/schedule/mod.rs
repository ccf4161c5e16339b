//! When a ScheduledTask is due.
//!
//! A [`Schedule`] computes scheduled times, a [`Timetable`] bounds them, and [`plan_due`] decides which of them run and
//! which are missed. Deliberately absent: what a run does, and the delay of [`jitter_of`], which changes the start of a
//! run and not its scheduled time.
//!
//! # Time zones
//!
//! A cron expression applies to the wall clock of an IANA time zone. The database is compiled in
//! ([`parse_zone`]), so that replicas and machines agree.
//!
//! # Changes of the wall clock
//!
//! When the wall clock is put forward, the local times in the gap do not exist; when it is put back, local times repeat.
//! The user chooses between two policies:
//!
//! - [`DstPolicy::AsClock`] is the behaviour of Kubernetes' CronJob controller, whose library (robfig/cron) is followed
//!   step by step. A time in a gap does not run, and a repeated time runs twice. The library has some peculiarities, which
//!   `as_clock.rs` lists.
//! - [`DstPolicy::Once`]: each scheduled local time runs exactly once. A time in a gap runs at the end of the gap, and
//!   several times of one expression in the same gap run once. A repeated time runs at its first occurrence.
//!
//! An expression whose hour field is a star (`*/15 * * * *`, `@hourly`), and `@every`, follow elapsed time in both policies:
//! they run in a repeated hour, too, and a gap is no elapsed time. `0-23` and `*/2` are lists of hours, not stars.
//!
//! # Positions
//!
//! Scheduled times form a chain: each is computed from the one before, as in the CronJob controller, which continues from
//! `status.lastScheduleTime`. Under `AsClock` the next time may depend on where the search starts, because the library's
//! does. So the cursor of a task is always a scheduled time (or the time at which the task was created or changed), and
//! never merely the time of the last look.

mod as_clock;
mod catch_up;
mod clock_change;
mod count;
mod cron;
mod expression;
mod field;
mod fixed_rate;
mod go_duration;
mod invalid;
mod jitter;
mod local;
mod next;
mod once;
mod quote;
mod timetable;
mod zone;

#[cfg(test)]
mod tests;

pub use catch_up::{
    CatchUp, CatchUpKind, DuePlan, DueRun, MAX_LISTED_MISSED, MissedRange, MissedReason, MissedRun, ON_TIME,
    plan_due,
};
pub use clock_change::{ClockChange, ClockChangeKind, clock_changes};
pub use cron::{CronSchedule, DstPolicy};
pub use expression::CronExpression;
pub use fixed_rate::{FixedRate, InvalidPeriod, MIN_PERIOD};
pub use invalid::{CronField, FieldRule, InvalidCron};
pub use jitter::jitter_of;
pub use next::next_times;
pub use timetable::{Schedule, Timetable};
pub use zone::{DEFAULT_ZONE, InvalidZone, parse_zone};
