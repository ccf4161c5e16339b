//! Tasks that follow others.

use eventcenter::domain::task::request::new_run;
use eventcenter::domain::task::{NewRun, RunState, Trigger};
use serde_json::{Value, json};

use super::{fixture, now, run_log, script};

fn after(upstream: Value, text: &str) -> Value {
    json!({"schedule": {"after": upstream}, "target": script(text)})
}

#[tokio::test]
async fn a_chain_has_one_id_and_a_fan_in_waits_for_all() {
    let t = fixture("chain").await;
    t.schedule("extract", json!({"target": script("true")})).await;
    t.schedule("left", after(json!([{"task": "extract"}]), "true")).await;
    t.schedule("right", after(json!([{"task": "extract"}]), "exit 1")).await;
    t.schedule("join", after(json!([{"task": "left"}, {"task": "right", "result": "Completed"}]), "true"))
        .await;
    t.schedule("alarm", after(json!([{"task": "right", "result": "Failed"}]), "true")).await;
    t.schedule("never", after(json!([{"task": "right", "result": "Succeeded"}]), "true")).await;
    t.schedule("later", after(json!([{"task": "never"}]), "true")).await;
    t.task("extract").annotate("trigger", Some("1")).await;
    let join = t.wait_for_ended("join", RunState::Succeeded, 1).await.remove(0);
    t.wait_for_ended("alarm", RunState::Succeeded, 1).await;
    let never = t.wait_for_ended("never", RunState::Skipped, 1).await.remove(0);
    assert_eq!(
        never.outcome.message.as_deref(),
        Some("task right ended as Failed, and this task follows Succeeded runs only")
    );
    t.wait_for_ended("later", RunState::Skipped, 1).await;
    let mut chains = Vec::new();
    for name in ["extract", "left", "right", "join", "alarm", "never", "later"] {
        let runs = t.runs(name).await;
        assert_eq!(runs.len(), 1, "{name}: {}", super::print(&runs));
        chains.push(runs[0].chain);
    }
    chains.dedup();
    assert_eq!(chains, [join.chain]);
}

#[tokio::test]
async fn tasks_of_one_time_belong_to_one_chain() {
    let t = fixture("same-time").await;
    let at = now().checked_add(jiff::SignedDuration::from_secs(6)).expect("in range");
    let spec = json!({"schedule": {"at": at}, "target": script("true")});
    t.schedule("sum", after(json!([{"task": "one"}, {"task": "two"}]), "true")).await;
    t.schedule("one", spec.clone()).await;
    t.schedule("two", spec).await;
    t.wait_for_ended("sum", RunState::Succeeded, 1).await;
    assert_eq!(t.runs("sum").await.len(), 1);
}

#[tokio::test]
async fn a_repeated_run_continues_its_chain_from_there() {
    let t = fixture("chain-rerun").await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let marker = folder.path().join("repaired");
    t.schedule("extract", json!({"target": script("true")})).await;
    let load = format!("test -e {}", marker.display());
    t.schedule("load", after(json!([{"task": "extract"}]), &load)).await;
    t.schedule("report", after(json!([{"task": "load"}]), "true")).await;
    t.schedule("mail", after(json!([{"task": "report"}, {"task": "extract"}]), "true")).await;
    t.task("extract").annotate("trigger", Some("1")).await;
    t.wait_for_ended("mail", RunState::Skipped, 1).await;
    let failed = t.runs("load").await.remove(0);
    assert_eq!(failed.state, RunState::Failed);

    std::fs::write(&marker, "").expect("written");
    // As the REST API requests it.
    let trigger = Trigger::Rerun { of: failed.id, number: 1 };
    let again = NewRun {
        scheduled_at: failed.scheduled_at,
        ..new_run(&failed.task, trigger, Some(failed.chain), now())
    };
    run_log().insert(&[again], now()).await.expect("inserted");
    let mail = t.wait_for_ended("mail", RunState::Succeeded, 1).await;
    assert_eq!(mail.len(), 2, "{}", super::print(&mail));
    assert!(mail.iter().all(|run| run.chain == failed.chain));
    for (name, number) in [("extract", 1), ("load", 2), ("report", 2)] {
        let runs = t.runs(name).await;
        assert_eq!(runs.len(), number, "{name}: {}", super::print(&runs));
    }
}
