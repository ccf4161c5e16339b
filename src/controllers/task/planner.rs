//! Plans runs: by time, by request, and after the ends of others.
//!
//! One loop, in the process that leads. Each round writes to the store first and then changes what is in memory, so that
//! nothing starts that is not stored. If the store fails, everything in memory is read again from it.

mod due;
mod ends;
mod requests;
mod run_events;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::context::Context;
use super::job_starter::JobStarter;
use super::registry::{Command, Commands};
use crate::domain::task::planning::ActiveTask;
use crate::domain::task::{Executor, Run, RunState, TaskKey};
use crate::store;
use crate::store::runs::{Cursor, Runs, Signal, Subscription, UnstartedEnd};
use run_events::RunEvents;

/// The planner looks at the clock and at the store at least this often: signals may be lost, and clocks may jump.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a round is as long as the round, within these bounds: what is due or ends meanwhile shares transactions, and the
/// planner takes at most half of a connection. After a time without rounds there is none.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// Delay before the store is read again after an error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Number of runs that are read from the store at once.
const PAGE: usize = 500;

/// The state of the planner.
pub(super) struct Planner<'c> {
    context: &'c Context,
    runs: Runs,
    tasks: HashMap<Uuid, PlannedTask>,
    /// When each task is due next.
    timers: BTreeSet<(Timestamp, Uuid)>,
    /// The cursors in the store, of inactive tasks as well.
    cursors: HashMap<Uuid, Cursor>,
    /// Open runs of tasks that are not active yet.
    unplaced: HashMap<Uuid, Vec<Run>>,
    /// The tasks whose requested runs wait until it is decided whether they are active.
    undecided: HashMap<Uuid, TaskKey>,
    /// The tasks whose ended runs wait until it is known what follows them.
    unreportable: HashMap<Uuid, TaskKey>,
    /// Deleted tasks whose open runs are to be cancelled.
    deleted: Vec<Uuid>,
    starter: JobStarter,
    run_events: RunEvents<'c>,
}

struct PlannedTask {
    active: Arc<ActiveTask>,
    next: Option<Timestamp>,
}

/// Plans until dropped.
pub(super) async fn run(context: &Context, commands: Commands, starter: JobStarter, events: &Notify) {
    let Commands(mut commands) = commands;
    let runs = context.runs.clone();
    let mut changed = runs.subscribe(Signal::Changed);
    let mut planner = Planner {
        context,
        starter,
        run_events: RunEvents::new(context, events),
        runs,
        tasks: HashMap::new(),
        timers: BTreeSet::new(),
        cursors: HashMap::new(),
        unplaced: HashMap::new(),
        undecided: HashMap::new(),
        unreportable: HashMap::new(),
        deleted: Vec::new(),
    };
    loop {
        if let Err(error) = planner.load().await {
            tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "waiting for the database to plan runs");
            tokio::time::sleep(RETRY_DELAY).await;
            continue;
        }
        let error = loop {
            planner.wait(&mut commands, &mut changed).await;
            let begin = Instant::now();
            while let Ok(command) = commands.try_recv() {
                planner.apply(command);
            }
            if let Err(error) = planner.advance().await {
                break error;
            }
            tokio::time::sleep(begin.elapsed().clamp(MIN_PAUSE, MAX_PAUSE)).await;
        };
        tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "planning runs failed; reading the open runs again");
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

