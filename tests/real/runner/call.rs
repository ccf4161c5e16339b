//! HTTP calls.

use std::time::Duration;

use anyhow::Result;
use eventcenter::domain::task::{RetryPlan, RunState};
use eventcenter::store::CancelOutcome;
use serde_json::json;

use super::server::{Reply, Server};
use super::{Runner, Task, now};
use crate::store::database::TestDatabase;
use crate::store::on_both;

on_both! {
    a_call_is_made_as_declared_and_its_response_is_stored,
    a_failed_call_is_retried_with_the_same_key,
    a_running_call_is_cancelled,
}

fn retry(limit: u32) -> RetryPlan {
    let milliseconds = Duration::from_millis;
    RetryPlan { limit, initial: milliseconds(200), factor: 3, max: Duration::from_secs(1), has_backoff: true }
}

async fn a_call_is_made_as_declared_and_its_response_is_stored(database: TestDatabase) -> Result<()> {
    let s = Runner::new("call", database).await?;
    let _runner = s.start("one")?;
    let server =
        Server::start(|_, _| Reply::new(201, r#"{"items": 7, "errors": 2, "message": "2 of 7 failed"}"#))
            .await?;
    let task = Task::http(json!({
        "method": "PUT",
        "url": server.url("/reports/$(params.region)?run=$(run.id)"),
        "headers": [{"name": "X-Task", "value": "$(task.namespace)/$(task.name)"}],
        "body": "{\"region\": \"$(params.region)\", \"attempt\": $(run.attempt)}",
    }));
    let id = s.insert(&task).await?;
    let run = s.wait_ended(id).await;
    assert_eq!(run.state, RunState::Succeeded, "{run:#?}");
    let outcome = &run.outcome;
    assert_eq!((outcome.http_status, outcome.items, outcome.errors), (Some(201), Some(7), Some(2)));
    assert_eq!(outcome.message.as_deref(), Some("HTTP 201 Created: 2 of 7 failed"));
    assert_eq!(s.tail(id, 1).await?, r#"{"items": 7, "errors": 2, "message": "2 of 7 failed"}"#);
    let received = server.received();
    assert_eq!(received.len(), 1, "{received:#?}");
    let call = &received[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("PUT", format!("/reports/eu?run={id}").as_str()));
    assert_eq!(call.header("x-task"), format!("{}/nightly", s.t.namespace));
    assert_eq!(call.key(), id.to_string());
    assert_eq!(call.header("eventcenter-attempt"), "1");
    assert_eq!(call.header("content-type"), "application/json");
    assert!(call.header("user-agent").starts_with("eventcenter/"), "{call:#?}");
    assert_eq!(call.body, r#"{"region": "eu", "attempt": 1}"#);
    Ok(())
}

async fn a_failed_call_is_retried_with_the_same_key(database: TestDatabase) -> Result<()> {
    let s = Runner::new("retry", database).await?;
    let _runner = s.start("one")?;
    let server = Server::start(|_, before| match before {
        0 => Reply::new(503, "busy"),
        1 => Reply::new(404, "not yet"),
        _ => Reply::new(200, "done"),
    })
    .await?;
    let id = s.insert(&Task { retry: retry(3), ..Task::http(json!({"url": server.url("/")})) }).await?;
    let run = s.wait_ended(id).await;
    assert_eq!((run.state, run.attempts), (RunState::Succeeded, 3), "{run:#?}");
    let attempts = s.attempts(id).await?;
    let messages: Vec<_> =
        attempts.iter().map(|attempt| attempt.outcome.message.as_deref().unwrap_or_default()).collect();
    assert_eq!(messages, ["HTTP 503 Service Unavailable", "HTTP 404 Not Found", "HTTP 200 OK"]);
    let received = server.received();
    let numbers: Vec<_> = received.iter().map(|call| call.header("eventcenter-attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(received.iter().all(|call| call.key() == id.to_string()), "{received:#?}");
    // The delays grow: 200 ms, then 600 ms. They are lower bounds.
    let delay = |first: usize| {
        let ended = attempts[first].ended_at.expect("an ended attempt");
        attempts[first + 1].started_at.duration_since(ended).as_millis()
    };
    assert!(delay(0) >= 200 && delay(1) >= 600, "{attempts:#?}");

    // Without a retry the first failure is the end.
    let (id, result) =
        s.execute(&Task::http(json!({"url": server.url("/"), "expectedStatus": ["2xx"]}))).await?;
    assert_eq!(result, "Failed HTTP 503 Service Unavailable");
    assert_eq!(s.tail(id, 1).await?, "busy");
    Ok(())
}

async fn a_running_call_is_cancelled(database: TestDatabase) -> Result<()> {
    let s = Runner::new("cancel", database).await?;
    let _runner = s.start("one")?;
    let server = Server::start(|_, _| Reply::default()).await?;
    let id = s.insert(&Task { retry: retry(3), ..Task::http(json!({"url": server.url("/")})) }).await?;
    server.wait(1).await;
    assert_eq!(s.runs.cancel(id, "alice", now()).await?, CancelOutcome::Requested);
    let run = s.wait_ended(id).await;
    assert_eq!(run.state, RunState::Cancelled);
    assert_eq!(run.cancelled_by.as_deref(), Some("alice"));
    let attempts = s.attempts(id).await?;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome.message.as_deref(), Some("cancelled while it was running"));
    assert_eq!(server.received().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_message() -> Result<()> {
    let s = Runner::new("failures", TestDatabase::sqlite()?).await?;
    let _runner = s.start("one")?;
    let server = Server::start(|call, _| match call.path.as_str() {
        "/redirect" => Reply { headers: vec![("location", "/other".into())], ..Reply::new(302, "") },
        "/large" => Reply::new(200, "x".repeat(100_000)),
        _ => Reply::default(),
    })
    .await?;
    let http = |url: &str| Task::http(json!({"url": url}));

    let (_, result) = s.execute(&http(&server.url("/redirect"))).await?;
    assert_eq!(result, "Failed HTTP 302 Found; redirects are not followed");

    let (id, result) = s.execute(&http(&server.url("/large"))).await?;
    assert_eq!(result, "Succeeded HTTP 200 OK");
    assert_eq!(s.tail(id, 1).await?.len(), 65_536);

    let slow = Task { timeout_ms: 300, retry: retry(1), ..http(&server.url("/slow")) };
    let (id, result) = s.execute(&slow).await?;
    assert!(
        result.starts_with("TimedOut the timeout passed while waiting for the response of 127.0.0.1:"),
        "{result}"
    );
    assert_eq!(s.attempts(id).await?.len(), 2, "a timeout is retried");

    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (_, result) = s.execute(&http(&format!("http://{closed}/"))).await?;
    assert_eq!(result, format!("Failed connecting to {closed}: Connection refused (os error 111)"));

    let refused = Task { retry: retry(3), ..http("http://127.0.0.2:1/") };
    let (id, result) = s.execute(&refused).await?;
    assert!(result.starts_with("Failed HostNotAllowed: "), "{result}");
    assert_eq!(s.attempts(id).await?.len(), 1, "a refusal is not retried");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_a_stopped_tenant_fails() -> Result<()> {
    let s = Runner::new("stopped", TestDatabase::sqlite()?).await?;
    let server = Server::start(|_, _| Reply::new(200, "")).await?;
    let namespace = &s.t.namespace;
    s.t.apply_tenant(json!({"namespaces": [namespace], "suspended": true, "whenSuspended": "Stop"})).await;
    let _runner = s.start("one")?;
    let (_, result) =
        s.execute(&Task { retry: retry(3), ..Task::http(json!({"url": server.url("/")})) }).await?;
    assert_eq!(
        result,
        format!(
            "Failed TenantSuspended: tenant {namespace} is suspended, and whenSuspended is Stop: ask the platform's \
             administrator to set spec.suspended of the Tenant to false"
        )
    );
    assert!(server.received().is_empty());
    Ok(())
}
