//! The statuses of ScheduledTasks and TaskTemplates.

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::engine::EngineChoice;
use super::{Run, RunState};
use crate::api::{
    Engine, LastRun, QueueStatus, RunCounts, ScheduledTask, ScheduledTaskSpec, ScheduledTaskStatus,
    TaskTemplate, TaskTemplateStatus,
};
use crate::domain::condition::{self, Conditions, Health, READY};
use crate::domain::{Failure, Refusal};

/// Whether the last run succeeded. A failed run does not make the task un-Ready: the declaration is fine.
pub const LAST_RUN_SUCCEEDED: &str = "LastRunSucceeded";

/// The outcome of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task is scheduled as declared.
    Scheduled {
        /// Who executes its runs.
        engine: EngineChoice,
        /// Name of its CronJob, if it has one.
        cron_job: Option<String>,
        /// When it runs, for people.
        schedule: String,
        /// Whether the schedule is suspended.
        is_suspended: bool,
    },
    /// Refused until something changes.
    Refused(Refusal),
    /// An operation failed: the operator retries.
    Failed(Failure),
    /// Paused by the annotation.
    Paused,
    /// Not managed by the operator.
    Unmanaged,
}

/// What is known about the runs of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// The last run that was due, if it is known to this process.
    pub last: Option<LastRun>,
    /// When the next run is due.
    pub next: Option<Timestamp>,
    /// Number of runs that have started and not ended, and that wait.
    pub open: (usize, usize),
    /// Place of the first waiting run, from 1.
    pub place: Option<usize>,
    /// Numbers of ended runs.
    pub counts: RunCounts,
    /// The value of the trigger annotation that was handled last.
    pub last_trigger: Option<String>,
}

/// The last run as the status shows it.
#[must_use]
pub fn last_run(run: &Run) -> LastRun {
    LastRun {
        id: run.id.to_string(),
        state: run.state.to_string(),
        scheduled: run.scheduled_at,
        ended: run.ended_at,
        message: run.outcome.message.clone(),
    }
}

/// When a task runs, for people.
#[must_use]
pub fn describe_schedule(spec: &ScheduledTaskSpec) -> String {
    let Some(schedule) = &spec.schedule else { return "by hand".into() };
    if let Some(cron) = &schedule.cron {
        return match &schedule.time_zone {
            Some(zone) => format!("{cron} {zone}"),
            None => cron.clone(),
        };
    }
    if let Some(every) = &schedule.every {
        return format!("every {every}");
    }
    if let Some(at) = schedule.at {
        return format!("at {at}");
    }
    if let Some(trigger) = &schedule.on_event {
        return match trigger.types.as_slice() {
            [] => format!("on event {}", trigger.topic),
            types => format!("on event {}: {}", trigger.topic, types.join(", ")),
        };
    }
    let tasks: Vec<&str> = schedule.after.iter().map(|upstream| upstream.task.as_str()).collect();
    format!("after {}", tasks.join(", "))
}

/// The status after a reconcile. Equal to the current one if nothing has changed, and then nothing is written.
#[must_use]
pub fn build_status(
    task: &ScheduledTask,
    outcome: &Outcome,
    facts: &RunFacts,
    now: Timestamp,
) -> ScheduledTaskStatus {
    let before = task.status.clone().unwrap_or_default();
    let mut conditions = Conditions::from_previous(&before.conditions, task.metadata.generation, now);
    let mut after = ScheduledTaskStatus { observed_generation: task.metadata.generation, ..before.clone() };
    match outcome {
        Outcome::Scheduled { engine, cron_job, schedule, is_suspended } => {
            after.schedule = Some(schedule.clone());
            after.engine = Some(Engine {
                engine: engine.engine,
                reason: engine.reason.clone(),
                cron_job: cron_job.clone(),
            });
            let health = match is_suspended {
                true => Health::Ready(Reason::Suspended, "the schedule is suspended by spec.suspend".into()),
                false => Health::Ready(Reason::Available, "the task is scheduled as declared".into()),
            };
            conditions.set_health(&health);
        }
        Outcome::Refused(refusal) => conditions.set_health(&Health::of(refusal)),
        Outcome::Failed(failure) => conditions.set_health(&Health::after_failure(failure)),
        Outcome::Paused => {
            let ready =
                condition::find(&before.conditions, READY).is_some_and(|ready| ready.status == "True");
            conditions.set(READY, ready, Reason::Paused, "paused by the annotation eventcenter.io/paused");
        }
        Outcome::Unmanaged => conditions.set(
            READY,
            true,
            Reason::Unmanaged,
            "not managed because of the annotation eventcenter.io/managed",
        ),
    }
    if let Some(last) = &facts.last {
        after.last = Some(last.clone());
    }
    set_last_run(&mut conditions, after.last.as_ref());
    after.next = facts.next;
    let (started, waiting) = facts.open;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    after.active = Some(count(started) + count(waiting));
    after.queue = facts.place.map(|place| QueueStatus { waiting: count(waiting), place: count(place) });
    after.runs = (facts.counts != RunCounts::default()).then(|| facts.counts.clone()).or(after.runs);
    after.last_trigger = facts.last_trigger.clone().or(after.last_trigger);
    after.conditions = conditions.finish();
    after
}

