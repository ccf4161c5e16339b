use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::api::EventTopic;
use crate::domain::schema::Document;
use crate::domain::task::{Executor, Outcome, RunId, TaskKey, Trigger};

const STATES: [RunState; 7] = [
    RunState::Running,
    RunState::Succeeded,
    RunState::Failed,
    RunState::TimedOut,
    RunState::Cancelled,
    RunState::Missed,
    RunState::Skipped,
];

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn run(state: RunState, has_started: bool) -> Run {
    let trigger = Trigger::Schedule { time: time("2026-06-01T00:00:00Z") };
    let task = TaskKey {
        tenant: "shop".parse().expect("a name"),
        namespace: "shop-ns".into(),
        name: "nightly".into(),
        uid: Uuid::from_u128(1),
    };
    let id = RunId::of(task.uid, &trigger);
    Run {
        id,
        task,
        trigger,
        scheduled_at: time("2026-06-01T00:00:00Z"),
        due_at: time("2026-06-01T00:00:00Z"),
        state,
        executor: Some(Executor::Job),
        chain: id.0,
        parameters: BTreeMap::from([("password".into(), "a value of a parameter".into())]),
        work: None,
        requested_by: None,
        cancelled_by: None,
        attempts: 2,
        started_at: has_started.then(|| time("2026-06-01T00:00:01Z")),
        ended_at: state.is_final().then(|| time("2026-06-01T00:00:03.5Z")),
        outcome: Outcome {
            exit_code: Some(3),
            message: Some("no space left".into()),
            items: Some(7),
            ..Outcome::default()
        },
        executed_by: None,
    }
}

#[test]
fn each_start_has_one_end() {
    let mut lines = String::new();
    for state in STATES {
        for has_started in [true, false] {
            let run = run(state, has_started);
            let events = [JobEvent::of_start(&run), JobEvent::of_end(&run)];
            let names: Vec<&str> = events.into_iter().flatten().map(JobEvent::event_type).collect();
            let started = if has_started { "started" } else { "not started" };
            lines += &format!("{state}, {started}: {}\n", names.join(", "));
        }
    }
    expect_test::expect![[r#"
        Running, started: System.Job.Started.v1
        Running, not started: 
        Succeeded, started: System.Job.Started.v1, System.Job.Completed.v1
        Succeeded, not started: 
        Failed, started: System.Job.Started.v1, System.Job.Failed.v1
        Failed, not started: 
        TimedOut, started: System.Job.Started.v1, System.Job.Failed.v1
        TimedOut, not started: 
        Cancelled, started: System.Job.Started.v1, System.Job.Cancelled.v1
        Cancelled, not started: 
        Missed, started: System.Job.Started.v1, System.Job.Missed.v1
        Missed, not started: System.Job.Missed.v1
        Skipped, started: System.Job.Started.v1
        Skipped, not started: 
    "#]]
    .assert_eq(&lines);
    let action = Run { trigger: Trigger::Failure { of: RunId(Uuid::nil()) }, ..run(RunState::Failed, true) };
    assert_eq!((JobEvent::of_start(&action), JobEvent::of_end(&action)), (None, None));
}

#[test]
fn events_have_the_schemas_of_the_topic() {
    let manifests = include_str!("../../../examples/task-events/task-events.yaml");
    let topic = serde_yaml::Deserializer::from_str(manifests)
        .map(|document| serde_yaml::Value::deserialize(document).expect("YAML"))
        .find(|document| document["kind"] == "EventTopic");
    let topic: EventTopic = serde_yaml::from_value(topic.expect("an EventTopic")).expect("an EventTopic");
    let mut declared: Vec<&str> = topic.spec.event_types.iter().map(|one| one.name.as_str()).collect();
    for (event, state) in [
        (JobEvent::Started, RunState::Running),
        (JobEvent::Completed, RunState::Succeeded),
        (JobEvent::Failed, RunState::TimedOut),
        (JobEvent::Cancelled, RunState::Cancelled),
        (JobEvent::Missed, RunState::Missed),
    ] {
        let envelope = event.envelope(&run(state, event != JobEvent::Missed)).expect("an event");
        declared.retain(|name| *name != event.event_type());
        let of_topic = topic.spec.event_types.iter().find(|one| one.name == event.event_type());
        let schema = of_topic.and_then(|one| one.schema.clone()).expect("a schema");
        let schema = Document::from_value(&schema.into()).expect("valid");
        let data = envelope.into_data();
        assert_eq!(schema.validate(&data).expect("evaluated"), [], "{event:?}: {data}");
        assert!(!data.to_string().contains("a value of a parameter"));
    }
    assert!(declared.is_empty(), "{declared:?}");
}

#[test]
fn an_event_is_about_one_run() {
    let envelope = JobEvent::Failed.envelope(&run(RunState::Failed, true)).expect("an event");
    let again = JobEvent::Failed.envelope(&run(RunState::Failed, true)).expect("an event");
    assert_eq!(envelope, again);
    let other = JobEvent::Completed.envelope(&run(RunState::Succeeded, true)).expect("an event");
    assert_ne!(envelope.id(), other.id());
    let text = serde_json::to_string_pretty(&envelope.into_cloudevent_json()).expect("JSON");
    expect_test::expect![[r#"
        {
          "causationid": "a5062a1a-4a32-802b-ba0e-6a716c561e67",
          "correlationid": "a5062a1a-4a32-802b-ba0e-6a716c561e67",
          "data": {
            "attempts": 2,
            "chain": "a5062a1a-4a32-802b-ba0e-6a716c561e67",
            "durationMs": 2500,
            "endedTime": "2026-06-01T00:00:03.5Z",
            "exitCode": 3,
            "items": 7,
            "message": "no space left",
            "namespace": "shop-ns",
            "runId": "a5062a1a-4a32-802b-ba0e-6a716c561e67",
            "scheduledTime": "2026-06-01T00:00:00Z",
            "startedTime": "2026-06-01T00:00:01Z",
            "state": "Failed",
            "task": "nightly",
            "tenant": "shop",
            "trigger": "Schedule"
          },
          "datacontenttype": "application/json",
          "id": "f4d14197-f35d-8189-8fbf-c161471321ba",
          "source": "eventcenter/tasks/shop-ns/nightly",
          "specversion": "1.0",
          "tenantid": "shop",
          "time": "2026-06-01T00:00:03.5Z",
          "type": "System.Job.Failed.v1",
          "version": "1"
        }"#]]
    .assert_eq(&text);
}
