//! The same requests to the API server and to Kafka without an operator: the lower bound for an operator.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use eventcenter_kafka_admin::{AdminClient, ItemResults, NewTopic, RequestError, TopicConfigAlteration};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Resource;
use kube::api::{Patch, PostParams};
use kube::core::Request;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::load::{Load, Writer};
use crate::protocol::{self, Report};

/// A timeout that no request should reach.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The action on topics directly in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Create them, and wait until the broker lists the last one.
    Create,
    /// Set a configuration key.
    Alter,
    /// Delete them.
    Delete,
}

/// The writes of an operator for a new topic: the finalizer, the status, an Event.
pub(crate) async fn operator_writes(writer: Writer, number: u32) -> Result<()> {
    let finalizer = json!([{"op": "add", "path": "/metadata/finalizers", "value": [DELETE_FINALIZER]}]);
    writer.patch(number, None, &Patch::Json(serde_json::from_value(finalizer)?)).await?;
    writer.patch(number, Some("status"), &Patch::Merge(status(number, 1, "604800000"))).await?;
    create_event(&writer, number).await
}

/// A change by a tenant, and the write of an operator for it: the status.
pub(crate) async fn change_and_status(writer: Writer, number: u32) -> Result<()> {
    // Another value than that of a change alone.
    let change = json!({"spec": {"config": {"retention.ms": "7200000"}}});
    writer.patch(number, None, &Patch::Merge(change)).await?;
    writer.patch(number, Some("status"), &Patch::Merge(status(number, 3, "7200000"))).await
}

/// A status of the same size as the operator's.
fn status(number: u32, generation: u32, retention: &str) -> serde_json::Value {
    let condition = |type_: &str| {
        json!({
            "type": type_,
            "status": "True",
            "reason": "Available",
            "message": "Kafka has what is declared",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({"status": {
        "conditions": [condition("Ready"), condition("InSync")],
        "observedGeneration": generation,
        "cluster": "main",
        "topicName": format!("bench.t-{number:05}"),
        "topicId": "AAAAAAAAAAAAAAAAAAAAAA",
        "partitions": 1,
        "replicas": 1,
        "config": {"retention.ms": retention},
    }})
}

async fn create_event(writer: &Writer, number: u32) -> Result<()> {
    let (name, namespace) = (writer.load.name(number), writer.load.namespace_of(number));
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.bench")),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".into()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some("Kafka has what is declared".into()),
        reason: Some("Available".into()),
        regarding: Some(ObjectReference {
            api_version: Some(EventTopic::api_version(&()).into()),
            kind: Some(EventTopic::kind(&()).into()),
            name: Some(name),
            namespace: Some(namespace.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("eventcenter.io/bench".into()),
        reporting_instance: Some("bench".into()),
        type_: Some("Normal".into()),
        ..Event::default()
    };
    let request = Request::new(Event::url_path(&(), Some(&namespace)));
    let request = request.create(&PostParams::default(), serde_json::to_vec(&event)?)?;
    writer.client.request::<IgnoredAny>(request).await.context("creating an Event")?;
    Ok(())
}

impl Load {
    /// The name of a topic in Kafka, with the tenant's prefix.
    fn kafka_topic(&self, number: u32) -> String {
        format!("{}.{}", self.namespace, self.name(number))
    }

    fn kafka_topics(&self) -> Vec<String> {
        (0..self.count).map(|number| self.kafka_topic(number)).collect()
    }
}

fn connect(bootstrap: &str) -> Result<AdminClient> {
    let properties = [("bootstrap.servers".to_owned(), bootstrap.to_owned())];
    AdminClient::new(&properties, |_| {}).context("connecting to Kafka")
}

/// Applies the action to all topics, in as few requests as Kafka allows.
pub(crate) async fn kafka(load: &Load, action: Action, bootstrap: &str) -> Result<Report> {
    let kafka = connect(bootstrap)?;
    kafka.describe_cluster(REQUEST_TIMEOUT).await?;
    let topics = load.kafka_topics();
    let start = protocol::ready().await?;
    // KRaft refuses a request of more than 10,000 records.
    for chunk in topics.chunks(2_000) {
        check_results(send(&kafka, action, chunk).await?)?;
    }
    let written_seconds = start.elapsed().as_secs_f64();
    if action == Action::Create {
        await_visible(&kafka, topics.last().context("no topics")?).await?;
    }
    let wall_seconds = start.elapsed().as_secs_f64();
    Ok(Report { wall_seconds, written_seconds, count: load.count, done: load.count, ..Report::default() })
}

async fn send(kafka: &AdminClient, action: Action, topics: &[String]) -> Result<ItemResults, RequestError> {
    match action {
        Action::Create => {
            let config = vec![("retention.ms".to_owned(), "604800000".to_owned())];
            let new = |name: &String| NewTopic {
                name: name.clone(),
                partitions: Some(1),
                replicas: None,
                config: config.clone(),
            };
            kafka.create_topics(&topics.iter().map(new).collect::<Vec<_>>(), REQUEST_TIMEOUT).await
        }
        Action::Alter => {
            let alteration = |topic: &String| TopicConfigAlteration {
                topic: topic.clone(),
                set: vec![("retention.ms".to_owned(), "3600000".to_owned())],
                reset: Vec::new(),
            };
            let alterations: Vec<_> = topics.iter().map(alteration).collect();
            kafka.incremental_alter_configs(&alterations, REQUEST_TIMEOUT).await
        }
        Action::Delete => kafka.delete_topics(topics, REQUEST_TIMEOUT).await,
    }
}

fn check_results(results: ItemResults) -> Result<()> {
    results.into_iter().collect::<Result<Vec<()>, _>>().map(drop).context("Kafka refused a topic")
}

async fn await_visible(kafka: &AdminClient, topic: &str) -> Result<()> {
    let names = [topic.to_owned()];
    let start = Instant::now();
    while start.elapsed() < REQUEST_TIMEOUT {
        if kafka.describe_topics(&names, REQUEST_TIMEOUT).await?.iter().all(Result::is_ok) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("Kafka does not list {topic}")
}

/// Counts the topics in Kafka.
pub(crate) async fn count(load: &Load, bootstrap: &str) -> Result<Report> {
    let kafka = connect(bootstrap)?;
    protocol::ready().await?;
    let prefix = format!("{}.{}-", load.namespace, load.prefix);
    let topics = kafka.list_topics(REQUEST_TIMEOUT).await?;
    let done = topics.iter().filter(|name| name.starts_with(&prefix)).count();
    Ok(Report { count: load.count, done: u32::try_from(done)?, ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_valid() {
        let status: eventcenter::api::EventTopicStatus =
            serde_json::from_value(status(1, 1, "604800000")["status"].clone()).expect("a status");
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!(status.conditions.len(), 2);
    }
}
