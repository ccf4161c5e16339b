//! Whoever may create Jobs in one namespace cannot write the run log of another one, and a task takes over nothing that exists.

use eventcenter::domain::task::RunState;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use super::{fixture, script};
use crate::support::{Fixture, ObjectPath, until};

/// A Job that says that it belongs to a task.
fn job(t: &Fixture, name: &str, task: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "namespace": t.namespace, "name": name,
            "labels": {"eventcenter.io/task-uid": task}, "annotations": annotations,
        },
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", "echo forged"]}],
        }}},
    })
}

/// Waits until the operator has observed everything that happened until now in a namespace: a later run has ended.
async fn wait_until_observed(t: &Fixture) {
    t.schedule("marker", json!({"target": script("true")})).await;
    t.task("marker").annotate("trigger", Some("1")).await;
    t.wait_for_ended("marker", RunState::Succeeded, 1).await;
}

#[tokio::test]
async fn a_job_of_another_namespace_changes_no_run() {
    let (victim, attacker) = (fixture("victim").await, fixture("attacker").await);
    let task = victim.schedule("slow", json!({"target": script("sleep 600")})).await;
    let uid = task.metadata.uid.expect("a uid");
    victim.task("slow").annotate("trigger", Some("1")).await;
    let running = |runs: &[eventcenter::domain::task::Run]| {
        runs.first().is_some_and(|run| run.state == RunState::Running)
    };
    let run = victim.wait_for_runs("slow", "running", running).await.remove(0);
    let of_run = json!({"eventcenter.io/run-id": run.id.to_string(), "eventcenter.io/attempt": "1"});
    attacker.apply(&job(&attacker, "ends-the-run", &uid, of_run)).await;
    // The annotation that Kubernetes' CronJob controller writes.
    let at_a_time = json!({"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T00:00:00Z"});
    attacker.apply(&job(&attacker, "invents-a-run", &uid, at_a_time)).await;
    for name in ["ends-the-run", "invents-a-run"] {
        let ended = until(async || {
            let path = ["get", "job", name, "-o", "jsonpath={.status.succeeded}"];
            if attacker.kubectl(&path)? == "1" { Ok(()) } else { Err("it runs".to_owned()) }
        });
        ended.await.expect("the forged Job ends");
    }
    wait_until_observed(&attacker).await;
    let runs = victim.runs("slow").await;
    assert!(runs.len() == 1 && running(&runs), "{}", super::print(&runs));
    assert_eq!(attacker.kubectl(&["get", "job", "ends-the-run", "-o", "name"]).map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_task_takes_over_no_cron_job() {
    let t = fixture("foreign").await;
    let foreign = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"namespace": t.namespace, "name": "backup"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}],
        }}}}},
    });
    t.apply(&foreign).await;
    t.task("backup").apply(json!({"schedule": {"cron": "@daily"}, "target": script("true")})).await;
    t.task("backup").wait_for_condition("Ready=False ResourceConflict").await;
    let path = ObjectPath::of_kind::<CronJob>(Some(&t.namespace), "backup");
    let cron_job: CronJob = t.kube.get(&path).await.expect("it exists");
    assert_eq!(cron_job.spec.map(|spec| spec.schedule), Some("0 0 1 1 *".to_owned()));
    t.task("backup").delete_and_wait().await;
    assert!(t.kube.get::<CronJob>(&path).await.is_some(), "the CronJob of somebody else stays");
}

/// Whoever may write the status of an EventTopic reads no other topic by it. Here are no policies, which refuse such a status.
#[tokio::test]
async fn a_task_reads_no_topic_that_only_the_status_names() {
    let (victim, attacker) = (Fixture::new("victim-topic").await, Fixture::new("attacker-topic").await);
    victim.topic("secrets").apply_and_wait("partitions: 1").await;
    attacker.topic("own").apply_and_wait("partitions: 1").await;
    // The operator does not correct the status of a paused resource.
    attacker.topic("own").annotate("paused", Some("true")).await;
    attacker.topic("own").wait_for_condition("Ready=True Paused").await;
    attacker.topic("own").patch_status(json!({"topicName": victim.kafka_name("secrets")})).await;
    let spec = json!({"schedule": {"onEvent": {"topic": "own"}}, "target": script("true")});
    attacker.task("reader").apply(spec).await;
    attacker.task("reader").wait_for_condition("Ready=False TopicNotFound").await;
    attacker.topic("own").patch_status(json!({"topicName": attacker.kafka_name("own")})).await;
    attacker.task("reader").wait_for_condition("Ready=True").await;
}
