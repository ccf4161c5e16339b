//! Tasks that run for events.

use std::collections::BTreeSet;

use eventcenter::domain::task::{Run, RunState, Trigger};
use eventcenter::store::{EventPosition, PositionMove};
use eventcenter_kafka_admin::Message;
use eventcenter_sdk::{Envelope, EventId, KafkaRecord};
use serde_json::{Value, json};

use super::{fixture, print, run_log, script};
use crate::runner::server::{Reply, Server};
use crate::stage;
use crate::support::{Fixture, until};

const CREATED: &str = "Order.Created.v1";
const PAID: &str = "Order.Paid.v1";

/// A namespace that may call the servers of the tests, with the topic `orders`.
async fn shop(name: &str, partitions: i32) -> Fixture {
    let t = fixture(name).await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters, "callbacks": {"hosts": ["127.0.0.1/32"]},
    }))
    .await;
    t.topic("orders").apply_and_wait(json!({"partitions": partitions, "deletionPolicy": "Delete"})).await;
    t
}

impl Fixture {
    /// Publishes a record to the Kafka topic of `orders`.
    async fn publish_record(&self, key: &str, headers: &[(String, String)], value: &[u8]) {
        let topic = self.kafka_name("orders");
        let message = Message { topic: &topic, key: key.as_bytes(), headers, value };
        self.stage.kafka.client.produce_message(message).await.expect("Kafka stores the record");
    }

    async fn publish(&self, id: &str, event_type: &str, data: Value) {
        let record = KafkaRecord::from(event(id, event_type, data));
        self.publish_record(id, &record.headers, &record.value).await;
    }
}

fn event(id: &str, event_type: &str, data: Value) -> Envelope {
    let time = "2026-01-31T12:00:00Z".parse().expect("a time");
    let id = EventId::parse(id).expect("an id");
    Envelope::new(id, event_type, "shop", time, data).expect("an event")
}

/// A target that sends the event to a server.
fn call(server: &Server) -> Value {
    let body = r#"{"id": "$(event.id)", "type": "$(event.type)", "data": $(event.data), "trigger": "$(run.trigger)"}"#;
    json!({"http": {"url": server.url("/$(event.id)?time=$(event.time)"), "body": body}})
}

fn position(run: &Run) -> &str {
    match &run.trigger {
        Trigger::Event { position, .. } => position,
        other => panic!("a run for an event was expected: {other:?}"),
    }
}

#[tokio::test]
async fn each_matching_event_runs_once_with_its_values() {
    let t = shop("on-event", 3).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    t.publish("before", CREATED, json!({})).await;
    let task = t
        .schedule(
            "follow",
            json!({
                "schedule": {"onEvent": {"topic": "orders", "types": [CREATED]}},
                "concurrency": {"policy": "Queue", "limit": 20},
                "target": call(&server),
            }),
        )
        .await;
    let status = task.status.expect("a status");
    assert_eq!(status.schedule.as_deref(), Some("on event orders: Order.Created.v1"));
    let mut expected = BTreeSet::new();
    for number in 0..50 {
        let event_type = if number % 2 == 0 { CREATED } else { PAID };
        t.publish(&format!("e{number}"), event_type, json!({"number": number, "text": "\"ü"})).await;
        if number % 2 == 0 {
            expected.insert(format!("e{number}"));
        }
    }
    // No event, and one in structured mode.
    t.publish_record("x", &[], b"plain").await;
    let structured = event("s", CREATED, json!({"number": 50, "text": "\"ü"})).into_cloudevent_json();
    let header = [("content-type".to_owned(), "application/cloudevents+json".to_owned())];
    t.publish_record("s", &header, structured.to_string().as_bytes()).await;
    expected.insert("s".to_owned());
    let runs = t.wait_for_ended("follow", RunState::Succeeded, expected.len()).await;
    let received = server.received();
    let ids: BTreeSet<String> = received
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).expect("JSON");
            let id = body["id"].as_str().expect("an id").to_owned();
            assert_eq!(request.path, format!("/{id}?time=2026-01-31T12%3A00%3A00Z"));
            assert_eq!((&body["type"], &body["trigger"]), (&json!(CREATED), &json!("Event")));
            assert_eq!(body["data"]["text"], json!("\"ü"));
            id
        })
        .collect();
    assert_eq!(ids, expected);
    assert_eq!((received.len(), runs.len()), (expected.len(), expected.len()), "{}", print(&runs));
    let topic = t.kafka_name("orders");
    let positions: BTreeSet<&str> = runs.iter().map(position).collect();
    assert_eq!(positions.len(), expected.len());
    assert!(positions.iter().all(|position| position.starts_with(&format!("{topic}/"))), "{positions:?}");
    let metric = stage::webhook_metric("eventcenter_task_event_records_total", &["kind=\"other\""]);
    assert!(metric >= 1.0, "{metric}");

    // Partitions that are added are read from their beginning.
    t.topic("orders").patch_spec(json!({"partitions": 6})).await;
    t.wait_for_partitions("orders", 6).await;
    for number in 100..120 {
        t.publish(&format!("e{number}"), CREATED, json!({"text": "\"ü"})).await;
    }
    t.wait_for_ended("follow", RunState::Succeeded, expected.len() + 20).await;
    assert_eq!(server.received().len(), expected.len() + 20);
}

