//! Kafka, as the controllers see it: one topic at a time, sent in batches.
//!
//! [`Kafka`] is a connection to one cluster. Its methods take single operations and are answered
//! one by one; behind them `batch` gathers what arrives within some milliseconds, or while the
//! request before is under way, into few requests. A thousand reconciles cost a handful of
//! requests, and each of these stays far below the 10,000 records that KRaft puts into one
//! metadata transaction.
//!
//! This is the only room that names the Kafka client. Deliberately absent: any decision about
//! what should be there. It is given changes and makes them, all of which may be made twice.

mod acls;
mod batch;
mod error;
mod message;
mod metrics;
mod properties;
mod settings;
mod topics;

pub use acls::Found as FoundAcls;
pub use error::Error;
pub use metrics::Metrics;
pub use settings::{Credentials, Secret, Settings, TlsSettings};
pub use topics::{ClusterFacts, Kafka};
