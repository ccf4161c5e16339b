//! The envelope that every event travels in.
//!
//! One [`Envelope`], three forms that say the same:
//!
//! - its own JSON ([`Envelope::from_slice`], serde), the form of the service interaction standard;
//! - [CloudEvents 1.0](crate::cloudevents) attributes, for callbacks and other systems;
//! - [Kafka headers](crate::kafka_headers), the CloudEvents Kafka binding in binary mode.
//!
//! A value of this type is valid: every text fits into an attribute and every limit holds, so that writing any of the
//! forms cannot fail. Older producers' snake_case form is read by [`Envelope::from_snake_case`] and never written.
//!
//! Deliberately absent: the clock and the random generator (id and time are parameters), the schema of `data`, and
//! whether the type is registered.

mod error;
mod json;
mod snake_case;

use std::{collections::BTreeMap, io};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub use error::EnvelopeError;

use crate::{
    EventId, EventTypeName, Invalid, TenantName, cloudevents,
    name::split_version,
    text::{check_attribute, contains},
};

/// The most characters of `type` and `userId`.
pub const MAX_NAME_CHARS: usize = 255;
/// The most characters of `source`, of each metadata field and of each extension.
pub const MAX_TEXT_CHARS: usize = 1024;
/// The most extensions of one event.
pub const MAX_EXTENSIONS: usize = 32;
/// What an event may take as JSON by default: a little less than the 1 MiB that Kafka takes by default, so that headers
/// and framing fit in as well.
pub const DEFAULT_MAX_BYTES: usize = 1_000_000;

/// The beginning of the year 0: RFC 3339 cannot write what lies before.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// An event with everything that is known about it beside its data.
///
/// Two events are equal when every field is; two that only share the id are duplicates or copies of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    version: String,
    timestamp: Timestamp,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<TenantName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<EventId>,
    data: Value,
    metadata: Metadata,
    /// CloudEvents attributes that the envelope has no field for. Kept, so that an event that only passes through
    /// leaves as it came; written only if there are any, so that the JSON is otherwise exactly the standard's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, String>,
}

