//! Operators that are killed at random moments.

use anyhow::Result;
use eventcenter::domain::task::RunState;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::task::block_in_place;

use super::TaskFixture;
use crate::crash::Random;

/// Number of tasks that call the server every second.
const HTTP_TASKS: usize = 198;
/// Number of tasks that start a process every second. Further ones are not done in time by two processors that have other work, too.
const CONTAINER_TASKS: usize = 2;
/// How often a process is killed.
const KILLS: usize = 20;
/// A process is killed after fewer further calls than this: at any moment from its start until some seconds later.
const MAX_CALLS: usize = 2 * HTTP_TASKS;

/// Number of tasks with a run that ends while nobody leads.
const BLOCKED_TASKS: usize = 8;

/// Number of tasks whose run ends while nobody leads, and that are followed.
const FOLLOWED_TASKS: usize = 20;

/// The processes: their names and roles.
const PROCESSES: [(&str, &str); 3] =
    [("controllers", "controllers"), ("runner-a", "runner"), ("runner-b", "runner")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_occurrence_runs_once_though_operators_are_killed() -> Result<()> {
    let mut random = Random::from_environment()?;
    println!("to repeat this run: EVENTCENTER_SEED={}", random.0);
    let mut s = TaskFixture::new("task-kills").await?;
    let mut processes = Vec::new();
    for (name, roles) in PROCESSES {
        processes.push(Some(s.start(name, roles, true)?));
    }
    s.declare_every(HTTP_TASKS, CONTAINER_TASKS, 1).await;
    s.wait_for_calls(HTTP_TASKS).await;
    for _ in 0..KILLS {
        s.wait_for_calls(random.below(MAX_CALLS)).await;
        let index = random.below(PROCESSES.len());
        if let Some(process) = processes[index].take() {
            process.kill()?;
        }
        let (name, roles) = PROCESSES[index];
        processes[index] = Some(s.start(name, roles, false)?);
    }
    let stop = s.finish().await;
    let counted = s.check(stop).await?;
    println!("{KILLS} kills: {counted:?}");
    assert!(counted.looked_up * 2 > counted.calls, "the database answers: {counted:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_while_nobody_leads_is_retried_once_and_blocks_no_other() -> Result<()> {
    let s = TaskFixture::new("task-ended").await?;
    let controllers = s.start("controllers", "controllers", true)?;
    let release = s.folder.path().join("release");
    // The first attempt fails.
    let end =
        format!("until [ -e {} ]; do sleep 0.1; done; [ $EVENTCENTER_ATTEMPT != 1 ]", release.display());
    let spec = json!({
        "concurrency": {"policy": "Forbid"},
        "retry": {"limit": 1, "backoff": {"initial": "1s"}},
        "history": {"succeeded": 0, "failed": 0},
        "target": s.process(&end),
    });
    let names: Vec<String> = (0..BLOCKED_TASKS).map(|number| format!("blocked-{number}")).collect();
    for name in &names {
        s.task(name).apply(&spec).await;
        s.task(name).wait_for_condition("Ready=True").await;
        s.task(name).annotate("trigger", Some("first")).await;
    }
    for name in &names {
        s.wait_for_states(name, &[RunState::Running]).await;
    }
    controllers.kill()?;
    // As if it had been killed before it stored the start of some of the Jobs.
    let unstarted = "UPDATE task_run SET state = 'Ready', attempts = 0, started_at = NULL, attempt_started_at = NULL, \
                     executed_by = NULL WHERE right(task_name, 1) IN ('0', '2', '4', '6')";
    block_in_place(|| s.postgres.lock().sql("task-ended", unstarted))?;
    std::fs::write(&release, "")?;
    let jobs: Api<Job> = Api::namespaced(s.t.kube.client(), &s.t.namespace);
    s.t.eventually("all Jobs have failed", async || {
        let jobs = jobs.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let conditions =
            |job: &Job| job.status.clone().and_then(|status| status.conditions).unwrap_or_default();
        let has_failed = |job: &&Job| conditions(job).iter().any(|condition| condition.type_ == "Failed");
        let failed = jobs.iter().filter(has_failed).count();
        if failed == BLOCKED_TASKS { Ok(()) } else { Err(format!("{failed} have failed")) }
    })
    .await;
    let _controllers = s.start("controllers", "controllers", true)?;
    for name in &names {
        s.wait_for_states(name, &[RunState::Succeeded]).await;
    }
    // Only an end that is reported lets the next run start.
    s.wait_until_reported().await;
    for name in &names {
        s.task(name).annotate("trigger", Some("second")).await;
    }
    for name in &names {
        s.wait_for_states(name, &[RunState::Succeeded, RunState::Succeeded]).await;
    }
    let lines = s.lines()?;
    assert!(lines.len() == 4 * BLOCKED_TASKS && lines.values().all(|count| *count == 1), "{lines:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_run_that_ended_while_nobody_led_happens_once() -> Result<()> {
    let s = TaskFixture::new("task-followed").await?;
    let controllers = s.start("controllers", "controllers", true)?;
    let call = |path: &str| json!({"http": {"url": s.server.url(path)}});
    let failing =
        json!({"target": {"http": {"url": "http://127.0.0.1:1/"}}, "onFailure": call("/alert/$(run.id)")});
    let numbers = 0..FOLLOWED_TASKS;
    for number in numbers.clone() {
        let (name, follower) = (format!("failing-{number}"), format!("follower-{number}"));
        let after = json!({"after": [{"task": name, "result": "Failed"}]});
        s.task(&name).apply(&failing).await;
        s.task(&follower).apply(json!({"schedule": after, "target": call("/follower/$(run.id)")})).await;
        s.task(&name).wait_for_condition("Ready=True").await;
        s.task(&follower).wait_for_condition("Ready=True").await;
        s.task(&name).annotate("trigger", Some("1")).await;
    }
    for number in numbers.clone() {
        s.wait_for_states(&format!("failing-{number}"), &[RunState::Ready]).await;
    }
    controllers.kill()?;
    let _runner = s.start("runner", "runner", true)?;
    for number in numbers.clone() {
        s.wait_for_states(&format!("failing-{number}"), &[RunState::Failed]).await;
    }
    // Not all tasks are active when the first ends are processed.
    let _controllers = s.start("controllers", "controllers", true)?;
    for number in numbers {
        s.wait_for_states(&format!("follower-{number}"), &[RunState::Succeeded]).await;
        s.wait_for_states(&format!("failing-{number}"), &[RunState::Failed, RunState::Succeeded]).await;
    }
    s.wait_until_reported().await;
    Ok(())
}
