//! One connection to Kafka for each KafkaCluster, with its state.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::last_seen::LastSeen;
use crate::domain::topic::Observed;
use crate::kafka::{Error, Kafka, Metrics, Settings};

/// The connections to Kafka.
pub(super) struct Connections {
    all: RwLock<HashMap<ClusterName, Connection>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Connection {
    link: Option<(Arc<Kafka>, Settings)>,
    /// The result of the last health check; `None` before the first.
    state: Option<Result<(), Reason>>,
    /// The state of each topic in Kafka after its last reconcile.
    topics: HashMap<TopicName, LastSeen<Observed>>,
}

/// The availability of a Kafka cluster.
pub(super) enum ClusterState {
    /// It answered the last health check.
    Available(Arc<Kafka>),
    /// It failed the last health check. No request is sent until it recovers, so that its topics do not slow down those
    /// of other clusters.
    Unavailable(Reason),
    /// The first health check has not finished.
    Unknown,
}

impl Connections {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { all: RwLock::default(), metrics }
    }

    /// The availability of a cluster.
    pub(super) fn reach(&self, cluster: &ClusterName) -> ClusterState {
        let all = self.read();
        match all.get(cluster) {
            Some(Connection { link: Some((kafka, _)), state: Some(Ok(())), .. }) => {
                ClusterState::Available(Arc::clone(kafka))
            }
            Some(Connection { state: Some(Err(reason)), .. }) => ClusterState::Unavailable(*reason),
            _ => ClusterState::Unknown,
        }
    }

    /// The metrics of all connections.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The settings of a cluster whose connection exists.
    pub(super) fn settings(&self, cluster: &ClusterName) -> Option<Settings> {
        Some(self.read().get(cluster)?.link.as_ref()?.1.clone())
    }

    /// All available clusters.
    pub(super) fn list_available(&self) -> Vec<(ClusterName, Arc<Kafka>)> {
        let all = self.read();
        let available = all.iter().filter(|(_, connection)| connection.state == Some(Ok(())));
        available
            .filter_map(|(cluster, c)| Some((cluster.clone(), Arc::clone(&c.link.as_ref()?.0))))
            .collect()
    }

    /// Returns the connection with these settings; replaces one with other settings.
    pub(super) fn ensure(&self, cluster: &ClusterName, settings: Settings) -> Result<Arc<Kafka>, Error> {
        if let Some((kafka, known)) = self.read().get(cluster).and_then(|connection| connection.link.as_ref())
            && *known == settings
        {
            return Ok(Arc::clone(kafka));
        }
        let kafka = Arc::new(Kafka::connect(cluster, &settings, &self.metrics)?);
        let mut all = self.write();
        all.entry(cluster.clone()).or_default().link = Some((Arc::clone(&kafka), settings));
        Ok(kafka)
    }

    /// Stores the result of a health check. Returns whether to reconcile the cluster's topics: it has recovered, or this
    /// is the first check.
    pub(super) fn set_state(&self, cluster: &ClusterName, state: Result<(), Reason>) -> bool {
        let mut all = self.write();
        let before = all.entry(cluster.clone()).or_default().state.replace(state);
        before.is_none() || (state.is_ok() && before != Some(Ok(())))
    }

    /// Drops the connections to clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) {
        self.write().retain(|cluster, _| declared(cluster));
    }

    /// Stores the state in Kafka after a reconcile; `None` if it failed.
    pub(super) fn set_last_seen(
        &self,
        cluster: &ClusterName,
        topic: &TopicName,
        seen: Option<LastSeen<Observed>>,
    ) {
        let mut all = self.write();
        let Some(connection) = all.get_mut(cluster) else { return };
        match seen {
            Some(seen) => drop(connection.topics.insert(topic.clone(), seen)),
            None => drop(connection.topics.remove(topic)),
        }
    }

    /// The state of a topic in Kafka after its last reconcile.
    pub(super) fn last_seen(&self, cluster: &ClusterName, topic: &TopicName) -> Option<LastSeen<Observed>> {
        self.read().get(cluster)?.topics.get(topic).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<ClusterName, Connection>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ClusterName, Connection>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}
