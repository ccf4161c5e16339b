//! The active tasks and their open runs, shared by reconcilers, planner and the watch of Jobs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::name::ClusterName;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

use super::due_statuses::DueStatuses;
use crate::api::{LastRun, RunCounts};
use crate::domain::Refusal;
use crate::domain::task::board::Board;
use crate::domain::task::event_trigger::EventSource;
use crate::domain::task::observation::{ObservedJob, task_of};
use crate::domain::task::planning::ActiveTask;
use crate::domain::task::status::{RunFacts, last_run};
use crate::domain::task::{Run, RunState, TaskKey};
use crate::store::runs::Statistics;

/// A change of the active tasks, for the planner.
#[derive(Debug)]
pub(super) enum Command {
    /// The task is active with this definition.
    Set(Arc<ActiveTask>),
    /// The task is not active, but may become so again.
    Deactivate(Uuid),
    /// The task was deleted.
    Delete(Uuid),
}

/// An active task. There may be tens of thousands, so this is no copy of the object.
#[derive(Clone, Debug)]
pub(super) struct RegisteredTask {
    pub(super) active: Arc<ActiveTask>,
    /// The scheduled time of the last run in the status, when the task was reconciled last.
    pub(super) last_scheduled: Option<Timestamp>,
}

/// The active tasks.
#[derive(Debug)]
pub(in crate::controllers) struct TaskRegistry {
    commands: mpsc::UnboundedSender<Command>,
    state: Mutex<State>,
    /// Wakes whoever reads events: another task reads some.
    event_tasks_changed: Notify,
}

/// The receiver of the commands, which the planner takes.
pub(in crate::controllers) struct Commands(pub(super) mpsc::UnboundedReceiver<Command>);

#[derive(Debug, Default)]
struct State {
    tasks: HashMap<Uuid, RegisteredTask>,
    /// Tasks that were reconciled and are not active. A task that is in neither was not reconciled yet.
    inactive: HashSet<Uuid>,
    board: Board,
    runs: HashMap<Uuid, RunsOfTask>,
    statuses: DueStatuses,
    /// The active tasks for which events are read.
    event_tasks: HashMap<Uuid, Arc<ActiveTask>>,
    /// Why the events of a source cannot be read.
    event_failures: HashMap<EventSource, Refusal>,
}

/// The runs of a task, for its status. Most of tens of thousands of tasks wait for their first run, so what has ended takes memory only
/// if there is some.
#[derive(Clone, Debug, Default)]
struct RunsOfTask {
    ended: Option<Box<EndedRuns>>,
    next: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct EndedRuns {
    statistics: Statistics,
    last: Option<LastRun>,
}

impl RunsOfTask {
    fn ended_mut(&mut self) -> &mut EndedRuns {
        self.ended.get_or_insert_default()
    }
}

impl TaskRegistry {
    pub(in crate::controllers) fn new() -> (Self, Commands) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (Self { commands, state: Mutex::default(), event_tasks_changed: Notify::new() }, Commands(receiver))
    }

    /// Makes a task active. The planner hears of it if its definition is another one. The first status of a definition shows when
    /// the task is due next without waiting for the planner.
    pub(super) fn set(&self, active: ActiveTask, last_scheduled: Option<Timestamp>, now: Timestamp) {
        let active = Arc::new(active);
        let uid = active.key.uid;
        let registered = RegisteredTask { active: Arc::clone(&active), last_scheduled };
        let is_changed = {
            let mut state = self.state.lock();
            state.inactive.remove(&uid);
            match active.event_source() {
                Some(_) => drop(state.event_tasks.insert(uid, Arc::clone(&active))),
                None => drop(state.event_tasks.remove(&uid)),
            }
            let before = state.tasks.insert(uid, registered);
            let is_changed = before.is_none_or(|before| *before.active != *active);
            if is_changed {
                state.runs.entry(uid).or_default().next = active.definition.next_after(now);
            }
            is_changed
        };
        if is_changed {
            self.event_tasks_changed.notify_one();
            self.send(Command::Set(active));
        }
    }

    /// Makes a task inactive. Its open runs continue.
    pub(super) fn deactivate(&self, task: Uuid) {
        let mut state = self.state.lock();
        state.inactive.insert(task);
        if let Some(runs) = state.runs.get_mut(&task) {
            runs.next = None;
        }
        let was_active = state.tasks.remove(&task).is_some();
        state.event_tasks.remove(&task);
        drop(state);
        if was_active {
            self.send(Command::Deactivate(task));
        }
    }

    /// Whether a task was reconciled and is not active.
    pub(super) fn is_inactive(&self, task: Uuid) -> bool {
        self.state.lock().inactive.contains(&task)
    }

    /// Forgets a deleted task.
    pub(super) fn delete(&self, task: Uuid) {
        let mut state = self.state.lock();
        state.tasks.remove(&task);
        state.event_tasks.remove(&task);
        state.inactive.remove(&task);
        state.runs.remove(&task);
        state.board.forget_task(task);
        drop(state);
        self.send(Command::Delete(task));
    }

    /// An active task.
    pub(super) fn get(&self, task: Uuid) -> Option<RegisteredTask> {
        self.state.lock().tasks.get(&task).cloned()
    }

    /// The KafkaClusters of which tasks read events.
    pub(super) fn event_clusters(&self) -> HashSet<ClusterName> {
        let state = self.state.lock();
        let sources = state.event_tasks.values().filter_map(|task| task.event_source());
        sources.map(|source| source.cluster.clone()).collect()
    }

