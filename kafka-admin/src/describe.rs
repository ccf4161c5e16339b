//! Requests that describe topics and the cluster, and list topics.

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, ItemResults, RequestError, check_error};
use crate::handle::{ClientHandle, Event};
use crate::input::{c_names, order_by_name};
use crate::options::{AdminOperation, Request};
use crate::sys::{self, rd};

/// A topic without its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The name.
    pub name: String,
    /// The topic id (KIP-516), which changes when a topic is deleted and created again: 22 characters, as Kafka's tools
    /// print it. `AAAAAAAAAAAAAAAAAAAAAA` from a broker older than 2.8.
    pub id: String,
    /// Whether it is internal to Kafka, like `__consumer_offsets`.
    pub internal: bool,
    /// The number of partitions.
    pub partitions: i32,
    /// The number of replicas of partition 0.
    pub replicas: i32,
    /// The smallest number of replicas of any partition.
    pub min_replicas: i32,
    /// The largest number of replicas of any partition.
    pub max_replicas: i32,
    /// The number of partitions with fewer in-sync replicas than replicas.
    pub under_replicated: i32,
    /// The number of partitions without a leader, as all are shortly after their creation.
    pub leaderless: i32,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster id, 22 characters; empty if the broker sent none.
    pub id: String,
    /// The broker that accepts changes. With KRaft this is any live broker, not the active controller.
    pub controller: Option<i32>,
    /// The live brokers.
    pub brokers: Vec<Broker>,
}

/// A live broker, as it is advertised to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// The node id.
    pub id: i32,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// `broker.rack`, if set.
    pub rack: Option<String>,
}

