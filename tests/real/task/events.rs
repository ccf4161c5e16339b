//! Events about runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use eventcenter::domain::task::RunState;
use serde_json::{Value, json};
use tokio::task::block_in_place;
use xtask::process;

use super::{fixture, script};
use crate::stage;
use crate::support::until;

/// The name of the Kafka topic of the example.
const TOPIC: &str = "eventcenter.jobs";

/// All values of the topic that are about a namespace, by the types of their events, in the order of each partition.
fn read(namespace: &str) -> Vec<(String, Value)> {
    let environment = stage::environment();
    let mut tool = environment.libs().tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
    tool.args(["--bootstrap-server", &environment.bootstrap, "--topic", TOPIC]);
    tool.args(["--from-beginning", "--timeout-ms", "3000"]);
    for property in ["print.headers=true", "headers.separator=,"] {
        tool.args(["--formatter-property", property]);
    }
    let records = process::run(tool).unwrap_or_default();
    let parse = |line: &str| {
        let (headers, value) = line.split_once('\t')?;
        let of_type = headers.split(',').find_map(|header| header.strip_prefix("ce_type:"))?;
        let value: Value = serde_json::from_str(value).ok()?;
        (value["namespace"] == namespace).then(|| (of_type.to_owned(), value))
    };
    records.lines().filter_map(parse).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_and_ends_are_published_in_order_also_those_before_the_topic() {
    let t = fixture("task-events").await;
    t.schedule("good", json!({"target": script("true")})).await;
    t.schedule("bad", json!({"target": script("exit 7")})).await;
    for task in ["good", "bad"] {
        t.task(task).annotate("trigger", Some("1")).await;
    }
    t.wait_for_ended("good", RunState::Succeeded, 1).await;
    t.wait_for_ended("bad", RunState::Failed, 1).await;

    let manifests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/task-events/task-events.yaml");
    let kubectl = stage::with_webhook().kubectl();
    block_in_place(|| kubectl.run(&["apply", "-f", &manifests.display().to_string()])).expect("applied");
    let published = until(async || {
        let events = block_in_place(|| read(&t.namespace));
        if events.len() >= 4 { Ok(events) } else { Err(format!("{events:#?}")) }
    });
    let published = published.await.unwrap_or_else(|last| t.fail("four events should be published", &last));
    let mut by_task: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (of_type, value) in &published {
        let task = value["task"].as_str().expect("a name").to_owned();
        by_task.entry(task).or_default().push(format!("{of_type} {} {}", value["state"], value["exitCode"]));
    }
    let expected = [
        ("bad", ["System.Job.Started.v1 \"Running\" null", "System.Job.Failed.v1 \"Failed\" 7"].as_slice()),
        ("good", &["System.Job.Started.v1 \"Running\" null", "System.Job.Completed.v1 \"Succeeded\" 0"]),
    ];
    let expected: BTreeMap<String, Vec<String>> = expected
        .map(|(task, events)| (task.to_owned(), events.iter().map(|&event| event.to_owned()).collect()))
        .into();
    assert_eq!(by_task, expected);
    assert!(stage::webhook_metric("eventcenter_task_events_published_total", &[]) >= 4.0);
}
