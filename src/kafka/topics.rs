//! A connection to one Kafka cluster and what can be done there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_kafka_admin::{
    AdminClient, BrokerError, ClientEvent, ConfigEntries, ErrorCode, NewTopic, RequestError,
    TopicConfigAlteration, TopicDescription,
};
use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};
use tokio::time::Instant;

use super::acls::Acls;
use super::batch::{Batched, Batcher};
use super::{Error, Metrics, Settings};
use crate::domain::topic::Observed;

/// How long Kafka has for one request. A broker that is only slow is waited for; one that does not
/// answer by then is tried again later.
pub(super) const REQUEST: Duration = Duration::from_secs(20);

/// How long Kafka has to say how it is.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How many topics one look at Kafka names. Each answer has some 35 configuration entries, which
/// librdkafka holds in memory all at once.
const DESCRIBED: usize = 500;

/// How many partitions one request adds to a topic. Asked for more than 10,000, Kafka 4.3 answers
/// with an unknown error and adds 10,000 all the same, and again with every further try.
const GROWTH: i32 = 9_999;

/// How long Kafka may take to show a topic that it has accepted. It shows those of one request
/// together, once it has made the logs of those before.
const VISIBLE: Duration = Duration::from_secs(60);

/// The same for what is left when it has shown some of them.
const VISIBLE_TOO: Duration = Duration::from_secs(2);

/// How soon it is asked, and asked again at the latest.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const NEXT_LOOK: Duration = Duration::from_millis(160);

/// What a Kafka cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Its identifier.
    pub id: String,
    /// Number of brokers.
    pub brokers: usize,
}

/// A connection to one Kafka cluster.
pub struct Kafka {
    pub(super) link: Link,
    pub(super) acls: Acls,
    observing: Batcher<Observing>,
    creating: Batcher<Creating>,
    altering: Batcher<Altering>,
    growing: Batcher<Growing>,
    deleting: Batcher<Deleting>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("cluster", &self.link.cluster).finish_non_exhaustive()
    }
}

/// The client, and what notes its requests.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Arc<AdminClient>,
    cluster: ClusterName,
    metrics: Metrics,
}

impl Link {
    /// Notes how a request went and gives its answers, or the failure of the whole to each topic.
    pub(super) async fn note<T>(
        &self,
        operation: &'static str,
        topics: usize,
        request: impl Future<Output = Result<Vec<Result<T, BrokerError>>, RequestError>>,
    ) -> Vec<Result<T, Error>> {
        let start = Instant::now();
        let answer = request.await.map_err(Error::from);
        let outcome = answer.as_ref().map_or_else(|error| error.reason().as_str(), |_| "success");
        let seconds = start.elapsed().as_secs_f64();
        self.metrics.observe(self.cluster.as_ref(), operation, outcome, topics, seconds);
        match answer {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| answer.map_err(|source| Error::Topic { operation, source }))
                .collect(),
            Err(error) => {
                // Kafka without an authorizer is told where somebody asks for access.
                if error.reason() != Reason::AuthorizerMissing {
                    tracing::warn!(cluster = %self.cluster, operation, topics, %error, "a request to Kafka failed");
                }
                std::iter::repeat_with(|| Err(error.clone())).take(topics).collect()
            }
        }
    }
}

impl Kafka {
    /// Prepares a connection. Nothing is sent yet: a cluster that cannot be reached shows with the
    /// first request.
    ///
    /// # Errors
    /// Settings that the Kafka client cannot use, such as a certificate that is none.
    pub fn connect(cluster: &ClusterName, settings: &Settings, metrics: &Metrics) -> Result<Self, Error> {
        let name = cluster.clone();
        let client = AdminClient::new(&settings.properties(), move |event| note(&name, event))?;
        let link = Link { client: Arc::new(client), cluster: cluster.clone(), metrics: metrics.clone() };
        Ok(Self {
            observing: Batcher::start(Observing(link.clone())),
            creating: Batcher::start(Creating(link.clone())),
            altering: Batcher::start(Altering(link.clone())),
            growing: Batcher::start(Growing(link.clone())),
            deleting: Batcher::start(Deleting(link.clone())),
            acls: Acls::start(&link),
            link,
        })
    }

