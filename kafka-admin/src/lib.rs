//! A small asynchronous Kafka admin client over librdkafka.
//!
//! It exists because rdkafka's own `AdminClient` drops the broker's error text, alters configuration with the legacy request
//! that resets every key not named, and lacks IncrementalAlterConfigs, DescribeTopics (topic ids), DescribeCluster and ACLs.
//!
//! # Map
//! - [`AdminClient`] (`client`): its creation and closing, the polling thread, the path of a request.
//! - `topic`, `config`, `describe`, `acl`: the requests by subject, with the decoding of their responses.
//! - `produce`: producing messages. `offset`: the first and last offsets of partitions.
//! - [`Consumer`] (`consumer`): reading partitions from given offsets, without a consumer group.
//! - `input`: validation of input; `options`: timeouts; `error`: the errors of each level.
//! - `handle`: owners of librdkafka's long-lived objects; `sys`: corrected bindings.
//!
//! # Invariants
//! - This is the only crate of the workspace with unsafe code. Nothing is freed twice or read after it was freed, whatever
//!   the caller, the broker or the order of events. No panic crosses into C, because C never calls Rust.
//! - The results of a batch are in the order of its input. Results that carry names are matched by name; those of ACLs,
//!   which carry none, by position.
//! - An empty batch returns without a request.
//! - Nothing here creates a topic except [`AdminClient::create_topics`].
//!
//! # Deliberately absent
//! Retries, batching, rate limits, and waiting until a change is visible: the caller does these. OAUTHBEARER works only with
//! librdkafka's built-in methods: the caller cannot provide tokens.
//!
//! # Relevant behaviour of librdkafka 2.12
//! - **Staleness.** No response comes from its cache: it sends each request. But a broker answers from its own copy of the
//!   metadata, and with KRaft the "controller" to which librdkafka sends requests is any live broker (it forwards changes).
//!   So a describe after a change may return the state before it: usually for some milliseconds, for seconds after a batch
//!   of thousands.
//! - **Order.** A broker handles the requests of one connection in order, so many small concurrent changes queue behind each
//!   other (about 30 ms each with KRaft's default append linger). Batches avoid this.
//! - **Connections.** With sparse connections, the default, a request that waits for a known broker which refuses connections
//!   makes librdkafka reconnect without a pause and keep a CPU busy. Therefore this client sets
//!   `enable.sparse.connections=false`: one connection to each broker, and pauses of up to 3 s between attempts.
//! - **Limits.** [`MAX_TOPICS_PER_REQUEST`] topics and [`MAX_ACLS_PER_REQUEST`] ACLs; the reasons are documented there.
//! - **Single failures.** An unknown or unauthorized topic gets its own error. Input that librdkafka cannot express fails the
//!   batch with [`RequestError::InvalidInput`] before anything is sent.
//! - **Timeouts.** A request first waits for a connection. Without a reachable broker, with a wrong password or with a failing
//!   TLS handshake it ends with [`RequestError::Timeout`], not earlier, and the error contains the last connection error; the
//!   observer receives that error immediately. A topic whose change the broker did not finish in time has the error
//!   `REQUEST_TIMED_OUT`.
//! - **Texts.** Kafka's own text comes with CreateTopics, CreatePartitions, both configuration requests and the ACL requests.
//!   DeleteTopics and Metadata carry only a code in the versions that librdkafka uses.

mod acl;
mod client;
mod config;
mod consumer;
mod describe;
mod error;
mod handle;
mod input;
mod offset;
mod options;
mod produce;
mod sys;
mod topic;

pub use acl::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, MAX_ACLS_PER_REQUEST, PatternType,
    ResourceType,
};
pub use client::{AdminClient, ClientEvent};
pub use config::{ConfigEntries, ConfigEntry, ConfigSource, TopicConfigAlteration};
pub use consumer::{Consumer, Polled, Record};
pub use describe::{Broker, ClusterDescription, TopicDescription};
pub use error::{BrokerError, ErrorCode, ItemResults, NewClientError, RequestError};
pub use input::MAX_TOPICS_PER_REQUEST;
pub use offset::OffsetSpec;
pub use produce::Message;
pub use topic::NewTopic;
