//! `eventctl task list`: the tasks.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;

use super::super::login::{LoginArgs, block_on};
use super::super::output::{Answer, print_warning};
use super::super::terminal::{age, plain, table};
use super::super::time_arg;
use super::output_format::OutputFormat;
use super::words::describe_schedule;
use crate::api::ScheduledTask;

const EXAMPLES: &str = "\
Examples:
  eventctl task list -n shop
  eventctl task list -A -o wide

Exit codes: 0 the tasks are listed, 2 an error occurred.";

/// List ScheduledTasks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct List {
    /// All namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    login: LoginArgs,
}

pub(super) fn answer(arguments: &List) -> anyhow::Result<Answer> {
    let List { all_namespaces, output, login } = arguments;
    block_on(async {
        let session = login.open().await?;
        let namespace = login.namespace_in(&session);
        let namespace = (!all_namespaces).then_some(namespace.as_str());
        let (mut tasks, mut invalid) = (Vec::new(), Vec::new());
        for task in session.list_resources::<ScheduledTask>(namespace).await? {
            match task.0 {
                Ok(mut task) => {
                    task.metadata.managed_fields = None;
                    tasks.push(task);
                }
                Err(error) => invalid.push(error.metadata.name.unwrap_or_default()),
            }
        }
        if !invalid.is_empty() {
            print_warning(&format!("invalid scheduledtasks are left out: {}", plain(&invalid.join(", "))));
        }
        let now = time_arg::now().timestamp();
        let text = output.render(&tasks, || match (tasks.is_empty(), namespace) {
            (true, Some(namespace)) => format!("there is no ScheduledTask in namespace {namespace}"),
            (true, None) => "there is no ScheduledTask".into(),
            (false, _) => render(&tasks, *output == OutputFormat::Wide, now),
        })?;
        Ok(Answer { yes: true, text })
    })
}

fn render(tasks: &[ScheduledTask], is_wide: bool, now: Timestamp) -> String {
    if is_wide {
        let heads = [
            "NAMESPACE",
            "NAME",
            "SCHEDULE",
            "SUSPENDED",
            "ACTIVE",
            "LAST",
            "RESULT",
            "NEXT",
            "READY",
            "REASON",
            "ENGINE",
            "SUCCEEDED",
            "FAILED",
        ];
        let rows: Vec<[String; 13]> = tasks
            .iter()
            .map(|task| {
                let [namespace, name, schedule, suspended, active, last, result, next, ready, reason] =
                    row(task, now);
                let status = task.status.clone().unwrap_or_default();
                let runs = status.runs.clone().unwrap_or_default();
                let engine =
                    status.engine.as_ref().map_or_else(none, |engine| format!("{:?}", engine.engine));
                let [succeeded, failed] = [runs.succeeded, runs.failed].map(|count| count.to_string());
                [
                    namespace, name, schedule, suspended, active, last, result, next, ready, reason, engine,
                    succeeded, failed,
                ]
            })
            .collect();
        return table(heads, &rows);
    }
    let heads =
        ["NAMESPACE", "NAME", "SCHEDULE", "SUSPENDED", "ACTIVE", "LAST", "RESULT", "NEXT", "READY", "REASON"];
    let rows: Vec<[String; 10]> = tasks.iter().map(|task| row(task, now)).collect();
    table(heads, &rows)
}

fn none() -> String {
    "-".into()
}

fn row(task: &ScheduledTask, now: Timestamp) -> [String; 10] {
    let status = task.status.clone().unwrap_or_default();
    let last = status.last.as_ref();
    [
        task.namespace().unwrap_or_default(),
        task.name_any(),
        status.schedule.as_deref().map_or_else(|| describe_schedule(&task.spec), plain),
        task.spec.suspend.to_string(),
        status.active.map_or_else(none, |active| active.to_string()),
        last.map_or_else(none, |last| age(last.scheduled, now)),
        last.map_or_else(none, |last| plain(&last.state)),
        status.next.map_or_else(none, |next| format!("in {}", age(now, next))),
        ready_condition(task).map_or_else(none, |condition| condition.status.clone()),
        ready_condition(task).map_or_else(none, |condition| plain(&condition.reason)),
    ]
}

/// The condition `Ready`.
pub(super) fn ready_condition(
    task: &ScheduledTask,
) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    task.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == "Ready")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::expect;

    #[test]
    fn tasks_are_a_table() {
        let target = "target: {http: {url: 'https://a/'}}";
        let tasks = [
            task(&format!("{{{target}, schedule: {{cron: '0 3 * * *'}}}}")),
            task(&format!(
                "{{{target}, metadata: {{name: sync}}, suspend: true, status: {{schedule: every 30s, active: 1, \
                 next: '2026-11-21T12:00:20Z', last: {{id: a, state: Failed, scheduled: '2026-11-21T11:59:00Z'}}, \
                 engine: {{type: Runner, reason: x}}, runs: {{succeeded: 7, failed: 2}}, conditions: [{{type: Ready, \
                 status: 'False', reason: Suspended, message: m, lastTransitionTime: '2026-11-21T12:00:00Z'}}]}}}}"
            )),
        ];
        let now = "2026-11-21T12:00:00Z".parse().expect("a time");
        expect![[r#"
            NAMESPACE   NAME      SCHEDULE    SUSPENDED   ACTIVE   LAST   RESULT   NEXT     READY   REASON
            shop        nightly   0 3 * * *   false       -        -      -        -        -       -
            shop        sync      every 30s   true        1        60s    Failed   in 20s   False   Suspended"#]]
        .assert_eq(&render(&tasks, false, now));
        expect![[r#"
            NAMESPACE   NAME   SCHEDULE    SUSPENDED   ACTIVE   LAST   RESULT   NEXT     READY   REASON      ENGINE   SUCCEEDED   FAILED
            shop        sync   every 30s   true        1        60s    Failed   in 20s   False   Suspended   Runner   7           2"#]]
        .assert_eq(&render(&tasks[1..], true, now));
    }
}
