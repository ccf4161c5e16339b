//! The CronJob of a task when the task does not run, and when it runs again.

use eventcenter::api::{EngineType, ScheduledTask};
use eventcenter::domain::task::{Executor, RunState};
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;

use super::{fixture, script};
use crate::support::{Fixture, ObjectPath, until};

/// Waits until the CronJob of a task is suspended, or is not.
async fn wait_until_suspended(t: &Fixture, name: &str, expected: bool) -> CronJob {
    let path = ObjectPath::of_kind::<CronJob>(Some(&t.namespace), name);
    let found = until(async || {
        let cron_job: CronJob = t.kube.get(&path).await.ok_or("there is none")?;
        match cron_job.spec.as_ref().and_then(|spec| spec.suspend) == Some(expected) {
            true => Ok(cron_job),
            false => Err(format!("{:?}", cron_job.spec)),
        }
    });
    found
        .await
        .unwrap_or_else(|last| t.fail(&format!("suspend of CronJob {name} should be {expected}"), &last))
}

#[tokio::test]
async fn the_cron_job_of_a_task_that_does_not_run_is_suspended() {
    let t = fixture("stops").await;
    t.template("shell").apply(json!({"target": script("true")})).await;
    t.schedule("of-template", json!({"schedule": {"cron": "@daily"}, "template": "shell"})).await;
    t.schedule("plain", json!({"schedule": {"cron": "@daily"}, "target": script("true")})).await;
    wait_until_suspended(&t, "of-template", false).await;
    t.template("shell").delete_and_wait().await;
    wait_until_suspended(&t, "of-template", true).await;
    t.task("plain").annotate("paused", Some("true")).await;
    wait_until_suspended(&t, "plain", true).await;
    t.task("plain").annotate("paused", None).await;
    wait_until_suspended(&t, "plain", false).await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters, "suspended": true, "whenSuspended": "Stop",
    }))
    .await;
    wait_until_suspended(&t, "plain", true).await;
}

/// Kubernetes would make up for the time that passed while a CronJob was suspended, or before its schedule changed.
#[tokio::test]
async fn a_cron_job_makes_up_for_nothing_when_it_runs_again() {
    let t = fixture("resumed").await;
    let spec = |suspend: bool, cron: &str| json!({"schedule": {"cron": cron}, "suspend": suspend, "target": script("true")});
    let path = ObjectPath::of_kind::<CronJob>(Some(&t.namespace), "daily");
    let pretend_that_time_has_passed = async || {
        t.kube.merge_status(&path, &json!({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}})).await
    };
    t.schedule("daily", spec(true, "@daily")).await;
    wait_until_suspended(&t, "daily", true).await;
    pretend_that_time_has_passed().await;
    t.task("daily").apply(spec(false, "@daily")).await;
    wait_until_suspended(&t, "daily", false).await;
    // A change of the schedule.
    t.task("daily").apply(spec(true, "@daily")).await;
    wait_until_suspended(&t, "daily", true).await;
    pretend_that_time_has_passed().await;
    t.task("daily").apply(spec(false, "0 1 * * *")).await;
    wait_until_suspended(&t, "daily", false).await;
    // Whatever Kubernetes would start, it starts before the Jobs of a later CronJob.
    t.schedule("marker", json!({"schedule": {"cron": "@every 1m"}, "target": script("true")})).await;
    t.make_due("marker").await;
    t.wait_for_ended("marker", RunState::Succeeded, 1).await;
    assert!(t.runs("daily").await.is_empty(), "{}", super::print(&t.runs("daily").await));
}

#[tokio::test]
async fn the_times_of_a_cron_job_do_not_run_again_by_another_engine() {
    let t = fixture("engines").await;
    let spec = |catch_up: &str| json!({"schedule": {"cron": "@every 1m", "catchUp": catch_up}, "target": script("true")});
    t.schedule("tick", spec("Latest")).await;
    t.make_due("tick").await;
    t.wait_for_ended("tick", RunState::Succeeded, 1).await;
    t.task("tick").apply(spec("All")).await;
    let uses_jobs = |task: &ScheduledTask| {
        let status = task.status.clone().unwrap_or_default();
        status.engine.is_some_and(|engine| engine.engine == EngineType::Job) && status.next.is_some()
    };
    t.task("tick").wait_for_status("the engine Job with a next time", uses_jobs).await;
    // The operator plans times before requests, so a run by hand comes after what it would make up for.
    t.task("tick").annotate("trigger", Some("1")).await;
    t.wait_for_runs("tick", "one by hand", |runs| {
        runs.iter().any(|run| run.trigger.kind() == "Manual" && run.state == RunState::Succeeded)
    })
    .await;
    let runs = t.runs("tick").await;
    let last_of_cron_job = runs
        .iter()
        .filter(|run| run.executor == Some(Executor::CronJob) && run.started_at.is_some())
        .map(|run| run.scheduled_at)
        .max()
        .expect("waited for");
    let mut of_operator =
        runs.iter().filter(|run| run.executor == Some(Executor::Job) && run.trigger.kind() == "Schedule");
    assert!(of_operator.all(|run| run.scheduled_at > last_of_cron_job), "{}", super::print(&runs));
    assert!(runs.iter().all(|run| run.state != RunState::Missed), "{}", super::print(&runs));
}
