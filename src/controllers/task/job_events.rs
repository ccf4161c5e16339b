//! Publishes the events about runs to the platform's EventTopic, in their order.
//!
//! They are stored with the changes that they are about and deleted after Kafka has them, so that each is published at least once,
//! also after Kafka was unavailable. Their ids let consumers recognize a repetition.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use eventcenter_sdk::name::ClusterName;
use eventcenter_sdk::{CloudEvent, KafkaRecord};
use futures::future::join_all;
use tokio::sync::Notify;

use super::super::context::Context;
use super::super::options::TopicReference;
use super::destination::{TopicError, find_topic};
use crate::domain::task::work::Destination;
use crate::error_chain::ErrorChain;
use crate::kafka::{self, Producer, ProducerRecord, Settings};
use crate::store;
use crate::store::runs::RunEvent;

/// Number of events that are published at once.
const PAGE: usize = 500;

/// The publisher looks for events at least this often, also those of another leader.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Delay before events are published again after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Why events are not published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("KafkaCluster {0} is not connected yet")]
    NotConnected(ClusterName),
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Publishes events until dropped.
pub(super) async fn publish(context: &Context, stored: &Notify) {
    let Some(topic) = &context.options.task_events else { return };
    let mut publisher = Publisher { context, topic, producers: HashMap::new() };
    let mut last_error = String::new();
    loop {
        match publisher.publish_page().await {
            Ok(published) => {
                last_error.clear();
                if published < PAGE {
                    let _ = tokio::time::timeout(POLL_INTERVAL, stored.notified()).await;
                }
            }
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                if text != last_error {
                    tracing::warn!(error = %text, "events about runs are not published; retrying automatically");
                    last_error = text;
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

struct Publisher<'c> {
    context: &'c Context,
    topic: &'c TopicReference,
    producers: HashMap<ClusterName, (Producer, Settings)>,
}

impl fmt::Debug for Publisher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Publisher<'_> {
    /// Publishes the oldest events. Returns how many there were.
    async fn publish_page(&mut self) -> Result<usize, PublishError> {
        let runs = &self.context.runs;
        let metrics = &self.context.task_metrics;
        metrics.set_waiting_events(runs.estimate_events().await?);
        let events = runs.list_events(PAGE).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let TopicReference { namespace, name } = self.topic;
        let (_, destination) = find_topic(self.context, namespace, name)?;
        let producer = self.producer(&destination.cluster)?;
        // The client enqueues the records in this order, and keeps the order of each key.
        let results = join_all(events.iter().map(|event| send(producer, &destination, event))).await;
        let published = events.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let published: Vec<i64> = published.map(|(event, _)| event.sequence).collect();
        runs.delete_events(&published).await?;
        metrics.count_published_events(published.len());
        match results.into_iter().find_map(Result::err) {
            Some(error) => Err(error.into()),
            None => Ok(events.len()),
        }
    }

    /// The producer of a cluster with its current settings.
    fn producer(&mut self, cluster: &ClusterName) -> Result<&Producer, PublishError> {
        let connections = &self.context.connections;
        let settings =
            connections.settings(cluster).ok_or_else(|| PublishError::NotConnected(cluster.clone()))?;
        let is_current = self.producers.get(cluster).is_some_and(|(_, of)| *of == settings);
        if !is_current {
            let producer = Producer::connect(cluster, &settings, connections.metrics())?;
            self.producers.insert(cluster.clone(), (producer, settings));
        }
        let producer = self.producers.get(cluster).map(|(producer, _)| producer);
        producer.ok_or_else(|| PublishError::NotConnected(cluster.clone()))
    }
}

async fn send(producer: &Producer, destination: &Destination, event: &RunEvent) -> Result<(), kafka::Error> {
    let event = match CloudEvent::from_slice(event.event.as_bytes()) {
        Ok(event) => event,
        Err(error) => {
            // This version has written it, so a newer one has changed the form. Keeping it would block the others.
            tracing::error!(sequence = event.sequence, %error, "a stored event about a run is not readable");
            return Ok(());
        }
    };
    let key = event.attribute("source").unwrap_or_default().to_owned();
    let KafkaRecord { headers, value } = event.into();
    producer.publish(&ProducerRecord { topic: destination.topic.clone(), key, headers, value }).await
}
