//! Events, and the records that are created from them.

use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::audit::{Action, Actor, Change, LogName, Origin, Outcome, Record, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::canonical;

/// The client program of an actor; see [`Origin`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The address of a REST client.
    pub address: Option<String>,
    /// The user agent of a REST client.
    pub user_agent: Option<String>,
    /// The field manager of a client of the API server, such as `kubectl-client-side-apply`.
    pub field_manager: Option<String>,
}

/// Something to record, without the values that the journal adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The log to write to.
    pub log: LogName,
    /// The user or replica that acted.
    pub actor: Actor,
    /// The action.
    pub action: Action,
    /// The resource.
    pub target: Option<Target>,
    /// The outcome.
    pub outcome: Outcome,
    /// The machine-readable reason of the outcome.
    pub reason: Option<Reason>,
    /// Details for people. Truncated to [`Event::MAX_MESSAGE_BYTES`].
    pub message: Option<String>,
    /// The change of the resource.
    pub change: Option<Change>,
    /// The id of the `Started` record that this record completes.
    pub completes: Option<Uuid>,
    /// The id of the request: `X-Request-Id`, or the uid of an admission review.
    pub request: Option<String>,
    /// The trace id (W3C Trace Context).
    pub trace: Option<String>,
    /// The client program.
    pub caller: Caller,
}

impl Event {
    /// Maximum length of a message, in bytes.
    pub const MAX_MESSAGE_BYTES: usize = 4096;

    /// Creates an event without any optional value.
    #[must_use]
    pub fn new(log: LogName, actor: Actor, action: Action, outcome: Outcome) -> Self {
        Self {
            log,
            actor,
            action,
            target: None,
            outcome,
            reason: None,
            message: None,
            change: None,
            completes: None,
            request: None,
            trace: None,
            caller: Caller::default(),
        }
    }

    /// The event that completes this one.
    #[must_use]
    pub fn completion(&self, start: Uuid, outcome: Outcome, failure: Option<(Reason, String)>) -> Self {
        let (reason, message) = failure.unzip();
        let message = message.or_else(|| self.message.clone());
        Self { outcome, reason, message, change: None, completes: Some(start), ..self.clone() }
    }

    /// Creates the record, except for its position in the log.
    #[must_use]
    pub fn into_draft(self, id: Uuid, time: Timestamp, component: &str, instance: &str) -> Draft {
        let message = self.message.map(|mut message| {
            if message.len() > Self::MAX_MESSAGE_BYTES {
                message.truncate(message.floor_char_boundary(Self::MAX_MESSAGE_BYTES));
                message.push('…');
            }
            message
        });
        // Databases store microseconds, and the hashed value has to equal the stored one.
        let time = Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
        Draft(Record {
            id,
            seq: 0,
            tenant: self.log,
            time,
            actor: self.actor,
            action: self.action.as_str().to_owned(),
            target: self.target,
            outcome: self.outcome,
            reason: self.reason.map(|reason| reason.as_str().to_owned()),
            message,
            change: self.change,
            completes: self.completes,
            request_id: self.request,
            trace_id: self.trace,
            origin: Origin {
                address: self.caller.address,
                component: component.to_owned(),
                field_manager: self.caller.field_manager,
                instance: instance.to_owned(),
                user_agent: self.caller.user_agent,
            },
        })
    }
}

/// A record without a position in its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draft(Record);

impl Draft {
    /// The log of the record.
    #[must_use]
    pub fn log(&self) -> &LogName {
        &self.0.tenant
    }

    /// The id of the record.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// The record at a position, counted from 0.
    #[must_use]
    pub fn at_seq(self, seq: u64) -> Record {
        Record { seq, ..self.0 }
    }
}

/// The content of the leaf of a record: its canonical JSON (RFC 8785).
///
/// # Panics
/// Never: a record is a JSON object.
#[must_use]
pub fn canonical_json(record: &Record) -> Vec<u8> {
    // A record is nearly always canonical as serde writes it; checking that takes an eighth of the time of sorting it.
    let written = serde_json::to_vec(record).expect("a record is a JSON object");
    if canonical::is_canonical(&written) {
        return written;
    }
    serde_json_canonicalizer::to_vec(record).expect("a record is a JSON object")
}

#[cfg(test)]
mod tests;
