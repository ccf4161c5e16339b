//! Reading the envelope's own JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{Envelope, EnvelopeError, Metadata};
use crate::{EventId, TenantName};

/// The fields before they are checked. Unknown fields are ignored, so that a field can be added to the envelope without
/// breaking existing readers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) version: Option<String>,
    pub(super) timestamp: Timestamp,
    pub(super) source: String,
    pub(super) tenant_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) causation_id: Option<String>,
    pub(super) data: Value,
    pub(super) metadata: Option<WireMetadata>,
    #[serde(default)]
    pub(super) extensions: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireMetadata {
    pub(super) request_id: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) source_ip: Option<String>,
    pub(super) session_id: Option<String>,
}

impl From<WireMetadata> for Metadata {
    fn from(wire: WireMetadata) -> Self {
        let WireMetadata { request_id, user_agent, source_ip, session_id } = wire;
        Self { request_id, user_agent, source_ip, session_id }
    }
}

impl TryFrom<Wire> for Envelope {
    type Error = EnvelopeError;

    fn try_from(wire: Wire) -> Result<Self, EnvelopeError> {
        let id = EventId::parse(&wire.id)?;
        let mut envelope = Self::new(id, wire.event_type, wire.source, wire.timestamp, wire.data)?;
        if let Some(version) = wire.version {
            envelope = envelope.with_version(version)?;
        }
        if let Some(tenant) = wire.tenant_id {
            envelope = envelope.with_tenant(TenantName::parse(&tenant)?);
        }
        if let Some(user) = wire.user_id {
            envelope = envelope.with_user(user)?;
        }
        if let Some(id) = wire.correlation_id {
            envelope = envelope.with_correlation(EventId::parse(&id)?);
        }
        if let Some(id) = wire.causation_id {
            envelope = envelope.with_causation(EventId::parse(&id)?);
        }
        envelope = envelope.with_metadata(wire.metadata.unwrap_or_default().into())?;
        for (name, value) in wire.extensions {
            envelope = envelope.with_extension(name, value)?;
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

impl Envelope {
    /// Reads the envelope's own JSON. Unlike serde's `Deserialize`, the error distinguishes a field that breaks a rule from
    /// malformed JSON.
    ///
    /// # Errors
    /// The bytes are not JSON with the fields of an envelope, or a field breaks a rule.
    pub fn from_slice(json: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice::<Wire>(json).map_err(EnvelopeError::Json)?.try_into()
    }
}
