//! Compares the run log with what the HTTP server and the processes have seen.

use std::collections::BTreeMap;

use anyhow::Result;
use eventcenter::domain::task::{Run, RunId, RunState};
use jiff::{SignedDuration, Timestamp};

use super::calls::Call;
use super::{Declared, Kind, TaskFixture};

/// What a check has counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Runs of HTTP tasks.
    pub(super) http_runs: usize,
    /// Runs of container tasks.
    pub(super) container_runs: usize,
    /// Calls.
    pub(super) calls: usize,
    /// Calls of runs that were called before.
    pub(super) repeated: usize,
    /// Calls whose run was looked up when they arrived.
    pub(super) looked_up: usize,
}

impl TaskFixture {
    /// Asserts that every occurrence of every task until a time has run once, and returns what was counted. All tasks make up for
    /// everything, so none is missed.
    pub(super) async fn check(&self, stop: Timestamp) -> Result<Counted> {
        let mut counted = Counted::default();
        let mut by_run: BTreeMap<RunId, Vec<Call>> = BTreeMap::new();
        for call in self.server.all() {
            counted.calls += 1;
            counted.looked_up += usize::from(call.stored_attempts.is_some());
            assert!(
                call.stored_attempts.is_none_or(|stored| stored >= call.attempt),
                "the run is stored before its call: {call:?}"
            );
            by_run.entry(call.key).or_default().push(call);
        }
        let mut lines = self.lines()?;
        for task in &self.tasks {
            let runs = self.runs_of(&task.name).await?;
            check_times(task, &runs, stop);
            for run in &runs {
                assert_eq!(run.state, RunState::Succeeded, "{run:#?}\n{}", self.t.stage.logs.tail());
                match task.kind {
                    Kind::Http => {
                        counted.http_runs += 1;
                        let calls = by_run.remove(&run.id).unwrap_or_default();
                        check_calls(run, &calls);
                        counted.repeated += calls.len() - 1;
                    }
                    Kind::Container => {
                        counted.container_runs += 1;
                        for attempt in 1..=run.attempts {
                            let written = lines.remove(&(run.id, attempt));
                            assert_eq!(
                                written,
                                Some(1),
                                "attempt {attempt} writes one line: {run:#?}\n{}",
                                self.t.stage.logs.tail()
                            );
                        }
                    }
                }
            }
        }
        assert!(by_run.is_empty(), "calls without a run: {by_run:#?}");
        assert!(lines.is_empty(), "processes without an attempt in the run log: {lines:#?}");
        Ok(counted)
    }
}

/// Asserts that the scheduled times have no gap, from the creation of the task until a time, and that each is there once.
fn check_times(task: &Declared, runs: &[Run], stop: Timestamp) {
    let period = SignedDuration::try_from(task.period).expect("seconds");
    let (first, last) = (runs.first().expect("a run").scheduled_at, runs.last().expect("a run").scheduled_at);
    assert!(first.duration_since(task.created) <= period, "{} begins at {first}: {task:?}", task.name);
    assert!(last >= stop, "{} ends at {last}, before {stop}", task.name);
    for pair in runs.windows(2) {
        let (one, next) = (pair[0].scheduled_at, pair[1].scheduled_at);
        assert_eq!(next.duration_since(one), period, "{}: after {one} follows {next}", task.name);
    }
}

/// Asserts that a run was called, each attempt at most once, always with its key.
fn check_calls(run: &Run, calls: &[Call]) {
    assert!(!calls.is_empty(), "a run that has succeeded was called: {run:#?}");
    let mut attempts: Vec<u32> = calls.iter().map(|call| call.attempt).collect();
    attempts.sort_unstable();
    attempts.dedup();
    assert_eq!(attempts.len(), calls.len(), "an attempt calls once: {calls:#?}");
    for call in calls {
        let scheduled: Option<Timestamp> = call.scheduled.parse().ok();
        assert_eq!((&call.task, scheduled), (&run.task.name, Some(run.scheduled_at)), "{call:#?} {run:#?}");
        assert!(call.attempt <= run.attempts, "{call:#?} {run:#?}");
    }
}
