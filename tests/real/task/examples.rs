//! The examples of tasks: the operator accepts them, and they run.

use std::path::Path;

use eventcenter::domain::task::{Run, RunState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fixture;
use crate::support::{Fixture, WriteMethod, until};

const GROUP: &str = "eventcenter.io/v1alpha1";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The resources of a text in YAML, in the namespace of the test.
fn resources(t: &Fixture, text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let documents = documents.map(|document| Value::deserialize(document).expect("YAML"));
    let in_namespace = documents.filter(|document| document["apiVersion"] == GROUP).map(|mut document| {
        document["metadata"]["namespace"] = json!(t.namespace);
        document
    });
    in_namespace.collect()
}

/// The blocks of YAML on a page.
fn yaml_blocks(page: &str) -> String {
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test]
async fn the_examples_are_ready_and_run() {
    let t = fixture("task-examples").await;
    let mut files: Vec<String> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks"))
            .expect("the examples")
            .map(|entry| format!("examples/tasks/{}", entry.expect("a file").file_name().to_string_lossy()))
            .collect();
    files.sort();
    // A task runs for the events of this topic.
    let topics = resources(&t, &read("examples/quickstart/topics/orders.yaml"));
    for topic in &topics {
        t.apply(topic).await;
    }
    let all: Vec<Value> = files.iter().flat_map(|file| resources(&t, &read(file))).collect();
    for resource in &all {
        t.apply(resource).await;
    }
    for resource in &all {
        let name = resource["metadata"]["name"].as_str().expect("a name");
        match resource["kind"].as_str() {
            Some("ScheduledTask") => drop(t.task(name).wait_for_condition("Ready=True").await),
            Some("TaskTemplate") => drop(t.template(name).wait_for_condition("Ready=True").await),
            other => panic!("an example has the kind {other:?}"),
        }
    }
    assert!(all.len() >= 6, "{files:?}");

    t.task("nightly-report").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("nightly-report", RunState::Succeeded, 1).await.remove(0);
    assert_eq!(run.outcome.items, Some(42), "{run:?}");

    t.task("import-prices").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("import-prices", RunState::Succeeded, 1).await.remove(0);
    assert_eq!((run.attempts, run.outcome.items), (2, Some(120)), "{run:?}");
    assert_eq!(
        [t.log_of(&run, 1).await, t.log_of(&run, 2).await].map(Option::unwrap_or_default),
        [
            "importing the prices of acme\nthe supplier does not answer\n",
            "importing the prices of acme\n120 prices imported\n"
        ]
    );

    t.task("sync-stock").patch_spec(json!({"suspend": false})).await;
    let has = |runs: &[Run], state| runs.iter().any(|run| run.state == state);
    t.wait_for_runs("sync-stock", "one has succeeded, one was skipped", |runs| {
        has(runs, RunState::Succeeded) && has(runs, RunState::Skipped)
    })
    .await;
}

#[tokio::test]
async fn the_manifests_of_the_guide_are_accepted() {
    let t = fixture("task-guide").await;
    let all = resources(&t, &yaml_blocks(&read("docs/task-guide.md")));
    assert!(all.len() >= 6);
    for resource in all {
        // The webhook may receive the tenant some moments after the operator.
        let accepted = until(async || {
            let response = t.kube.write(&resource, WriteMethod::DryRun).await;
            if response.status < 300 { Ok(()) } else { Err(format!("{response:?}")) }
        });
        accepted.await.unwrap_or_else(|last| panic!("{}: {last}", resource["metadata"]["name"]));
    }
}
