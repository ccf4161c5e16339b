//! What a log consists of.

use std::fmt;
use std::str::FromStr;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::{Change, canonical};

/// A log: a tenant's, or the platform's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogName(String);

impl LogName {
    /// The platform's log: of what belongs to no tenant. Kubernetes allows no Tenant of this name.
    pub const PLATFORM: &str = "_platform";

    /// The platform's log.
    #[must_use]
    pub fn platform() -> Self {
        Self(Self::PLATFORM.to_owned())
    }

    /// The log of what belongs to a tenant; the platform's if it belongs to none.
    #[must_use]
    pub fn of(tenant: Option<&str>) -> Self {
        tenant.and_then(|tenant| tenant.parse().ok()).unwrap_or_else(Self::platform)
    }

    /// As it stands in records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the platform's log.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.0 == Self::PLATFORM
    }
}

/// A text names no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log: name a tenant (letters a to z, digits, - and .), or _platform")]
pub struct NoLog(String);

/// Enough of a text to recognize it in a message.
fn beginning(text: &str) -> String {
    text.chars().take(100).collect()
}

impl FromStr for LogName {
    type Err = NoLog;

    fn from_str(text: &str) -> Result<Self, NoLog> {
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_tenant = text.len() <= 253
            && text.bytes().all(is_label)
            && is_edge(text.as_bytes().first())
            && is_edge(text.as_bytes().last());
        match is_tenant || text == Self::PLATFORM {
            true => Ok(Self(text.to_owned())),
            false => Err(NoLog(beginning(text))),
        }
    }
}

impl TryFrom<String> for LogName {
    type Error = NoLog;

    fn try_from(text: String) -> Result<Self, NoLog> {
        text.parse()
    }
}

impl From<LogName> for String {
    fn from(name: LogName) -> Self {
        name.0
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One row a word, so that it is the same in records, filters and pages.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let same = |one: &&Self| one.as_str().eq_ignore_ascii_case(text);
                Self::ALL.iter().find(same).copied().ok_or_else(|| UnknownWord {
                    text: beginning(text),
                    known: Self::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

/// A word that is not one of those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of: {known}")]
pub struct UnknownWord {
    text: String,
    known: String,
}

words! {
    /// What was asked for, or done.
    Action {
        /// A resource is made; asked of the API server.
        Create,
        /// A resource is changed; asked of the API server.
        Update,
        /// A resource is deleted; asked of the API server.
        Delete,
        /// A declaration takes effect that needed approval and has it.
        TakeEffect,
        /// A declaration takes effect that needed approval, without it.
        BreakGlass,
        /// A declaration that needs approval was rejected by an approver.
        RejectChange,
        /// A Kafka topic is made.
        CreateTopic,
        /// Partitions are added to a Kafka topic.
        AddPartitions,
        /// The configuration of a Kafka topic is changed.
        AlterConfig,
        /// A Kafka topic is deleted.
        DeleteTopic,
        /// Access to a Kafka topic is given.
        CreateAcls,
        /// Access to a Kafka topic is taken away.
        DeleteAcls,
        /// A revision of a schema is registered.
        RegisterSchema,
        /// A resource is held, so that it cannot go before what was made for it.
        AddFinalizer,
        /// A resource is let go.
        RemoveFinalizer,
        /// A declaration is kept as the one in force.
        KeepRevision,
        /// A declaration that is not in force any more is forgotten.
        ForgetRevision,
        /// A certificate is made or renewed, or the API server is told whom to trust.
        RenewCertificate,
        /// A key for signatures is made.
        MakeKey,
        /// A replica becomes the leader.
        Lead,
        /// A leader lets others lead.
        StopLeading,
        /// Somebody could not show who they are, or asked for what they may not see.
        RefuseLogin,
        /// The audit log is read.
        ReadAudit,
        /// The audit log is exported.
        ExportAudit,
        /// Records older than the retention are dropped.
        DropRecords,
    }
}

words! {
    /// How it ended.
    Outcome {
        /// It was asked for and allowed; others may still have refused it.
        Allowed,
        /// It was asked for and refused.
        Denied,
        /// It is about to be done. Another record that `completes` this one tells how it ended; where there is none, the
        /// process was stopped in between.
        Started,
        /// It was done.
        Succeeded,
        /// It was tried and was not done.
        Failed,
    }
}

words! {
    /// The door somebody came through.
    Via {
        /// A request to Kubernetes' API server.
        Admission,
        /// The operator itself, because of what is declared.
        Controllers,
        /// A request to our REST API.
        Api,
    }
}

/// Who it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The name by which Kubernetes knows them, or which replica it was.
    pub user: String,
    /// The door they came through.
    pub via: Via,
}

/// What it was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The kind of the resource, such as `EventTopic`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its uid, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What is known of the program that somebody used. Kubernetes tells webhooks neither the address nor the user agent
/// behind a request; its own audit log has them, beside the annotation with this record's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The address a REST request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What a REST client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What a client of the API server calls itself as the manager of fields, such as `kubectl-client-side-apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_manager: Option<String>,
}

/// Which process wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// Its role: `webhook`, `controllers` or `api`.
    pub component: String,
    /// The replica.
    pub instance: String,
    /// Whom it served.
    #[serde(flatten)]
    pub caller: Caller,
}

/// As one object in canonical order, in which the fields of the two are mixed.
impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Ordered<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            address: Option<&'a str>,
            component: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            field_manager: Option<&'a str>,
            instance: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            user_agent: Option<&'a str>,
        }
        let Self { component, instance, caller: Caller { address, user_agent, field_manager } } = self;
        Ordered {
            address: address.as_deref(),
            component,
            field_manager: field_manager.as_deref(),
            instance,
            user_agent: user_agent.as_deref(),
        }
        .serialize(serializer)
    }
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
                component: component.to_owned(),
                instance: instance.to_owned(),
                caller: self.caller,
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

/// One entry of a log. Words are text, so that what a later version wrote can be read.
///
/// The fields of this and of what is in it are in the order of their names in JSON: so they are in canonical order as soon as
/// they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What: a word of [`Action`].
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// The resource before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The record of the start, where this is the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completes: Option<Uuid>,
    /// Names the record; a UUID of version 7 (RFC 9562).
    pub id: Uuid,
    /// The same for people, or what exactly was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which process wrote it, and whom it served.
    pub origin: Origin,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended like that: a word of [`Reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The place in the log, from 0 without a gap.
    pub seq: u64,
    /// Of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The log.
    pub tenant: LogName,
    /// When it happened, to the microsecond. Records are in the order in which they were written, which may be another.
    pub time: Timestamp,
    /// The trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Record {
    /// The record as a leaf of the tree: canonical JSON (RFC 8785).
    ///
    /// # Panics
    /// Never: a record is a JSON object.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // Nearly always it is in order as it is written, and to see that costs an eighth of putting it in order.
        let written = serde_json::to_vec(self).expect("a record is a JSON object");
        if canonical::is_canonical(&written) {
            return written;
        }
        serde_json_canonicalizer::to_vec(self).expect("a record is a JSON object")
    }
}

#[cfg(test)]
mod tests;
