//! `eventctl task describe`: a task with its runs.

use clap::Args;
use eventcenter_sdk::rest::schedule::{Run, RunFilter};
use jiff::{Timestamp, Zoned};
use kube::ResourceExt;

use super::super::login::{LoginArgs, block_on};
use super::super::output::{Answer, print_warning, render_error};
use super::super::server::ServerArgs;
use super::super::terminal::{age, plain};
use super::super::time_arg;
use super::job_log_client::JobLogClient;
use super::next::{remarks, times_in_zone, timetable};
use super::run_table::{RunLayout, duration};
use super::runs::newest;
use super::words::schedule_in_words;
use crate::api::{
    ConcurrencyPolicy, Engine, EngineType, ScheduledTask, ScheduledTaskSpec, ScheduledTaskStatus,
};

/// Number of times and runs that are shown.
const SHOWN: usize = 5;

const EXAMPLES: &str = "\
Examples:
  eventctl task describe nightly -n shop

Exit codes: 0 the task is described, 2 an error occurred.";

/// Describe a task: its schedule in words, who executes its runs and why, its conditions, statistics, next times and last runs.
///
/// The last runs are read through the REST API, if --server or EVENTCTL_SERVER is set.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Describe {
    /// Name of the task.
    name: String,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn answer(arguments: &Describe) -> anyhow::Result<Answer> {
    let Describe { name, login, server } = arguments;
    block_on(async {
        let session = login.open().await?;
        let namespace = login.namespace_in(&session);
        let Some(task) = session.get_resource::<ScheduledTask>(&namespace, name).await? else {
            anyhow::bail!("there is no ScheduledTask {name} in namespace {namespace}");
        };
        let task: ScheduledTask = serde_json::from_value(task)?;
        let runs = match server.is_given() {
            true => match last_runs(login, server, &namespace, name).await {
                Ok(runs) => Some(runs),
                Err(error) => {
                    print_warning(&format!("the last runs are left out: {}", render_error(&error)));
                    None
                }
            },
            false => None,
        };
        Ok(Answer { yes: true, text: render(&task, runs.as_deref(), &time_arg::now()) })
    })
}

async fn last_runs(
    login: &LoginArgs,
    server: &ServerArgs,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Vec<Run>> {
    let filter = RunFilter {
        namespace: Some(namespace.to_owned()),
        task: Some(name.to_owned()),
        ..RunFilter::default()
    };
    Ok(newest(&JobLogClient::open(login, server).await?, &filter, SHOWN).await?.0)
}

/// Lines of a name and a value.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        self.0.push(format!("{name:<14}{}", plain(value.as_ref())));
    }

    fn add_all(&mut self, name: &str, values: &[String]) {
        for (index, value) in values.iter().enumerate() {
            self.add(if index == 0 { name } else { "" }, value);
        }
    }

    fn heading(&mut self, name: &str) {
        self.0.push(String::new());
        self.0.push(format!("{name}:"));
    }

    fn indented(&mut self, text: &str) {
        self.0.extend(text.lines().map(|line| format!("  {line}").trim_end().to_owned()));
    }
}

fn render(task: &ScheduledTask, runs: Option<&[Run]>, now: &Zoned) -> String {
    let status = task.status.clone().unwrap_or_default();
    let spec = &task.spec;
    let mut lines = Lines::default();
    lines.add("Name", task.name_any());
    lines.add("Namespace", task.namespace().unwrap_or_default());
    if let Some(description) = &spec.description {
        lines.add("Description", description);
    }
    lines.add_all("Schedule", &schedule_in_words(spec));
    lines.add("Target", target(spec));
    lines.add("Concurrency", concurrency(spec));
    match &status.engine {
        Some(engine) => {
            lines.add("Engine", describe_engine(engine));
        }
        None => lines.add("Engine", "not chosen yet"),
    }
    add_state(&mut lines, task, &status, now.timestamp());
    add_times(&mut lines, task, now);
    if let Some(runs) = runs {
        lines.heading("Last runs");
        let zone = now.time_zone().clone();
        let layout = RunLayout { zone, is_wide: false, colored: false, width: None };
        lines.indented(&if runs.is_empty() { "none yet".into() } else { layout.table(runs) });
    }
    lines.0.join("\n")
}

