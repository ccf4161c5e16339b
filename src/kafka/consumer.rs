//! Reads the events that tasks run for. No consumer group, and nothing is committed: the positions are the caller's, so the operator
//! needs the right to read the topics only.

use std::fmt;
use std::time::Duration;

use eventcenter_kafka_admin::{self as native, ErrorCode, Polled};
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::connection::log_event;
use super::error::Error;
use super::settings::Settings;

pub use eventcenter_kafka_admin::Record as ConsumerRecord;

/// Properties of librdkafka that bound the memory of a consumer, whatever the number of its partitions: 16 MiB wait for the caller, and
/// a broker sends up to 8 MiB at once. A response is delayed by at most 200 ms, so that the next request names newly added partitions.
const PROPERTIES: [(&str, &str); 7] = [
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.wait.max.ms", "200"),
    ("fetch.queue.backoff.ms", "50"),
    ("fetch.error.backoff.ms", "1000"),
    ("topic.metadata.refresh.interval.ms", "60000"),
];

/// Where a partition is read from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record; `None` to read the partition no longer.
    pub offset: Option<i64>,
}

/// Why a partition cannot be read.
#[derive(Clone, Debug)]
pub struct PartitionFailure {
    /// Name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The error.
    pub error: Error,
    /// Whether there is no record at the offset: it was deleted, or never existed. The partition is not read until it is assigned again.
    pub is_out_of_range: bool,
}

/// What was received.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records, in the order of their offsets in each partition.
    pub records: Vec<ConsumerRecord>,
    /// Partitions that cannot be read.
    pub failures: Vec<PartitionFailure>,
}

/// A consumer of one Kafka cluster.
pub struct Consumer {
    cluster: ClusterName,
    /// `None` while a poll runs, and after one was cancelled.
    native: Option<native::Consumer>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Creates a consumer. It sends nothing yet.
    ///
    /// # Errors
    /// The Kafka client refuses the settings, for example an invalid certificate.
    pub fn connect(cluster: &ClusterName, settings: &Settings) -> Result<Self, Error> {
        let mut properties = settings.properties();
        properties.extend(PROPERTIES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Self { cluster: cluster.clone(), native: Some(native::Consumer::new(&properties)?) })
    }

    /// Changes what is read, and waits up to `timeout` for records or failures; returns at most `limit`. After a change nothing is
    /// returned that was received before it.
    ///
    /// # Errors
    /// [`Error::Closed`] after a call that was dropped before its end.
    pub async fn poll(
        &mut self,
        assignments: Vec<Assignment>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Batch, Error> {
        let mut consumer = self.native.take().ok_or(Error::Closed)?;
        let polled = tokio::task::spawn_blocking(move || {
            for Assignment { topic, partition, offset } in assignments {
                match offset {
                    Some(offset) => {
                        if let Err(code) = consumer.start(topic.as_ref(), partition, offset) {
                            tracing::error!(%topic, partition, offset, ?code, "a partition cannot be assigned");
                        }
                    }
                    None => consumer.stop(topic.as_ref(), partition),
                }
            }
            let polled = consumer.poll(timeout, limit);
            (consumer, polled)
        });
        let (consumer, polled) = polled.await.map_err(|_| Error::Closed)?;
        self.native = Some(consumer);
        let mut batch = Batch::default();
        for one in polled {
            match one {
                Polled::Record(record) => batch.records.push(record),
                Polled::Failed { topic, partition, error: source } => {
                    let codes = [ErrorCode::AUTO_OFFSET_RESET, ErrorCode::OFFSET_OUT_OF_RANGE];
                    let is_out_of_range = codes.contains(&source.code());
                    let error = Error::Broker { operation: "Fetch", source };
                    batch.failures.push(PartitionFailure { topic, partition, error, is_out_of_range });
                }
                Polled::Client(event) => log_event(&self.cluster, event),
            }
        }
        Ok(batch)
    }

    /// The offset after the last record of a partition, as the last response told it. Sends no request.
    #[must_use]
    pub fn last_known_end(&self, topic: &TopicName, partition: i32) -> Option<i64> {
        self.native.as_ref()?.last_known_end(topic.as_ref(), partition)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Closing waits for threads of librdkafka.
        if let Some(consumer) = self.native.take() {
            std::thread::spawn(move || drop(consumer));
        }
    }
}