    /// The tasks that read events of a KafkaCluster.
    pub(super) fn event_tasks(&self, cluster: &ClusterName) -> HashMap<Uuid, Arc<ActiveTask>> {
        let reads = |task: &ActiveTask| task.event_source().is_some_and(|source| source.cluster == *cluster);
        let state = self.state.lock();
        let tasks = state.event_tasks.iter().filter(|(_, task)| reads(task));
        tasks.map(|(uid, task)| (*uid, Arc::clone(task))).collect()
    }

    /// Waits until a task may have begun to read events.
    pub(super) async fn event_tasks_changed(&self) {
        self.event_tasks_changed.notified().await;
    }

    /// Sets why the events of a source cannot be read, `None` if they can. The statuses of its tasks tell it.
    pub(super) fn set_event_failure(&self, source: &EventSource, failure: Option<Refusal>) {
        let mut state = self.state.lock();
        let before = match &failure {
            Some(failure) => state.event_failures.insert(source.clone(), failure.clone()),
            None => state.event_failures.remove(source),
        };
        if before != failure {
            let tasks = state.event_tasks.values().filter(|task| task.event_source() == Some(source));
            let tasks: Vec<_> =
                tasks.map(|task| (task.key.namespace.clone(), task.key.name.clone())).collect();
            tasks.into_iter().for_each(|task| state.statuses.mark(task, Instant::now()));
        }
    }

    /// Why the events of a source cannot be read.
    pub(super) fn event_failure(&self, source: &EventSource) -> Option<Refusal> {
        self.state.lock().event_failures.get(source).cloned()
    }

    /// The active task of a Job: the one that its label names, if it is in the namespace of the Job.
    pub(super) fn task_of_job(&self, job: &ObservedJob) -> Option<RegisteredTask> {
        let task = self.get(task_of(job)?)?;
        (Some(&task.active.key.namespace) == job.metadata.namespace.as_ref()).then_some(task)
    }

    /// Runs a function on the open runs.
    pub(super) fn with_board<T>(&self, f: impl FnOnce(&mut Board) -> T) -> T {
        f(&mut self.state.lock().board)
    }

    /// Replaces the statistics, as the store has them.
    pub(super) fn load_statistics(&self, all: HashMap<Uuid, Statistics>) {
        let mut state = self.state.lock();
        for (task, statistics) in all {
            state.runs.entry(task).or_default().ended_mut().statistics = statistics;
        }
    }

    /// Sets when a task is due next. Returns whether that has changed.
    pub(super) fn set_next(&self, task: Uuid, next: Option<Timestamp>) -> bool {
        let mut state = self.state.lock();
        let runs = state.runs.entry(task).or_default();
        std::mem::replace(&mut runs.next, next) != next
    }

    /// Counts a run that has ended.
    pub(super) fn count_end(&self, run: &Run) {
        let mut state = self.state.lock();
        let ended = state.runs.entry(run.task.uid).or_default().ended_mut();
        let statistics = &mut ended.statistics;
        match run.state {
            RunState::Succeeded => {
                statistics.succeeded += 1;
                let duration = run.started_at.zip(run.ended_at).map(|(start, end)| end.duration_since(start));
                if let Some(Ok(duration)) = duration.map(Duration::try_from) {
                    statistics.succeeded_duration += duration;
                }
            }
            RunState::Failed => statistics.failed += 1,
            RunState::TimedOut => statistics.timed_out += 1,
            RunState::Cancelled => statistics.cancelled += 1,
            RunState::Missed => statistics.missed += 1,
            RunState::Skipped => statistics.skipped += 1,
            RunState::Requested | RunState::Queued | RunState::Ready | RunState::Running => {}
        }
        set_last(ended, last_run(run));
    }

    /// What the status of a task shows.
    pub(super) fn facts(&self, task: Uuid) -> RunFacts {
        let state = self.state.lock();
        let RunsOfTask { ended, next } = state.runs.get(&task).cloned().unwrap_or_default();
        let EndedRuns { statistics, last } = ended.map(|ended| *ended).unwrap_or_default();
        RunFacts {
            last,
            next,
            open: state.board.open_of(task),
            place: state.board.place_of(task),
            counts: counts(&statistics),
            last_trigger: None,
        }
    }

    /// Notes that the runs of a task have changed since its status was written.
    pub(super) fn mark_changed(&self, task: &TaskKey) {
        let task = (task.namespace.clone(), task.name.clone());
        self.state.lock().statuses.mark(task, Instant::now());
    }

    /// Takes the tasks whose status is to be written: at most a number of those that have changed, and were not taken within `interval`.
    pub(super) fn take_changed(&self, interval: Duration, limit: usize) -> Vec<(String, String)> {
        self.state.lock().statuses.take(Instant::now(), interval, limit)
    }

    fn send(&self, command: Command) {
        // The receiver is dropped only while the process stops.
        let _ = self.commands.send(command);
    }
}

/// An older run never replaces a younger one.
fn set_last(ended: &mut EndedRuns, last: LastRun) {
    if ended.last.as_ref().is_none_or(|before| before.scheduled <= last.scheduled) {
        ended.last = Some(last);
    }
}

fn counts(statistics: &Statistics) -> RunCounts {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mean = statistics.succeeded_duration.as_millis().checked_div(u128::from(statistics.succeeded));
    RunCounts {
        succeeded: count(statistics.succeeded),
        failed: count(statistics.failed + statistics.timed_out),
        cancelled: count(statistics.cancelled),
        missed: count(statistics.missed),
        skipped: count(statistics.skipped),
        mean_duration_ms: mean.and_then(|mean| i64::try_from(mean).ok()),
    }
}