fn add_state(lines: &mut Lines, task: &ScheduledTask, status: &ScheduledTaskStatus, now: Timestamp) {
    let count = |runs: i64| if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    lines.add("Active", count(status.active.unwrap_or_default()));
    if let Some(queue) = status.queue.as_ref().filter(|queue| queue.waiting > 0) {
        lines.add("Queue", format!("{} waiting, the first at place {}", count(queue.waiting), queue.place));
    }
    if let Some(last) = &status.last {
        let message = last.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        lines.add("Last run", format!("{} {} ago{message}", last.state, age(last.scheduled, now)));
    }
    if let Some(runs) = &status.runs {
        let mean = runs.mean_duration_ms.map(|mean| format!("; mean duration {}", duration(mean)));
        lines.add(
            "Runs",
            format!(
                "{} succeeded, {} failed, {} cancelled, {} missed, {} skipped{}",
                runs.succeeded,
                runs.failed,
                runs.cancelled,
                runs.missed,
                runs.skipped,
                mean.unwrap_or_default()
            ),
        );
    }
    if let Some(pending) = &status.pending {
        lines.add(
            "Pending",
            format!(
                "a change waits for approval ({}): eventctl diff ScheduledTask {}",
                pending.approvals,
                task.name_any()
            ),
        );
    }
    lines.heading("Conditions");
    match status.conditions.as_slice() {
        [] => lines.indented("none: the operator has not observed the task yet"),
        conditions => {
            for condition in conditions {
                let line = format!(
                    "{}={} {}: {}",
                    condition.type_, condition.status, condition.reason, condition.message
                );
                lines.indented(&plain(&line));
            }
        }
    }
}

fn add_times(lines: &mut Lines, task: &ScheduledTask, now: &Zoned) {
    let Ok(timetable) = timetable(task) else { return };
    lines.heading("Next times");
    if task.spec.suspend {
        return lines.indented("none while the schedule is suspended");
    }
    let times = times_in_zone(&timetable, now.timestamp(), SHOWN, now.time_zone());
    let remarks = remarks(&timetable, now.timestamp(), &times);
    lines.indented(&super::next::render(&times, &remarks, now.time_zone(), now.timestamp()));
}

fn describe_engine(engine: &Engine) -> String {
    let cron_job = match (&engine.cron_job, engine.engine) {
        (Some(name), EngineType::CronJob) => format!(" {name}"),
        (Some(name), _) => format!(" (CronJob {name} is suspended)"),
        (None, _) => String::new(),
    };
    format!("{:?}{cron_job}, because {}", engine.engine, engine.reason)
}

fn target(spec: &ScheduledTaskSpec) -> String {
    let Some(target) = &spec.target else {
        return format!("that of template {}", spec.template.as_deref().unwrap_or_default());
    };
    if let Some(http) = &target.http {
        return format!("HTTP call to {}", http.url);
    }
    if let Some(event) = &target.event {
        return format!("event {} to topic {}", event.event_type, event.topic);
    }
    match spec.shards {
        Some(shards) => format!("{shards} pods that share the work"),
        None => "a pod".into(),
    }
}

