//! The connections to Kafka, by KafkaCluster.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};
use tokio::time::Instant;

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
    /// How it was when it was last asked; none until it has been asked.
    state: Option<Result<(), Reason>>,
    /// What Kafka had under each topic's name when it was last visited, and when.
    visits: HashMap<TopicName, LastVisit>,
}

/// Whether a Kafka cluster can be worked with.
pub(super) enum ClusterState {
    /// It answers.
    Available(Arc<Kafka>),
    /// It did not when it was last asked. Nothing is sent to it until it does, so that those who
    /// wait for it take nothing from those who do not.
    Unavailable(Reason),
    /// It has not been asked yet, and will be in a moment.
    Unknown,
}

/// What a reconcile left behind in Kafka.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastVisit {
    /// A hash of what Kafka has, as far as the reconcile knows: all that is needed to see that it
    /// has become something else.
    left: u64,
    /// When that was.
    at: Instant,
    /// Whether anything was changed.
    changed: bool,
}

/// After a change Kafka may show what was before for a moment.
pub(super) const SETTLED: Duration = Duration::from_secs(5);

impl LastVisit {
    /// A visit that leaves this behind.
    pub(super) fn leaving(observed: Option<&Observed>, changed: bool, at: Instant) -> Self {
        Self { left: hash(observed), changed, at }
    }

    /// Whether what Kafka shows is to be trusted: nothing was changed a moment ago.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        !self.changed || now.saturating_duration_since(self.at) >= SETTLED
    }

    /// Whether Kafka was found to have something else than was left behind, by a look that began
    /// at that time. A visit that came meanwhile knows better.
    pub(super) fn differs(&self, found: Option<&Observed>, looked: Instant) -> bool {
        self.at <= looked && self.is_settled(looked) && self.left != hash(found)
    }
}

fn hash(observed: Option<&Observed>) -> u64 {
    let mut hasher = DefaultHasher::new();
    observed.hash(&mut hasher);
    hasher.finish()
}

impl Connections {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { all: RwLock::default(), metrics }
    }

    /// Whether a cluster can be worked with.
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

    /// All clusters that answer.
    pub(super) fn answering(&self) -> Vec<(ClusterName, Arc<Kafka>)> {
        let all = self.read();
        let answering = all.iter().filter(|(_, connection)| connection.state == Some(Ok(())));
        answering
            .filter_map(|(cluster, c)| Some((cluster.clone(), Arc::clone(&c.link.as_ref()?.0))))
            .collect()
    }

    /// A connection with these settings: the one there is, or else a new one in its place.
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

    /// Notes how a cluster is. Returns whether those who wait for it should look again: because it
    /// answers and did not before, or because this is the first that is known of it.
    pub(super) fn asked(&self, cluster: &ClusterName, state: Result<(), Reason>) -> bool {
        let mut all = self.write();
        let before = all.entry(cluster.clone()).or_default().state.replace(state);
        before.is_none() || (state.is_ok() && before != Some(Ok(())))
    }

    /// Ends the connections to clusters that are no longer declared.
    pub(super) fn retain(&self, declared: impl Fn(&ClusterName) -> bool) {
        self.write().retain(|cluster, _| declared(cluster));
    }

    /// Notes what a reconcile left behind, or that it is not known.
    pub(super) fn visited(&self, cluster: &ClusterName, topic: &TopicName, visited: Option<LastVisit>) {
        let mut all = self.write();
        let Some(connection) = all.get_mut(cluster) else { return };
        match visited {
            Some(visited) => drop(connection.visits.insert(topic.clone(), visited)),
            None => drop(connection.visits.remove(topic)),
        }
    }

    /// What the last visit to a topic left behind.
    pub(super) fn last_visit(&self, cluster: &ClusterName, topic: &TopicName) -> Option<LastVisit> {
        self.read().get(cluster)?.visits.get(topic).copied()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<ClusterName, Connection>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ClusterName, Connection>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}
