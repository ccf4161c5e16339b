//! The operations on one Kafka cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use eventcenter_kafka_admin::OffsetSpec;
use eventcenter_kafka_admin::RequestError;
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::acls::{AclBatchers, AclIndex, AclScope, MAX_ACLS_PER_OPERATION, describe_all_acls};
use super::connection::{Connection, REQUEST_TIMEOUT};
use super::error::Error;
use super::metrics::Metrics;
use super::settings::Settings;
use super::topics::{
    ConfigAlteration, MAX_ADDED_PARTITIONS, MAX_DESCRIBED_TOPICS, NewPartitions, NewTopic, TopicBatchers,
    describe_topics,
};
use crate::domain::topic::Observed;
use crate::domain::topic::access::{AclBinding, ResourcePattern};

/// The timeout of DescribeCluster, which is the health check of a cluster.
const DESCRIBE_CLUSTER_TIMEOUT: Duration = Duration::from_secs(5);

/// A Kafka cluster, as its brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster id.
    pub id: String,
    /// The number of live brokers.
    pub brokers: usize,
}

/// A connection to one Kafka cluster.
pub struct Kafka {
    connection: Connection,
    topics: TopicBatchers,
    acls: AclBatchers,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("cluster", &self.connection.cluster).finish_non_exhaustive()
    }
}

impl Kafka {
    /// Creates a connection. It sends nothing yet: the first request fails if the cluster cannot be reached.
    ///
    /// # Errors
    /// The Kafka client refuses the settings, for example an invalid certificate.
    pub fn connect(cluster: &ClusterName, settings: &Settings, metrics: &Metrics) -> Result<Self, Error> {
        let connection = Connection::new(cluster, settings, metrics)?;
        Ok(Self {
            topics: TopicBatchers::start(&connection),
            acls: AclBatchers::start(&connection),
            connection,
        })
    }

