//! Kafka: topics, ACLs and messages, one operation at a time, sent in batches.
//!
//! [`Kafka`] is a connection to one cluster. Each of its methods is a single operation with its own result; `batch` collects
//! the operations that arrive within a few milliseconds, or while the previous request is in flight, into few requests. A
//! thousand reconciles need only some requests, and each of these stays far below the 10,000 records that KRaft allows in one
//! metadata transaction.
//!
//! This is the only module that uses the Kafka client. Deliberately absent: any decision about the desired state. Every change
//! is idempotent.
//!
//! Modules, from the leaves: `settings`, `error`, `metrics`; `properties` (parses settings), `batch`; `connection` (the
//! client with metrics and logs); `topics`, `acls` (the requests); `client` ([`Kafka`]). `producer` ([`Producer`]) publishes the events of
//! tasks, and `consumer` ([`Consumer`]) reads the events that tasks run for.

mod acls;
mod batch;
mod client;
mod connection;
mod consumer;
mod error;
mod metrics;
mod producer;
mod properties;
mod settings;
mod topics;

pub use acls::{AclIndex, AclScope};
pub use client::{ClusterDescription, Kafka, OffsetSpec};
pub use consumer::{Assignment, Batch, Consumer, ConsumerRecord, PartitionFailure};
pub use error::Error;
pub use metrics::Metrics;
pub use producer::{Producer, ProducerRecord};
pub use settings::{Credentials, Secret, SecretKeys, SecretTexts, Settings, TlsSettings};