/// Where the request came from that led to the event. Describes, and is never relied on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The id of the original request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The program that made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The address the request came from, or a list of them as proxies write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// The session of the user who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl Envelope {
    /// An event with what every event has. Its version is the one in the type's name (`User.Created.v2`), or `1`.
    ///
    /// # Errors
    /// The type or the source breaks a rule, or the time cannot be written by RFC 3339.
    pub fn new(
        id: EventId,
        event_type: impl Into<String>,
        source: impl Into<String>,
        timestamp: Timestamp,
        data: Value,
    ) -> Result<Self, EnvelopeError> {
        let (event_type, source) = (event_type.into(), source.into());
        check_attribute("type", &event_type, 1, MAX_NAME_CHARS)?;
        check_source(&source)?;
        check_timestamp(timestamp)?;
        let version = split_version(&event_type).map_or(1, |(_, version)| version).to_string();
        Ok(Self {
            id,
            event_type,
            version,
            timestamp,
            source,
            tenant_id: None,
            user_id: None,
            correlation_id: None,
            causation_id: None,
            data,
            metadata: Metadata::default(),
            extensions: BTreeMap::new(),
        })
    }

    /// With the version of the type's schema, such as `2` or `2.1`.
    ///
    /// # Errors
    /// The version breaks a rule, or contradicts the one in the type's name.
    pub fn with_version(mut self, version: impl Into<String>) -> Result<Self, EnvelopeError> {
        let version = version.into();
        check_version(&version, &self.event_type)?;
        self.version = version;
        Ok(self)
    }

    /// With the tenant whose event this is.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantName) -> Self {
        self.tenant_id = Some(tenant);
        self
    }

    /// With the user on whose behalf it happened.
    ///
    /// # Errors
    /// The text is empty, too long or has control characters.
    pub fn with_user(mut self, user_id: impl Into<String>) -> Result<Self, EnvelopeError> {
        let user_id = user_id.into();
        check_attribute("userId", &user_id, 1, MAX_NAME_CHARS)?;
        self.user_id = Some(user_id);
        Ok(self)
    }

    /// With the id of the business process that this event is a part of.
    #[must_use]
    pub fn with_correlation(mut self, id: EventId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// With the id of the event or request that directly caused this one.
    #[must_use]
    pub fn with_causation(mut self, id: EventId) -> Self {
        self.causation_id = Some(id);
        self
    }

    /// As something that happened because of `parent`: caused by it, and part of the process that it is part of. A
    /// parent that names no process began one, under its own id.
    #[must_use]
    pub fn caused_by(self, parent: &Self) -> Self {
        self.with_causation(parent.id.clone())
            .with_correlation(parent.correlation_id.as_ref().unwrap_or(&parent.id).clone())
    }

    /// With the circumstances of the request that led to it.
    ///
    /// # Errors
    /// One of them is too long or has control characters.
    pub fn with_metadata(mut self, metadata: Metadata) -> Result<Self, EnvelopeError> {
        for (field, text) in metadata.fields() {
            check_attribute(format!("metadata.{field}"), text, 0, MAX_TEXT_CHARS)?;
        }
        self.metadata = metadata;
        Ok(self)
    }

    /// With a further CloudEvents attribute, such as `subject`, `partitionkey` or `traceparent`. Its value is passed on
    /// as it is.
    ///
    /// # Errors
    /// The name is none for an extension, there are too many, or the value is too long or has control characters.
    pub fn with_extension(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, EnvelopeError> {
        let (name, value) = (name.into(), value.into());
        cloudevents::check_extension_name(&name)?;
        check_attribute(format!("extension {name}"), &value, 0, MAX_TEXT_CHARS)?;
        if self.extensions.len() >= MAX_EXTENSIONS && !self.extensions.contains_key(&name) {
            let rule = format!("is one more than the {MAX_EXTENSIONS} extensions an event may have");
            return Err(Invalid::new("extension", &name, rule, "put it into `data`").into());
        }
        self.extensions.insert(name, value);
        Ok(self)
    }

    /// Unique within the source, and the same over every retry and replay.
    #[must_use]
    pub const fn id(&self) -> &EventId {
        &self.id
    }

    /// What kind of event it is, as its producer says it. See [`Self::type_name`].
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The type by the naming conventions. Events of other systems need not follow any, so this may fail.
    ///
    /// # Errors
    /// The rule that the type's name breaks.
    pub fn type_name(&self) -> Result<EventTypeName, Invalid> {
        EventTypeName::parse(&self.event_type)
    }

    /// The version of the type's schema.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When it happened.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Who says so: a URI reference, often just the name of a service.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The tenant whose event this is.
    #[must_use]
    pub const fn tenant_id(&self) -> Option<&TenantName> {
        self.tenant_id.as_ref()
    }

    /// The user on whose behalf it happened.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The business process that it is a part of.
    #[must_use]
    pub const fn correlation_id(&self) -> Option<&EventId> {
        self.correlation_id.as_ref()
    }

    /// The event or request that directly caused it.
    #[must_use]
    pub const fn causation_id(&self) -> Option<&EventId> {
        self.causation_id.as_ref()
    }

    /// What happened.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// What happened, without the rest.
    #[must_use]
    pub fn into_data(self) -> Value {
        self.data
    }

    /// The circumstances of the request that led to it.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// CloudEvents attributes without a field of their own, by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one extension.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).map(String::as_str)
    }

    /// The W3C trace context that the event came with, untouched.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.extension(cloudevents::TRACEPARENT)
    }

    /// How many bytes the event takes as JSON.
    #[must_use]
    pub fn size(&self) -> usize {
        let mut counter = Counter(0);
        // Neither the counter nor the serialisation of plain values can fail.
        let _ = serde_json::to_writer(&mut counter, self);
        counter.0
    }

    /// Checks that the event takes at most `max` bytes as JSON, such as [`DEFAULT_MAX_BYTES`] or the topic's limit.
    ///
    /// Apart from construction, because the limit is the topic's: an event that Kafka has already carried is read
    /// whatever its size.
    ///
    /// # Errors
    /// The event is larger.
    pub fn check_size(&self, max: usize) -> Result<(), EnvelopeError> {
        match self.size() {
            size if size > max => Err(EnvelopeError::TooLarge { size, max }),
            _ => Ok(()),
        }
    }
}

