//! Backfills: the occurrences of a time range, and what happens with each of them.

use std::collections::HashMap;

use eventcenter_sdk::Reason;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{RunId, RunState, Timing, Trigger};
use crate::domain::Refusal;

/// Number of occurrences of a backfill that names no limit.
pub const DEFAULT_BACKFILL: usize = 100;

/// Maximum number of occurrences of a backfill.
pub const MAX_BACKFILL: usize = 1000;

/// The number of the rerun by which a backfill runs an occurrence that was missed or skipped. It is always the same, so that
/// a repeated backfill does not run it again.
const RERUN_NUMBER: u32 = 1;

/// What a backfill does with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillAction {
    /// It runs for the first time.
    Run,
    /// It was missed or skipped, and is run again.
    Rerun,
    /// It has run or will run, and is left alone.
    Keep,
}

/// An occurrence of a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillTime {
    /// The time of the occurrence.
    pub time: Timestamp,
    /// The run to request, or the one that exists.
    pub run: RunId,
    /// The cause of that run.
    pub trigger: Trigger,
    /// What happens.
    pub action: BackfillAction,
    /// The state of the run that exists.
    pub state: Option<RunState>,
}

/// The occurrences from `from` (inclusive) to `to` (exclusive), oldest first.
///
/// # Errors
/// The task has no times, the range is empty or in the future, or it has more than `limit` occurrences.
pub fn occurrences(
    timing: &Timing,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Timestamp>, Refusal> {
    let Timing::Time { timetable, .. } = timing else {
        return Err(Refusal::new(
            Reason::NotSupported,
            "the task has no times that could be made up for: trigger it instead",
        ));
    };
    if from >= to {
        return Err(Refusal::at(
            Reason::InvalidResource,
            "to",
            "the range is empty: write a time after from",
        ));
    }
    if to > now {
        return Err(Refusal::at(
            Reason::InvalidResource,
            "to",
            "is in the future: write a time that has passed; later times run by the schedule",
        ));
    }
    let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
    let mut times: Vec<Timestamp> =
        timetable.occurrences_after(before).take_while(|time| *time < to).take(limit + 1).collect();
    if times.len() > limit {
        times.truncate(limit);
        let last = times.last().map(ToString::to_string).unwrap_or_default();
        return Err(Refusal::at(
            Reason::InvalidResource,
            "limit",
            format!(
                "the range has more than {limit} times: raise the limit (at most {MAX_BACKFILL}), or end the range after \
                 {last}"
            ),
        ));
    }
    Ok(times)
}

/// The runs whose states [`decide`] has to know.
#[must_use]
pub fn runs_of(task: Uuid, times: &[Timestamp]) -> Vec<RunId> {
    let ids = |time: &Timestamp| {
        let first = RunId::of(task, &Trigger::Schedule { time: *time });
        [first, RunId::of(task, &rerun(first))]
    };
    times.iter().flat_map(ids).collect()
}

/// Decides what happens with each occurrence. `states` has the states of the runs that exist.
#[must_use]
pub fn decide(task: Uuid, times: &[Timestamp], states: &HashMap<RunId, RunState>) -> Vec<BackfillTime> {
    times.iter().map(|time| decide_time(task, *time, states)).collect()
}

fn decide_time(task: Uuid, time: Timestamp, states: &HashMap<RunId, RunState>) -> BackfillTime {
    let trigger = Trigger::Schedule { time };
    let first = RunId::of(task, &trigger);
    let state = states.get(&first).copied();
    match state {
        None => BackfillTime { time, run: first, trigger, action: BackfillAction::Run, state },
        Some(RunState::Missed | RunState::Skipped) => {
            let trigger = rerun(first);
            let run = RunId::of(task, &trigger);
            match states.get(&run).copied() {
                None => BackfillTime { time, run, trigger, action: BackfillAction::Rerun, state },
                again => BackfillTime { time, run, trigger, action: BackfillAction::Keep, state: again },
            }
        }
        Some(_) => BackfillTime { time, run: first, trigger, action: BackfillAction::Keep, state },
    }
}

fn rerun(of: RunId) -> Trigger {
    Trigger::Rerun { of, number: RERUN_NUMBER }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{definition, task};
    use super::*;
    use expect_test::{Expect, expect};

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn check(schedule: &str, from: &str, to: &str, limit: usize, expected: Expect) {
        let task = task(&format!("{{{schedule} target: {{http: {{url: 'https://a/'}}}}}}"));
        let now = time("2026-06-01T00:00:00Z");
        let times = occurrences(&definition(&task).timing, time(from), time(to), limit, now);
        expected.assert_eq(&match times {
            Ok(times) => times.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(refusal) => format!("{}: {}", refusal.reason, refusal.message()),
        });
    }

    #[test]
    fn a_range_includes_its_beginning_and_not_its_end() {
        let daily = "schedule: {cron: '0 3 * * *', timeZone: Europe/Berlin},";
        check(
            daily,
            "2026-03-28T02:00:00Z",
            "2026-03-30T01:00:00Z",
            100,
            // The clock is put forward on the 29th.
            expect!["2026-03-28T02:00:00Z 2026-03-29T01:00:00Z"],
        );
        check(daily, "2026-03-28T02:00:01Z", "2026-03-28T03:00:00Z", 100, expect![""]);
        check(
            "schedule: {every: 6h, anchor: '2026-01-01T00:00:00Z', notBefore: '2026-02-01T00:00:00Z'},",
            "2026-01-31T00:00:00Z",
            "2026-02-01T06:00:01Z",
            2,
            expect!["2026-02-01T00:00:00Z 2026-02-01T06:00:00Z"],
        );
    }

    #[test]
    fn a_refusal_names_the_remedy() {
        let hourly = "schedule: {cron: '0 * * * *'},";
        check(
            hourly,
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            3,
            expect![
                "InvalidResource: limit: the range has more than 3 times: raise the limit (at most 1000), or end the range after 2026-01-01T02:00:00Z"
            ],
        );
        check(
            hourly,
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            3,
            expect!["InvalidResource: to: the range is empty: write a time after from"],
        );
        check(
            hourly,
            "2026-05-31T00:00:00Z",
            "2026-06-01T00:00:01Z",
            3,
            expect![
                "InvalidResource: to: is in the future: write a time that has passed; later times run by the schedule"
            ],
        );
        check(
            "",
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            3,
            expect!["NotSupported: the task has no times that could be made up for: trigger it instead"],
        );
    }

    #[test]
    fn a_time_that_ran_is_left_alone_and_a_missed_one_runs() {
        let task = Uuid::from_u128(7);
        let times: Vec<Timestamp> =
            (0..6).map(|hour| Timestamp::from_second(hour * 3600).expect("a time")).collect();
        let all = runs_of(task, &times);
        // The states of: the occurrences 1 to 5, and the rerun of the last.
        let states = HashMap::from([
            (all[2], RunState::Succeeded),
            (all[4], RunState::Failed),
            (all[6], RunState::Missed),
            (all[8], RunState::Skipped),
            (all[10], RunState::Missed),
            (all[11], RunState::Running),
        ]);
        let decided = decide(task, &times, &states);
        let lines: Vec<String> = decided
            .iter()
            .map(|one| format!("{} {:?} {:?} {}", one.time, one.action, one.state, one.trigger.kind()))
            .collect();
        expect![[r#"
            1970-01-01T00:00:00Z Run None Schedule
            1970-01-01T01:00:00Z Keep Some(Succeeded) Schedule
            1970-01-01T02:00:00Z Keep Some(Failed) Schedule
            1970-01-01T03:00:00Z Rerun Some(Missed) Rerun
            1970-01-01T04:00:00Z Rerun Some(Skipped) Rerun
            1970-01-01T05:00:00Z Keep Some(Running) Rerun"#]]
        .assert_eq(&lines.join("\n"));
        assert!(decided.iter().all(|one| one.run == RunId::of(task, &one.trigger)));
    }
}
