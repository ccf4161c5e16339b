//! Requests that look: at topics, at the cluster, at the list of topics.

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, RequestError};
use crate::handle::{Event, Link};
use crate::input::{c_names, in_order};
use crate::options::{Api, Request};
use crate::sys::{self, rd};

/// What a topic is, without its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The name.
    pub name: String,
    /// The topic's identity (KIP-516), which a topic of the same name made later does not share: 22 characters, as Kafka's
    /// tools print it. `AAAAAAAAAAAAAAAAAAAAAA` from a broker older than 2.8.
    pub id: String,
    /// Whether Kafka made it for itself, like `__consumer_offsets`.
    pub internal: bool,
    /// The number of partitions.
    pub partitions: i32,
    /// The number of replicas of partition 0.
    pub replicas: i32,
    /// The smallest number of replicas of any partition.
    pub min_replicas: i32,
    /// The largest number of replicas of any partition.
    pub max_replicas: i32,
    /// How many partitions have fewer replicas in sync than replicas.
    pub under_replicated: i32,
    /// How many partitions have no leader, as all have for a moment after they were made.
    pub leaderless: i32,
}

/// What a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's identity, 22 characters; empty if the broker told none.
    pub id: String,
    /// The broker to send changes to. With KRaft this is any live broker, not the active controller.
    pub controller: Option<i32>,
    /// The live brokers.
    pub brokers: Vec<Broker>,
}

/// A live broker, as it presents itself to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// The node's id.
    pub id: i32,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// `broker.rack`, if set.
    pub rack: Option<String>,
}

type Described = Vec<Result<TopicDescription, BrokerError>>;

impl AdminClient {
    /// Describes topics (the Metadata request, as Kafka's own clients did before KIP-966). The results are in the order of
    /// `names`; a topic that does not exist has an error and does not disturb the others, nor is it created.
    ///
    /// Every call asks a broker anew: librdkafka's cache is filled by it, never read. The broker answers from its own copy
    /// of the metadata, which lags the controller's a little, so what was just made can be missing and what was just
    /// removed can be there.
    ///
    /// # Errors
    /// For one topic: it does not exist, an invalid name, a missing right; the text is the code's description, as the
    /// protocol has none here. For the request: see [`RequestError`].
    pub async fn describe_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<Described, RequestError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.start_describe_topics(names, timeout)?.wait().await
    }

    fn start_describe_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<Reply<Described>, RequestError> {
        let request = Request {
            operation: "DescribeTopics",
            api: Api::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            timeout,
            tells_broker: false,
        };
        let collection = TopicCollection::new(&c_names(&request, names.iter().map(String::as_str))?)
            .ok_or_else(|| request.invalid("the batch", "refused by librdkafka"))?;
        let names = names.to_vec();
        self.start(
            request,
            // SAFETY: client, collection, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DescribeTopics(
                    link.client(),
                    collection.0.as_ptr(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are DescribeTopics'.
                let topics = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeTopics_result,
                        rd::rd_kafka_DescribeTopics_result_topics,
                    )
                };
                let topics = topics.ok_or_else(|| request.mismatch())?;
                let topics = topics.iter().filter_map(|topic| Topic::of(event, *topic));
                Ok(in_order(&names, topics.map(|topic| (topic.name(), topic.read()))))
            },
        )
    }

    /// Describes the cluster (DescribeCluster, sent as a Metadata request without topics).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn describe_cluster(&self, timeout: Duration) -> Result<ClusterDescription, RequestError> {
        self.start_describe_cluster(timeout)?.wait().await
    }

    fn start_describe_cluster(&self, timeout: Duration) -> Result<Reply<ClusterDescription>, RequestError> {
        let request = Request {
            operation: "DescribeCluster",
            api: Api::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            timeout,
            tells_broker: false,
        };
        self.start(
            request,
            // SAFETY: client, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DescribeCluster(link.client(), options.as_ptr(), link.queue());
            },
            move |event| {
                // SAFETY: the event is alive.
                let result = unsafe { rd::rd_kafka_event_DescribeCluster_result(event.as_ptr()) };
                if result.is_null() {
                    return Err(request.mismatch());
                }
                // SAFETY: the result belongs to the event.
                let id = unsafe { rd::rd_kafka_DescribeCluster_result_cluster_id(result) };
                // SAFETY: belongs to the event.
                let id = unsafe { sys::text(id) };
                // SAFETY: the result belongs to the event.
                let controller = unsafe { rd::rd_kafka_DescribeCluster_result_controller(result) };
                let controller = Node::of(event, controller).map(|node| node.read().id);
                let mut count = 0;
                // SAFETY: the result belongs to the event.
                let nodes = unsafe { rd::rd_kafka_DescribeCluster_result_nodes(result, &mut count) };
                // SAFETY: an array of `count` nodes that belongs to the event.
                let nodes = unsafe { sys::slice(nodes, count) };
                let brokers = nodes.iter().filter_map(|node| Node::of(event, *node));
                Ok(ClusterDescription {
                    id: id.unwrap_or_default().into_owned(),
                    controller,
                    brokers: brokers.map(|node| node.read()).collect(),
                })
            },
        )
    }

    /// The names of all topics that the caller may describe, internal ones too, sorted (the Metadata request).
    ///
    /// librdkafka has only a blocking call for this, which runs on a thread of its own that ends by the timeout at the
    /// latest. When the future is dropped the thread goes on until then.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn list_topics(&self, timeout: Duration) -> Result<Vec<String>, RequestError> {
        let request =
            Request { operation: "Metadata", api: Api::RD_KAFKA_ADMIN_OP_ANY, timeout, tells_broker: false };
        self.on_thread(request, move |link| {
            let metadata =
                Metadata::fetch(link, request.timeout_ms()).map_err(|code| (code, code.description()))?;
            let mut names = metadata.topics();
            names.sort_unstable();
            Ok(names)
        })
        .await
    }
}

