//! Container tasks: CronJobs and Jobs.

use eventcenter::api::EngineType;
use eventcenter::domain::task::{Executor, RunState};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt;
use serde_json::json;

use super::{fixture, run_log, script};
use crate::support::{ObjectPath, has_condition, message, until};

#[tokio::test]
async fn a_plain_cron_task_is_a_cron_job_whose_runs_are_logged() {
    let t = fixture("cron-job").await;
    let spec = json!({"schedule": {"cron": "@every 1m"}, "target": script("echo processed; exit 0")});
    let task = t.schedule("report", spec).await;
    let engine = task.status.as_ref().and_then(|status| status.engine.clone()).expect("an engine");
    assert_eq!((engine.engine, engine.cron_job.as_deref()), (EngineType::CronJob, Some("report")));
    t.make_due("report").await;
    let runs = t.wait_for_ended("report", RunState::Succeeded, 1).await;
    assert_eq!(runs[0].executor, Some(Executor::CronJob));
    let ended = runs.iter().rfind(|run| run.state == RunState::Succeeded).expect("waited for");
    assert_eq!(t.log_of(ended, 1).await.as_deref(), Some("processed\n"));
    let task = t.task("report").wait_for_condition("LastRunSucceeded=True").await;
    assert_eq!(task.status.as_ref().and_then(|status| status.runs.as_ref()).map(|runs| runs.failed), Some(0));
    // What the operator deletes is made again, and what is changed is changed back.
    let path = ObjectPath::of_kind::<CronJob>(Some(&t.namespace), "report");
    t.kube.merge(&path, &json!({"spec": {"schedule": "@hourly"}})).await;
    let restored = until(async || {
        let cron_job: CronJob = t.kube.get(&path).await.ok_or("there is none")?;
        let schedule = cron_job.spec.expect("a spec").schedule;
        if schedule == "@every 1m" { Ok(()) } else { Err(schedule) }
    });
    restored.await.expect("the schedule is restored");
}

#[tokio::test]
async fn the_operator_makes_the_jobs_of_other_schedules_once_each() {
    let t = fixture("fixed-rate").await;
    let spec = json!({
        "schedule": {"every": "1s"},
        "concurrency": {"policy": "Allow"},
        "history": {"succeeded": 1},
        "target": script("echo run $EVENTCENTER_RUN_ID attempt $EVENTCENTER_ATTEMPT"),
    });
    t.schedule("tick", spec).await;
    let runs = t.wait_for_ended("tick", RunState::Succeeded, 3).await;
    let mut times: Vec<_> = runs.iter().map(|run| run.scheduled_at).collect();
    times.dedup();
    assert_eq!(times.len(), runs.len(), "each time once: {times:?}");
    let ended = runs.iter().find(|run| run.state == RunState::Succeeded).expect("waited for");
    assert_eq!(t.log_of(ended, 1).await, Some(format!("run {} attempt 1\n", ended.id)));
    assert_eq!(ended.outcome.exit_code, Some(0));
    // The run log stays when the Jobs are gone.
    let kept = until(async || {
        let jobs = t.kubectl(&["get", "jobs", "-o", "name"])?;
        if jobs.lines().count() <= 4 { Ok(()) } else { Err(jobs) }
    });
    kept.await.expect("ended Jobs are deleted");
    t.task("tick").delete_and_wait().await;
    assert!(t.runs("tick").await.len() >= 3, "the run log stays when the task is gone");
}

