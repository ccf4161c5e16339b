//! The envelope as a CloudEvent 1.0.
//!
//! Each field of the envelope is one attribute with the field's name in lower case:
//!
//! | envelope | attribute |
//! |---|---|
//! | `id`, `type`, `source` | the same |
//! | `timestamp` | `time` |
//! | `data` | `data`, with `datacontenttype: application/json` |
//! | `version` | `version` |
//! | `tenantId`, `userId` | `tenantid`, `userid` |
//! | `correlationId`, `causationId` | `correlationid`, `causationid` |
//! | `metadata.requestId`, `.userAgent`, `.sourceIp`, `.sessionId` | `requestid`, `useragent`, `sourceip`, `sessionid` |
//! | an extension, such as `subject` or `traceparent` | the same |
//!
//! Converting an envelope to a CloudEvent and back yields the same envelope. Converting a CloudEvent to an envelope and back
//! normalizes it: attributes of other types become their canonical strings, times are written in UTC, and the JSON media
//! type of the data becomes `application/json`.
//!
//! [`CloudEvent`] stands between the envelope and the bindings: structured JSON in this module,
//! [Kafka headers](crate::kafka_headers) in another. Data that is not JSON is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use crate::attribute::{TRACEPARENT, TRACESTATE};

use crate::{
    Envelope, EnvelopeError, EventId, Invalid, Metadata, TenantName,
    attribute::{
        CAUSATION_ID, CORRELATION_ID, DATA, DATA_BASE64, DATACONTENTTYPE, ID, REQUEST_ID, RESERVED,
        SESSION_ID, SOURCE, SOURCE_IP, SPECVERSION, TENANT_ID, TIME, TYPE, USER_AGENT, USER_ID, VERSION,
        check_name,
    },
    envelope::{MAX_EXTENSIONS, MAX_TEXT_CHARS},
    text::check_attribute,
};

/// The media type of a CloudEvent as one JSON document (structured mode).
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";
/// The media type of the data.
pub const DATA_CONTENT_TYPE: &str = "application/json";
/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";
/// Bounds the memory for the attributes of an event.
const MAX_ATTRIBUTES: usize = RESERVED.len() + MAX_EXTENSIONS;

/// A CloudEvent: its attributes as canonical strings, and its data.
///
/// ```
/// use eventcenter_sdk::{CloudEvent, Envelope};
/// use serde_json::json;
///
/// let event = CloudEvent::from_json(json!({
///     "specversion": "1.0",
///     "id": "42",
///     "type": "user.created",
///     "source": "user-service",
///     "time": "2026-01-31T12:00:00Z",
///     "tenantid": "shop",
///     "data": {"name": "Ada"},
/// }))?;
/// let envelope = Envelope::try_from(event)?;
/// assert_eq!(envelope.tenant_id().unwrap(), "shop");
/// # Ok::<(), eventcenter_sdk::EnvelopeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// Without `datacontenttype`, which is always the same.
    attributes: BTreeMap<String, String>,
    data: Value,
}

impl CloudEvent {
    /// Builds an event from attributes in their canonical string form.
    ///
    /// # Errors
    /// A required attribute is missing, a name or a value is illegal, there are too many attributes, the version of
    /// CloudEvents is not 1.0, or the data is not JSON.
    pub fn from_attributes(
        attributes: impl IntoIterator<Item = (String, String)>,
        data: Value,
    ) -> Result<Self, EnvelopeError> {
        let mut kept = BTreeMap::new();
        for (name, value) in attributes {
            check_name(&name)?;
            if name == DATACONTENTTYPE {
                check_content_type(&value)?;
                continue;
            }
            if name == DATA {
                let remedy = "pass the data as the parameter `data`";
                return Err(
                    Invalid::new("attribute name", &name, "is reserved by CloudEvents", remedy).into()
                );
            }
            check_attribute(format!("attribute {name}"), &value, 0, MAX_TEXT_CHARS)?;
            if kept.len() >= MAX_ATTRIBUTES && !kept.contains_key(&name) {
                let rule = format!("exceeds the limit of {MAX_ATTRIBUTES} attributes of an event");
                return Err(Invalid::new("attribute", &name, rule, "put it into `data`").into());
            }
            kept.insert(name, value);
        }
        for field in [SPECVERSION, ID, SOURCE, TYPE] {
            if !kept.contains_key(field) {
                return Err(EnvelopeError::Missing { field });
            }
        }
        match kept.get(SPECVERSION).map(String::as_str) {
            Some(SPEC_VERSION) => Ok(Self { attributes: kept, data }),
            other => {
                let remedy = "send CloudEvents 1.0";
                let rule = "is not supported";
                Err(Invalid::new(SPECVERSION, other.unwrap_or_default(), rule, remedy).into())
            }
        }
    }

    /// Reads the structured form: one JSON object with attributes and data.
    ///
    /// # Errors
    /// The value is not an object, an attribute is not a string, an integer or a boolean, or any error of
    /// [`from_attributes`](Self::from_attributes).
    pub fn from_json(value: Value) -> Result<Self, EnvelopeError> {
        let Value::Object(mut object) = value else {
            let rule = "is not an object";
            return Err(Invalid::new("CloudEvent", &value.to_string(), rule, "send one JSON object").into());
        };
        if object.contains_key(DATA_BASE64) {
            return Err(EnvelopeError::Binary);
        }
        let data = object.remove(DATA).unwrap_or(Value::Null);
        let mut attributes = Vec::with_capacity(object.len());
        for (name, value) in object {
            if let Some(value) = canonical(&name, value)? {
                attributes.push((name, value));
            }
        }
        Self::from_attributes(attributes, data)
    }

