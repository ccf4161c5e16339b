//! The runs that follow from occurrences, triggers and the ends of other runs.

use std::collections::BTreeMap;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::board::{Admission, Board, OpenRun};
use super::definition::DEFAULT_CALL_TIMEOUT;
use super::event_trigger::EventSource;
use super::failure_action::{FailedRun, RETRIES};
use super::reference::{EventProperty, Reference};
use super::request::new_run;
use super::schedule::{DuePlan, jitter_of};
use super::work::Destination;
use super::{Definition, Executor, NewRun, Run, RunId, RunState, TaskKey, Timing, Trigger, Work};
use crate::api::{ConcurrencyPolicy, EngineType, ScheduledTaskSpec, TaskTarget, Upstream, UpstreamResult};
use crate::domain::Refusal;

/// A task whose runs are planned.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveTask {
    /// The task.
    pub key: TaskKey,
    /// What it does.
    pub definition: Definition,
    /// Who executes its occurrences.
    pub engine: EngineType,
    /// Where its events are published.
    pub destination: Option<Destination>,
    /// Where the event of its failure action is published.
    pub failure_destination: Option<Destination>,
    /// Where the events are read that it runs for.
    pub source: Option<EventSource>,
    /// Distinguishes schedules: a cursor of another schedule does not count.
    pub schedule_hash: String,
    /// From when on its occurrences count.
    pub since: Timestamp,
}

/// The hash of a schedule. A suspension is another schedule, so that times that pass meanwhile are not made up for.
#[must_use]
pub fn schedule_hash(spec: &ScheduledTaskSpec) -> String {
    let text = serde_json::to_string(&(&spec.schedule, spec.suspend)).unwrap_or_default();
    hex::encode(&Sha256::digest(text.as_bytes())[..16])
}

/// The chain of an occurrence: tasks of a namespace that are due at the same time belong together, so that a task that
/// follows several of them can wait for all.
#[must_use]
pub fn chain_of(namespace: &str, time: Timestamp) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(namespace.as_bytes());
    hasher.update(b"\0");
    hasher.update(time.as_microsecond().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// What the runs have in common that follow from a run, and what distinguishes them from those of another run of the task: the
/// chain, or for a repetition its id. So what follows a repeated run runs again.
#[must_use]
pub fn cause_of_followers(run: &Run) -> Uuid {
    match &run.trigger {
        Trigger::Rerun { .. } => run.id.0,
        Trigger::Upstream { chain } => *chain,
        Trigger::Schedule { .. }
        | Trigger::Manual { .. }
        | Trigger::Event { .. }
        | Trigger::Failure { .. } => run.chain,
    }
}

/// A run that was planned, and the runs that it replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedRuns {
    /// The runs.
    pub runs: Vec<NewRun>,
    /// Runs to cancel (concurrency policy `Replace`).
    pub replaced: Vec<RunId>,
}

impl ActiveTask {
    /// Who executes a run that the operator starts itself.
    #[must_use]
    pub fn executor(&self) -> Executor {
        match self.engine {
            EngineType::CronJob | EngineType::Job => Executor::Job,
            EngineType::Runner => Executor::Runner,
        }
    }

    /// Where events are to be read for the task; `None` if it does not run for events, or is suspended.
    #[must_use]
    pub fn event_source(&self) -> Option<&EventSource> {
        let runs_for_events =
            matches!(self.definition.timing, Timing::OnEvent(_)) && !self.definition.is_suspended;
        self.source.as_ref().filter(|_| runs_for_events)
    }

    /// The run as the board needs it.
    #[must_use]
    pub fn open_run(&self, id: RunId, scheduled_at: Timestamp) -> OpenRun {
        OpenRun {
            id,
            task: self.key.uid,
            tenant: self.key.tenant.clone(),
            namespace: self.key.namespace.clone(),
            scheduled_at,
            gate: self.definition.gate.clone(),
        }
    }

    /// A run as the board needs it that waits for others, whatever the policy of its task is.
    #[must_use]
    pub fn waiting_run(&self, id: RunId, scheduled_at: Timestamp) -> OpenRun {
        let mut open = self.open_run(id, scheduled_at);
        if matches!(open.gate.policy, ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace) {
            open.gate.policy = ConcurrencyPolicy::Queue;
            open.gate.task_limit = Some(1);
        }
        open
    }

    /// The runs of due and missed occurrences.
    pub fn plan_occurrences(&self, plan: &DuePlan, board: &mut Board, planned: &mut PlannedRuns) {
        let Timing::Time { jitter, .. } = &self.definition.timing else { return };
        if let Some(range) = plan.missed_before {
            let message = format!(
                "{}; the same for {} more until {}",
                range.reason,
                range.count.saturating_sub(1),
                range.last
            );
            planned.runs.push(self.ended(range.first, RunState::Missed, message));
        }
        for missed in &plan.missed {
            planned.runs.push(self.ended(missed.scheduled, RunState::Missed, missed.reason.to_string()));
        }
        for due in &plan.runs {
            let trigger = Trigger::Schedule { time: due.scheduled };
            let id = RunId::of(self.key.uid, &trigger);
            // It was requested before, by a backfill.
            if board.contains(id) {
                continue;
            }
            let delay = jitter_of(&self.key.uid.to_string(), due.scheduled, *jitter);
            let due_at = due.scheduled.saturating_add(delay).unwrap_or(due.scheduled);
            let admission = board.admit(self.open_run(id, due.scheduled));
            let (state, message) = decide_state(admission, planned);
            planned.runs.push(NewRun {
                due_at,
                state,
                executor: Some(self.executor()),
                work: Some(self.work(&BTreeMap::new())),
                message,
                ..self.occurrence(due.scheduled)
            });
        }
    }

