//! The batched requests about topics.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_kafka_admin::{
    self as admin, ConfigEntries, ConfigEntry, TopicConfigAlteration, TopicDescription,
};
use eventcenter_sdk::name::TopicName;
use tokio::time::Instant;

use super::batch::{BatchRequest, Batcher, MAX_WEIGHT, MIN_WEIGHT};
use super::connection::{Connection, REQUEST_TIMEOUT};
use super::error::Error;
use crate::domain::topic::Observed;

/// The maximum number of topics in one describe request. Each result has about 35 configuration entries, and librdkafka holds
/// all of them in memory.
pub(super) const MAX_DESCRIBED_TOPICS: usize = 500;

/// The maximum number of partitions that one request adds to a topic. For more than 10,000, Kafka 4.3 returns an unknown error
/// but still adds 10,000, and again with every retry.
pub(super) const MAX_ADDED_PARTITIONS: i32 = 9_999;

/// The minimum weight of a topic in CreateTopics. It limits a request to 250 topics, for which a broker needs two to five
/// seconds: it creates their logs while the status of the previous topics is written.
const MIN_CREATION_WEIGHT: usize = 16;

/// How long created topics may stay invisible. A broker makes the topics of one request visible together, after it has created
/// the logs of earlier requests.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);

/// The same for the remaining topics of a request once some are visible.
const REMAINING_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval between two checks of the visibility doubles from the first value to the second.
const INITIAL_POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(160);

/// One batcher for each operation on topics.
pub(super) struct TopicBatchers {
    pub(super) describe: Batcher<DescribeTopics>,
    pub(super) create: Batcher<CreateTopics>,
    pub(super) create_partitions: Batcher<CreatePartitions>,
    pub(super) delete: Batcher<DeleteTopics>,
    pub(super) alter_configs: Batcher<AlterConfigs>,
}

impl TopicBatchers {
    pub(super) fn start(connection: &Connection) -> Self {
        Self {
            describe: Batcher::start(DescribeTopics(connection.clone())),
            create: Batcher::start(CreateTopics(connection.clone())),
            create_partitions: Batcher::start(CreatePartitions(connection.clone())),
            delete: Batcher::start(DeleteTopics(connection.clone())),
            alter_configs: Batcher::start(AlterConfigs(connection.clone())),
        }
    }
}

/// The states of topics, in the order of the names.
pub(super) async fn describe_topics(
    connection: &Connection,
    topics: &[TopicName],
) -> Vec<Result<Option<Observed>, Error>> {
    let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
    let request = connection.client.describe_topics(&names, REQUEST_TIMEOUT);
    let descriptions = connection.send_batch("DescribeTopics", names.len(), request).await;
    let existing: Vec<String> =
        descriptions.iter().filter_map(|result| Some(result.as_ref().ok()?.name.clone())).collect();
    let mut configs = match existing.is_empty() {
        true => Ok(Vec::new().into_iter()),
        false => {
            let request = connection.client.describe_config_overrides(&existing, REQUEST_TIMEOUT);
            connection.send("DescribeConfigs", existing.len(), request).await.map(Vec::into_iter)
        }
    };
    descriptions
        .into_iter()
        .map(|result| match result {
            Ok(description) => {
                let config = configs.as_mut().map_err(|error| error.clone())?.next().ok_or(Error::Closed)?;
                with_config(description, config)
            }
            Err(error) if error.is_unknown_topic() => Ok(None),
            Err(error) => Err(error),
        })
        .collect()
}

/// `None` if the topic was deleted between the two requests.
fn with_config(description: TopicDescription, config: ConfigEntries) -> Result<Option<Observed>, Error> {
    match config {
        Ok(entries) => Ok(Some(observed(description, entries))),
        Err(source) if source.is_unknown_topic() => Ok(None),
        Err(source) => Err(Error::Broker { operation: "DescribeConfigs", source }),
    }
}

fn observed(description: TopicDescription, entries: Vec<ConfigEntry>) -> Observed {
    Observed {
        id: description.id,
        partitions: description.partitions,
        replicas: description.min_replicas,
        config: entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect(),
    }
}

/// DescribeTopics and DescribeConfigs.
pub(super) struct DescribeTopics(Connection);

impl BatchRequest for DescribeTopics {
    type Operation = TopicName;
    type Output = Option<Observed>;

    fn topic(operation: &TopicName) -> &TopicName {
        operation
    }

    /// The request writes nothing; the weight limits its number of topics.
    fn weight(_: &TopicName) -> usize {
        MAX_WEIGHT / MAX_DESCRIBED_TOPICS
    }

    async fn send(&self, topics: Vec<TopicName>) -> Vec<Result<Option<Observed>, Error>> {
        describe_topics(&self.0, &topics).await
    }
}

/// A topic to create.
pub(super) struct NewTopic {
    pub(super) topic: TopicName,
    pub(super) partitions: i32,
    pub(super) replicas: Option<i32>,
    pub(super) config: BTreeMap<String, String>,
}

pub(super) struct CreateTopics(Connection);

impl BatchRequest for CreateTopics {
    type Operation = NewTopic;
    type Output = Observed;

