//! Triggers, concurrency, groups, suspension and cancellation.

use eventcenter::domain::task::{Run, RunState};
use eventcenter::store::CancelOutcome;
use serde_json::json;

use super::{fixture, now, run_log, script};

fn is_running(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.state == RunState::Running)
}

#[tokio::test]
async fn the_same_trigger_runs_once() {
    let t = fixture("trigger").await;
    t.schedule("job", json!({"parameters": {"who": "world"}, "target": script("echo hello $(params.who)")}))
        .await;
    for id in ["a", "b", "a"] {
        t.task("job").annotate("trigger", Some(id)).await;
        t.task("job")
            .wait_for_status(&format!("lastTrigger {id}"), |task| {
                task.status.as_ref().and_then(|status| status.last_trigger.as_deref()) == Some(id)
            })
            .await;
        t.wait_for_runs("job", "all ended", |runs| {
            !runs.is_empty() && runs.iter().all(|run| run.state == RunState::Succeeded)
        })
        .await;
    }
    let runs = t.runs("job").await;
    assert_eq!(runs.len(), 2, "{}", super::print(&runs));
    assert_eq!(t.log_of(&runs[0], 1).await.as_deref(), Some("hello world\n"));
}

#[tokio::test]
async fn a_run_that_would_overlap_is_skipped_and_says_why() {
    let t = fixture("forbid").await;
    t.schedule("slow", json!({"target": script("sleep 600")})).await;
    t.task("slow").annotate("trigger", Some("1")).await;
    t.wait_for_runs("slow", "running", is_running).await;
    t.task("slow").annotate("trigger", Some("2")).await;
    let runs = t.wait_for_ended("slow", RunState::Skipped, 1).await;
    let skipped = runs.iter().find(|run| run.state == RunState::Skipped).expect("waited for");
    assert_eq!(
        skipped.outcome.message.as_deref(),
        Some("a previous run has not ended (concurrency policy Forbid)")
    );
    // Replace: the new run cancels the old one.
    t.task("slow").patch_spec(json!({"concurrency": {"policy": "Replace"}})).await;
    t.task("slow").wait_for_condition("Ready=True").await;
    t.task("slow").annotate("trigger", Some("3")).await;
    let runs = t.wait_for_ended("slow", RunState::Cancelled, 1).await;
    let cancelled = runs.iter().find(|run| run.state == RunState::Cancelled).expect("waited for");
    assert_eq!(cancelled.outcome.message.as_deref(), Some("cancelled by concurrency policy Replace"));
    t.wait_for_runs("slow", "the new one running", is_running).await;
}

#[tokio::test]
async fn the_jobs_of_a_group_wait_suspended_and_start_in_order() {
    let t = fixture("group").await;
    let folder = tempfile::tempdir().expect("a folder");
    let spec = |name: &str| {
        let text = format!(
            "echo {name} >> {0}/order; while [ ! -e {0}/{name} ]; do sleep 0.1; done",
            folder.path().display()
        );
        json!({"concurrency": {"policy": "Queue", "group": "nightly", "limit": 1}, "target": script(&text)})
    };
    for name in ["a", "b", "c"] {
        t.schedule(name, spec(name)).await;
        t.task(name).annotate("trigger", Some("1")).await;
        let expected = if name == "a" { RunState::Running } else { RunState::Queued };
        t.wait_for_runs(name, expected.as_str(), |runs| {
            runs.first().is_some_and(|run| run.state == expected)
        })
        .await;
    }
    let task = t
        .task("c")
        .wait_for_status("a place in the queue", |task| {
            task.status.as_ref().is_some_and(|status| status.queue.is_some())
        })
        .await;
    let queue = task.status.and_then(|status| status.queue).expect("waited for");
    assert_eq!((queue.waiting, queue.place), (1, 2));
    let suspended =
        t.kubectl(&["get", "jobs", "-o", "jsonpath={.items[?(@.spec.suspend==true)].metadata.name}"]);
    assert_eq!(suspended.expect("Jobs").split_whitespace().count(), 2);
    for name in ["a", "b", "c"] {
        std::fs::write(folder.path().join(name), "").expect("a file");
        t.wait_for_ended(name, RunState::Succeeded, 1).await;
    }
    let order = std::fs::read_to_string(folder.path().join("order")).expect("they have run");
    assert_eq!(order, "a\nb\nc\n");
}

#[tokio::test]
async fn a_suspended_task_runs_by_hand_only_and_makes_nothing_up() {
    let t = fixture("suspend").await;
    let spec =
        json!({"schedule": {"every": "1s", "catchUp": "All"}, "suspend": true, "target": script("true")});
    let task = t.schedule("paused", spec).await;
    assert_eq!(task.status.and_then(|status| status.next), None);
    t.task("paused").annotate("trigger", Some("1")).await;
    t.wait_for_ended("paused", RunState::Succeeded, 1).await;
    assert_eq!(t.runs("paused").await.len(), 1);
    let resumed = now();
    t.task("paused").patch_spec(json!({"suspend": false})).await;
    let runs = t.wait_for_ended("paused", RunState::Succeeded, 2).await;
    let scheduled = runs.iter().filter(|run| run.trigger.kind() == "Schedule");
    assert!(scheduled.clone().count() > 0);
    for run in scheduled {
        assert!(run.scheduled_at.as_second() >= resumed.as_second(), "{} {resumed}", run.scheduled_at);
    }
}

#[tokio::test]
async fn a_running_job_is_cancelled_and_its_log_is_kept() {
    let t = fixture("cancel").await;
    t.schedule("slow", json!({"target": script("echo started; sleep 600")})).await;
    t.task("slow").annotate("trigger", Some("1")).await;
    let run = t.wait_for_runs("slow", "running", is_running).await.remove(0);
    // The log of the process is there some moments after its start.
    let job = run.executed_by.clone().expect("a Job");
    let logged = crate::support::until(async || {
        let log = t.kubectl(&["logs", &format!("job/{job}")])?;
        if log.contains("started") { Ok(()) } else { Err(log) }
    });
    logged.await.expect("the pod has a log");
    let outcome = run_log().cancel(run.id, "alice", now()).await.expect("the run log");
    assert_eq!(outcome, CancelOutcome::Requested);
    let run = t.wait_for_ended("slow", RunState::Cancelled, 1).await.remove(0);
    assert_eq!(run.outcome.message.as_deref(), Some("cancelled by alice"));
    assert_eq!(t.log_of(&run, 1).await.as_deref(), Some("started\n"));
}

#[tokio::test]
async fn the_runs_of_a_deleted_task_are_cancelled() {
    let t = fixture("deleted-task").await;
    t.schedule("slow", json!({"concurrency": {"policy": "Queue"}, "target": script("sleep 600")})).await;
    for (id, expected) in [("1", RunState::Running), ("2", RunState::Queued)] {
        t.task("slow").annotate("trigger", Some(id)).await;
        t.wait_for_runs("slow", expected.as_str(), |runs| runs.iter().any(|run| run.state == expected)).await;
    }
    t.task("slow").delete_and_wait().await;
    let runs = t.wait_for_ended("slow", RunState::Cancelled, 2).await;
    let waiting = runs.iter().find(|run| run.started_at.is_none()).expect("one has not started");
    assert_eq!(waiting.cancelled_by.as_deref(), Some("the deletion of its task"));
}
