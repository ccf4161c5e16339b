//! The envelope as a CloudEvent 1.0.
//!
//! Every field of the envelope is one attribute, whose name is the field's in lower case:
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
//! An envelope that becomes a CloudEvent and back is the same envelope. The other way round, what CloudEvents calls
//! equal stays equal: an attribute of another type becomes its canonical text, a time is written in UTC, and the data's
//! JSON media type is written as `application/json`.
//!
//! [`CloudEvent`] is the form between the envelope and the bindings: the structured JSON here,
//! [Kafka headers](crate::kafka_headers) next door. Data other than JSON is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    Envelope, EnvelopeError, EventId, Invalid, Metadata, TenantName,
    envelope::{MAX_EXTENSIONS, MAX_TEXT_CHARS},
    text::{check_attribute, contains, too_long},
};

/// The media type of a CloudEvent that is one JSON document.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";
/// The media type of the data.
pub const DATA_CONTENT_TYPE: &str = "application/json";
/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";
/// The extension with the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The extension with the W3C trace context's vendor part.
pub const TRACESTATE: &str = "tracestate";

const SPECVERSION: &str = "specversion";
const ID: &str = "id";
const SOURCE: &str = "source";
const TYPE: &str = "type";
const TIME: &str = "time";
pub(crate) const DATACONTENTTYPE: &str = "datacontenttype";
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";
const VERSION: &str = "version";
const TENANT_ID: &str = "tenantid";
const USER_ID: &str = "userid";
const CORRELATION_ID: &str = "correlationid";
const CAUSATION_ID: &str = "causationid";
const REQUEST_ID: &str = "requestid";
const USER_AGENT: &str = "useragent";
const SOURCE_IP: &str = "sourceip";
const SESSION_ID: &str = "sessionid";

/// Names that have a field in the envelope, or a meaning of their own, and so are no extensions.
const RESERVED: [&str; 16] = [
    SPECVERSION,
    ID,
    SOURCE,
    TYPE,
    TIME,
    DATACONTENTTYPE,
    DATA,
    VERSION,
    TENANT_ID,
    USER_ID,
    CORRELATION_ID,
    CAUSATION_ID,
    REQUEST_ID,
    USER_AGENT,
    SOURCE_IP,
    SESSION_ID,
];

/// CloudEvents advises 20 characters for a name. Ours keep to it; a longer one of others is carried rather than refused.
const MAX_ATTRIBUTE_NAME: usize = 64;
/// Bounds what is held of an event that is about to be refused for too many.
const MAX_ATTRIBUTES: usize = RESERVED.len() + MAX_EXTENSIONS;

/// A CloudEvent: its attributes as canonical texts, and its data.
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
    /// Builds an event from attributes in their canonical text form.
    ///
    /// # Errors
    /// A required attribute is missing, a name or a value is illegal, there are too many, the version of CloudEvents
    /// is not 1.0, or the data is not JSON.
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
                let remedy = "pass the data by itself";
                return Err(
                    Invalid::new("attribute name", &name, "is reserved by CloudEvents", remedy).into()
                );
            }
            check_attribute(format!("attribute {name}"), &value, 0, MAX_TEXT_CHARS)?;
            if kept.len() >= MAX_ATTRIBUTES && !kept.contains_key(&name) {
                let rule = format!("is one more than the {MAX_ATTRIBUTES} attributes an event may have");
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
    /// The value is no object, an attribute is no text, number or truth value, or what
    /// [`from_attributes`](Self::from_attributes) refuses.
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
    /// The bytes are no JSON, or what [`from_json`](Self::from_json) refuses.
    pub fn from_slice(json: &[u8]) -> Result<Self, EnvelopeError> {
        Self::from_json(serde_json::from_slice(json).map_err(EnvelopeError::Json)?)
    }

    /// The structured form, to be sent as [`CONTENT_TYPE`].
    #[must_use]
    pub fn into_json(self) -> Value {
        let mut object: Map<String, Value> =
            self.attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        object.insert(DATACONTENTTYPE.to_owned(), Value::String(DATA_CONTENT_TYPE.to_owned()));
        object.insert(DATA.to_owned(), self.data);
        Value::Object(object)
    }

    /// The attributes by name, `datacontenttype` apart: it is always [`DATA_CONTENT_TYPE`].
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

    /// With a time, if it has none of its own: CloudEvents leaves it out at will, the envelope never does. Usually the
    /// time at which Kafka or the server took the event.
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
    /// The event as the JSON of a CloudEvent, to be sent as [`CONTENT_TYPE`].
    #[must_use]
    pub fn into_cloudevent_json(self) -> Value {
        CloudEvent::from(self).into_json()
    }
}

/// Whether the name can be that of an extension: lower-case letters and digits, and not taken.
pub(crate) fn check_extension_name(name: &str) -> Result<(), Invalid> {
    check_name(name)?;
    if RESERVED.contains(&name) {
        let rule = "is taken by a field of the envelope";
        return Err(Invalid::new("extension", name, rule, "set that field, or use another name"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let what = "attribute name";
    let remedy = "use up to 20 lower-case letters and digits";
    if name.is_empty() {
        return Err(Invalid::new(what, name, "is empty", remedy));
    }
    if let Some(c) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9')) {
        return Err(Invalid::new(what, name, contains(c), remedy));
    }
    if name.len() > MAX_ATTRIBUTE_NAME {
        return Err(too_long(what, name, name.len(), MAX_ATTRIBUTE_NAME));
    }
    Ok(())
}

/// Checks that a media type is JSON: `application/json`, `text/json` or one that ends in `+json`, with any parameters.
pub(crate) fn check_content_type(content_type: &str) -> Result<(), EnvelopeError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json") {
        return Ok(());
    }
    Err(EnvelopeError::NotJson { content_type: crate::invalid::shown(content_type) })
}

/// The canonical text of an attribute's JSON value. `null` says that there is none.
fn canonical(name: &str, value: Value) -> Result<Option<String>, Invalid> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(truth) => Ok(Some(truth.to_string())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        other => {
            let what = format!("attribute {}", crate::invalid::shown(name));
            let rule = "is not a text, an integer or a truth value";
            Err(Invalid::new(what, &other.to_string(), rule, "put it into `data`"))
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp, Invalid> {
    text.parse().map_err(|_| Invalid::new(TIME, text, "is no time", "write it like `2026-01-31T12:00:00Z`"))
}

#[cfg(test)]
mod tests;
