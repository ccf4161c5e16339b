//! What is recorded, and how it becomes a record of a log.

use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::audit::{Action, Actor, Change, LogName, Origin, Outcome, Record, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::canonical;

/// What is known of the client behind an event; see [`Origin`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The address of a REST client.
    pub address: Option<String>,
    /// The user agent of a REST client.
    pub user_agent: Option<String>,
    /// The field manager of a client of the API server, such as `kubectl-client-side-apply`.
    pub field_manager: Option<String>,
}

/// What is to be recorded, as whoever sees it knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The log it belongs to.
    pub log: LogName,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// Of what.
    pub target: Option<Target>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended like that, in the one vocabulary.
    pub reason: Option<Reason>,
    /// The same for people, or what exactly was done. Cut to [`Event::LONGEST`].
    pub message: Option<String>,
    /// The resource before and after.
    pub change: Option<Change>,
    /// The record of the start, where this is the end.
    pub completes: Option<Uuid>,
    /// The id of the request: `X-Request-Id`, or the uid of an admission review.
    pub request: Option<String>,
    /// The trace of W3C's trace context, where there is one.
    pub trace: Option<String>,
    /// What is known of the program that was used.
    pub caller: Caller,
}

impl Event {
    /// How long a message may be, in bytes.
    pub const LONGEST: usize = 4096;

    /// An event of which nothing more is known.
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

    /// The end of what this is the start of.
    #[must_use]
    pub fn ended(&self, start: Uuid, outcome: Outcome, failure: Option<(Reason, String)>) -> Self {
        let (reason, message) = failure.unzip();
        let message = message.or_else(|| self.message.clone());
        Self { outcome, reason, message, change: None, completes: Some(start), ..self.clone() }
    }

    /// The record that this becomes, but for its place in the log.
    #[must_use]
    pub fn draft(self, id: Uuid, time: Timestamp, component: &str, instance: &str) -> Draft {
        let message = self.message.map(|mut message| {
            if message.len() > Self::LONGEST {
                message.truncate(message.floor_char_boundary(Self::LONGEST));
                message.push('…');
            }
            message
        });
        // Databases keep microseconds, and what is hashed is what is kept.
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

/// A record that has no place in its log yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draft(Record);

impl Draft {
    /// Which log it is for.
    #[must_use]
    pub fn log(&self) -> &LogName {
        &self.0.tenant
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// The record at its place, counted from 0.
    #[must_use]
    pub fn at(self, seq: u64) -> Record {
        Record { seq, ..self.0 }
    }
}

/// A record as a leaf of its log's tree: canonical JSON (RFC 8785).
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
