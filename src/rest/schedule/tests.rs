//! The JSON of the SDK's types validates against the schemas of the OpenAPI document.

use eventcenter_sdk::rest::schedule::{Node, NodeStatus, Task};
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire;
use crate::domain::task::{Executor, Outcome, Run, RunId, RunState, TaskKey, Trigger};
use crate::domain::tenant::Tenants;

#[track_caller]
fn check(name: &str, value: &Value) {
    let document: Value = serde_json::from_str(crate::rest::document()).unwrap();
    let schema =
        json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{name} {value}: {errors:?}");
    let known = document["components"]["schemas"][name]["properties"].as_object().unwrap();
    for field in value.as_object().unwrap().keys() {
        assert!(known.contains_key(field), "{name}.{field} is not documented");
    }
}

fn run(trigger: Trigger) -> Run {
    let time = "2026-11-21T08:00:00Z".parse().unwrap();
    Run {
        id: RunId(Uuid::from_u128(1)),
        task: TaskKey {
            tenant: "shop".parse().unwrap(),
            namespace: "shop".into(),
            name: "nightly".into(),
            uid: Uuid::from_u128(2),
        },
        trigger,
        scheduled_at: time,
        due_at: time,
        state: RunState::Failed,
        executor: Some(Executor::Job),
        chain: Uuid::from_u128(3),
        parameters: [("a".to_owned(), "b".to_owned())].into(),
        work: Some("secret".into()),
        requested_by: Some("alice".into()),
        cancelled_by: None,
        attempts: 2,
        started_at: Some(time),
        ended_at: Some(time + jiff::SignedDuration::from_millis(1500)),
        outcome: Outcome {
            exit_code: Some(3),
            message: Some("no".into()),
            items: Some(1),
            ..Outcome::default()
        },
        executed_by: Some("nightly-1".into()),
    }
}

#[test]
fn runs_are_as_documented() {
    let of = RunId(Uuid::from_u128(4));
    for (trigger, expected) in [
        (
            Trigger::Schedule { time: "2026-11-21T08:00:00Z".parse().unwrap() },
            r#"{"type":"Schedule","time":"2026-11-21T08:00:00Z"}"#,
        ),
        (Trigger::Manual { id: "a".into() }, r#"{"type":"Manual","id":"a"}"#),
        (
            Trigger::Upstream { chain: of.0 },
            r#"{"type":"Upstream","chain":"00000000-0000-0000-0000-000000000004"}"#,
        ),
        (
            Trigger::Event { position: "t/0/1".into(), topic_id: "i".into() },
            r#"{"type":"Event","position":"t/0/1"}"#,
        ),
        (
            Trigger::Rerun { of, number: 1 },
            r#"{"type":"Rerun","of":"00000000-0000-0000-0000-000000000004","number":1}"#,
        ),
        (Trigger::Failure { of }, r#"{"type":"Failure","of":"00000000-0000-0000-0000-000000000004"}"#),
    ] {
        let run = wire::run(run(trigger));
        assert_eq!(serde_json::to_string(&run.trigger).unwrap(), expected);
        let json = json!(run);
        check("Run", &json);
        check("RunTrigger", &json["trigger"]);
        assert_eq!((&json["durationMs"], json.get("work")), (&json!(1500), None));
        assert!(run.has_ended());
    }
}

#[test]
fn tasks_and_nodes_are_as_documented() {
    let resource = json!({
        "metadata": {"namespace": "shop", "name": "nightly", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-21T08:00:00Z"},
        "spec": {"suspend": true},
    });
    let task: Task = wire::task(&resource, &Tenants::default());
    assert_eq!((task.id.as_str(), &task.tenant, &task.status), ("shop.nightly", &None, &json!({})));
    check("Task", &json!(task));
    let node = Node {
        role: "api".into(),
        instance: "a".into(),
        status: NodeStatus::Alive,
        is_leader: false,
        started_at: None,
        last_heartbeat: None,
    };
    check("Node", &json!(node));
}