    /// Describes the cluster (DescribeCluster).
    ///
    /// # Errors
    /// Kafka does not respond within five seconds, or refuses the operator's credentials.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let description = self.connection.client.describe_cluster(DESCRIBE_CLUSTER_TIMEOUT).await?;
        Ok(ClusterDescription { id: description.id, brokers: description.brokers.len() })
    }

    /// The names of all topics that the operator may describe, sorted.
    ///
    /// # Errors
    /// Kafka does not respond.
    pub async fn list_topics(&self) -> Result<Vec<String>, Error> {
        self.connection.send("Metadata", 1, self.connection.client.list_topics(REQUEST_TIMEOUT)).await
    }

    /// The state of a topic, `None` if it does not exist.
    ///
    /// # Errors
    /// Kafka does not respond, or does not authorize the operator to describe the topic.
    pub async fn describe_topic(&self, topic: &TopicName) -> Result<Option<Observed>, Error> {
        self.topics.describe.execute(topic.clone()).await
    }

    /// The states of many topics in few requests, in the order of the names.
    pub async fn describe_topics(&self, topics: &[TopicName]) -> Vec<Result<Option<Observed>, Error>> {
        let mut all = Vec::with_capacity(topics.len());
        for chunk in topics.chunks(MAX_DESCRIBED_TOPICS) {
            all.extend(describe_topics(&self.connection, chunk).await);
        }
        all
    }

    /// Creates a topic and returns its state. If it already exists, returns the state of the existing topic.
    ///
    /// # Errors
    /// Kafka refuses the topic, does not respond, or does not list the topic within a minute.
    pub async fn create_topic(
        &self,
        topic: &TopicName,
        partitions: i32,
        replicas: Option<i32>,
        config: &BTreeMap<String, String>,
    ) -> Result<Observed, Error> {
        let new = NewTopic { topic: topic.clone(), partitions, replicas, config: config.clone() };
        self.topics.create.execute(new).await
    }

    /// Sets and resets configuration keys of a topic and keeps all others (KIP-339).
    ///
    /// # Errors
    /// Kafka refuses a value, or does not respond.
    pub async fn alter_topic_config(
        &self,
        topic: &TopicName,
        set: Vec<(String, String)>,
        reset: Vec<String>,
    ) -> Result<(), Error> {
        self.topics.alter_configs.execute(ConfigAlteration { topic: topic.clone(), set, reset }).await
    }

    /// Increases the number of partitions of a topic.
    ///
    /// # Errors
    /// Kafka refuses the increase, or does not respond; or the increase exceeds what Kafka can add at once.
    pub async fn create_partitions(&self, topic: &TopicName, from: i32, to: i32) -> Result<(), Error> {
        if to.saturating_sub(from) > MAX_ADDED_PARTITIONS {
            return Err(Error::Request(RequestError::InvalidInput {
                operation: "CreatePartitions",
                item: topic.to_string(),
                reason: format!(
                    "Kafka adds at most {MAX_ADDED_PARTITIONS} partitions at once: declare fewer"
                ),
            }));
        }
        self.topics.create_partitions.execute(NewPartitions { topic: topic.clone(), from, to }).await
    }

    /// Deletes a topic and its data. Succeeds if the topic does not exist.
    ///
    /// # Errors
    /// Kafka refuses the deletion, or does not respond.
    pub async fn delete_topic(&self, topic: &TopicName) -> Result<(), Error> {
        match self.topics.delete.execute(topic.clone()).await {
            Err(error) if error.is_unknown_topic() => Ok(()),
            result => result,
        }
    }

    /// The first or last offset of each of the first `partitions` partitions of a topic. The last one is the offset after the last
    /// record that readers of committed records see.
    ///
    /// # Errors
    /// Kafka does not respond, does not authorize the operator to describe the topic, or has no such topic or partition.
    pub async fn list_offsets(
        &self,
        topic: &TopicName,
        partitions: std::ops::Range<i32>,
        spec: OffsetSpec,
    ) -> Result<Vec<i64>, Error> {
        let partitions: Vec<_> = partitions.map(|partition| (topic.to_string(), partition)).collect();
        let request = self.connection.client.list_offsets(&partitions, spec, REQUEST_TIMEOUT);
        let offsets = self.connection.send_batch("ListOffsets", partitions.len(), request).await;
        offsets.into_iter().collect()
    }

    /// The ACLs of a topic and of some consumer groups.
    ///
    /// # Errors
    /// Kafka has no authorizer, does not authorize the operator to describe ACLs, or does not respond.
    pub async fn describe_acls(
        &self,
        topic: &TopicName,
        groups: BTreeSet<ResourcePattern>,
    ) -> Result<BTreeSet<AclBinding>, Error> {
        self.acls.describe.execute((topic.clone(), groups)).await
    }

    /// All ACLs of the cluster within a scope.
    ///
    /// # Errors
    /// As [`Kafka::describe_acls`].
    pub async fn describe_all_acls(&self, scope: AclScope) -> Result<AclIndex, Error> {
        describe_all_acls(&self.connection, scope).await
    }

    /// Creates ACLs for a topic. Creating an existing ACL succeeds.
    ///
    /// # Errors
    /// Kafka has no authorizer, refuses one of the ACLs, or does not respond.
    pub async fn create_acls(&self, topic: &TopicName, acls: &[AclBinding]) -> Result<(), Error> {
        for chunk in acls.chunks(MAX_ACLS_PER_OPERATION) {
            self.acls.create.execute((topic.clone(), chunk.to_vec())).await?;
        }
        Ok(())
    }

    /// Deletes ACLs. Deleting a missing ACL succeeds.
    ///
    /// # Errors
    /// As [`Kafka::create_acls`].
    pub async fn delete_acls(&self, topic: &TopicName, acls: &[AclBinding]) -> Result<(), Error> {
        for chunk in acls.chunks(MAX_ACLS_PER_OPERATION) {
            self.acls.delete.execute((topic.clone(), chunk.to_vec())).await?;
        }
        Ok(())
    }

    /// Produces a message of the operator itself and waits until all in-sync replicas have it. Not for business events.
    ///
    /// # Errors
    /// Kafka does not respond, or refuses the message. After a timeout Kafka may still have stored it.
    pub async fn produce(&self, topic: &TopicName, key: &str, value: &str) -> Result<(), Error> {
        let produce = self.connection.client.produce(topic.as_ref(), key.as_bytes(), value.as_bytes());
        self.connection.send("Produce", 1, produce).await
    }
}
