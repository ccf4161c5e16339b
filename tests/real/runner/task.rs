//! A declared task from end to end: the controllers plan its runs, and the runner of the same process executes them.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::api::ScheduledTask;
use serde_json::json;

use super::server::{Reply, Server};
use crate::support::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_task_calls_its_target_once_for_each_occurrence() -> Result<()> {
    let t = Fixture::new("declared").await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters, "callbacks": {"hosts": ["127.0.0.1/32"]},
    }))
    .await;
    let server = Server::start(|_, _| Reply::new(200, r#"{"items": 1}"#)).await?;
    let spec = json!({
        "schedule": {"every": "1s"},
        "target": {"http": {"url": server.url("/tick"), "body": "{\"at\": \"$(run.scheduledTime)\"}"}},
    });
    t.resource::<ScheduledTask>("tick").apply(spec).await;
    let calls = server.wait(3).await;
    let keys: BTreeSet<&str> = calls.iter().map(|call| call.key()).collect();
    let times: BTreeSet<&str> = calls.iter().map(|call| call.body.as_str()).collect();
    assert_eq!((keys.len(), times.len()), (calls.len(), calls.len()), "{calls:#?}");
    t.resource::<ScheduledTask>("tick").delete().await;
    Ok(())
}
