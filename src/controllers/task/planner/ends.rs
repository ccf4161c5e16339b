//! What follows from the end of a run: statistics, Events, records, and the tasks that follow it.

use std::collections::BTreeMap;

use eventcenter_sdk::Reason;
use kube::runtime::reflector::ObjectRef as StoreRef;
use uuid::Uuid;

use super::{PAGE, Planner};
use crate::api::ScheduledTask;
use crate::domain::ObjectRef;
use crate::domain::audit::{Action, Outcome as AuditOutcome};
use crate::domain::task::planning::{FanIn, cause_of_followers, decide_fan_in};
use crate::domain::task::request::new_run;
use crate::domain::task::{NewRun, Run, RunState, TaskKey, Trigger};
use crate::kubernetes::{EventRecord, EventType};
use crate::store;
use crate::store::runs::{RunFilter, UnreportedRun};

/// Number of runs of a chain that are read.
const MAX_CHAIN: usize = 1000;

impl Planner<'_> {
    /// Reports the runs that have ended, then marks them: each report can be made again. What follows an end depends on its task and
    /// those that follow it, so it waits until these are reconciled, such as after the start of a leader, and does not delay others.
    pub(super) async fn report_ends(&mut self) -> Result<(), store::Error> {
        let mut unreportable = std::mem::take(&mut self.unreportable);
        unreportable.retain(|_, task| !self.is_reportable(task));
        self.unreportable = unreportable;
        loop {
            let except: Vec<Uuid> = self.unreportable.keys().copied().collect();
            let listed = self.runs.list_unreported(&except, PAGE).await?;
            let is_last = listed.len() < PAGE;
            let (ended, waiting): (Vec<_>, Vec<_>) =
                listed.into_iter().partition(|ended| self.is_reportable(&ended.run.task));
            self.unreportable.extend(waiting.into_iter().map(|ended| (ended.run.task.uid, ended.run.task)));
            if ended.is_empty() && is_last {
                return Ok(());
            }
            let mut followers = Vec::new();
            for UnreportedRun { run, .. } in &ended {
                followers.extend(self.follow(run).await?);
                followers.extend(self.failure_action(run));
            }
            if !followers.is_empty() {
                self.runs.insert(&followers, self.context.services.now()).await?;
            }
            for UnreportedRun { run, .. } in &ended {
                self.announce(run).await;
            }
            let ids: Vec<_> = ended.iter().map(|ended| ended.run.id).collect();
            let events = self.run_events.of_ends(&ended);
            let reported = self.runs.mark_reported_with(&ids, &events).await?;
            self.run_events.notify(&events);
            for UnreportedRun { run, .. } in ended.iter().filter(|ended| reported.contains(&ended.run.id)) {
                self.remove(run);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Whether it is known what follows the ends of a task's runs.
    fn is_reportable(&self, task: &TaskKey) -> bool {
        let task = ObjectRef::new::<ScheduledTask>(&task.namespace, &task.name);
        let downstream = self.context.services.catalog.lock().tasks().downstream_of(&task);
        self.is_reconciled(&task) && downstream.iter().all(|(task, _)| self.is_reconciled(task))
    }

    /// The failure action of a run.
    fn failure_action(&self, run: &Run) -> Option<NewRun> {
        self.tasks.get(&run.task.uid)?.active.failure_action(run, self.context.services.now())
    }

    /// Removes a run that has ended from what is in memory, and counts it.
    fn remove(&mut self, run: &Run) {
        let context = self.context;
        if run.trigger.is_failure() {
            context.task_metrics.observe_failure_action(run);
            return;
        }
        context.task_registry.with_board(|board| board.end(run.id));
        // Its task may become active after this.
        if let Some(open) = self.unplaced.get_mut(&run.task.uid) {
            open.retain(|open| open.id != run.id);
        }
        context.task_registry.count_end(run);
        self.starter.forget(run.id);
        context.task_metrics.observe_end(run);
        context.task_registry.mark_changed(&run.task);
    }

    /// Records the end of a run, and publishes an Event of a failure.
    async fn announce(&self, run: &Run) {
        let context = self.context;
        let reference = StoreRef::<_>::new(&run.task.name).within(&run.task.namespace);
        let Some(task) = context.tasks.objects.get(&reference) else { return };
        let Ok(task) = &task.0 else { return };
        let (outcome, reason) = match run.state {
            RunState::Succeeded => (AuditOutcome::Succeeded, None),
            RunState::Failed | RunState::TimedOut | RunState::Missed => {
                (AuditOutcome::Failed, Some(Reason::RunFailed))
            }
            _ => return,
        };
        let message = run.outcome.message.as_deref();
        let because = message.map(|message| format!(": {message}")).unwrap_or_default();
        let what = match &run.trigger {
            Trigger::Failure { of } => format!("failure action of run {of} {}{because}", run.state),
            _ => format!("run {} of {:.0} {}{because}", run.id, run.scheduled_at, run.state),
        };
        context.services.enqueue_event(task, Action::EndRun, outcome, reason, what.clone()).await;
        if outcome == AuditOutcome::Failed {
            let event = EventRecord { kind: EventType::Warning, reason: event_reason(run), message: what };
            context.services.kubernetes.publish_event(task, event);
        }
    }

    /// The runs of the tasks that follow one.
    async fn follow(&self, run: &Run) -> Result<Vec<NewRun>, store::Error> {
        // A time that was missed started no chain.
        let is_in_chain = run.started_at.is_some() || matches!(run.trigger, Trigger::Upstream { .. });
        if !is_in_chain || run.trigger.is_failure() {
            return Ok(Vec::new());
        }
        let reference = ObjectRef::new::<ScheduledTask>(&run.task.namespace, &run.task.name);
        let downstream = self.context.services.catalog.lock().tasks().downstream_of(&reference);
        if downstream.is_empty() {
            return Ok(Vec::new());
        }
        let ended = self.ended_of_chain(run).await?;
        let now = self.context.services.now();
        let mut runs = Vec::new();
        for (task, upstream) in downstream {
            let Some(active) = self.find(&task) else { continue };
            let trigger = Trigger::Upstream { chain: cause_of_followers(run) };
            let new = new_run(&active.key, trigger, Some(run.chain), now);
            match decide_fan_in(&upstream, &ended) {
                FanIn::Wait => {}
                FanIn::Run => runs.push(new),
                FanIn::Skip(why) => {
                    runs.push(NewRun { state: RunState::Skipped, message: Some(why), ..new });
                }
            }
        }
        Ok(runs)
    }

    fn find(&self, task: &ObjectRef) -> Option<std::sync::Arc<crate::domain::task::planning::ActiveTask>> {
        self.tasks.get(&self.uid_of(task)?).map(|task| std::sync::Arc::clone(&task.active))
    }

    /// The ended runs of a chain by task: of several of one task, such as a repeated one, the youngest.
    async fn ended_of_chain(&self, run: &Run) -> Result<BTreeMap<String, RunState>, store::Error> {
        let filter = RunFilter {
            tenants: vec![run.task.tenant.clone()],
            namespaces: Some(vec![run.task.namespace.clone()]),
            chain: Some(run.chain),
            ..RunFilter::default()
        };
        let page = self.runs.list(&filter, None, MAX_CHAIN).await?;
        let ended = page.runs.iter().filter(|other| other.state.is_final() && !other.trigger.is_failure());
        let mut youngest: BTreeMap<&str, &Run> = BTreeMap::new();
        // A repeated run counts instead of the one that it repeats, and has its scheduled time.
        for other in ended.chain([run]) {
            let of_task = youngest.entry(&other.task.name).or_insert(other);
            if other.ended_at >= of_task.ended_at {
                *of_task = other;
            }
        }
        Ok(youngest.into_iter().map(|(task, run)| (task.to_owned(), run.state)).collect())
    }
}

/// The reason of the Event about a run.
fn event_reason(run: &Run) -> &'static str {
    match run.state {
        _ if run.trigger.is_failure() => "FailureActionFailed",
        RunState::Missed => "RunMissed",
        RunState::TimedOut => "RunTimedOut",
        _ => "RunFailed",
    }
}