impl Metadata {
    /// The fields that are set, with their names in JSON.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("requestId", &self.request_id),
            ("userAgent", &self.user_agent),
            ("sourceIp", &self.source_ip),
            ("sessionId", &self.session_id),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check_timestamp(timestamp: Timestamp) -> Result<(), Invalid> {
    if timestamp >= YEAR_ZERO {
        return Ok(());
    }
    Err(Invalid::new(
        "timestamp",
        &timestamp.to_string(),
        "lies before the year 0",
        "use the time of the event",
    ))
}

/// A version begins with a letter or digit and is short: `1`, `2.1`, `2024-06`, `1.0.0+build`.
fn check_version(version: &str, event_type: &str) -> Result<(), Invalid> {
    check_attribute("version", version, 1, 32)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    if let Some(c) = version.chars().find(|&c| !legal(c)) {
        return Err(Invalid::new("version", version, contains(c), "use a version such as `1` or `2.1`"));
    }
    if !version.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let rule = "does not begin with a letter or digit";
        return Err(Invalid::new("version", version, rule, "use a version such as `1` or `2.1`"));
    }
    // A name that carries its version must not be contradicted: which schema would be the right one?
    if let Some((_, named)) = split_version(event_type)
        && version.split('.').next() != Some(named.to_string().as_str())
    {
        let rule = "contradicts the version at the end of the event's type";
        return Err(Invalid::new(
            "version",
            version,
            rule,
            format!("use `{named}`, or the type of that version"),
        ));
    }
    Ok(())
}

/// Whether the text is a URI reference by RFC 3986, as CloudEvents demands of a source.
fn check_source(source: &str) -> Result<(), Invalid> {
    check_attribute("source", source, 1, MAX_TEXT_CHARS)?;
    let refuse = |rule: String| {
        let remedy = "use the name of the service or a URI, with other characters percent-encoded";
        Err(Invalid::new("source", source, rule, remedy))
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if let Some(c) = source.chars().find(|&c| !legal(c)) {
        return refuse(contains(c));
    }
    let hex = |at: Option<&u8>| at.is_some_and(u8::is_ascii_hexdigit);
    let bytes = source.as_bytes();
    for (at, _) in source.match_indices('%') {
        if !(hex(bytes.get(at + 1)) && hex(bytes.get(at + 2))) {
            return refuse("has a '%' without two hexadecimal digits after it".to_owned());
        }
    }
    let (hierarchy, fragment) = source.split_once('#').unwrap_or((source, ""));
    if fragment.contains('#') {
        return refuse("has more than one '#'".to_owned());
    }
    let rest = match hierarchy.split_once(':') {
        // A colon in the first segment ends a scheme; one further on is an ordinary character.
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            let mut chars = scheme.chars();
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            if !(chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(legal)) {
                return refuse(format!("begins with `{}:`, which is no scheme", shorten(scheme)));
            }
            rest
        }
        _ => hierarchy,
    };
    // Brackets only enclose an IPv6 address in the authority.
    let after_authority = rest.strip_prefix("//").map_or(rest, |rest| match rest.find(['/', '?']) {
        Some(end) => &rest[end..],
        None => "",
    });
    if after_authority.contains(['[', ']']) || fragment.contains(['[', ']']) {
        return refuse("has a bracket outside of an address".to_owned());
    }
    Ok(())
}

/// The source's legal characters are ASCII by the time this is used, so the cut is between characters.
fn shorten(scheme: &str) -> &str {
    scheme.get(..20).unwrap_or(scheme)
}

#[cfg(test)]
pub(crate) mod tests;