    fn topic(operation: &NewTopic) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &NewTopic) -> usize {
        let records = 1 + usize::try_from(operation.partitions).unwrap_or_default() + operation.config.len();
        records.max(MIN_CREATION_WEIGHT)
    }

    /// Returns when the topics are visible. Operations that arrive meanwhile form the next request, so a slow broker gets
    /// fewer, larger requests and few checks of the visibility.
    async fn send(&self, operations: Vec<NewTopic>) -> Vec<Result<Observed, Error>> {
        let names: Vec<TopicName> = operations.iter().map(|new| new.topic.clone()).collect();
        let topics: Vec<admin::NewTopic> = operations
            .into_iter()
            .map(|new| admin::NewTopic {
                name: new.topic.to_string(),
                partitions: Some(new.partitions),
                replicas: new.replicas.and_then(|replicas| i16::try_from(replicas).ok()),
                config: new.config.into_iter().collect(),
            })
            .collect();
        let request = self.0.client.create_topics(&topics, REQUEST_TIMEOUT);
        let created = self.0.send_batch("CreateTopics", topics.len(), request).await;
        let mut results: Vec<Result<Observed, Error>> = created
            .into_iter()
            .map(|result| match result {
                Ok(()) => Err(Error::NotVisible),
                Err(error) if error.is_topic_already_exists() => Err(Error::NotVisible),
                Err(error) => Err(error),
            })
            .collect();
        self.await_visible(&names, &mut results).await;
        results
    }
}

impl CreateTopics {
    /// Replaces each [`Error::NotVisible`] by the topic's state once it is visible.
    async fn await_visible(&self, names: &[TopicName], results: &mut [Result<Observed, Error>]) {
        let (mut deadline, mut pause) = (Instant::now() + VISIBILITY_TIMEOUT, INITIAL_POLL_INTERVAL);
        loop {
            let invisible: Vec<usize> = (0..results.len())
                .filter(|index| matches!(results[*index], Err(Error::NotVisible)))
                .collect();
            let (Some(first), Some(last)) = (invisible.first(), invisible.last()) else { return };
            let visible = match self.is_any_visible([&names[*first], &names[*last]]).await {
                true => self.fill_visible(&invisible, names, results).await,
                false => 0,
            };
            if visible > 0 {
                deadline = deadline.min(Instant::now() + REMAINING_VISIBILITY_TIMEOUT);
            }
            if visible == invisible.len() || Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_POLL_INTERVAL);
        }
    }

    /// Whether one of the topics is visible, or has another error than that it does not exist.
    async fn is_any_visible(&self, topics: [&TopicName; 2]) -> bool {
        let mut names: Vec<String> = topics.iter().map(ToString::to_string).collect();
        names.dedup();
        let request = self.0.client.describe_topics(&names, REQUEST_TIMEOUT);
        let results = self.0.send_batch("DescribeTopics", names.len(), request).await;
        !results.iter().all(|result| result.as_ref().is_err_and(Error::is_unknown_topic))
    }

    /// Describes the invisible topics and stores the states of those that are visible now. Returns their number.
    async fn fill_visible(
        &self,
        invisible: &[usize],
        names: &[TopicName],
        results: &mut [Result<Observed, Error>],
    ) -> usize {
        let mut visible = 0;
        for chunk in invisible.chunks(MAX_DESCRIBED_TOPICS) {
            let topics: Vec<TopicName> = chunk.iter().map(|index| names[*index].clone()).collect();
            for (index, result) in chunk.iter().zip(describe_topics(&self.0, &topics).await) {
                if let Some(result) = result.transpose() {
                    results[*index] = result;
                    visible += 1;
                }
            }
        }
        visible
    }
}

/// Changes of one topic's configuration.
pub(super) struct ConfigAlteration {
    pub(super) topic: TopicName,
    pub(super) set: Vec<(String, String)>,
    pub(super) reset: Vec<String>,
}

/// IncrementalAlterConfigs.
pub(super) struct AlterConfigs(Connection);

impl BatchRequest for AlterConfigs {
    type Operation = ConfigAlteration;
    type Output = ();

    fn topic(operation: &ConfigAlteration) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &ConfigAlteration) -> usize {
        (operation.set.len() + operation.reset.len()).max(MIN_WEIGHT)
    }

    async fn send(&self, operations: Vec<ConfigAlteration>) -> Vec<Result<(), Error>> {
        let alterations: Vec<TopicConfigAlteration> = operations
            .into_iter()
            .map(|alteration| TopicConfigAlteration {
                topic: alteration.topic.to_string(),
                set: alteration.set,
                reset: alteration.reset,
            })
            .collect();
        let request = self.0.client.incremental_alter_configs(&alterations, REQUEST_TIMEOUT);
        self.0.send_batch("IncrementalAlterConfigs", alterations.len(), request).await
    }
}

/// An increase of a topic's number of partitions.
pub(super) struct NewPartitions {
    pub(super) topic: TopicName,
    pub(super) from: i32,
    pub(super) to: i32,
}

pub(super) struct CreatePartitions(Connection);

impl BatchRequest for CreatePartitions {
    type Operation = NewPartitions;
    type Output = ();

    fn topic(operation: &NewPartitions) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &NewPartitions) -> usize {
        usize::try_from(operation.to.saturating_sub(operation.from)).unwrap_or_default().max(MIN_WEIGHT)
    }

    async fn send(&self, operations: Vec<NewPartitions>) -> Vec<Result<(), Error>> {
        let totals: Vec<(String, i32)> =
            operations.iter().map(|partitions| (partitions.topic.to_string(), partitions.to)).collect();
        let request = self.0.client.create_partitions(&totals, REQUEST_TIMEOUT);
        self.0.send_batch("CreatePartitions", totals.len(), request).await
    }
}

pub(super) struct DeleteTopics(Connection);

impl BatchRequest for DeleteTopics {
    type Operation = TopicName;
    type Output = ();

    fn topic(operation: &TopicName) -> &TopicName {
        operation
    }

    fn weight(_: &TopicName) -> usize {
        MIN_WEIGHT
    }

    async fn send(&self, topics: Vec<TopicName>) -> Vec<Result<(), Error>> {
        let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
        let request = self.0.client.delete_topics(&names, REQUEST_TIMEOUT);
        self.0.send_batch("DeleteTopics", names.len(), request).await
    }
}
