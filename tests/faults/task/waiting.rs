//! Runs that wait for what their task refers to.

use anyhow::Result;
use eventcenter::domain::task::request::new_run;
use eventcenter::domain::task::{RunState, TaskKey, Trigger};
use kube::ResourceExt;
use serde_json::json;

use super::{TaskFixture, now};

/// Number of requested runs of one task: more than the planner reads at once.
const REQUESTS: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_wait_for_a_topic_delay_no_other_task() -> Result<()> {
    let s = TaskFixture::new("task-waiting").await?;
    let controllers = s.start("controllers", "controllers", true)?;
    let _runner = s.start("runner", "runner", true)?;
    s.t.topic("orders").apply_and_wait(json!({"partitions": 1})).await;
    let target = json!({"http": {"url": s.server.url("/$(task.name)/$(run.id)")}});
    let schedule = json!({"onEvent": {"topic": "orders"}});
    s.task("stuck").apply(json!({"schedule": schedule, "target": target})).await;
    s.task("other").apply(json!({"target": target})).await;
    for task in ["stuck", "other"] {
        s.task(task).wait_for_condition("Ready=True").await;
    }
    s.t.topic("orders").apply(json!({"partitions": 1, "config": {"no.such.key": "1"}})).await;
    s.t.topic("orders").wait_for_condition("Ready=False").await;
    controllers.kill()?;
    let name = "stuck".to_owned();
    let uid = s.task(&name).get().await.uid().expect("a uid").parse()?;
    let stuck = TaskKey { tenant: s.tenant(), namespace: s.t.namespace.clone(), name, uid };
    let request = |number: usize| new_run(&stuck, Trigger::Manual { id: number.to_string() }, None, now());
    let requests: Vec<_> = (0..REQUESTS).map(request).collect();
    s.runs.insert(&requests, now()).await?;
    let _controllers = s.start("controllers", "controllers", true)?;
    s.task("stuck").wait_for_condition("Ready=False TopicNotFound").await;
    s.task("other").annotate("trigger", Some("1")).await;
    s.wait_for_states("other", &[RunState::Succeeded]).await;
    let waiting = s.runs_of("stuck").await?;
    assert!(waiting.len() == REQUESTS && waiting.iter().all(|run| run.state == RunState::Requested));
    s.t.topic("orders").apply(json!({"partitions": 1})).await;
    s.wait_until_reported().await;
    let ended = s.runs_of("stuck").await?;
    assert!(ended.len() == REQUESTS && ended.iter().all(|run| run.state == RunState::Succeeded));
    Ok(())
}
