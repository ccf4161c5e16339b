//! The status of a new task: it is written once, and complete.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{fixture, script};
use crate::stage;

/// The writes to the tasks of a namespace and to their Events in the log of the API server: the number of each, by task.
fn writes(namespace: &str, tasks: &[String]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let text = std::fs::read_to_string(stage::webhook_audit_log()).expect("the API server's log");
    let mut writes: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    // The last line may be incomplete.
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let reference = &line["objectRef"];
        let part = |name: &str| reference[name].as_str().unwrap_or_default();
        if part("namespace") != namespace {
            continue;
        }
        // The name of an Event is that of its resource, a point and a number.
        let owner = match part("resource") {
            "scheduledtasks" if part("subresource") == "status" => part("name"),
            "events" => part("name").rsplit_once('.').map_or("", |(name, _)| name),
            _ => continue,
        };
        if tasks.iter().any(|task| task == owner) {
            let write = format!("{} {}", line["verb"].as_str().unwrap_or_default(), part("resource"));
            *writes.entry(owner.to_owned()).or_default().entry(write).or_default() += 1;
        }
    }
    writes
}

#[tokio::test]
async fn the_status_of_a_new_task_is_written_once_and_complete() {
    let t = fixture("status").await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters, "callbacks": {"hosts": ["127.0.0.1/32"]},
    }))
    .await;
    let call = json!({"http": {"url": "http://127.0.0.1:9/"}});
    let daily = json!({"cron": "@daily", "timeZone": "Etc/UTC"});
    let caught_up = json!({"cron": "@daily", "catchUp": "All"});
    let cases = [
        ("call", json!({"schedule": daily, "target": call}), "Runner", true),
        ("once", json!({"schedule": {"at": "2099-01-01T00:00:00Z"}, "target": call}), "Runner", true),
        ("cron-job", json!({"schedule": daily, "target": script("true")}), "CronJob", true),
        ("job", json!({"schedule": caught_up, "target": script("true")}), "Job", true),
        ("by-hand", json!({"target": script("true")}), "Job", false),
        ("suspended", json!({"schedule": daily, "suspend": true, "target": call}), "Runner", false),
    ];
    let names: Vec<String> = cases.iter().map(|(name, ..)| format!("new-{name}")).collect();
    for (name, (_, spec, ..)) in names.iter().zip(&cases) {
        t.task(name).apply(spec).await;
    }
    let mut first = BTreeMap::new();
    for (name, (case, _, engine, has_next)) in names.iter().zip(&cases) {
        let task = t.task(name).wait_for_condition("Ready=True").await;
        let status = task.status.clone().unwrap_or_default();
        assert_eq!(
            status.engine.map(|engine| format!("{:?}", engine.engine)).as_deref(),
            Some(*engine),
            "{case}"
        );
        assert_eq!(status.next.is_some(), *has_next, "{case}: {:?}", status.next);
        assert!(status.schedule.is_some() && status.approved.is_some(), "{case}: {task:#?}");
        first.insert(name.clone(), task.resource_version());
    }
    // What follows from a run is reported after everything that followed from the creation of the others.
    t.schedule("probe", json!({"target": script("true")})).await;
    t.task("probe").annotate("trigger", Some("first")).await;
    t.task("probe").wait_for_condition("LastRunSucceeded=True").await;
    let mut last = BTreeMap::new();
    for name in &names {
        last.insert(name.clone(), t.task(name).get().await.resource_version());
    }
    let once: BTreeMap<String, usize> =
        [("patch scheduledtasks".to_owned(), 1), ("create events".to_owned(), 1)].into();
    let expected = names.iter().map(|name| (name.clone(), once.clone())).collect();
    assert_eq!(writes(&t.namespace, &names), expected);
    assert_eq!(first, last, "there is no further version");
}