    /// What happens with a requested run: `Queued`, `Ready` or `Skipped` with the reason.
    ///
    /// # Errors
    /// The parameters are not those of the task, or the target contains properties of an event and the run has none.
    pub fn admit_requested(
        &self,
        run: &Run,
        board: &mut Board,
        planned: &mut PlannedRuns,
    ) -> Result<(RunState, Option<String>), Refusal> {
        self.check_parameters(run)?;
        // Whoever makes up for times, or repeats a run, wants each of them: they wait instead of being skipped.
        let open = match run.trigger {
            Trigger::Schedule { .. } | Trigger::Rerun { .. } => self.waiting_run(run.id, run.scheduled_at),
            _ => self.open_run(run.id, run.scheduled_at),
        };
        let admission = board.admit(open);
        Ok(decide_state(admission, planned))
    }

    fn check_parameters(&self, run: &Run) -> Result<(), Refusal> {
        // Only the operator sets properties of an event; a repetition has those of the run that it repeats.
        let of_event = matches!(run.trigger, Trigger::Event { .. } | Trigger::Rerun { .. });
        let mut replaced = run.parameters.clone();
        replaced.retain(|name, _| !(of_event && EventProperty::is_parameter(name)));
        self.definition.check_parameters(&replaced)?;
        let missing = self
            .definition
            .event_properties
            .iter()
            .find(|property| !(of_event && run.parameters.contains_key(property.parameter())));
        missing.map_or(Ok(()), |property| {
            Err(Refusal::new(
                Reason::InvalidResource,
                format!(
                    "the target contains {}, and this run is for no event: publish an event, or repeat a run that was for one",
                    Reference::Event(*property)
                ),
            ))
        })
    }

    /// The action that follows from the end of a run: `None` if the run has not failed, or the task has no action.
    #[must_use]
    pub fn failure_action(&self, run: &Run, now: Timestamp) -> Option<NewRun> {
        let has_failed = matches!(run.state, RunState::Failed | RunState::TimedOut);
        let action = self.definition.on_failure.as_ref()?;
        if !has_failed || run.trigger.is_failure() {
            return None;
        }
        let mut parameters = self.definition.parameters.clone();
        parameters.extend(run.parameters.clone());
        let work = Work {
            target: TaskTarget { container: None, http: action.http.clone(), event: action.event.clone() },
            parameters,
            timeout_ms: u64::try_from(DEFAULT_CALL_TIMEOUT.as_millis()).ok(),
            retry: RETRIES,
            shards: None,
            destination: self.failure_destination.clone(),
            failed_run: Some(FailedRun::of(run)),
        };
        Some(NewRun {
            state: RunState::Ready,
            executor: Some(Executor::Runner),
            work: Some(work.to_json()),
            ..new_run(&self.key, Trigger::Failure { of: run.id }, Some(run.chain), now)
        })
    }

    /// What the executor of a run does, as JSON.
    #[must_use]
    pub fn work(&self, replaced: &BTreeMap<String, String>) -> String {
        Work::of(&self.definition, replaced, self.destination.clone()).to_json()
    }

    /// An occurrence that is observed or ends without a start.
    #[must_use]
    pub fn occurrence(&self, time: Timestamp) -> NewRun {
        NewRun {
            chain: chain_of(&self.key.namespace, time),
            scheduled_at: time,
            due_at: time,
            ..new_run(&self.key, Trigger::Schedule { time }, None, time)
        }
    }

    /// An occurrence that was not started.
    #[must_use]
    pub fn ended(&self, time: Timestamp, state: RunState, message: String) -> NewRun {
        NewRun { state, message: Some(message), ..self.occurrence(time) }
    }
}

fn decide_state(admission: Admission, planned: &mut PlannedRuns) -> (RunState, Option<String>) {
    match admission {
        Admission::Start => (RunState::Ready, None),
        Admission::Queue(why) => (RunState::Queued, Some(why)),
        Admission::Skip(why) => (RunState::Skipped, Some(why)),
        Admission::Replace(replaced) => {
            planned.replaced.extend(replaced);
            (RunState::Ready, None)
        }
    }
}

/// Whether a task that follows others runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FanIn {
    /// A run of an upstream task has not ended.
    Wait,
    /// All have ended as declared.
    Run,
    /// One has ended otherwise; the text says which.
    Skip(String),
}

/// Decides whether a task runs that follows others. `ended` has the ended runs of the chain, by the names of their tasks.
#[must_use]
pub fn decide_fan_in(upstream: &[Upstream], ended: &BTreeMap<String, RunState>) -> FanIn {
    for declared in upstream {
        if let Some(state) = ended.get(&declared.task)
            && !matches(declared.result, *state)
        {
            return FanIn::Skip(format!(
                "task {} ended as {state}, and this task follows {:?} runs only",
                declared.task, declared.result
            ));
        }
    }
    match upstream.iter().all(|declared| ended.contains_key(&declared.task)) {
        true => FanIn::Run,
        false => FanIn::Wait,
    }
}

fn matches(on: UpstreamResult, state: RunState) -> bool {
    let failed = matches!(state, RunState::Failed | RunState::TimedOut);
    match on {
        UpstreamResult::Succeeded => state == RunState::Succeeded,
        UpstreamResult::Failed => failed,
        UpstreamResult::Completed => failed || state == RunState::Succeeded,
    }
}

/// The refusal of a trigger of a task that is not active.
#[must_use]
pub fn inactive(task: &str) -> Refusal {
    Refusal::new(
        Reason::NotSupported,
        format!("task {task} is not Ready, and the condition says why: trigger it again when it is"),
    )
}

#[cfg(test)]
#[path = "planning_tests.rs"]
pub(super) mod tests;