impl Planner<'_> {
    /// Reads cursors, statistics and open runs.
    async fn load(&mut self) -> Result<(), store::Error> {
        self.cursors = self.runs.load_cursors().await?;
        let statistics = self.runs.load_statistics().await?;
        self.context.task_registry.load_statistics(statistics);
        let mut open: HashMap<Uuid, Vec<Run>> = HashMap::new();
        let mut after = None;
        loop {
            let page = self.runs.list_open(after, PAGE).await?;
            after = page.last().map(|run| run.id);
            // Failure actions are the runners': nothing waits for them.
            for run in page.into_iter().filter(|run| !run.trigger.is_failure()) {
                open.entry(run.task.uid).or_default().push(run);
            }
            if after.is_none() {
                break;
            }
        }
        self.context.task_registry.with_board(|board| *board = Default::default());
        self.unplaced = open;
        self.timers.clear();
        for active in self.tasks.values().map(|task| Arc::clone(&task.active)).collect::<Vec<_>>() {
            self.set(active);
        }
        Ok(())
    }

    /// Waits for something to do.
    async fn wait(
        &mut self,
        commands: &mut tokio::sync::mpsc::UnboundedReceiver<Command>,
        changed: &mut Subscription,
    ) {
        let until_due = self.timers.first().map_or(POLL_INTERVAL, |(next, _)| {
            let until = next.duration_since(self.context.services.now());
            Duration::try_from(until).unwrap_or_default().min(POLL_INTERVAL)
        });
        tokio::select! {
            () = tokio::time::sleep(until_due) => {}
            () = changed.notified() => {}
            command = commands.recv() => match command {
                Some(command) => self.apply(command),
                // The registry lives as long as the context.
                None => std::future::pending().await,
            },
        }
    }

    /// One round.
    async fn advance(&mut self) -> Result<(), store::Error> {
        // Ends that were stored before a request count before it.
        let requested = self.list_requested().await?;
        self.cancel_deleted().await?;
        self.run_events.announce_starts().await?;
        self.report_ends().await?;
        self.plan_due().await?;
        self.plan_requested(requested).await?;
        self.release_queued().await?;
        let waiting = self.context.task_registry.with_board(|board| board.waiting());
        self.context.task_metrics.set_waiting(waiting);
        Ok(())
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Set(active) => self.set(active),
            Command::Deactivate(task) => self.deactivate(task),
            Command::Delete(task) => {
                self.deactivate(task);
                self.deleted.push(task);
                self.starter.delete_task(task);
            }
        }
    }

    fn deactivate(&mut self, task: Uuid) {
        if let Some(PlannedTask { next: Some(next), .. }) = self.tasks.remove(&task) {
            self.timers.remove(&(next, task));
        }
    }

    /// Places the open runs of a task on the board, and plans its next time.
    fn set(&mut self, active: Arc<ActiveTask>) {
        let uid = active.key.uid;
        for run in self.unplaced.remove(&uid).into_iter().flatten() {
            self.place(&active, run);
        }
        if let Some(PlannedTask { next: Some(next), .. }) = self.tasks.remove(&uid) {
            self.timers.remove(&(next, uid));
        }
        self.tasks.insert(uid, PlannedTask { active, next: None });
        self.schedule(uid);
    }

    fn place(&mut self, active: &ActiveTask, run: Run) {
        let is_job = run.executor == Some(Executor::Job);
        self.context.task_registry.with_board(|board| match run.state {
            RunState::Queued => board.restore_queued(active.waiting_run(run.id, run.scheduled_at)),
            RunState::Ready | RunState::Running => {
                board.restore_started(active.open_run(run.id, run.scheduled_at));
            }
            _ => {}
        });
        match run.state {
            RunState::Ready if is_job => self.starter.enqueue(run, false),
            RunState::Queued if is_job => self.starter.enqueue(run, true),
            _ => {}
        }
    }

    /// Lets waiting runs start that may.
    async fn release_queued(&mut self) -> Result<(), store::Error> {
        let released = self.context.task_registry.with_board(crate::domain::task::board::Board::release);
        if released.is_empty() {
            return Ok(());
        }
        let now = self.context.services.now();
        let advances: Vec<_> = released
            .iter()
            .map(|id| store::runs::Advance {
                id: *id,
                state: RunState::Ready,
                due_at: now,
                executor: None,
                work: None,
                message: None,
            })
            .collect();
        self.runs.advance(&advances).await?;
        for id in released {
            self.starter.release(id);
        }
        // The places of the others have changed.
        for task in self.context.task_registry.with_board(|board| board.waiting_tasks()) {
            if let Some(task) = self.tasks.get(&task) {
                self.context.task_registry.mark_changed(&task.active.key);
            }
        }
        Ok(())
    }

    /// Cancels the open runs of deleted tasks. Those that were deleted while nobody led are found among the open runs.
    async fn cancel_deleted(&mut self) -> Result<(), store::Error> {
        let gone = self.unplaced.values().filter_map(|runs| runs.first());
        let gone: Vec<Uuid> =
            gone.map(|run| &run.task).filter(|task| self.is_deleted(task)).map(|task| task.uid).collect();
        self.deleted.extend(gone);
        let now = self.context.services.now();
        while let Some(task) = self.deleted.last().copied() {
            let mut open = self.context.task_registry.with_board(|board| board.open_runs_of(task));
            open.extend(self.unplaced.get(&task).into_iter().flatten().map(|run| run.id));
            for run in open {
                self.runs.cancel(run, "the deletion of its task", now).await?;
            }
            self.unplaced.remove(&task);
            self.deleted.pop();
        }
        Ok(())
    }

    /// Ends runs that have not started.
    async fn end_unstarted(&self, ends: &[UnstartedEnd]) -> Result<(), store::Error> {
        if ends.is_empty() {
            return Ok(());
        }
        self.runs.end_unstarted(ends).await.map(drop)
    }
}