#[tokio::test]
async fn a_schedule_that_a_cron_job_cannot_do_has_a_suspended_one() {
    let t = fixture("suspended-cron-job").await;
    let spec = json!({"schedule": {"cron": "@hourly", "catchUp": "All"}, "target": script("true")});
    t.schedule("once", spec).await;
    let path = ObjectPath::of_kind::<CronJob>(Some(&t.namespace), "once");
    let cron_job: CronJob = t.kube.get(&path).await.expect("a CronJob");
    assert_eq!(cron_job.spec.as_ref().and_then(|spec| spec.suspend), Some(true));
    let because = &cron_job.annotations()["eventcenter.io/suspended-because"];
    assert_eq!(because, "eventcenter creates the Jobs, because a CronJob cannot do: schedule.catchUp All");
    t.task("once").annotate("trigger", Some("1")).await;
    t.wait_for_ended("once", RunState::Succeeded, 1).await;
    // The other way: the CronJob takes over.
    t.task("once").patch_spec(json!({"schedule": {"catchUp": "Latest"}})).await;
    let resumed = until(async || {
        let cron_job: CronJob = t.kube.get(&path).await.ok_or("there is none")?;
        let is_suspended = cron_job.spec.as_ref().and_then(|spec| spec.suspend);
        match cron_job.annotations().get("eventcenter.io/suspended-because") {
            None if is_suspended == Some(false) => Ok(()),
            because => Err(format!("{is_suspended:?} {because:?}")),
        }
    });
    resumed.await.expect("the CronJob is no longer suspended");
}

#[tokio::test]
async fn a_failed_attempt_is_retried_after_a_delay_and_the_task_stays_ready() {
    let t = fixture("retry").await;
    let spec = json!({
        "retry": {"limit": 2, "backoff": {"initial": "1s", "factor": 2}},
        "target": script("echo attempt $EVENTCENTER_ATTEMPT; exit 3"),
    });
    t.schedule("flaky", spec).await;
    t.task("flaky").annotate("trigger", Some("first")).await;
    let run = t.wait_for_ended("flaky", RunState::Failed, 1).await.remove(0);
    assert_eq!(
        (run.attempts, run.outcome.exit_code, run.outcome.message.as_deref()),
        (3, Some(3), Some("exit code 3: attempt 3"))
    );
    for attempt in 1..=3 {
        assert_eq!(t.log_of(&run, attempt).await, Some(format!("attempt {attempt}\n")));
    }
    let attempts = super::run_log().attempts(&run.task.tenant, run.id).await.expect("the run log");
    let ends: Vec<_> = attempts.iter().map(|attempt| attempt.ended_at.expect("ended")).collect();
    let delays: Vec<_> =
        attempts.iter().skip(1).zip(&ends).map(|(next, end)| next.started_at.duration_since(*end)).collect();
    assert!(delays[0].as_secs() >= 1 && delays[1].as_secs() >= 2, "{delays:?}");
    let task = t.task("flaky").wait_for_condition("LastRunSucceeded=False").await;
    assert!(has_condition(&task, "Ready=True"), "{task:?}");
    assert!(message(&task, "LastRunSucceeded").ends_with("failed: exit code 3: attempt 3"), "{task:?}");
    t.task("flaky").wait_for_event("RunFailed", "exit code 3").await;
}

#[tokio::test]
async fn shards_know_their_index_and_one_that_fails_is_retried_alone() {
    let t = fixture("shards").await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "echo $SHARD_INDEX/$SHARD_TOTAL >> {0}/started; [ $SHARD_INDEX != 1 ] || mkdir {0}/failed-once 2>/dev/null && [ $SHARD_INDEX = 1 ] && exit 1; exit 0",
        folder.path().display()
    );
    let spec = json!({"shards": 3, "retry": {"limit": 1}, "target": script(&text)});
    t.schedule("batch", spec).await;
    t.task("batch").annotate("trigger", Some("now")).await;
    t.wait_for_ended("batch", RunState::Succeeded, 1).await;
    let started = std::fs::read_to_string(folder.path().join("started")).expect("pods have run");
    let mut started: Vec<&str> = started.lines().collect();
    started.sort_unstable();
    assert_eq!(started, ["0/3", "1/3", "1/3", "2/3"]);
    let run = t.runs("batch").await.remove(0);
    let attempts = run_log().attempts(&run.task.tenant, run.id).await.expect("the run log");
    let attempts: Vec<_> =
        attempts.iter().map(|one| (one.number, one.state, one.outcome.message.as_deref())).collect();
    assert_eq!(
        attempts,
        [(1, RunState::Failed, Some("shard 1: exit code 1")), (2, RunState::Succeeded, None)]
    );
}