    /// Reads the structured form from its bytes.
    ///
    /// # Errors
    /// The bytes are not JSON, or any error of [`from_json`](Self::from_json).
    pub fn from_slice(json: &[u8]) -> Result<Self, EnvelopeError> {
        Self::from_json(serde_json::from_slice(json).map_err(EnvelopeError::Json)?)
    }

    /// The structured form. Its media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn into_json(self) -> Value {
        let mut object: Map<String, Value> =
            self.attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        object.insert(DATACONTENTTYPE.to_owned(), Value::String(DATA_CONTENT_TYPE.to_owned()));
        object.insert(DATA.to_owned(), self.data);
        Value::Object(object)
    }

    /// The attributes in the order of their names, without `datacontenttype`, which is always [`DATA_CONTENT_TYPE`].
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            DATACONTENTTYPE => Some(DATA_CONTENT_TYPE),
            _ => self.attributes.get(name).map(String::as_str),
        }
    }

    /// The data.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// Sets the time if the event has none: CloudEvents does not require it, the envelope does. Usually the time at which
    /// Kafka or the server received the event.
    #[must_use]
    pub fn or_time(mut self, time: Timestamp) -> Self {
        self.attributes.entry(TIME.to_owned()).or_insert_with(|| time.to_string());
        self
    }

    pub(crate) fn into_parts(self) -> (BTreeMap<String, String>, Value) {
        (self.attributes, self.data)
    }
}

impl From<Envelope> for CloudEvent {
    fn from(envelope: Envelope) -> Self {
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), value.to_owned());
            }
        };
        let metadata = envelope.metadata();
        set(SPECVERSION, Some(SPEC_VERSION));
        set(ID, Some(envelope.id().as_str()));
        set(SOURCE, Some(envelope.source()));
        set(TYPE, Some(envelope.event_type()));
        set(TIME, Some(&envelope.timestamp().to_string()));
        set(VERSION, Some(envelope.version()));
        set(TENANT_ID, envelope.tenant_id().map(TenantName::as_str));
        set(USER_ID, envelope.user_id());
        set(CORRELATION_ID, envelope.correlation_id().map(EventId::as_str));
        set(CAUSATION_ID, envelope.causation_id().map(EventId::as_str));
        set(REQUEST_ID, metadata.request_id.as_deref());
        set(USER_AGENT, metadata.user_agent.as_deref());
        set(SOURCE_IP, metadata.source_ip.as_deref());
        set(SESSION_ID, metadata.session_id.as_deref());
        for (name, value) in envelope.extensions() {
            set(name, Some(value));
        }
        Self { attributes, data: envelope.into_data() }
    }
}

impl TryFrom<CloudEvent> for Envelope {
    type Error = EnvelopeError;

    fn try_from(event: CloudEvent) -> Result<Self, EnvelopeError> {
        let CloudEvent { mut attributes, data } = event;
        let mut take = |name: &'static str| attributes.remove(name);
        let require = |field, value: Option<String>| value.ok_or(EnvelopeError::Missing { field });
        take(SPECVERSION);
        let id = EventId::parse(&require(ID, take(ID))?)?;
        let time = parse_time(&require(TIME, take(TIME))?)?;
        let source = require(SOURCE, take(SOURCE))?;
        let mut envelope = Self::new(id, require(TYPE, take(TYPE))?, source, time, data)?;
        if let Some(version) = take(VERSION) {
            envelope = envelope.with_version(version)?;
        }
        if let Some(tenant) = take(TENANT_ID) {
            envelope = envelope.with_tenant(TenantName::parse(&tenant)?);
        }
        if let Some(user) = take(USER_ID) {
            envelope = envelope.with_user(user)?;
        }
        if let Some(id) = take(CORRELATION_ID) {
            envelope = envelope.with_correlation(EventId::parse(&id)?);
        }
        if let Some(id) = take(CAUSATION_ID) {
            envelope = envelope.with_causation(EventId::parse(&id)?);
        }
        envelope = envelope.with_metadata(Metadata {
            request_id: take(REQUEST_ID),
            user_agent: take(USER_AGENT),
            source_ip: take(SOURCE_IP),
            session_id: take(SESSION_ID),
        })?;
        for (name, value) in attributes {
            envelope = envelope.with_extension(name, value)?;
        }
        Ok(envelope)
    }
}

impl Envelope {
    /// The event as a CloudEvent in structured JSON. Its media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn into_cloudevent_json(self) -> Value {
        CloudEvent::from(self).into_json()
    }
}

/// Checks that a media type is JSON: `application/json`, `text/json` or one that ends in `+json`, with any parameters.
pub(crate) fn check_content_type(content_type: &str) -> Result<(), EnvelopeError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json") {
        return Ok(());
    }
    Err(EnvelopeError::NotJson { content_type: crate::invalid::shown(content_type) })
}

/// The canonical string of an attribute's JSON value; `None` for `null`.
fn canonical(name: &str, value: Value) -> Result<Option<String>, Invalid> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(boolean) => Ok(Some(boolean.to_string())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        other => {
            let what = format!("attribute {}", crate::invalid::shown(name));
            let rule = "is not a string, an integer or a boolean";
            Err(Invalid::new(what, &other.to_string(), rule, "put it into `data`"))
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp, Invalid> {
    text.parse().map_err(|_| {
        Invalid::new(TIME, text, "is not a time of RFC 3339", "write it like `2026-01-31T12:00:00Z`")
    })
}

#[cfg(test)]
mod tests;
