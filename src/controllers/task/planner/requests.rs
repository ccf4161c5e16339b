//! Runs that users and other runs request.

use std::collections::HashSet;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef as StoreRef;
use uuid::Uuid;

use super::{PAGE, Planner};
use crate::api::ScheduledTask;
use crate::domain::ObjectRef;
use crate::domain::task::planning::{PlannedRuns, inactive};
use crate::domain::task::{Executor, Run, RunId, RunState, TaskKey};
use crate::store;
use crate::store::runs::{Advance, UnstartedEnd};

impl Planner<'_> {
    /// Reads requested runs. Those of tasks that are not decided yet stay in the store, and do not delay those of others.
    pub(super) async fn list_requested(&mut self) -> Result<Vec<Run>, store::Error> {
        let mut undecided = std::mem::take(&mut self.undecided);
        undecided.retain(|_, task| !self.is_decided(task));
        self.undecided = undecided;
        let except: Vec<Uuid> = self.undecided.keys().copied().collect();
        self.runs.list_requested(&except, PAGE).await
    }

    /// Plans requested runs.
    pub(super) async fn plan_requested(&mut self, requested: Vec<Run>) -> Result<(), store::Error> {
        if requested.is_empty() {
            return Ok(());
        }
        let now = self.context.services.now();
        let (mut advances, mut ends, mut started) = (Vec::new(), Vec::new(), Vec::new());
        let mut planned = PlannedRuns::default();
        for run in requested {
            self.context.task_registry.mark_changed(&run.task);
            let Some(task) = self.tasks.get(&run.task.uid) else {
                match self.is_decided(&run.task) {
                    true => ends.push(skip(&run, inactive(&run.task.name).message(), now)),
                    false => drop(self.undecided.insert(run.task.uid, run.task)),
                }
                continue;
            };
            let active = &task.active;
            let admitted = self
                .context
                .task_registry
                .with_board(|board| active.admit_requested(&run, board, &mut planned));
            match admitted {
                Ok((RunState::Skipped, why)) => ends.push(skip(&run, why.unwrap_or_default(), now)),
                Err(refusal) => ends.push(skip(&run, refusal.message(), now)),
                Ok((state, message)) => {
                    let (executor, work) = (active.executor(), active.work(&run.parameters));
                    advances.push(Advance {
                        id: run.id,
                        state,
                        due_at: now,
                        executor: Some(executor),
                        work: Some(work.clone()),
                        message,
                    });
                    if executor == Executor::Job {
                        started.push(Run {
                            state,
                            due_at: now,
                            executor: Some(executor),
                            work: Some(work),
                            ..run
                        });
                    }
                }
            }
        }
        let advanced: HashSet<RunId> = self.runs.advance(&advances).await?.into_iter().collect();
        for cancelled in advances.iter().filter(|advance| !advanced.contains(&advance.id)) {
            self.context.task_registry.with_board(|board| board.end(cancelled.id));
        }
        self.end_unstarted(&ends).await?;
        for id in planned.replaced {
            self.runs.cancel(id, "concurrency policy Replace", now).await?;
        }
        for run in started.into_iter().filter(|run| advanced.contains(&run.id)) {
            let is_suspended = run.state == RunState::Queued;
            self.starter.enqueue(run, is_suspended);
        }
        Ok(())
    }
}

impl Planner<'_> {
    /// Whether it is known if a task runs: it is deleted or reconciled.
    fn is_decided(&self, task: &TaskKey) -> bool {
        self.is_deleted(task)
            || self.is_reconciled(&ObjectRef::new::<ScheduledTask>(&task.namespace, &task.name))
    }

    /// Whether a task is active, or was reconciled and is not. After the start of a leader, tasks become so in a moment. One that does
    /// not exist, or that cannot be deserialized, is never reconciled, and counts as well.
    pub(super) fn is_reconciled(&self, task: &ObjectRef) -> bool {
        match self.uid_of(task) {
            Some(uid) => self.tasks.contains_key(&uid) || self.context.task_registry.is_inactive(uid),
            None => self.context.tasks.is_synced(),
        }
    }

    /// The uid of a task that exists.
    pub(super) fn uid_of(&self, task: &ObjectRef) -> Option<Uuid> {
        let reference = StoreRef::new(&task.name).within(&task.namespace);
        let object = self.context.tasks.objects.get(&reference)?;
        object.0.as_ref().ok()?.metadata.uid.as_ref()?.parse().ok()
    }

    /// Whether a task does not exist any more.
    pub(super) fn is_deleted(&self, task: &TaskKey) -> bool {
        let reference = StoreRef::new(&task.name).within(&task.namespace);
        let tasks = &self.context.tasks;
        let exists = |uid: Option<String>| uid.and_then(|uid| uid.parse().ok()) == Some(task.uid);
        tasks.is_synced() && !tasks.objects.get(&reference).is_some_and(|object| exists(object.uid()))
    }
}

fn skip(run: &Run, message: String, at: jiff::Timestamp) -> UnstartedEnd {
    UnstartedEnd { id: run.id, state: RunState::Skipped, at, message: Some(message), cancelled_by: None }
}
