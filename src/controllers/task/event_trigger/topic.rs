//! The topics in Kafka: their ids and numbers of partitions.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use eventcenter_sdk::name::TopicName;
use tokio::time::Instant;

use crate::kafka::Kafka;

/// How often topics are described: partitions may be added, and topics created again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// A topic in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KafkaTopic {
    /// Kafka's id of the topic.
    pub(super) id: String,
    /// Number of partitions.
    pub(super) partitions: i32,
}

/// What is known about topics.
#[derive(Debug, Default)]
pub(super) struct KafkaTopics {
    all: HashMap<TopicName, KafkaTopic>,
    described: Option<Instant>,
}

impl KafkaTopics {
    /// A topic that exists.
    pub(super) fn get(&self, topic: &TopicName) -> Option<&KafkaTopic> {
        self.all.get(topic)
    }

    /// Describes topics, at intervals or if one is new. Returns those of which Kafka says that they do not exist.
    pub(super) async fn refresh(&mut self, wanted: BTreeSet<&TopicName>, kafka: &Kafka) -> Vec<TopicName> {
        let is_recent = self.described.is_some_and(|described| described.elapsed() < REFRESH_INTERVAL);
        if is_recent && wanted.iter().all(|topic| self.all.contains_key(*topic)) {
            return Vec::new();
        }
        let wanted: Vec<TopicName> = wanted.into_iter().cloned().collect();
        let described = kafka.describe_topics(&wanted).await;
        self.described = Some(Instant::now());
        let mut missing = Vec::new();
        for (topic, described) in wanted.into_iter().zip(described) {
            match described {
                Ok(Some(observed)) => {
                    let known = KafkaTopic { id: observed.id, partitions: observed.partitions };
                    self.all.insert(topic, known);
                }
                Ok(None) => {
                    self.all.remove(&topic);
                    missing.push(topic);
                }
                // What was known stays so.
                Err(error) => tracing::debug!(%topic, %error, "a topic of events was not described"),
            }
        }
        missing
    }
}
