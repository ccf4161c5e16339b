//! What producers, consumers and the platform agree on.
//!
//! | module | what it holds |
//! |---|---|
//! | [`envelope`] | [`Envelope`]: an event with everything known about it, and its JSON |
//! | [`cloudevents`] | the same event as CloudEvents 1.0 |
//! | [`kafka_headers`] | the same event as a Kafka record |
//! | [`name`] | [`TopicName`], [`TenantName`], [`EventTypeName`] and the other names, parsed once |
//! | [`reason`] | [`Reason`]: the one vocabulary of failure |
//! | [`rest`] | the requests and responses of the REST API |
//! | [`merkle`] | hashes and proofs of audit logs |
//!
//! Everything here is a value: no network, no clock, no randomness. Whoever has a value of one of these types knows
//! that it is legal; every refusal ([`Invalid`], [`EnvelopeError`]) says what was wrong and what to do instead.
//!
//! ```
//! use eventcenter_sdk::{Envelope, EventId, KafkaRecord, TenantName};
//! use serde_json::json;
//!
//! // Id and time are yours to choose; see `uuid` and `jiff`.
//! let order = Envelope::new(
//!     EventId::parse("0192f0c4-5b7e-7cc0-8f6a-3d1e2f4a5b6c")?,
//!     "Order.Created.v1",
//!     "order-service",
//!     "2026-01-31T12:00:00Z".parse()?,
//!     json!({"order_id": 7}),
//! )?
//! .with_tenant(TenantName::parse("shop")?);
//!
//! // What follows from it names it, and stays in the same business process.
//! let mail = Envelope::new(
//!     EventId::parse("0192f0c4-5b80-7d5e-a1b2-c3d4e5f60718")?,
//!     "Mail.Sent.v1",
//!     "notification-service",
//!     "2026-01-31T12:00:01Z".parse()?,
//!     json!({}),
//! )?
//! .caused_by(&order);
//! assert_eq!(mail.causation_id(), Some(order.id()));
//! assert_eq!(mail.correlation_id(), Some(order.id()));
//!
//! // To Kafka and back it is the same event.
//! let record = KafkaRecord::from(order.clone());
//! assert_eq!(record.header("ce_tenantid"), Some("shop"));
//! assert_eq!(Envelope::try_from(record.to_cloudevent()?)?, order);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A test that panics has said what it has to say.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod cloudevents;
pub mod envelope;
mod invalid;
pub mod kafka_headers;
pub mod merkle;
pub mod name;
pub mod reason;
pub mod rest;
mod text;

pub use cloudevents::CloudEvent;
pub use envelope::{Envelope, EnvelopeError, Metadata};
pub use invalid::Invalid;
pub use kafka_headers::KafkaRecord;
pub use name::{
    ClusterName, ConsumerGroup, Convention, EventId, EventTypeName, TenantName, TopicName, TopicPrefix,
};
pub use reason::{Reason, ReasonClass};