impl AdminClient {
    /// Describes topics (the Metadata request, as Kafka's own clients did before KIP-966). The results are in the order of
    /// `names`. A topic that does not exist has an error, does not affect the others, and is not created.
    ///
    /// Every call requests the topics from a broker: it fills librdkafka's cache but never reads it. The broker answers from
    /// its own copy of the metadata, which lags slightly behind the controller's, so a topic that was just created may be
    /// missing and one that was just deleted may be present.
    ///
    /// # Errors
    /// For one topic: it does not exist, its name is invalid, a missing authorization; the text is the code's description,
    /// because this response carries none. For the request: see [`RequestError`].
    pub async fn describe_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<ItemResults<TopicDescription>, RequestError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.start_describe_topics(names, timeout)?.wait().await
    }

    fn start_describe_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<Reply<ItemResults<TopicDescription>>, RequestError> {
        let request = Request {
            operation: "DescribeTopics",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            timeout,
            has_operation_timeout: false,
        };
        let collection = TopicCollection::new(&c_names(&request, names.iter().map(String::as_str))?)
            .ok_or_else(|| request.invalid("the batch", "refused by librdkafka"))?;
        let names = names.to_vec();
        self.start(
            request,
            // SAFETY: client, collection, options and queue are alive during the call, which copies the names and the options.
            |handle, options| unsafe {
                rd::rd_kafka_DescribeTopics(
                    handle.client(),
                    collection.0.as_ptr(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to DescribeTopics.
                let topics = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeTopics_result,
                        rd::rd_kafka_DescribeTopics_result_topics,
                    )
                };
                let topics = topics.ok_or_else(|| request.mismatch())?;
                let topics = topics.iter().filter_map(|topic| TopicRef::new(event, *topic));
                Ok(order_by_name(&names, topics.map(|topic| (topic.name(), topic.read()))))
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
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            timeout,
            has_operation_timeout: false,
        };
        self.start(
            request,
            // SAFETY: client, options and queue are alive during the call, which copies the options.
            |handle, options| unsafe {
                rd::rd_kafka_DescribeCluster(handle.client(), options.as_ptr(), handle.queue());
            },
            move |event| {
                // SAFETY: the event is alive.
                let result = unsafe { rd::rd_kafka_event_DescribeCluster_result(event.as_ptr()) };
                if result.is_null() {
                    return Err(request.mismatch());
                }
                // SAFETY: the event is alive and owns the result.
                let id = unsafe { rd::rd_kafka_DescribeCluster_result_cluster_id(result) };
                // SAFETY: the event owns the text.
                let id = unsafe { sys::text(id) };
                // SAFETY: the event is alive and owns the result.
                let controller = unsafe { rd::rd_kafka_DescribeCluster_result_controller(result) };
                let controller = NodeRef::new(event, controller).map(|node| node.read().id);
                let mut count = 0;
                // SAFETY: the event is alive and owns the result.
                let nodes = unsafe { rd::rd_kafka_DescribeCluster_result_nodes(result, &mut count) };
                // SAFETY: an array of `count` nodes that the event owns.
                let nodes = unsafe { sys::slice(nodes, count) };
                let brokers = nodes.iter().filter_map(|node| NodeRef::new(event, *node));
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
    /// librdkafka has only a blocking call for this. It runs on a thread of its own, which ends with the timeout at the
    /// latest, even if the future is dropped.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn list_topics(&self, timeout: Duration) -> Result<Vec<String>, RequestError> {
        let request = Request {
            operation: "Metadata",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_ANY,
            timeout,
            has_operation_timeout: false,
        };
        self.run_blocking(request, move |handle| {
            let metadata =
                Metadata::fetch(handle, request.timeout_ms()).map_err(|code| (code, code.description()))?;
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
        // SAFETY: an array of NUL-terminated strings with the passed length; the strings are copied.
        let collection =
            unsafe { rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
        NonNull::new(collection).map(Self)
    }
}

impl Drop for TopicCollection {
    fn drop(&mut self) {
        // SAFETY: this value owns the collection and destroys it once.
        unsafe { rd::rd_kafka_TopicCollection_destroy(self.0.as_ptr()) }
    }
}

/// One topic of a response, borrowed from its event.
struct TopicRef<'e> {
    topic: *const rd::rd_kafka_TopicDescription_t,
    _event: &'e Event,
}

impl<'e> TopicRef<'e> {
    /// `None` for a null pointer: librdkafka leaves one if the broker's response lacks a topic.
    fn new(event: &'e Event, topic: *const rd::rd_kafka_TopicDescription_t) -> Option<Self> {
        (!topic.is_null()).then_some(Self { topic, _event: event })
    }

    fn name(&self) -> String {
        // SAFETY: the event is alive and owns the topic.
        let name = unsafe { rd::rd_kafka_TopicDescription_name(self.topic) };
        // SAFETY: the topic owns the text.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn read(&self) -> Result<TopicDescription, BrokerError> {
        // SAFETY: the event is alive and owns the topic.
        let error = unsafe { rd::rd_kafka_TopicDescription_error(self.topic) };
        // SAFETY: `error` is null, or alive because the topic owns it.
        unsafe { check_error(error) }?;
        // SAFETY: the event is alive and owns the topic.
        let internal = unsafe { rd::rd_kafka_TopicDescription_is_internal(self.topic) } != 0;
        let partitions: Vec<PartitionReplicas> = self.partitions().collect();
        let replicas = || partitions.iter().map(|partition| partition.replicas);
        let count =
            |condition: fn(&&PartitionReplicas) -> bool| to_i32(partitions.iter().filter(condition).count());
        Ok(TopicDescription {
            name: self.name(),
            id: self.id(),
            internal,
            partitions: to_i32(partitions.len()),
            replicas: to_i32(replicas().next().unwrap_or(0)),
            min_replicas: to_i32(replicas().min().unwrap_or(0)),
            max_replicas: to_i32(replicas().max().unwrap_or(0)),
            under_replicated: count(|partition| partition.in_sync < partition.replicas),
            leaderless: count(|partition| !partition.has_leader),
        })
    }

    fn id(&self) -> String {
        // SAFETY: the event is alive and owns the topic.
        let id = unsafe { rd::rd_kafka_TopicDescription_topic_id(self.topic) };
        if id.is_null() {
            return uuid_text(0, 0);
        }
        // SAFETY: the topic owns the id.
        let high = unsafe { rd::rd_kafka_Uuid_most_significant_bits(id) };
        // SAFETY: as above.
        let low = unsafe { rd::rd_kafka_Uuid_least_significant_bits(id) };
        uuid_text(high.cast_unsigned(), low.cast_unsigned())
    }

    /// The partitions in ascending order, as librdkafka sorts them.
    fn partitions(&self) -> impl Iterator<Item = PartitionReplicas> {
        let mut count = 0;
        // SAFETY: the event is alive and owns the topic.
        let partitions = unsafe { rd::rd_kafka_TopicDescription_partitions(self.topic, &mut count) };
        // SAFETY: an array of `count` partitions that the topic owns.
        let partitions = unsafe { sys::slice(partitions, count) };
        partitions.iter().filter(|partition| !partition.is_null()).map(|&partition| {
            let (mut replicas, mut in_sync) = (0, 0);
            // SAFETY: the topic owns the partition; only the count is read.
            unsafe { rd::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas) };
            // SAFETY: as above.
            unsafe { rd::rd_kafka_TopicPartitionInfo_isr(partition, &mut in_sync) };
            // SAFETY: the topic owns the partition.
            let leader = unsafe { rd::rd_kafka_TopicPartitionInfo_leader(partition) };
            PartitionReplicas { replicas, in_sync, has_leader: !leader.is_null() }
        })
    }
}

struct PartitionReplicas {
    replicas: usize,
    in_sync: usize,
    has_leader: bool,
}

/// The protocol's counts have 32 bits.
fn to_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// One broker of a response, borrowed from its event.
struct NodeRef<'e> {
    node: *const rd::rd_kafka_Node_t,
    _event: &'e Event,
}

impl<'e> NodeRef<'e> {
    fn new(event: &'e Event, node: *const rd::rd_kafka_Node_t) -> Option<Self> {
        (!node.is_null()).then_some(Self { node, _event: event })
    }

    fn read(&self) -> Broker {
        // SAFETY: the event is alive and owns the node.
        let id = unsafe { rd::rd_kafka_Node_id(self.node) };
        // SAFETY: as above.
        let host = unsafe { rd::rd_kafka_Node_host(self.node) };
        // SAFETY: the text is null, or owned by the node.
        let host = unsafe { sys::text(host) };
        // SAFETY: the event is alive and owns the node.
        let port = unsafe { rd::rd_kafka_Node_port(self.node) };
        // SAFETY: the event is alive and owns the node.
        let rack = unsafe { rd::rd_kafka_Node_rack(self.node) };
        // SAFETY: the text is null, or owned by the node.
        let rack = unsafe { sys::text(rack) };
        Broker {
            id,
            host: host.unwrap_or_default().into_owned(),
            port,
            rack: rack.map(|rack| rack.into_owned()),
        }
    }
}

/// The result of librdkafka's blocking metadata call.
struct Metadata(NonNull<rd::rd_kafka_metadata>);

impl Metadata {
    fn fetch(handle: &ClientHandle, timeout_ms: i32) -> Result<Self, ErrorCode> {
        let mut metadata = std::ptr::null();
        // SAFETY: the client is alive; librdkafka writes the pointer only on success, and then the caller owns it.
        let code = unsafe {
            sys::rd_kafka_metadata(handle.client(), 1, std::ptr::null_mut(), &mut metadata, timeout_ms)
        };
        match NonNull::new(metadata.cast_mut()) {
            Some(metadata) if code == 0 => Ok(Self(metadata)),
            _ => Err(ErrorCode::from_c(code)),
        }
    }

    fn topics(&self) -> Vec<String> {
        // SAFETY: this value owns the metadata.
        let count = unsafe { (*self.0.as_ptr()).topic_cnt };
        // SAFETY: as above.
        let topics = unsafe { (*self.0.as_ptr()).topics };
        let count = usize::try_from(count).unwrap_or(0);
        (0..count)
            .map(|index| {
                // SAFETY: the array has `count` elements.
                let topic = unsafe { topics.add(index) };
                // Reads only this field, without a reference to the struct: its error code is a Rust enum that may hold an
                // unlisted value.
                // SAFETY: the element is alive.
                let name = unsafe { (*topic).topic };
                // SAFETY: the metadata owns the text.
                let name = unsafe { sys::text(name) };
                name.unwrap_or_default().into_owned()
            })
            .collect()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: this value owns the metadata and destroys it once.
        unsafe { rd::rd_kafka_metadata_destroy(self.0.as_ptr()) }
    }
}

/// A UUID as Kafka's `Uuid.toString` prints it: base64 with the URL-safe alphabet and without padding. librdkafka's own
/// text uses the standard alphabet: `+` and `/` where Kafka prints `-` and `_`.
fn uuid_text(high: u64, low: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = (u128::from(high) << 64) | u128::from(low);
    // 21 groups of six bits from the top, then the last two bits followed by four zeros.
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
        // The id of Kafka's metadata topic is the UUID 0, 1.
        assert_eq!(uuid_text(0, 1), "AAAAAAAAAAAAAAAAAAAAAQ");
        // All ones: every letter is the last of the alphabet, which differs from standard base64.
        assert_eq!(uuid_text(u64::MAX, u64::MAX), "_____________________w");
        // The output of Python's base64.urlsafe_b64encode.
        assert_eq!(uuid_text(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321), "EjRWeJq83vAP7cuph2VDIQ");
    }
}
