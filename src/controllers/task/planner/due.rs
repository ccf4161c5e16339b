//! Runs by time.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use jiff::Timestamp;
use uuid::Uuid;

use super::{PlannedTask, Planner};
use crate::api::{EngineType, ScheduledTask};
use crate::domain::ObjectRef;
use crate::domain::task::planning::{ActiveTask, PlannedRuns};
use crate::domain::task::schedule::plan_due;
use crate::domain::task::{Executor, NewRun, Run, RunId, RunState, Timing};
use crate::store;
use crate::store::runs::{Cursor, CursorMove};

/// Number of tasks whose runs are stored in one transaction.
const TASKS_PER_BATCH: usize = 500;

/// Number of runs of a task that are planned at once.
const RUNS_PER_TASK: NonZeroUsize = NonZeroUsize::new(20).unwrap();

impl Planner<'_> {
    /// Sets the timer of a task.
    pub(super) fn schedule(&mut self, uid: Uuid) {
        let Some(task) = self.tasks.get_mut(&uid) else { return };
        let PlannedTask { active, next } = task;
        let cursor = self.cursors.get(&uid).filter(|cursor| cursor.schedule_hash == active.schedule_hash);
        // Without a cursor in the store, the task is due at once, which stores one.
        let due = match (&active.definition.timing, cursor) {
            _ if active.engine == EngineType::CronJob => None,
            (Timing::Time { .. }, Some(cursor)) => active.definition.next_after(cursor.at),
            (Timing::Time { .. }, None) => Some(Timestamp::MIN),
            _ => None,
        };
        *next = due;
        if let Some(due) = due {
            self.timers.insert((due, uid));
        }
        let shown = match active.engine {
            EngineType::CronJob => active.definition.next_after(self.context.services.now()),
            // What the registry has computed is shown until the cursor is stored.
            _ if due == Some(Timestamp::MIN) => return,
            _ => due,
        };
        if self.context.task_registry.set_next(uid, shown) {
            self.context.task_registry.mark_changed(&active.key);
        }
    }

    /// Stores the runs of all tasks that are due.
    pub(super) async fn plan_due(&mut self) -> Result<(), store::Error> {
        loop {
            let now = self.context.services.now();
            let due: Vec<Uuid> = self
                .timers
                .iter()
                .take_while(|(next, _)| *next <= now)
                .take(TASKS_PER_BATCH)
                .map(|(_, uid)| *uid)
                .collect();
            if due.is_empty() {
                return Ok(());
            }
            self.plan_batch(&due, now).await?;
        }
    }

    async fn plan_batch(&mut self, due: &[Uuid], now: Timestamp) -> Result<(), store::Error> {
        let mut planned = PlannedRuns::default();
        let mut moves = Vec::with_capacity(due.len());
        for uid in due {
            let Some(PlannedTask { active, .. }) = self.tasks.get(uid) else { continue };
            let Timing::Time { timetable, catch_up, .. } = &active.definition.timing else { continue };
            let stored = self.cursors.get(uid);
            let from = stored.map(|cursor| (cursor.at, cursor.schedule_hash.clone()));
            let at = match stored {
                Some(cursor) if cursor.schedule_hash == active.schedule_hash => cursor.at,
                // Times before the change of a schedule are not made up for.
                Some(_) => now,
                None => active.since,
            };
            let at = match active.definition.is_suspended {
                true => at,
                false => {
                    let plan = plan_due(timetable, at, now, *catch_up, RUNS_PER_TASK);
                    let first = planned.runs.len();
                    self.context
                        .task_registry
                        .with_board(|board| active.plan_occurrences(&plan, board, &mut planned));
                    if !self.has_downstream(active) {
                        planned.runs[first..].iter_mut().for_each(|run| run.chain = run.id.0);
                    }
                    plan.cursor
                }
            };
            let to = Cursor { task: *uid, at, schedule_hash: active.schedule_hash.clone() };
            moves.push(CursorMove { from, to });
        }
        let result = self.runs.plan(&moves, &planned.runs, now).await?;
        if !result.stale.is_empty() {
            tracing::warn!(tasks = result.stale.len(), "another process has planned runs of these tasks");
            return self.load().await;
        }
        for CursorMove { to, .. } in moves {
            self.cursors.insert(to.task, to);
        }
        for id in &planned.replaced {
            self.runs.cancel(*id, "concurrency policy Replace", now).await?;
        }
        let inserted: HashSet<RunId> = result.inserted.into_iter().collect();
        for run in planned.runs {
            self.context.task_registry.mark_changed(&run.task);
            if inserted.contains(&run.id) {
                self.enqueue_job(run);
            } else {
                // It has ended before, such as by a CronJob.
                self.context.task_registry.with_board(|board| board.end(run.id));
            }
        }
        for uid in due {
            if let Some(next) = self.tasks.get_mut(uid).and_then(|task| task.next.take()) {
                self.timers.remove(&(next, *uid));
            }
            self.schedule(*uid);
        }
        Ok(())
    }

    /// Whether other tasks follow a task. Only then its runs share a chain with those of other tasks at the same time.
    fn has_downstream(&self, active: &ActiveTask) -> bool {
        let task = ObjectRef::new::<ScheduledTask>(&active.key.namespace, &active.key.name);
        !self.context.services.catalog.lock().tasks().downstream_of(&task).is_empty()
    }

    /// Starts the Job of a stored run, if it has one; of a queued run, it starts suspended.
    pub(super) fn enqueue_job(&mut self, run: NewRun) {
        let is_job = run.executor == Some(Executor::Job);
        if is_job && matches!(run.state, RunState::Ready | RunState::Queued) {
            let is_suspended = run.state == RunState::Queued;
            self.starter.enqueue(to_run(run), is_suspended);
        }
    }
}

fn to_run(new: NewRun) -> Run {
    Run {
        id: new.id,
        task: new.task,
        trigger: new.trigger,
        scheduled_at: new.scheduled_at,
        due_at: new.due_at,
        state: new.state,
        executor: new.executor,
        chain: new.chain,
        parameters: new.parameters,
        work: new.work,
        requested_by: new.requested_by,
        cancelled_by: None,
        attempts: 0,
        started_at: None,
        ended_at: None,
        outcome: Default::default(),
        executed_by: None,
    }
}