/// The names for DescribeTopics.
struct TopicCollection(NonNull<rd::rd_kafka_TopicCollection_t>);

impl TopicCollection {
    fn new(names: &[CString]) -> Option<Self> {
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: an array of that many NUL-terminated strings, which are copied.
        let collection =
            unsafe { rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
        NonNull::new(collection).map(Self)
    }
}

impl Drop for TopicCollection {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { rd::rd_kafka_TopicCollection_destroy(self.0.as_ptr()) }
    }
}

/// One topic of an answer, borrowed from its event.
struct Topic<'e> {
    topic: *const rd::rd_kafka_TopicDescription_t,
    _event: &'e Event,
}

impl<'e> Topic<'e> {
    /// `None` for a hole in the array: librdkafka leaves one where the broker left a topic out.
    fn of(event: &'e Event, topic: *const rd::rd_kafka_TopicDescription_t) -> Option<Self> {
        (!topic.is_null()).then_some(Self { topic, _event: event })
    }

    fn name(&self) -> String {
        // SAFETY: the topic belongs to the event, which is alive.
        let name = unsafe { rd::rd_kafka_TopicDescription_name(self.topic) };
        // SAFETY: belongs to the topic.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn read(&self) -> Result<TopicDescription, BrokerError> {
        // SAFETY: the topic is alive.
        let error = unsafe { rd::rd_kafka_TopicDescription_error(self.topic) };
        if !error.is_null() {
            // SAFETY: the error belongs to the topic.
            let code = unsafe { sys::rd_kafka_error_code(error) };
            // SAFETY: as above.
            let message = unsafe { rd::rd_kafka_error_string(error) };
            // SAFETY: belongs to the error.
            let message = unsafe { sys::text(message) };
            return Err(BrokerError::new(ErrorCode::from_c(code), message.as_deref()));
        }
        // SAFETY: the topic is alive.
        let internal = unsafe { rd::rd_kafka_TopicDescription_is_internal(self.topic) } != 0;
        let partitions: Vec<Replication> = self.partitions().collect();
        let replicas = || partitions.iter().map(|partition| partition.replicas);
        let how_many =
            |condition: fn(&&Replication) -> bool| to_i32(partitions.iter().filter(condition).count());
        Ok(TopicDescription {
            name: self.name(),
            id: self.id(),
            internal,
            partitions: to_i32(partitions.len()),
            replicas: to_i32(replicas().next().unwrap_or(0)),
            min_replicas: to_i32(replicas().min().unwrap_or(0)),
            max_replicas: to_i32(replicas().max().unwrap_or(0)),
            under_replicated: how_many(|partition| partition.in_sync < partition.replicas),
            leaderless: how_many(|partition| !partition.has_leader),
        })
    }

    fn id(&self) -> String {
        // SAFETY: the topic is alive.
        let id = unsafe { rd::rd_kafka_TopicDescription_topic_id(self.topic) };
        if id.is_null() {
            return uuid_text(0, 0);
        }
        // SAFETY: the id belongs to the topic.
        let high = unsafe { rd::rd_kafka_Uuid_most_significant_bits(id) };
        // SAFETY: as above.
        let low = unsafe { rd::rd_kafka_Uuid_least_significant_bits(id) };
        uuid_text(high.cast_unsigned(), low.cast_unsigned())
    }

    /// In the order of the partitions' numbers, by which librdkafka sorts.
    fn partitions(&self) -> impl Iterator<Item = Replication> {
        let mut count = 0;
        // SAFETY: the topic is alive.
        let partitions = unsafe { rd::rd_kafka_TopicDescription_partitions(self.topic, &mut count) };
        // SAFETY: an array of `count` partitions that belongs to the topic.
        let partitions = unsafe { sys::slice(partitions, count) };
        partitions.iter().filter(|partition| !partition.is_null()).map(|&partition| {
            let (mut replicas, mut in_sync) = (0, 0);
            // SAFETY: the partition belongs to the topic; only the count is wanted.
            unsafe { rd::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas) };
            // SAFETY: as above.
            unsafe { rd::rd_kafka_TopicPartitionInfo_isr(partition, &mut in_sync) };
            // SAFETY: the partition belongs to the topic.
            let leader = unsafe { rd::rd_kafka_TopicPartitionInfo_leader(partition) };
            Replication { replicas, in_sync, has_leader: !leader.is_null() }
        })
    }
}

