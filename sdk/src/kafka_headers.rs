//! The envelope as a Kafka record (CloudEvents Kafka Protocol Binding 1.0, binary content mode).
//!
//! The value is the event's data as JSON. Each attribute is a header `ce_{attribute}`, with two exceptions:
//! `content-type` is the media type of the data, and the trace context has the headers `traceparent` and `tracestate`, where
//! tracing libraries expect it. `ce_traceparent` and `ce_tracestate` are read as well.
//!
//! Deliberately absent: the key of the record. It determines the partition, so the publisher chooses it.
//!
//! [`read`] also accepts the structured mode, as the binding requires of every reader.

use serde_json::Value;

use crate::{
    CloudEvent, Envelope, EnvelopeError,
    attribute::{DATACONTENTTYPE, TRACEPARENT, TRACESTATE},
    cloudevents::{DATA_CONTENT_TYPE, check_content_type},
    envelope::MAX_TEXT_CHARS,
    invalid::shown,
    text::check_attribute,
};

/// Prefix of the headers of attributes.
pub const PREFIX: &str = "ce_";
/// The header with the media type of the value.
pub const CONTENT_TYPE: &str = "content-type";
/// Prefix of the media type in structured mode: the value is the whole event.
const STRUCTURED: &str = "application/cloudevents";

/// An event as headers and value of a Kafka record.
///
/// ```
/// use eventcenter_sdk::{Envelope, EventId, KafkaRecord};
/// use serde_json::json;
///
/// let id = EventId::parse("42").unwrap();
/// let time = "2026-01-31T12:00:00Z".parse().unwrap();
/// let event = Envelope::new(id, "user.created", "user-service", time, json!({"name": "Ada"}))?;
///
/// let record = KafkaRecord::from(event.clone());
/// assert_eq!(record.value, br#"{"name":"Ada"}"#);
/// assert_eq!(record.header("ce_type"), Some("user.created"));
/// assert_eq!(Envelope::try_from(record.to_cloudevent()?)?, event);
/// # Ok::<(), eventcenter_sdk::EnvelopeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaRecord {
    /// Names and values of the headers, sorted by attribute. Values are encoded as UTF-8.
    pub headers: Vec<(String, String)>,
    /// The data as JSON. Always present: a record without a value is a tombstone in a compacted topic.
    pub value: Vec<u8>,
}

impl KafkaRecord {
    /// The value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads the event.
    ///
    /// # Errors
    /// As for [`read`].
    pub fn to_cloudevent(&self) -> Result<CloudEvent, EnvelopeError> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_bytes())));
        read(headers, Some(&self.value))
    }
}

impl From<CloudEvent> for KafkaRecord {
    fn from(event: CloudEvent) -> Self {
        let (attributes, data) = event.into_parts();
        let mut headers: Vec<_> =
            attributes.into_iter().map(|(name, value)| (header_name(name), value)).collect();
        headers.push((CONTENT_TYPE.to_owned(), DATA_CONTENT_TYPE.to_owned()));
        Self { headers, value: data.to_string().into_bytes() }
    }
}

impl From<Envelope> for KafkaRecord {
    fn from(envelope: Envelope) -> Self {
        CloudEvent::from(envelope).into()
    }
}

/// Reads an event from the headers and the value of a record, in either mode.
///
/// If several headers have one name, the last is used, as by Kafka's own clients. Other headers are ignored, and so is a
/// trace context that is not a legal attribute: an invalid trace must not make an event unreadable.
///
/// # Errors
/// The record is not a CloudEvent, an attribute breaks a rule, or the value is not JSON.
pub fn read<'a>(
    headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    value: Option<&[u8]>,
) -> Result<CloudEvent, EnvelopeError> {
    let mut attributes = Vec::new();
    let mut trace = Vec::new();
    let mut content_type = None;
    for (name, bytes) in headers {
        let Some(bytes) = bytes else { continue };
        if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            content_type = Some(text(name, bytes)?);
        } else if matches!(name, TRACEPARENT | TRACESTATE) {
            if let Some(value) = std::str::from_utf8(bytes).ok().filter(|value| is_trace(value)) {
                trace.push((name.to_owned(), value.to_owned()));
            }
        } else if let Some(attribute) = name.strip_prefix(PREFIX) {
            attributes.push((attribute.to_owned(), text(name, bytes)?.to_owned()));
        }
    }
    if let Some(content_type) = content_type.filter(|found| is_structured(found)) {
        return structured(content_type, value, trace);
    }
    // The header `content-type` has the media type; a second one could contradict it.
    attributes.retain(|(name, _)| name != DATACONTENTTYPE);
    if let Some(content_type) = content_type {
        check_content_type(content_type)?;
    }
    // After the attributes: the header that tracing libraries update takes precedence over `ce_traceparent`.
    attributes.append(&mut trace);
    let data = match value {
        None | Some([]) => Value::Null,
        Some(json) => {
            // For a record that is not a CloudEvent this error is more useful than that of its value.
            if !attributes.iter().any(|(name, _)| name == "specversion") {
                return Err(EnvelopeError::Missing { field: "specversion" });
            }
            serde_json::from_slice(json).map_err(EnvelopeError::Json)?
        }
    };
    CloudEvent::from_attributes(attributes, data)
}

fn is_structured(content_type: &str) -> bool {
    content_type.get(..STRUCTURED.len()).is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED))
}

fn structured(
    content_type: &str,
    value: Option<&[u8]>,
    trace: Vec<(String, String)>,
) -> Result<CloudEvent, EnvelopeError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/cloudevents+json")
        && !essence.eq_ignore_ascii_case(STRUCTURED)
    {
        // Other formats (Avro, Protobuf) and batches.
        return Err(EnvelopeError::NotJson { content_type: shown(content_type) });
    }
    let event = CloudEvent::from_slice(value.unwrap_or_default())?;
    if trace.is_empty() {
        return Ok(event);
    }
    let (attributes, data) = event.into_parts();
    CloudEvent::from_attributes(attributes.into_iter().chain(trace), data)
}

fn header_name(attribute: String) -> String {
    if matches!(attribute.as_str(), TRACEPARENT | TRACESTATE) {
        attribute
    } else {
        format!("{PREFIX}{attribute}")
    }
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Header { header: shown(name) })
}

fn is_trace(value: &str) -> bool {
    check_attribute("trace context", value, 0, MAX_TEXT_CHARS).is_ok()
}

#[cfg(test)]
mod tests;