fn concurrency(spec: &ScheduledTaskSpec) -> String {
    let concurrency = spec.concurrency.clone().unwrap_or_default();
    let runs_on_event = spec.schedule.as_ref().is_some_and(|schedule| schedule.on_event.is_some());
    let default = if runs_on_event { ConcurrencyPolicy::Queue } else { ConcurrencyPolicy::Forbid };
    let policy = match concurrency.policy.unwrap_or(default) {
        ConcurrencyPolicy::Allow => "runs may overlap",
        ConcurrencyPolicy::Forbid => "a run that would overlap is skipped",
        ConcurrencyPolicy::Replace => "a run cancels the previous one",
        ConcurrencyPolicy::Queue => "a run waits for the previous one",
    };
    match (&concurrency.group, concurrency.limit) {
        (Some(group), limit) => format!("{policy}; at most {} in group {group}", limit.unwrap_or(1)),
        (None, Some(limit)) => format!("{policy}; at most {limit}"),
        (None, None) => policy.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_table::tests::run;
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_task_is_described() {
        let task = task(
            "{schedule: {cron: '30 2 * * *', timeZone: Europe/Berlin}, concurrency: {policy: Queue, group: import}, \
             target: {http: {url: 'https://a.example/run'}}, description: Imports orders, \
             status: {engine: {type: Runner, reason: an HTTP call needs no pod}, active: 1, queue: {waiting: 2, place: 3}, \
             last: {id: a, state: Skipped, scheduled: '2026-03-27T01:30:00Z', message: a previous run has not ended}, \
             runs: {succeeded: 7, failed: 2, meanDurationMs: 61000}, conditions: [{type: Ready, status: 'True', \
             reason: Available, message: The task is scheduled., lastTransitionTime: '2026-01-01T00:00:00Z'}]}}",
        );
        let now: Zoned = "2026-03-27T13:00:00+01:00[Europe/Berlin]".parse().expect("a time");
        let runs =
            [run(json!({"state": "Skipped", "attempts": 0, "message": "a previous run has not ended"}))];
        expect![[r#"
            Name:         nightly
            Namespace:    shop
            Description:  Imports orders
            Schedule:     Every day at 02:30 in Europe/Berlin (30 2 * * *).
                          Of missed times, the latest is made up for.
            Target:       HTTP call to https://a.example/run
            Concurrency:  a run waits for the previous one; at most 1 in group import
            Engine:       Runner, because an HTTP call needs no pod
            Active:       1 run
            Queue:        2 runs waiting, the first at place 3
            Last run:     Skipped 10h ago: a previous run has not ended
            Runs:         7 succeeded, 2 failed, 0 cancelled, 0 missed, 0 skipped; mean duration 1m1s

            Conditions:
              Ready=True Available: The task is scheduled.

            Next times:
              TIME (Europe/Berlin)           FROM NOW
              Sat 2026-03-28 02:30:00 CET    in 13h
              Mon 2026-03-30 02:30:00 CEST   in 2d12h
              Tue 2026-03-31 02:30:00 CEST   in 3d12h
              Wed 2026-04-01 02:30:00 CEST   in 4d12h
              Thu 2026-04-02 02:30:00 CEST   in 5d12h

              2026-03-29 02:30 does not exist, because the clock is put forward: the task does not run (dst: Once would run it)

            Last runs:
              RUN                                    TASK      SCHEDULED             STATE     TRIGGER    ATTEMPTS   DURATION   MESSAGE
              00000000-0000-0000-0000-000000000001   nightly   2026-11-21 09:00:00   Skipped   Schedule   0          -          a previous run has not ended"#]].assert_eq(&render(&task, Some(&runs), &now));
    }

    #[test]
    fn a_suspended_schedule_has_no_next_times() {
        let task =
            task("{schedule: {every: 5m}, suspend: true, target: {http: {url: 'https://a.example/run'}}}");
        let now: Zoned = "2026-03-27T13:00:00+01:00[Europe/Berlin]".parse().expect("a time");
        let text = render(&task, Some(&[]), &now);
        assert!(text.contains("Next times:\n  none while the schedule is suspended\n"), "{text}");
        assert!(text.ends_with("Last runs:\n  none yet"), "{text}");
    }

    #[test]
    fn a_cron_job_that_does_not_run_is_named_as_suspended() {
        let engine = |engine| Engine { engine, reason: "x".into(), cron_job: Some("nightly".into()) };
        assert_eq!(describe_engine(&engine(EngineType::CronJob)), "CronJob nightly, because x");
        assert_eq!(
            describe_engine(&engine(EngineType::Job)),
            "Job (CronJob nightly is suspended), because x"
        );
    }
}
