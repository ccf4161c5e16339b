//! Events about runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use eventcenter::domain::task::RunState;
use eventcenter_kafka_admin::{Consumer, OffsetSpec, Polled};
use eventcenter_sdk::{Envelope, kafka_headers};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{fixture, script};
use crate::stage;
use crate::support::{Fixture, until};

/// The name of the Kafka topic of the example.
const TOPIC: &str = "eventcenter.jobs";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The events in the topic that are about a namespace, as type and data, in the order of each partition. Other tests publish events
/// meanwhile, so this reads what is there now. An error means that Kafka has just created the topic.
async fn read(t: &Fixture) -> Result<Vec<(String, Value)>, String> {
    let kafka = &t.stage.kafka;
    let topic = kafka.topic(TOPIC).await.ok_or("there is no topic")?;
    let partitions: Vec<_> = (0..topic.partitions).map(|partition| (TOPIC.to_owned(), partition)).collect();
    let ends = kafka.client.list_offsets(&partitions, OffsetSpec::Latest, REQUEST_TIMEOUT).await;
    let ends = ends.map_err(|error| error.to_string())?.into_iter();
    let ends: Vec<i64> = ends.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut remaining: i64 = ends.iter().sum();
    let properties = [("bootstrap.servers".to_owned(), kafka.bootstrap().to_owned())];
    block_in_place(|| {
        let mut consumer = Consumer::new(&properties).expect("a consumer");
        for (topic, partition) in &partitions {
            consumer.start(topic, *partition, 0).expect("a topic");
        }
        let mut events = Vec::new();
        while remaining > 0 {
            for polled in consumer.poll(Duration::from_millis(200), 1000) {
                let Polled::Record(record) = polled else { continue };
                remaining -= 1;
                let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
                let event = kafka_headers::read(headers, record.value.as_deref()).expect("a CloudEvent");
                let event = Envelope::try_from(event).expect("an event");
                let of_type = event.event_type().to_owned();
                let data = event.into_data();
                if data["namespace"] == t.namespace {
                    events.push((of_type, data));
                }
            }
        }
        Ok(events)
    })
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
        let events = read(&t).await?;
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