#[tokio::test]
async fn a_task_waits_for_its_topic_and_for_its_types() {
    let t = fixture("event-topic").await;
    let spec = |types: &[&str]| {
        let mut target = script("echo $EVENT");
        target["container"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "EVENT", "value": "$(event.id) $(event.data)"}]);
        json!({"schedule": {"onEvent": {"topic": "orders", "types": types}}, "target": target})
    };
    t.task("follow").apply(spec(&[CREATED])).await;
    t.task("follow").wait_for_condition("Ready=False TopicNotFound").await;
    let topic = json!({"partitions": 1, "eventTypes": [{"name": CREATED}]});
    t.topic("orders").apply_and_wait(topic).await;
    t.task("follow").wait_for_condition("Ready=True").await;
    // Kubernetes would replace the reference by the value of the variable.
    t.publish("first", CREATED, json!("$(EVENT)")).await;
    let run = t.wait_for_ended("follow", RunState::Succeeded, 1).await.remove(0);
    assert_eq!(t.log_of(&run, 1).await.as_deref(), Some("first \"$(EVENT)\"\n"));
    t.task("follow").apply(spec(&[PAID])).await;
    let task = t.task("follow").wait_for_condition("Ready=False InvalidResource").await;
    let conditions = format!("{:?}", task.status.expect("a status").conditions);
    assert!(conditions.contains("EventTopic orders does not declare Order.Paid.v1"), "{conditions}");
}