struct Replication {
    replicas: usize,
    in_sync: usize,
    has_leader: bool,
}

/// Counts of the protocol are 32 bits.
fn to_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// One broker of an answer, borrowed from its event.
struct Node<'e> {
    node: *const rd::rd_kafka_Node_t,
    _event: &'e Event,
}

impl<'e> Node<'e> {
    fn of(event: &'e Event, node: *const rd::rd_kafka_Node_t) -> Option<Self> {
        (!node.is_null()).then_some(Self { node, _event: event })
    }

    fn read(&self) -> Broker {
        // SAFETY: the node belongs to the event, which is alive.
        let id = unsafe { rd::rd_kafka_Node_id(self.node) };
        // SAFETY: as above.
        let host = unsafe { rd::rd_kafka_Node_host(self.node) };
        // SAFETY: belongs to the node, or is null.
        let host = unsafe { sys::text(host) };
        // SAFETY: the node is alive.
        let port = unsafe { rd::rd_kafka_Node_port(self.node) };
        // SAFETY: the node is alive.
        let rack = unsafe { rd::rd_kafka_Node_rack(self.node) };
        // SAFETY: belongs to the node, or is null.
        let rack = unsafe { sys::text(rack) };
        Broker {
            id,
            host: host.unwrap_or_default().into_owned(),
            port,
            rack: rack.map(|rack| rack.into_owned()),
        }
    }
}

/// The answer of librdkafka's blocking metadata call.
struct Metadata(NonNull<rd::rd_kafka_metadata>);

impl Metadata {
    fn fetch(link: &Link, timeout_ms: i32) -> Result<Self, ErrorCode> {
        let mut metadata = std::ptr::null();
        // SAFETY: the client is alive; it writes the pointer only on success, and then it is ours.
        let code = unsafe {
            sys::rd_kafka_metadata(link.client(), 1, std::ptr::null_mut(), &mut metadata, timeout_ms)
        };
        match NonNull::new(metadata.cast_mut()) {
            Some(metadata) if code == 0 => Ok(Self(metadata)),
            _ => Err(ErrorCode::from_c(code)),
        }
    }

    fn topics(&self) -> Vec<String> {
        // SAFETY: ours and alive.
        let count = unsafe { (*self.0.as_ptr()).topic_cnt };
        // SAFETY: as above.
        let topics = unsafe { (*self.0.as_ptr()).topics };
        let count = usize::try_from(count).unwrap_or(0);
        (0..count)
            .map(|index| {
                // SAFETY: the array has `count` elements.
                let topic = unsafe { topics.add(index) };
                // Only this field is read and no reference to the whole is made: the error code beside it is a Rust enum
                // that may hold an unknown value.
                // SAFETY: the element is alive.
                let name = unsafe { (*topic).topic };
                // SAFETY: belongs to the metadata.
                let name = unsafe { sys::text(name) };
                name.unwrap_or_default().into_owned()
            })
            .collect()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { rd::rd_kafka_metadata_destroy(self.0.as_ptr()) }
    }
}

/// A UUID as Kafka's `Uuid.toString` prints it: base64 with the URL-safe alphabet and without padding. librdkafka's own
/// text of it uses the standard alphabet, so that `+` and `/` stand where Kafka prints `-` and `_`.
fn uuid_text(high: u64, low: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = (u128::from(high) << 64) | u128::from(low);
    // 21 times six bits from the top, and the last two bits with four zeros after them.
    (0..22)
        .map(|index| {
            let six = if index < 21 { bits >> (122 - 6 * index) } else { bits << 4 };
            char::from(ALPHABET[usize::try_from(six & 63).unwrap_or(0)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::uuid_text;

    #[test]
    fn uuids_are_printed_as_kafka_prints_them() {
        assert_eq!(uuid_text(0, 0), "AAAAAAAAAAAAAAAAAAAAAA");
        // Kafka's id of the metadata topic, the UUID 0, 1.
        assert_eq!(uuid_text(0, 1), "AAAAAAAAAAAAAAAAAAAAAQ");
        // All ones: every letter is the last of the alphabet, which differs from standard base64.
        assert_eq!(uuid_text(u64::MAX, u64::MAX), "_____________________w");
        // What Python's base64.urlsafe_b64encode says.
        assert_eq!(uuid_text(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321), "EjRWeJq83vAP7cuph2VDIQ");
    }
}
