//! Results of recording, and the policy that decides what an outage means.

use uuid::Uuid;

use crate::store::Error;

/// Operation of errors that the journal creates.
pub(super) const RECORDING: &str = "recording";

/// Whether a change requires a durable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The change is denied without a record.
    Required,
    /// The change is allowed without a record.
    BestEffort,
}

/// The result of recording an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The record is durable in the database.
    Durable(Uuid),
    /// The record is durable in the spool file.
    Spooled(Uuid),
    /// The record is lost, which the policy allows.
    Lost,
}

/// An event was not recorded, although the policy requires it.
#[derive(Debug, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct RecordError(#[source] pub Error);