#[tokio::test]
async fn a_trigger_by_hand_has_no_event_and_large_data_is_refused() {
    let t = shop("no-event", 1).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    t.schedule("follow", json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": call(&server)}))
        .await;
    t.task("follow").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("follow", RunState::Skipped, 1).await.remove(0);
    assert_eq!(
        run.outcome.message.as_deref(),
        Some(
            "the target contains $(event.id), and this run is for no event: publish an event, or repeat a run that was for one"
        )
    );
    t.publish("large", CREATED, json!("x".repeat(20_000))).await;
    let run = t.wait_for_ended("follow", RunState::Failed, 1).await.remove(0);
    let message = run.outcome.message.as_deref().unwrap_or_default();
    assert!(message.starts_with("the data of the event has 20002 bytes"), "{message}");
    t.publish("next", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 1).await;
}

#[tokio::test]
async fn events_that_pass_while_a_task_is_suspended_are_not_made_up_for() {
    let t = shop("suspended-event", 2).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    t.schedule("follow", json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": call(&server)}))
        .await;
    t.publish("one", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 1).await;
    t.task("follow").patch_spec(json!({"suspend": true})).await;
    t.task("follow").wait_for_condition("Ready=True Suspended").await;
    t.publish("two", CREATED, json!({})).await;
    t.task("follow").patch_spec(json!({"suspend": false})).await;
    t.task("follow").wait_for_condition("Ready=True Available").await;
    t.publish("three", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 2).await;
    let paths: Vec<String> = server.received().into_iter().map(|request| request.path).collect();
    assert!(paths[0].starts_with("/one?") && paths[1].starts_with("/three?"), "{paths:?}");
    assert_eq!(paths.len(), 2);
}

#[tokio::test]
async fn a_topic_that_is_created_again_is_read_from_its_beginning() {
    let t = shop("again-event", 1).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    t.schedule("follow", json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": call(&server)}))
        .await;
    t.publish("old", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 1).await;
    t.topic("orders").delete_and_wait().await;
    t.wait_until_kafka_topic_deleted("orders").await;
    t.topic("orders").apply_and_wait(json!({"partitions": 1, "deletionPolicy": "Delete"})).await;
    // At the offset of the old event.
    t.publish("new", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 2).await;
    let paths: Vec<String> = server.received().into_iter().map(|request| request.path).collect();
    assert!(paths[0].starts_with("/old?") && paths[1].starts_with("/new?"), "{paths:?}");
}

#[tokio::test]
async fn records_that_were_deleted_are_reported_and_reading_continues() {
    let t = shop("lost-event", 1).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    let task = t
        .schedule("follow", json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": call(&server)}))
        .await;
    t.publish("one", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 1).await;
    // A position that does not exist, as after records were deleted.
    let uid = task.metadata.uid.and_then(|uid| uid.parse().ok()).expect("a UUID");
    let moved = until(async || {
        let stored = run_log().load_event_positions(&[uid]).await.map_err(|error| error.to_string())?;
        let from = stored.first().cloned().ok_or("no position")?;
        let to = EventPosition { next_offset: 1000, ..from.clone() };
        let moves = [PositionMove { from: from.next_offset, to }];
        let planned = run_log().plan_events(&moves, &[], super::now()).await;
        planned.map_err(|error| error.to_string())?.map(drop).ok_or("moved meanwhile".to_owned())
    });
    moved.await.expect("the position is moved");
    // The operator notices that its position is another one when it stores the next run.
    t.publish("two", CREATED, json!({})).await;
    let run = t.wait_for_ended("follow", RunState::Missed, 1).await;
    let missed = run.iter().find(|run| run.state == RunState::Missed).expect("waited for");
    let message = missed.outcome.message.as_deref().unwrap_or_default();
    assert!(message.contains("from offset 1000 of partition 0 were deleted"), "{message}");
    t.publish("three", CREATED, json!({})).await;
    t.wait_for_ended("follow", RunState::Succeeded, 2).await;
    assert!(server.received().iter().any(|request| request.path.starts_with("/three?")));
}

#[tokio::test]
async fn a_missing_right_to_read_is_named_and_granting_it_recovers() {
    let t = Fixture::on(stage::secure(), "unreadable-event").await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters, "callbacks": {"hosts": ["127.0.0.1/32"]},
    }))
    .await;
    t.topic("orders").apply_and_wait(json!({"cluster": stage::SECURE, "partitions": 2})).await;
    let server = Server::start(|_, _| Reply::new(200, "")).await.expect("a server");
    t.task("follow")
        .apply(json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": call(&server)}))
        .await;
    let task = t.task("follow").wait_for_condition("Ready=False NotAuthorized").await;
    let conditions = format!("{:?}", task.status.expect("a status").conditions);
    assert!(conditions.contains("Fetch: "), "{conditions}");
    assert!(conditions.contains("Grant the operator's user this operation with an ACL"), "{conditions}");
    // It is read once that is possible: the position was stored before.
    t.publish("early", CREATED, json!({})).await;
    let topics = t.prefix.clone();
    let allowed = tokio::task::spawn_blocking(move || {
        stage::allow("eventcenter", &["--topic", &topics, "--resource-pattern-type", "prefixed"], &["Read"])
    });
    allowed.await.expect("no panic").expect("an ACL");
    t.task("follow").wait_for_condition("Ready=True").await;
    t.publish("late", CREATED, json!({})).await;
    let ids: BTreeSet<String> =
        server.wait(2).await.into_iter().map(|request| request.path.replace('?', "/")).collect();
    assert!(
        ids.iter().any(|id| id.starts_with("/early/")) && ids.iter().any(|id| id.starts_with("/late/")),
        "{ids:?}"
    );
}
