//! A small asynchronous Kafka admin client over librdkafka.
//!
//! It exists because rdkafka's own `AdminClient` drops the broker's error text, alters configuration by the legacy request
//! that resets every key not named, and lacks IncrementalAlterConfigs, DescribeTopics (topic ids), DescribeCluster and ACLs.
//!
//! # Map
//! - [`AdminClient`] (`client`): making and closing it, the polling thread, the way of a request.
//! - `topic`, `config`, `describe`, `acl`: the requests by what they are about, with the decoding of their answers.
//! - `message`: appending a message to a topic, for the few that an administrator has to say.
//! - `input`: what can be sent; `options`: timeouts; `error`: what can go wrong on which level.
//! - `handle`: owners of librdkafka's long-lived objects; `sys`: corrected bindings.
//!
//! # What holds
//! - Unsafe code is here and nowhere else in the workspace. Nothing is freed twice or read after it was freed, whatever the
//!   caller, the broker or the order of events does; no panic crosses into C, because C never calls Rust.
//! - A batch's results are in the order of its input, and each was matched by name.
//! - An empty batch is answered without a request.
//! - Nothing here creates a topic except [`AdminClient::create_topics`].
//!
//! # Absent on purpose
//! Retries, batching and rates are the caller's; so is waiting for a change to be visible. OAUTHBEARER works only with
//! librdkafka's built-in methods: tokens cannot be handed in.
//!
//! # How librdkafka 2.12 behaves, where it matters
//! - **Staleness.** No answer comes from its cache: each request is sent. But a broker answers from its own copy of the
//!   metadata, and with KRaft the "controller" that librdkafka sends all requests to is any live broker (it forwards
//!   changes), so a look after a change may see the state before it: usually for some milliseconds, for seconds behind a
//!   batch of thousands.
//! - **One at a time.** A broker handles the requests of one connection in order, so many small changes at once queue up
//!   behind each other (with KRaft's default append linger about 30 ms each). Batches are what makes it fast.
//! - **Connections.** With its default of sparse connections, a request that waits for a known broker which refuses
//!   connections makes librdkafka try again without any pause, which keeps a processor busy. Therefore this client sets
//!   `enable.sparse.connections=false`: one connection to each broker, and pauses of up to 3 s between attempts.
//! - **Limits.** [`MAX_TOPICS_PER_REQUEST`] topics and [`MAX_ACLS_PER_REQUEST`] ACLs, for the reasons given there.
//! - **One bad topic.** An unknown or forbidden one gets its own error. Input that librdkafka cannot express fails the
//!   batch with [`RequestError::InvalidInput`], before anything is sent.
//! - **Timeouts.** A request waits for a connection first. With no broker, a wrong password or a failing TLS handshake it
//!   ends with [`RequestError::Timeout`], not earlier, and the error tells the last connection error; the observer hears of
//!   it at once. A topic whose change the broker did not finish in time has `REQUEST_TIMED_OUT`.
//! - **Texts.** Kafka's own text comes with CreateTopics, CreatePartitions, both configuration requests and those about ACLs. DeleteTopics and
//!   Metadata carry only a code in the versions it speaks.

mod acl;
mod client;
mod config;
mod describe;
mod error;
mod handle;
mod input;
mod message;
mod options;
mod sys;
mod topic;

pub use acl::{Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource, MAX_ACLS_PER_REQUEST};
pub use client::{AdminClient, ClientEvent};
pub use config::{ConfigEntries, ConfigEntry, ConfigSource, TopicConfigAlteration};
pub use describe::{Broker, ClusterDescription, TopicDescription};
pub use error::{BrokerError, ErrorCode, NewClientError, RequestError};
pub use input::MAX_TOPICS_PER_REQUEST;
pub use topic::NewTopic;
