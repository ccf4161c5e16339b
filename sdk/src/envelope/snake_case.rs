//! Reading the snake_case form of older producers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Envelope, EnvelopeError,
    json::{Wire, WireMetadata},
};
use crate::{Invalid, name::split_version};

impl Envelope {
    /// Reads the snake_case form of older producers (`event_id`, `event_type`, …). Each field may also have its camelCase
    /// name, and ids and versions may be numbers.
    ///
    /// A missing `source` becomes `default_source`, for example the topic. This form has the version apart from the type
    /// (`User.Created` and `1`); it is appended to the name (`User.Created.v1`).
    ///
    /// # Errors
    /// A required field is missing, or a field has another type or breaks a rule.
    pub fn from_snake_case(value: Value, default_source: &str) -> Result<Self, EnvelopeError> {
        let Value::Object(object) = value else {
            return Err(wrong_type("event", &value, "an object").into());
        };
        let mut fields = Fields(object);
        let version = fields.text("version", &["version", "event_version", "eventVersion"])?;
        let event_type = fields
            .text("event_type", &["event_type", "eventType", "type"])?
            .ok_or(EnvelopeError::Missing { field: "event_type" })?;
        let timestamp =
            fields.text("timestamp", &["timestamp"])?.ok_or(EnvelopeError::Missing { field: "timestamp" })?;
        let timestamp = timestamp.parse().map_err(|_| {
            Invalid::new(
                "timestamp",
                &timestamp,
                "is not a time of RFC 3339",
                "write it like `2026-01-31T12:00:00Z`",
            )
        })?;
        let mut metadata = match fields.take(&["metadata"]) {
            None => Fields(Map::new()),
            Some(Value::Object(object)) => Fields(object),
            Some(other) => return Err(wrong_type("metadata", &other, "an object").into()),
        };
        Wire {
            id: fields
                .text("event_id", &["event_id", "eventId", "id"])?
                .ok_or(EnvelopeError::Missing { field: "event_id" })?,
            event_type: with_version_suffix(event_type, version.as_deref()),
            version,
            timestamp,
            source: fields.text("source", &["source"])?.unwrap_or_else(|| default_source.to_owned()),
            tenant_id: fields.text("tenant_id", &["tenant_id", "tenantId"])?,
            user_id: fields.text("user_id", &["user_id", "userId"])?,
            correlation_id: fields.text("correlation_id", &["correlation_id", "correlationId"])?,
            causation_id: fields.text("causation_id", &["causation_id", "causationId"])?,
            // Here `null` is a value; in the other fields it means that the field is absent.
            data: fields.0.remove("data").ok_or(EnvelopeError::Missing { field: "data" })?,
            metadata: Some(WireMetadata {
                request_id: metadata.text("metadata.request_id", &["request_id", "requestId"])?,
                user_agent: metadata.text("metadata.user_agent", &["user_agent", "userAgent"])?,
                source_ip: metadata.text("metadata.source_ip", &["source_ip", "sourceIp"])?,
                session_id: metadata.text("metadata.session_id", &["session_id", "sessionId"])?,
            }),
            extensions: BTreeMap::new(),
        }
        .try_into()
    }
}

/// The fields of an object, each of which may have one of several names.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, names: &[&str]) -> Option<Value> {
        names.iter().filter_map(|name| self.0.remove(*name)).find(|value| !value.is_null())
    }

    fn text(&mut self, field: &'static str, names: &[&str]) -> Result<Option<String>, Invalid> {
        match self.take(names) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(wrong_type(field, &other, "a string")),
        }
    }
}

fn wrong_type(field: &'static str, value: &Value, wanted: &str) -> Invalid {
    Invalid::new(field, &value.to_string(), format!("is not {wanted}"), format!("make it {wanted}"))
}

/// Appends the version to a PascalCase name without one. Lower-case names have none by convention.
fn with_version_suffix(event_type: String, version: Option<&str>) -> String {
    let major = version.map_or("1", |version| version.split('.').next().unwrap_or(version));
    if !event_type.starts_with(|c: char| c.is_ascii_uppercase()) || split_version(&event_type).is_some() {
        return event_type;
    }
    let named = format!("{event_type}.v{major}");
    if split_version(&named).is_some() { named } else { event_type }
}
