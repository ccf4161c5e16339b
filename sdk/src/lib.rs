//! Types that producers, consumers and the platform share.
//!
//! | module | contents |
//! |---|---|
//! | [`envelope`] | [`Envelope`]: an event with its attributes, and its JSON |
//! | [`cloudevents`] | the same event as CloudEvents 1.0 |
//! | [`kafka_headers`] | the same event as a Kafka record |
//! | [`name`] | [`TopicName`], [`TenantName`], [`EventTypeName`] and other names |
//! | [`reason`] | [`Reason`]: the reasons of states and errors |
//! | [`rest`] | the requests and responses of the REST API |
//! | [`merkle`] | hashes and proofs of audit logs |
//!
//! The crate has no network access, no clock and no random numbers. A value of one of its types is valid; its errors
//! ([`Invalid`], [`EnvelopeError`]) name the rule and the remedy.
//!
//! ```
//! use eventcenter_sdk::{Envelope, EventId, KafkaRecord, TenantName};
//! use serde_json::json;
//!
//! // The caller chooses id and time; see `uuid` and `jiff`.
//! let order = Envelope::new(
//!     EventId::parse("0192f0c4-5b7e-7cc0-8f6a-3d1e2f4a5b6c")?,
//!     "Order.Created.v1",
//!     "order-service",
//!     "2026-01-31T12:00:00Z".parse()?,
//!     json!({"order_id": 7}),
//! )?
//! .with_tenant(TenantName::parse("shop")?);
//!
//! // An event that it causes has its id as causation id, and the same correlation id.
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
//! // Written to Kafka and read again, it is the same event.
//! let record = KafkaRecord::from(order.clone());
//! assert_eq!(record.header("ce_tenantid"), Some("shop"));
//! assert_eq!(Envelope::try_from(record.to_cloudevent()?)?, order);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Tests fail by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod attribute;
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
