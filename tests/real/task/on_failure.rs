//! What a task does when a run of it has failed.

use eventcenter::api::ScheduledTask;
use eventcenter::domain::task::{RunState, Trigger};
use serde_json::{Value, json};

use super::{fixture, script};
use crate::runner::event::read;
use crate::runner::server::{Reply, Server};
use crate::support::{Fixture, WriteMethod, has_condition, until};

async fn fixture_with_callbacks(name: &str) -> Fixture {
    let t = fixture(name).await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "callbacks": {"hosts": ["127.0.0.1/32"]},
    }))
    .await;
    // The webhook notices the tenant's hosts in a moment.
    let task = t.task("probe").manifest(json!({"target": {"http": {"url": "http://127.0.0.1/"}}}));
    let is_allowed = until(async || match t.kube.write(&task, WriteMethod::DryRun).await {
        response if response.status < 300 => Ok(()),
        response => Err(response.message().to_owned()),
    });
    is_allowed.await.unwrap_or_else(|last| t.fail("the webhook should allow the host", &last));
    t
}

/// The status of a task whose action has ended, and the action is no run of the task.
async fn check_status(t: &Fixture, name: &str) {
    let task = t.task(name);
    let status = task.wait_for_status("one failed run and no other", |task: &ScheduledTask| {
        let status = task.status.clone().unwrap_or_default();
        let runs = status.runs.clone().unwrap_or_default();
        has_condition(task, "LastRunSucceeded=False")
            && (runs.failed, runs.succeeded, status.active.unwrap_or_default()) == (1, 0, 0)
    });
    status.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_calls_a_server_once_and_names_itself() {
    let t = fixture_with_callbacks("on-failure").await;
    let server =
        Server::start(|_, calls| Reply::new(if calls < 1 { 503 } else { 204 }, "")).await.expect("a server");
    let body = r#"{"task": "$(task.name)", "run": "$(run.id)", "state": "$(run.state)", "attempts": $(run.attempt), "message": "$(run.message)", "region": "$(params.region)"}"#;
    let spec = json!({
        "target": script("echo 'the \"disk\" is full'; exit 3"),
        "retry": {"limit": 1, "backoff": {"initial": "1s"}},
        "parameters": {"region": "eu"},
        "onFailure": {"http": {"url": server.url("/alert"), "body": body}},
    });
    t.schedule("nightly", spec).await;
    // A task that follows the failure runs once: the action is no run of the chain.
    let follower = json!({"schedule": {"after": [{"task": "nightly", "result": "Completed"}]}, "target": script("true")});
    t.schedule("follower", follower).await;
    t.task("nightly").annotate("trigger", Some("1")).await;
    let runs = t.wait_for_ended("nightly", RunState::Succeeded, 1).await;
    let failed = runs.iter().find(|run| run.state == RunState::Failed).expect("the failed run");
    let action = runs.iter().find(|run| run.state == RunState::Succeeded).expect("the action");
    assert_eq!(action.trigger, Trigger::Failure { of: failed.id });
    assert_eq!((action.chain, action.attempts), (failed.chain, 2), "{}", super::print(&runs));
    let calls = server.wait(2).await;
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.key() == action.id.to_string()), "{calls:#?}");
    let sent: Value = serde_json::from_str(&calls[1].body).expect("JSON");
    let message = failed.outcome.message.as_deref().expect("a message");
    assert!(message.contains("the \"disk\" is full"), "{message}");
    assert_eq!(
        sent,
        json!({"task": "nightly", "run": failed.id.to_string(), "state": "Failed", "attempts": 2, "message": message, "region": "eu"})
    );
    check_status(&t, "nightly").await;
    t.wait_for_ended("follower", RunState::Succeeded, 1).await;
    assert_eq!(t.runs("follower").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_call_publishes_an_event() {
    let t = fixture_with_callbacks("on-failure-event").await;
    let server = Server::start(|_, _| Reply::new(500, "")).await.expect("a server");
    let spec = json!({
        "target": {"http": {"url": server.url("/")}},
        "onFailure": {"event": {"topic": "alerts", "type": "Task.Failed.v1", "data": {"status": "$(run.message)"}}},
    });
    t.task("call").apply(spec).await;
    let refused = t.task("call").wait_for_condition("Ready=False TopicNotFound").await;
    let ready = refused.status.expect("a status").conditions.remove(0).message;
    assert!(ready.starts_with("spec.onFailure.event.topic: there is no EventTopic alerts"), "{ready}");
    t.topic("alerts").apply_and_wait(json!({"partitions": 1})).await;
    t.task("call").wait_for_condition("Ready=True").await;
    t.task("call").annotate("trigger", Some("1")).await;
    t.wait_for_ended("call", RunState::Succeeded, 1).await;
    let record = tokio::task::block_in_place(|| read(&t.kafka_name("alerts"))).expect("a record");
    assert!(record.contains("ce_type:Task.Failed.v1") && record.contains("500"), "{record}");
    check_status(&t, "call").await;
}