    /// Asks the cluster how it is.
    ///
    /// # Errors
    /// It does not answer, or does not let the operator in.
    pub async fn describe(&self) -> Result<ClusterFacts, Error> {
        let description = self.link.client.describe_cluster(HEARTBEAT).await?;
        Ok(ClusterFacts { id: description.id, brokers: description.brokers.len() })
    }

    /// The names of all topics that the operator may see, in order.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn topics(&self) -> Result<Vec<String>, Error> {
        let request = async { Ok(vec![Ok(self.link.client.list_topics(REQUEST).await?)]) };
        self.link.note("Metadata", 1, request).await.into_iter().next().unwrap_or(Err(Error::Closed))
    }

    /// What Kafka has under that name, if anything.
    ///
    /// # Errors
    /// Kafka does not answer, or does not let the operator see it.
    pub async fn observe(&self, topic: &TopicName) -> Result<Option<Observed>, Error> {
        self.observing.call(topic.clone()).await
    }

    /// What Kafka has under many names, in few requests and in the order of the names.
    pub async fn observe_all(&self, topics: &[TopicName]) -> Vec<Result<Option<Observed>, Error>> {
        let mut all = Vec::with_capacity(topics.len());
        for some in topics.chunks(DESCRIBED) {
            all.extend(observe(&self.link, some).await);
        }
        all
    }

    /// Makes a topic and tells what Kafka has then. Making one that exists already succeeds and
    /// tells what it is.
    ///
    /// # Errors
    /// Kafka refuses it, in its own words, or does not answer, or does not show it for long.
    pub async fn create(
        &self,
        topic: &TopicName,
        partitions: i32,
        replicas: Option<i32>,
        config: &BTreeMap<String, String>,
    ) -> Result<Observed, Error> {
        let new = New { topic: topic.clone(), partitions, replicas, config: config.clone() };
        self.creating.call(new).await
    }

    /// Sets and resets configuration keys of a topic and leaves all others alone (KIP-339).
    ///
    /// # Errors
    /// Kafka refuses a value, in its own words, or does not answer.
    pub async fn alter_config(
        &self,
        topic: &TopicName,
        set: Vec<(String, String)>,
        reset: Vec<String>,
    ) -> Result<(), Error> {
        self.altering.call(Alteration { topic: topic.clone(), set, reset }).await
    }

    /// Grows a topic to that many partitions.
    ///
    /// # Errors
    /// Kafka refuses it, in its own words, or does not answer; or it is more than Kafka can do at once.
    pub async fn add_partitions(&self, topic: &TopicName, from: i32, to: i32) -> Result<(), Error> {
        if to.saturating_sub(from) > GROWTH {
            return Err(Error::Request(RequestError::InvalidInput {
                operation: "CreatePartitions",
                item: topic.to_string(),
                reason: format!("Kafka adds at most {GROWTH} partitions at once: declare fewer"),
            }));
        }
        self.growing.call(Growth { topic: topic.clone(), from, to }).await
    }

    /// Deletes a topic and its data. Deleting one that is not there succeeds.
    ///
    /// # Errors
    /// Kafka refuses it, in its own words, or does not answer.
    pub async fn delete(&self, topic: &TopicName) -> Result<(), Error> {
        match self.deleting.call(topic.clone()).await {
            Err(Error::Topic { source, .. }) if source.is_unknown_topic() => Ok(()),
            result => result,
        }
    }
}

fn note(cluster: &ClusterName, event: ClientEvent) {
    match event {
        ClientEvent::Log { level, facility, message } if level <= 4 => {
            tracing::warn!(%cluster, facility, "{message}");
        }
        ClientEvent::Log { facility, message, .. } => tracing::debug!(%cluster, facility, "{message}"),
        // Said again with every try while a broker is away; what fails because of it is told there.
        ClientEvent::Error { code: ErrorCode::ALL_BROKERS_DOWN, message } => {
            tracing::debug!(%cluster, "{message}")
        }
        ClientEvent::Error { code, message } => tracing::warn!(%cluster, code = %code.name(), "{message}"),
        _ => {}
    }
}

