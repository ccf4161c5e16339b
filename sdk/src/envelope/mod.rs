//! The envelope of an event.
//!
//! An [`Envelope`] has three equivalent forms:
//!
//! - its own JSON ([`Envelope::from_slice`], serde), the form of the service interaction standard;
//! - [CloudEvents 1.0](crate::cloudevents) attributes, for callbacks and other systems;
//! - [Kafka headers](crate::kafka_headers), the CloudEvents Kafka binding in binary mode.
//!
//! A value of this type is valid: each string is a legal attribute and within its limit, so that writing any of the forms
//! cannot fail. [`Envelope::from_snake_case`] reads the snake_case form of older producers; nothing writes it.
//!
//! Deliberately absent: the clock and random numbers (id and time are parameters), the schema of `data`, and whether the
//! type is registered.

mod error;
mod json;
mod snake_case;

use std::{collections::BTreeMap, io};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub use error::EnvelopeError;

use crate::{
    EventId, EventTypeName, Invalid, TenantName,
    attribute::{TRACEPARENT, check_extension_name},
    name::split_version,
    text::{check_attribute, contains},
};

/// Maximum number of characters of `type` and `userId`.
pub const MAX_NAME_CHARS: usize = 255;
/// Maximum number of characters of `source`, of each metadata field and of each extension.
pub const MAX_TEXT_CHARS: usize = 1024;
/// Maximum number of extensions of one event.
pub const MAX_EXTENSIONS: usize = 32;
/// Default limit of the size of an event as JSON, in bytes: less than the 1 MiB that Kafka accepts by default, so that
/// headers and framing fit as well.
pub const DEFAULT_MAX_BYTES: usize = 1_000_000;

/// The beginning of the year 0: RFC 3339 cannot express earlier times.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// An event: its data and its attributes.
///
/// Two events are equal if all fields are equal. Events with the same id and source are duplicates.
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
    /// CloudEvents attributes without a field in the envelope. They are kept so that forwarding an event does not change it,
    /// and written only if there are any, so that the JSON otherwise is that of the standard.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, String>,
}