fn set_last_run(conditions: &mut Conditions<'_>, last: Option<&LastRun>) {
    let Some(last) = last else { return };
    let message = |what: &str| match &last.message {
        Some(message) => format!("the run of {:.0} {what}: {message}", last.scheduled),
        None => format!("the run of {:.0} {what}", last.scheduled),
    };
    match last.state.parse() {
        Ok(RunState::Succeeded) => {
            conditions.set(LAST_RUN_SUCCEEDED, true, Reason::RunSucceeded, &message("succeeded"));
        }
        Ok(RunState::Failed) => {
            conditions.set(LAST_RUN_SUCCEEDED, false, Reason::RunFailed, &message("failed"));
        }
        Ok(RunState::TimedOut) => {
            conditions.set(LAST_RUN_SUCCEEDED, false, Reason::RunFailed, &message("timed out"));
        }
        Ok(RunState::Missed) => {
            conditions.set(LAST_RUN_SUCCEEDED, false, Reason::RunFailed, &message("was missed"));
        }
        // A run that was skipped or cancelled says nothing about the task.
        _ => conditions.keep(LAST_RUN_SUCCEEDED),
    }
}

/// The status of a template.
#[must_use]
pub fn build_template_status(
    template: &TaskTemplate,
    outcome: &Result<(), Failure>,
    users: usize,
    now: Timestamp,
) -> TaskTemplateStatus {
    let before = template.status.clone().unwrap_or_default();
    let mut conditions = Conditions::from_previous(&before.conditions, template.metadata.generation, now);
    conditions.set_health(&match outcome {
        Ok(()) => Health::Ready(Reason::Available, "tasks can use the template".into()),
        Err(failure) if failure.is_stalled => Health::of(&failure.refusal),
        Err(failure) => Health::after_failure(failure),
    });
    TaskTemplateStatus {
        observed_generation: template.metadata.generation,
        tasks: Some(i64::try_from(users).unwrap_or(i64::MAX)),
        conditions: conditions.finish(),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EngineType;
    use crate::domain::task::testing::task;
    use expect_test::{Expect, expect};

    fn check(task: &ScheduledTask, outcome: &Outcome, last: Option<(&str, &str)>, expected: Expect) {
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let last = last.map(|(state, message)| LastRun {
            id: "1".into(),
            state: state.into(),
            scheduled: now,
            ended: None,
            message: (!message.is_empty()).then(|| message.into()),
        });
        let facts = RunFacts { last, ..RunFacts::default() };
        let status = build_status(task, outcome, &facts, now);
        let lines: Vec<String> = status
            .conditions
            .iter()
            .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    fn scheduled(is_suspended: bool) -> Outcome {
        let engine = EngineChoice {
            engine: EngineType::Runner,
            reason: "an HTTP call needs no pod".into(),
            has_cron_job: false,
        };
        Outcome::Scheduled { engine, cron_job: None, schedule: "every 1m".into(), is_suspended }
    }

    #[test]
    fn a_failed_run_does_not_make_the_task_unready() {
        let task = task("{target: {http: {url: 'https://a/'}}}");
        check(
            &task,
            &scheduled(false),
            None,
            expect!["Ready=True Available: the task is scheduled as declared"],
        );
        check(
            &task,
            &scheduled(false),
            Some(("Succeeded", "")),
            expect![[r#"
            Ready=True Available: the task is scheduled as declared
            LastRunSucceeded=True RunSucceeded: the run of 2026-06-01T00:00:00Z succeeded"#]],
        );
        check(
            &task,
            &scheduled(true),
            Some(("Failed", "HTTP 503")),
            expect![[r#"
            Ready=True Suspended: the schedule is suspended by spec.suspend
            LastRunSucceeded=False RunFailed: the run of 2026-06-01T00:00:00Z failed: HTTP 503"#]],
        );
        check(
            &task,
            &scheduled(false),
            Some(("Missed", "late")),
            expect![[r#"
            Ready=True Available: the task is scheduled as declared
            LastRunSucceeded=False RunFailed: the run of 2026-06-01T00:00:00Z was missed: late"#]],
        );
        check(
            &task,
            &scheduled(false),
            Some(("Skipped", "overlap")),
            expect!["Ready=True Available: the task is scheduled as declared"],
        );
        let refusal = Refusal::at(Reason::TemplateNotFound, "spec.template", "missing");
        check(
            &task,
            &Outcome::Refused(refusal),
            None,
            expect![[r#"
            Ready=False TemplateNotFound: spec.template: missing
            Reconciling=True TemplateNotFound: spec.template: missing"#]],
        );
        check(
            &task,
            &Outcome::Paused,
            None,
            expect!["Ready=False Paused: paused by the annotation eventcenter.io/paused"],
        );
    }

    #[test]
    fn schedules_are_described() {
        for (schedule, expected) in [
            ("{cron: '0 3 * * *'}", "0 3 * * *"),
            ("{cron: '0 3 * * *', timeZone: Europe/Berlin}", "0 3 * * * Europe/Berlin"),
            ("{every: 30s}", "every 30s"),
            ("{at: '2026-01-01T00:00:00Z'}", "at 2026-01-01T00:00:00Z"),
            ("{after: [{task: a}, {task: b}]}", "after a, b"),
            ("{onEvent: {topic: orders}}", "on event orders"),
            ("{onEvent: {topic: orders, types: [A.B.v1, A.C.v1]}}", "on event orders: A.B.v1, A.C.v1"),
        ] {
            let task = task(&format!("{{schedule: {schedule}, template: t}}"));
            assert_eq!(describe_schedule(&task.spec), expected);
        }
        assert_eq!(describe_schedule(&task("{template: t}").spec), "by hand");
    }
}