#[tokio::test]
async fn each_pod_of_a_cron_job_is_an_attempt() {
    let t = fixture("cron-job-attempts").await;
    let spec = json!({
        "schedule": {"cron": "@every 1m"},
        "retry": {"limit": 1},
        "target": script("echo this is $HOSTNAME; exit 4"),
    });
    let task = t.schedule("broken", spec).await;
    let engine = task.status.and_then(|status| status.engine).expect("an engine");
    assert_eq!(engine.engine, EngineType::CronJob);
    t.make_due("broken").await;
    let run = t.wait_for_ended("broken", RunState::Failed, 1).await;
    let run = run.into_iter().find(|run| run.state == RunState::Failed).expect("waited for");
    t.task("broken").delete().await;
    assert_eq!(run.attempts, 2);
    let attempts = run_log().attempts(&run.task.tenant, run.id).await.expect("the run log");
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert!(attempts[0].started_at < attempts[1].started_at, "{attempts:#?}");
    for attempt in attempts {
        assert_eq!((attempt.state, attempt.outcome.exit_code), (RunState::Failed, Some(4)));
        let log = t.log_of(&run, attempt.number).await.unwrap_or_default();
        assert!(log.starts_with("this is "), "{log}");
    }
}

#[tokio::test]
async fn values_of_secrets_are_not_in_the_log() {
    let t = fixture("masked").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": t.namespace},
        "stringData": {"password": "correct-horse"},
    });
    t.apply(&secret).await;
    let mut target = script("echo the password is $PASSWORD");
    target["container"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]);
    t.schedule("careless", json!({"target": target})).await;
    t.task("careless").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("careless", RunState::Succeeded, 1).await.remove(0);
    assert_eq!(t.log_of(&run, 1).await.as_deref(), Some("the password is ***\n"));
}

#[tokio::test]
async fn a_long_run_times_out_and_a_deleted_job_is_a_cancelled_run() {
    let t = fixture("timeout").await;
    t.schedule("slow", json!({"timeout": "1s", "target": script("sleep 600")})).await;
    t.task("slow").annotate("trigger", Some("1")).await;
    t.wait_for_ended("slow", RunState::TimedOut, 1).await;
    t.schedule("endless", json!({"target": script("sleep 600")})).await;
    t.task("endless").annotate("trigger", Some("1")).await;
    let running = |runs: &[eventcenter::domain::task::Run]| {
        runs.first().is_some_and(|run| run.state == RunState::Running)
    };
    let run = t.wait_for_runs("endless", "running", running).await.remove(0);
    let job = run.executed_by.expect("a Job");
    t.kube.delete(&ObjectPath::of_kind::<Job>(Some(&t.namespace), &job)).await;
    let run = t.wait_for_ended("endless", RunState::Cancelled, 1).await.remove(0);
    assert_eq!(run.outcome.message.as_deref(), Some("its Job was deleted before it ended"));
}

#[tokio::test]
async fn a_name_that_is_too_long_for_a_cron_job_is_shortened() {
    let t = fixture("long").await;
    let name = format!("{}.{}", "a".repeat(60), "b".repeat(60));
    let task = t.schedule(&name, json!({"schedule": {"cron": "@every 1m"}, "target": script("true")})).await;
    let cron_job = task.status.and_then(|status| status.engine).and_then(|engine| engine.cron_job);
    let cron_job = cron_job.expect("a CronJob");
    assert_eq!(cron_job.len(), 52);
    t.make_due(&cron_job).await;
    t.wait_for_ended(&name, RunState::Succeeded, 1).await;
    t.task(&name).annotate("trigger", Some("by-hand")).await;
    t.wait_for_runs(&name, "one by hand", |runs| {
        runs.iter().any(|run| run.trigger.kind() == "Manual" && run.state == RunState::Succeeded)
    })
    .await;
}