/// The request that led to the event. Informational: the values are not verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Id of the original request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Program that made the request (`User-Agent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Address of the client, or a list of addresses as in `X-Forwarded-For`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// Session of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl Envelope {
    /// An event with the required fields. Its version is the one in the name of the type (`User.Created.v2`), or `1`.
    ///
    /// # Errors
    /// The type or the source breaks a rule, or RFC 3339 cannot express the time.
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

    /// Sets the version of the type's schema, such as `2` or `2.1`.
    ///
    /// # Errors
    /// The version breaks a rule, or contradicts the version in the name of the type.
    pub fn with_version(mut self, version: impl Into<String>) -> Result<Self, EnvelopeError> {
        let version = version.into();
        check_version(&version, &self.event_type)?;
        self.version = version;
        Ok(self)
    }

    /// Sets the tenant that the event belongs to.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantName) -> Self {
        self.tenant_id = Some(tenant);
        self
    }

    /// Sets the user on whose behalf the event happened.
    ///
    /// # Errors
    /// The id is empty, too long or has control characters.
    pub fn with_user(mut self, user_id: impl Into<String>) -> Result<Self, EnvelopeError> {
        let user_id = user_id.into();
        check_attribute("userId", &user_id, 1, MAX_NAME_CHARS)?;
        self.user_id = Some(user_id);
        Ok(self)
    }

    /// Sets the id of the business process that the event is part of.
    #[must_use]
    pub fn with_correlation(mut self, id: EventId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// Sets the id of the event or request that directly caused this event.
    #[must_use]
    pub fn with_causation(mut self, id: EventId) -> Self {
        self.causation_id = Some(id);
        self
    }

    /// Sets causation and correlation for an event that `parent` caused: the causation id is the id of `parent`; the
    /// correlation id is that of `parent`, or its id if it has none.
    #[must_use]
    pub fn caused_by(self, parent: &Self) -> Self {
        self.with_causation(parent.id.clone())
            .with_correlation(parent.correlation_id.as_ref().unwrap_or(&parent.id).clone())
    }

    /// Sets the metadata of the request that led to the event.
    ///
    /// # Errors
    /// A field is too long or has control characters.
    pub fn with_metadata(mut self, metadata: Metadata) -> Result<Self, EnvelopeError> {
        for (field, text) in metadata.fields() {
            check_attribute(format!("metadata.{field}"), text, 0, MAX_TEXT_CHARS)?;
        }
        self.metadata = metadata;
        Ok(self)
    }

    /// Sets a CloudEvents attribute without a field of its own, such as `subject`, `partitionkey` or `traceparent`. The
    /// value is not interpreted.
    ///
    /// # Errors
    /// The name is not legal for an extension, there are [`MAX_EXTENSIONS`] already, or the value is too long or has
    /// control characters.
    pub fn with_extension(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, EnvelopeError> {
        let (name, value) = (name.into(), value.into());
        check_extension_name(&name)?;
        check_attribute(format!("extension {name}"), &value, 0, MAX_TEXT_CHARS)?;
        if self.extensions.len() >= MAX_EXTENSIONS && !self.extensions.contains_key(&name) {
            let rule = format!("exceeds the limit of {MAX_EXTENSIONS} extensions of an event");
            return Err(Invalid::new("extension", &name, rule, "put it into `data`").into());
        }
        self.extensions.insert(name, value);
        Ok(self)
    }

    /// The id: unique within the source, and the same in every retry and replay.
    #[must_use]
    pub const fn id(&self) -> &EventId {
        &self.id
    }

    /// The type as the producer wrote it. See [`Self::type_name`].
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The type, parsed by the naming conventions.
    ///
    /// # Errors
    /// The name follows none of the conventions, which is legal for events of other systems.
    pub fn type_name(&self) -> Result<EventTypeName, Invalid> {
        EventTypeName::parse(&self.event_type)
    }

    /// The version of the type's schema.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The time at which the event happened.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The producer: a URI reference (RFC 3986), often the name of a service.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The tenant that the event belongs to.
    #[must_use]
    pub const fn tenant_id(&self) -> Option<&TenantName> {
        self.tenant_id.as_ref()
    }

    /// The user on whose behalf the event happened.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The id of the business process that the event is part of.
    #[must_use]
    pub const fn correlation_id(&self) -> Option<&EventId> {
        self.correlation_id.as_ref()
    }

    /// The id of the event or request that directly caused this event.
    #[must_use]
    pub const fn causation_id(&self) -> Option<&EventId> {
        self.causation_id.as_ref()
    }

    /// The data.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// The data, by value.
    #[must_use]
    pub fn into_data(self) -> Value {
        self.data
    }

    /// The metadata of the request that led to the event.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The CloudEvents attributes without a field of their own, in the order of their names.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of an extension.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).map(String::as_str)
    }

    /// The trace context (W3C Trace Context), as received.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.extension(TRACEPARENT)
    }

    /// The size of the event as JSON, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let mut counter = Counter(0);
        // Neither the counter nor the serialisation of plain values can fail.
        let _ = serde_json::to_writer(&mut counter, self);
        counter.0
    }

    /// Checks that the event has at most `max` bytes as JSON, such as [`DEFAULT_MAX_BYTES`] or the topic's limit.
    ///
    /// Constructors and parsers do not check the size: the limit belongs to the topic, and events that are in Kafka already
    /// are read whatever their size.
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
        "is before the year 0",
        "use the time of the event",
    ))
}

/// A version has at most 32 characters and begins with a letter or digit: `1`, `2.1`, `2024-06`, `1.0.0+build`.
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
    // With two different versions it would be unclear which schema applies.
    if let Some((_, named)) = split_version(event_type)
        && version.split('.').next() != Some(named.to_string().as_str())
    {
        let rule = "contradicts the version in the event's type";
        return Err(Invalid::new(
            "version",
            version,
            rule,
            format!("use `{named}`, or the type with that version"),
        ));
    }
    Ok(())
}

/// Checks that a source is a URI reference (RFC 3986), as CloudEvents requires.
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
                return refuse(format!("begins with `{}:`, which is not a URI scheme", shorten(scheme)));
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
        return refuse("has a bracket outside of an IPv6 address".to_owned());
    }
    Ok(())
}

/// The first 20 bytes. The text is ASCII: illegal characters of the source were refused before.
fn shorten(scheme: &str) -> &str {
    scheme.get(..20).unwrap_or(scheme)
}

#[cfg(test)]
pub(crate) mod tests;