async fn observe(link: &Link, topics: &[TopicName]) -> Vec<Result<Option<Observed>, Error>> {
    let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
    let described =
        link.note("DescribeTopics", names.len(), link.client.describe_topics(&names, REQUEST)).await;
    let existing: Vec<String> =
        described.iter().filter_map(|answer| Some(answer.as_ref().ok()?.name.clone())).collect();
    let configs = if existing.is_empty() {
        Vec::new()
    } else {
        let request = link.client.describe_config_overrides(&existing, REQUEST);
        link.note("DescribeConfigs", existing.len(), wrapped(request)).await
    };
    let mut configs = configs.into_iter();
    described
        .into_iter()
        .map(|answer| match answer {
            Ok(description) => match configs.next() {
                Some(Ok(Ok(entries))) => Ok(Some(observed(description, entries))),
                Some(Ok(Err(source)) | Err(Error::Topic { source, .. })) if source.is_unknown_topic() => {
                    Ok(None)
                }
                Some(Ok(Err(source))) => Err(Error::Topic { operation: "DescribeConfigs", source }),
                Some(Err(error)) => Err(error),
                None => Err(Error::Closed),
            },
            Err(Error::Topic { source, .. }) if source.is_unknown_topic() => Ok(None),
            Err(error) => Err(error),
        })
        .collect()
}

/// Keeps each topic's own answer apart from the answer to the request.
async fn wrapped(
    request: impl Future<Output = Result<Vec<ConfigEntries>, RequestError>>,
) -> Result<Vec<Result<ConfigEntries, BrokerError>>, RequestError> {
    Ok(request.await?.into_iter().map(Ok).collect())
}

fn observed(description: TopicDescription, entries: Vec<eventcenter_kafka_admin::ConfigEntry>) -> Observed {
    Observed {
        id: description.id,
        partitions: description.partitions,
        replicas: description.min_replicas,
        config: entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect(),
    }
}

struct Observing(Link);

impl Batched for Observing {
    type Operation = TopicName;
    type Answer = Option<Observed>;

    fn topic(operation: &TopicName) -> &TopicName {
        operation
    }

    fn weight(_: &TopicName) -> usize {
        8 // Nothing is written: this bounds a request at DESCRIBED topics.
    }

    async fn send(&self, topics: Vec<TopicName>) -> Vec<Result<Option<Observed>, Error>> {
        observe(&self.0, &topics).await
    }
}

struct New {
    topic: TopicName,
    partitions: i32,
    replicas: Option<i32>,
    config: BTreeMap<String, String>,
}

struct Creating(Link);

impl Batched for Creating {
    type Operation = New;
    type Answer = Observed;

    fn topic(operation: &New) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &New) -> usize {
        // The least bounds a request at 250 topics, which take a broker two to five seconds: it
        // makes their logs while the status of those before is written.
        (1 + usize::try_from(operation.partitions).unwrap_or_default() + operation.config.len()).max(16)
    }

    /// Ends when Kafka shows the topics. What arrives meanwhile makes the next request, so that a
    /// broker which is slow to make them is asked for fewer, larger ones and seldom asked how far it is.
    async fn send(&self, operations: Vec<New>) -> Vec<Result<Observed, Error>> {
        let names: Vec<TopicName> = operations.iter().map(|new| new.topic.clone()).collect();
        let topics: Vec<NewTopic> = operations
            .into_iter()
            .map(|new| NewTopic {
                name: new.topic.to_string(),
                partitions: Some(new.partitions),
                replicas: new.replicas.and_then(|replicas| i16::try_from(replicas).ok()),
                config: new.config.into_iter().collect(),
            })
            .collect();
        let made =
            self.0.note("CreateTopics", topics.len(), self.0.client.create_topics(&topics, REQUEST)).await;
        let mut answers: Vec<Result<Observed, Error>> = made
            .into_iter()
            .map(|made| match made {
                Err(Error::Topic { source, .. }) if source.is_topic_already_exists() => Err(Error::NotShown),
                Err(error) => Err(error),
                Ok(()) => Err(Error::NotShown),
            })
            .collect();
        self.show(&names, &mut answers).await;
        answers
    }
}

