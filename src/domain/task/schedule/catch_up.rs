//! Which scheduled times run now, and which are missed.

use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::timetable::Timetable;

/// An occurrence that is at most this late is on time: it runs whatever the policy is.
pub const ON_TIME: Duration = Duration::from_secs(10);
/// The number of missed occurrences that a plan lists one by one.
pub const MAX_LISTED_MISSED: usize = 100;

/// What happens to occurrences that are late by more than [`ON_TIME`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CatchUp {
    /// Which of them run.
    pub kind: CatchUpKind,
    /// Those that are later than this do not run. `None`: there is no limit.
    pub window: Option<Duration>,
}

/// Which late occurrences run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CatchUpKind {
    /// None.
    #[default]
    Skip,
    /// The latest one, if nothing on time runs.
    Latest,
    /// Every one, the oldest first.
    All,
}

/// Why an occurrence is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissedReason {
    /// The policy is [`CatchUpKind::Skip`].
    Skipped,
    /// The policy is [`CatchUpKind::Latest`], and a later occurrence runs instead.
    Superseded,
    /// It is later than the window of the policy.
    OutsideWindow,
}

impl std::fmt::Display for MissedReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Skipped => "it could not start on time, and catchUp Skip starts no late run",
            Self::Superseded => "it could not start on time, and catchUp Latest starts only the latest run",
            Self::OutsideWindow => "it could not start on time, and is later than the window of catchUp",
        })
    }
}

/// An occurrence that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DueRun {
    /// The scheduled time.
    pub scheduled: Timestamp,
    /// Whether it is at most [`ON_TIME`] late.
    pub is_on_time: bool,
}

/// An occurrence that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MissedRun {
    /// The scheduled time.
    pub scheduled: Timestamp,
    /// Why it does not run.
    pub reason: MissedReason,
}

/// Several consecutive occurrences that do not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MissedRange {
    /// The first scheduled time.
    pub first: Timestamp,
    /// The last scheduled time.
    pub last: Timestamp,
    /// The number of scheduled times.
    pub count: u64,
    /// Why they do not run.
    pub reason: MissedReason,
}

/// What happens to the occurrences of a task that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePlan {
    /// Those that run, the oldest first.
    pub runs: Vec<DueRun>,
    /// The youngest [`MAX_LISTED_MISSED`] that do not run, the oldest first.
    pub missed: Vec<MissedRun>,
    /// Those that do not run and are older than all in `missed`.
    pub missed_before: Option<MissedRange>,
    /// The cursor of the next plan: the last occurrence of this plan, or the previous cursor if there is none.
    pub cursor: Timestamp,
    /// Whether the plan has all occurrences until now. Otherwise the next call continues.
    pub is_complete: bool,
}

/// Plans the occurrences after `cursor`, until `now` inclusive. At most `limit` of them run.
///
/// `cursor` is the cursor of the plan before; at first, and after a change of the schedule or a suspension, the time from
/// which occurrences count. A cursor after `now` (the clock was put back) leads to an empty plan, so that no occurrence is
/// planned twice.
///
/// The effort does not depend on the number of missed occurrences: those of a fixed rate are computed, those of a cron
/// expression are counted by months, except within two days of a change of the wall clock.
#[must_use]
pub fn plan_due(
    timetable: &Timetable,
    cursor: Timestamp,
    now: Timestamp,
    policy: CatchUp,
    limit: NonZeroUsize,
) -> DuePlan {
    let mut plan =
        DuePlan { runs: Vec::new(), missed: Vec::new(), missed_before: None, cursor, is_complete: true };
    let late = latest_beyond(now, ON_TIME);
    match policy.kind {
        CatchUpKind::Skip => plan.miss(timetable, late, u64::MAX, MissedReason::Skipped),
        CatchUpKind::Latest => plan.catch_up_latest(timetable, late, now, policy.window),
        CatchUpKind::All => {
            if let Some(window) = policy.window {
                let outside = latest_beyond(now, window.max(ON_TIME));
                plan.miss(timetable, outside, u64::MAX, MissedReason::OutsideWindow);
            }
        }
    }
    plan.run(timetable, late, now, limit);
    plan.is_complete = timetable.next_after(plan.cursor).is_none_or(|next| next > now);
    plan
}

/// The latest time that is later than `lateness` at `now`. `None` before the calendar.
fn latest_beyond(now: Timestamp, lateness: Duration) -> Option<Timestamp> {
    let lateness = SignedDuration::try_from(lateness).ok()?;
    now.checked_sub(lateness).ok()?.checked_sub(SignedDuration::from_nanos(1)).ok()
}

impl DuePlan {
    /// Plans the late occurrences of [`CatchUpKind::Latest`].
    fn catch_up_latest(
        &mut self,
        timetable: &Timetable,
        late: Option<Timestamp>,
        now: Timestamp,
        window: Option<Duration>,
    ) {
        let Some(late) = late else { return };
        let (count, Some(latest)) = timetable.count(self.cursor, late, u64::MAX) else { return };
        let is_outside =
            window.and_then(|window| latest_beyond(now, window)).is_some_and(|end| latest <= end);
        let is_followed = timetable.next_after(latest).is_some_and(|next| next <= now);
        let (missed, reason) = match (is_followed, is_outside) {
            (true, _) => (count, MissedReason::Superseded),
            (false, true) => (count, MissedReason::OutsideWindow),
            (false, false) => (count - 1, MissedReason::Superseded),
        };
        self.miss(timetable, Some(late), missed, reason);
    }

    /// Adds the occurrences until `until`, but at most `at_most`, to those that are missed.
    fn miss(&mut self, timetable: &Timetable, until: Option<Timestamp>, at_most: u64, reason: MissedReason) {
        let Some(until) = until else { return };
        let (count, _) = timetable.count(self.cursor, until, at_most);
        let unlisted = count.saturating_sub(MAX_LISTED_MISSED as u64);
        if let (count @ 1.., Some(last)) = timetable.count(self.cursor, until, unlisted) {
            let first = timetable.next_after(self.cursor).expect("the first of those that were counted");
            self.missed_before = Some(MissedRange { first, last, count, reason });
            self.cursor = last;
        }
        let listed = usize::try_from(count - unlisted).expect("at most MAX_LISTED_MISSED");
        for scheduled in timetable.occurrences_after(self.cursor).take(listed) {
            self.missed.push(MissedRun { scheduled, reason });
            self.cursor = scheduled;
        }
    }

    /// Adds the occurrences until `now`, but at most `limit`, to those that run.
    fn run(&mut self, timetable: &Timetable, late: Option<Timestamp>, now: Timestamp, limit: NonZeroUsize) {
        let due = timetable.occurrences_after(self.cursor).take_while(|time| *time <= now).take(limit.get());
        for scheduled in due {
            let is_on_time = late.is_none_or(|late| scheduled > late);
            self.runs.push(DueRun { scheduled, is_on_time });
            self.cursor = scheduled;
        }
    }
}
