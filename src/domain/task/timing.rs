//! Reads when a task runs.

use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::duration::parse_duration;
use super::schedule::{
    CatchUp, CatchUpKind, CronExpression, DEFAULT_ZONE, DstPolicy, FixedRate, Schedule, Timetable, parse_zone,
};
use crate::api::{CatchUpMode, DstMode, EventTrigger, TaskSchedule, Upstream};
use crate::domain::Refusal;

/// When a task runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Timing {
    /// By hand only.
    Manual,
    /// By time.
    Time {
        /// The times.
        timetable: Timetable,
        /// Maximum delay of each run.
        jitter: Duration,
        /// Which late runs are made up for.
        catch_up: CatchUp,
    },
    /// After other tasks.
    After(Vec<Upstream>),
    /// For events.
    OnEvent(EventTrigger),
}

/// Maximum jitter: a run must not fall behind the next day's.
const MAX_JITTER: Duration = Duration::from_hours(24);

/// Reads `spec.schedule`. `created` is when the task was created.
///
/// # Errors
/// The first field that breaks a rule.
pub fn read(schedule: Option<&TaskSchedule>, created: Timestamp) -> Result<Timing, Refusal> {
    let Some(schedule) = schedule else { return Ok(Timing::Manual) };
    if !schedule.after.is_empty() {
        return Ok(Timing::After(schedule.after.clone()));
    }
    if let Some(trigger) = &schedule.on_event {
        return Ok(Timing::OnEvent(trigger.clone()));
    }
    let times = read_times(schedule, created)?;
    let jitter = match schedule.jitter.as_deref() {
        Some(text) => parse_duration("spec.schedule.jitter", text)?,
        None => Duration::ZERO,
    };
    if jitter > MAX_JITTER {
        return Err(Refusal::at(
            Reason::InvalidResource,
            "spec.schedule.jitter",
            "the maximum is 24h: write a shorter time",
        ));
    }
    if let (Some(first), Some(last)) = (schedule.not_before, schedule.not_after)
        && first >= last
    {
        return Err(Refusal::at(
            Reason::InvalidResource,
            "spec.schedule.notAfter",
            "must be later than notBefore: write a later time",
        ));
    }
    let window = schedule.catch_up_window.as_deref();
    let window = window.map(|text| parse_duration("spec.schedule.catchUpWindow", text)).transpose()?;
    let kind = match schedule.catch_up.unwrap_or_default() {
        CatchUpMode::Skip => CatchUpKind::Skip,
        CatchUpMode::Latest => CatchUpKind::Latest,
        CatchUpMode::All => CatchUpKind::All,
    };
    let timetable =
        Timetable { schedule: times, not_before: schedule.not_before, not_after: schedule.not_after };
    Ok(Timing::Time { timetable, jitter, catch_up: CatchUp { kind, window } })
}

fn read_times(schedule: &TaskSchedule, created: Timestamp) -> Result<Schedule, Refusal> {
    let invalid = |field: &str, detail: String| Refusal::at(Reason::InvalidResource, field, detail);
    if let Some(expression) = &schedule.cron {
        let expression = CronExpression::parse(expression)
            .map_err(|error| invalid("spec.schedule.cron", error.to_string()))?;
        let zone = parse_zone(schedule.time_zone.as_deref().unwrap_or(DEFAULT_ZONE))
            .map_err(|error| invalid("spec.schedule.timeZone", error.to_string()))?;
        let dst = match schedule.dst.unwrap_or_default() {
            DstMode::AsClock => DstPolicy::AsClock,
            DstMode::Once => DstPolicy::Once,
        };
        return Ok(Schedule::from_cron(&expression, zone, dst, created));
    }
    if let Some(every) = &schedule.every {
        let period = parse_duration("spec.schedule.every", every)?;
        let rate = FixedRate::new(period, schedule.anchor.unwrap_or(created))
            .map_err(|error| invalid("spec.schedule.every", error.to_string()))?;
        return Ok(Schedule::Every(rate));
    }
    match schedule.at {
        Some(at) => Ok(Schedule::At(at)),
        None => Err(invalid(
            "spec.schedule",
            "is empty: set exactly one of cron, every, at, after and onEvent".into(),
        )),
    }
}
