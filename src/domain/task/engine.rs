//! Who executes the runs of a task.

use std::time::Duration;

use super::definition::{Definition, Target};
use super::schedule::{CatchUpKind, DstPolicy, ON_TIME, Schedule};
use super::timing::Timing;
use crate::api::{ConcurrencyPolicy, EngineType, ScheduledTaskSpec};

/// Who executes the runs of a task, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// Who executes them.
    pub engine: EngineType,
    /// Why, for people.
    pub reason: String,
    /// Whether a CronJob could express the schedule. It then exists, suspended if another engine executes the runs.
    pub has_cron_job: bool,
}

/// Chooses the engine of a task.
#[must_use]
pub fn choose(spec: &ScheduledTaskSpec, definition: &Definition) -> EngineChoice {
    match &definition.target {
        Target::Http(_) => runner("an HTTP call needs no pod"),
        Target::Event(_) => runner("an event needs no pod"),
        Target::Container(_) => choose_for_container(spec, definition),
    }
}

fn runner(reason: &str) -> EngineChoice {
    EngineChoice { engine: EngineType::Runner, reason: reason.into(), has_cron_job: false }
}

fn choose_for_container(spec: &ScheduledTaskSpec, definition: &Definition) -> EngineChoice {
    let job = |reason: String, has_cron_job| EngineChoice { engine: EngineType::Job, reason, has_cron_job };
    let Timing::Time { timetable, jitter, catch_up } = &definition.timing else {
        return job("the task does not run by time".into(), false);
    };
    let is_cron = spec.schedule.as_ref().is_some_and(|schedule| schedule.cron.is_some());
    if !is_cron {
        return job("a CronJob runs by a cron expression only".into(), false);
    }
    let dst = match &timetable.schedule {
        Schedule::Cron(cron) => cron.dst(),
        Schedule::Every(_) | Schedule::At(_) => DstPolicy::AsClock,
    };
    // Kubernetes names the Jobs of a CronJob by the minute of their scheduled times.
    let is_shorter_than_a_minute =
        matches!(&timetable.schedule, Schedule::Every(rate) if rate.period() < Duration::from_mins(1));
    let gate = &definition.gate;
    let needs = |is_needed: bool, what: &str| is_needed.then(|| what.to_owned());
    let needed: Vec<String> = [
        needs(is_shorter_than_a_minute, "an interval of less than a minute"),
        needs(dst == DstPolicy::Once, "schedule.dst Once"),
        needs(!jitter.is_zero(), "schedule.jitter"),
        needs(catch_up.kind == CatchUpKind::All, "schedule.catchUp All"),
        needs(timetable.not_before.is_some(), "schedule.notBefore"),
        needs(timetable.not_after.is_some(), "schedule.notAfter"),
        needs(gate.policy == ConcurrencyPolicy::Queue, "concurrency.policy Queue"),
        needs(gate.group.is_some(), "concurrency.group"),
        needs(
            gate.group.is_none() && gate.policy == ConcurrencyPolicy::Allow && gate.task_limit.is_some(),
            "concurrency.limit",
        ),
        needs(gate.tenant_limit.is_some(), "the tenant's tasks.concurrentRuns"),
        needs(definition.retry.has_backoff, "retry.backoff"),
        needs(!definition.run_properties.is_empty(), "references to the run"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match needed.is_empty() {
        true => EngineChoice {
            engine: EngineType::CronJob,
            reason: "a CronJob can do all that the task declares".into(),
            has_cron_job: true,
        },
        false => job(format!("a CronJob cannot do: {}", needed.join(", ")), true),
    }
}

/// How late a CronJob may start a run (`startingDeadlineSeconds`); `None` is unlimited.
#[must_use]
pub fn starting_deadline(definition: &Definition) -> Option<Duration> {
    match &definition.timing {
        Timing::Time { catch_up, .. } if catch_up.kind == CatchUpKind::Skip => Some(ON_TIME),
        Timing::Time { catch_up, .. } => catch_up.window.map(|window| window.max(ON_TIME)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::{definition, task};
    use expect_test::{Expect, expect};

    fn check(spec: &str, expected: Expect) {
        let task = task(spec);
        let EngineChoice { engine, reason, has_cron_job } = choose(&task.spec, &definition(&task));
        let cron_job = if has_cron_job { ", has a CronJob" } else { "" };
        expected.assert_eq(&format!("{engine:?}{cron_job}: {reason}"));
    }

    const POD: &str = "target: {container: {template: {spec: {containers: [{name: a, image: x}]}}}}";

    #[test]
    fn plain_cron_tasks_are_cron_jobs() {
        for more in [
            "schedule: {cron: '@daily'}",
            "schedule: {cron: '0 3 * * *', timeZone: Europe/Berlin, catchUp: Skip}",
            "{schedule: {cron: '0 3 * * *', catchUpWindow: 1h}, retry: {limit: 2}, timeout: 1h, shards: 3}",
            "{schedule: {cron: '0 3 * * *'}, concurrency: {policy: Replace}}",
        ] {
            let more = more.trim_start_matches('{').trim_end_matches('}');
            let more = if more.matches('{').count() > more.matches('}').count() {
                format!("{more}}}")
            } else {
                more.into()
            };
            check(
                &format!("{{{POD}, {more}}}"),
                expect!["CronJob, has a CronJob: a CronJob can do all that the task declares"],
            );
        }
    }

    #[test]
    fn the_operator_makes_the_jobs_of_tasks_that_ask_for_more() {
        let check = |more: &str, expected| check(&format!("{{{POD}, {more}}}"), expected);
        check(
            "schedule: {cron: '@daily', dst: Once, jitter: 1m, catchUp: All}",
            expect![
                "Job, has a CronJob: a CronJob cannot do: schedule.dst Once, schedule.jitter, schedule.catchUp All"
            ],
        );
        check(
            "schedule: {cron: '@daily', notBefore: '2026-01-01T00:00:00Z', notAfter: '2027-01-01T00:00:00Z'}",
            expect!["Job, has a CronJob: a CronJob cannot do: schedule.notBefore, schedule.notAfter"],
        );
        check(
            "schedule: {cron: '@daily'}, concurrency: {policy: Queue, group: g, limit: 2}, retry: {limit: 1, backoff: {}}",
            expect![
                "Job, has a CronJob: a CronJob cannot do: concurrency.policy Queue, concurrency.group, retry.backoff"
            ],
        );
        check(
            "schedule: {cron: '@every 59s'}",
            expect!["Job, has a CronJob: a CronJob cannot do: an interval of less than a minute"],
        );
        check("schedule: {every: 1m}", expect!["Job: a CronJob runs by a cron expression only"]);
        check(
            "schedule: {at: '2026-01-01T00:00:00Z'}",
            expect!["Job: a CronJob runs by a cron expression only"],
        );
        check("schedule: {after: [{task: other}]}", expect!["Job: the task does not run by time"]);
        check("suspend: false", expect!["Job: the task does not run by time"]);
        super::tests::check(
            "{schedule: {cron: '@daily'}, target: {container: {template: {spec: {containers: [{name: a, image: x, args: ['$(run.id)']}]}}}}}",
            expect!["Job, has a CronJob: a CronJob cannot do: references to the run"],
        );
    }

    #[test]
    fn calls_and_events_need_no_pod() {
        check(
            "{schedule: {cron: '@daily'}, target: {http: {url: 'https://a/'}}}",
            expect!["Runner: an HTTP call needs no pod"],
        );
        check(
            "{schedule: {cron: '@daily'}, target: {event: {topic: t, type: Order.Created.v1}}}",
            expect!["Runner: an event needs no pod"],
        );
    }
}
