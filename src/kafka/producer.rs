//! Publishes the events of tasks. A producer has a client of its own, so that its settings and its queue do not affect other
//! requests.

use std::fmt;

use eventcenter_kafka_admin::Message;
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::connection::Connection;
use super::error::Error;
use super::metrics::Metrics;
use super::settings::Settings;

/// Properties of librdkafka. With idempotence the client's own retries neither duplicate nor reorder a record, and `acks` is `all`.
/// After `message.timeout.ms` it gives a record up, and after `topic.metadata.propagation.max.ms` one whose topic is missing.
const PROPERTIES: [(&str, &str); 3] = [
    ("enable.idempotence", "true"),
    ("message.timeout.ms", "60000"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// A record to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic, which is not created if it is missing.
    pub topic: TopicName,
    /// The key, which determines the partition.
    pub key: String,
    /// Names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The value.
    pub value: Vec<u8>,
}

/// A producer for one Kafka cluster, which many tasks share.
pub struct Producer {
    connection: Connection,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("cluster", &self.connection.cluster).finish_non_exhaustive()
    }
}

impl Producer {
    /// Creates a producer. It sends nothing yet.
    ///
    /// # Errors
    /// The Kafka client refuses the settings, for example an invalid certificate.
    pub fn connect(cluster: &ClusterName, settings: &Settings, metrics: &Metrics) -> Result<Self, Error> {
        let properties = PROPERTIES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self { connection: Connection::with_properties(cluster, settings, &properties, metrics)? })
    }

    /// Publishes a record and waits until all in-sync replicas have it. If the future is dropped, Kafka may still store the
    /// record, up to a minute later.
    ///
    /// # Errors
    /// Kafka does not respond within a minute, or refuses the record. After a timeout Kafka may still have stored it.
    pub async fn publish(&self, record: &ProducerRecord) -> Result<(), Error> {
        let ProducerRecord { topic, key, headers, value } = record;
        let message = Message { topic: topic.as_ref(), key: key.as_bytes(), headers, value };
        self.connection.send("Produce", 1, self.connection.client.produce_message(message)).await
    }
}