impl Creating {
    /// Waits until Kafka shows what it has accepted, and fills it in.
    async fn show(&self, names: &[TopicName], answers: &mut [Result<Observed, Error>]) {
        let (mut deadline, mut pause) = (Instant::now() + VISIBLE, FIRST_LOOK);
        loop {
            let hidden: Vec<usize> =
                (0..answers.len()).filter(|index| matches!(answers[*index], Err(Error::NotShown))).collect();
            let (Some(first), Some(last)) = (hidden.first(), hidden.last()) else { return };
            let shown = match self.is_shown([&names[*first], &names[*last]]).await {
                true => self.fill_in(&hidden, names, answers).await,
                false => 0,
            };
            if shown > 0 {
                deadline = deadline.min(Instant::now() + VISIBLE_TOO);
            }
            if shown == hidden.len() || Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(NEXT_LOOK);
        }
    }

    /// Whether one of these is shown, or there is something else to be told of them.
    async fn is_shown(&self, topics: [&TopicName; 2]) -> bool {
        let mut names: Vec<String> = topics.iter().map(ToString::to_string).collect();
        names.dedup();
        let request = self.0.client.describe_topics(&names, REQUEST);
        let unknown = |answer: &Result<_, _>| matches!(answer, Err(Error::Topic { source, .. }) if source.is_unknown_topic());
        !self.0.note("DescribeTopics", names.len(), request).await.iter().all(unknown)
    }

    /// Looks at all that were hidden; returns how many are not any more.
    async fn fill_in(
        &self,
        hidden: &[usize],
        names: &[TopicName],
        answers: &mut [Result<Observed, Error>],
    ) -> usize {
        let mut shown = 0;
        for some in hidden.chunks(DESCRIBED) {
            let topics: Vec<TopicName> = some.iter().map(|index| names[*index].clone()).collect();
            for (index, found) in some.iter().zip(observe(&self.0, &topics).await) {
                if let Some(found) = found.transpose() {
                    answers[*index] = found;
                    shown += 1;
                }
            }
        }
        shown
    }
}

struct Alteration {
    topic: TopicName,
    set: Vec<(String, String)>,
    reset: Vec<String>,
}

struct Altering(Link);

impl Batched for Altering {
    type Operation = Alteration;
    type Answer = ();

    fn topic(operation: &Alteration) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &Alteration) -> usize {
        // At least as much as bounds a request's number of topics.
        (operation.set.len() + operation.reset.len()).max(4)
    }

    async fn send(&self, operations: Vec<Alteration>) -> Vec<Result<(), Error>> {
        let alterations: Vec<TopicConfigAlteration> = operations
            .into_iter()
            .map(|alteration| TopicConfigAlteration {
                topic: alteration.topic.to_string(),
                set: alteration.set,
                reset: alteration.reset,
            })
            .collect();
        let request = self.0.client.incremental_alter_configs(&alterations, REQUEST);
        self.0.note("IncrementalAlterConfigs", alterations.len(), request).await
    }
}

struct Growth {
    topic: TopicName,
    from: i32,
    to: i32,
}

struct Growing(Link);

impl Batched for Growing {
    type Operation = Growth;
    type Answer = ();

    fn topic(operation: &Growth) -> &TopicName {
        &operation.topic
    }

    fn weight(operation: &Growth) -> usize {
        usize::try_from(operation.to.saturating_sub(operation.from)).unwrap_or_default().max(4)
    }

    async fn send(&self, operations: Vec<Growth>) -> Vec<Result<(), Error>> {
        let growths: Vec<(String, i32)> =
            operations.iter().map(|growth| (growth.topic.to_string(), growth.to)).collect();
        self.0
            .note("CreatePartitions", growths.len(), self.0.client.create_partitions(&growths, REQUEST))
            .await
    }
}

struct Deleting(Link);

impl Batched for Deleting {
    type Operation = TopicName;
    type Answer = ();

    fn topic(operation: &TopicName) -> &TopicName {
        operation
    }

    fn weight(_: &TopicName) -> usize {
        4
    }

    async fn send(&self, topics: Vec<TopicName>) -> Vec<Result<(), Error>> {
        let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
        self.0.note("DeleteTopics", names.len(), self.0.client.delete_topics(&names, REQUEST)).await
    }
}
