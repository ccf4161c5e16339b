//! Audit records.
//!
//! The hash of a record is that of its canonical JSON (RFC 8785). Fields are declared in the order of their JSON names, so
//! that what serde writes is usually canonical already.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{LogName, Outcome, Via};

/// An audit record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Record {
    /// What was requested or done, such as `Update`. Later versions may add values.
    #[cfg_attr(feature = "openapi", schema(example = "Update"))]
    pub action: String,
    /// Who did it.
    pub actor: Actor,
    /// The resource before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub change: Option<Change>,
    /// The id of the record of the start, if this record is the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub completes: Option<Uuid>,
    /// The id of the record: a UUID of version 7 (RFC 9562).
    pub id: Uuid,
    /// A message for people: details of the reason, or what exactly was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub message: Option<String>,
    /// The process that wrote the record, and the client it served.
    pub origin: Origin,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason for the outcome, such as `Forbidden`. Later versions may add values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub reason: Option<String>,
    /// The id of the request: `X-Request-Id`, or the uid of an admission review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub request_id: Option<String>,
    /// The position in the log, from 0 without gaps.
    pub seq: u64,
    /// The resource or object that the action is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub target: Option<Target>,
    /// The log: a tenant, or `_platform`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tenant: LogName,
    /// When it happened, to the microsecond. Records are ordered by when they were written, which may differ.
    pub time: Timestamp,
    /// The trace id (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub trace_id: Option<String>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// The groups of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The user name in Kubernetes, or the replica of the operator.
    pub user: String,
    /// The channel through which the actor acted.
    pub via: Via,
}

/// The resource or object that an action is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Target {
    /// The kind, such as `EventTopic` or `KafkaTopic`.
    #[cfg_attr(feature = "openapi", schema(example = "EventTopic"))]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace of a namespaced resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub namespace: Option<String>,
    /// The uid of a resource that exists in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub uid: Option<String>,
}

/// A resource before and after: a JSON Patch (RFC 6902) with `test` operations for the previous values, so that it can be
/// undone. If the patch would be too large, the changed paths and two hashes instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// SHA-256 of the canonical JSON after the change, if the patch would be too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub after: Option<String>,
    /// SHA-256 of the canonical JSON before the change, if the patch would be too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub before: Option<String>,
    /// The operations of the patch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Vec<std::collections::BTreeMap<String, Value>>)
    )]
    pub patch: Vec<Value>,
    /// The changed paths, if the patch would be too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// The process that wrote a record, and what is known of the client it served.
///
/// The API server does not send webhooks the address and user agent of a request; its own audit log has them, beside the
/// annotation with the record's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Origin {
    /// The address of a REST client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub address: Option<String>,
    /// The role of the process: `webhook`, `controllers` or `api`.
    pub component: String,
    /// The field manager of a client of the API server, such as `kubectl-client-side-apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub field_manager: Option<String>,
    /// The replica.
    pub instance: String,
    /// The user agent of a REST client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub user_agent: Option<String>,
}

/// A record as its log stores it, byte for byte: with the fields that a later version added, and as it was hashed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawRecord(Box<RawValue>);

impl RawRecord {
    /// A record from its JSON.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn from_json(json: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(json).map(Self)
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The record with the fields known to this version.
    ///
    /// # Errors
    /// The JSON is not a record as this version knows it.
    pub fn parse(&self) -> Result<Record, serde_json::Error> {
        serde_json::from_str(self.json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> Record {
        Record {
            action: "Update".into(),
            actor: Actor { groups: vec!["team".into()], user: "alice".into(), via: Via::Admission },
            change: Some(Change {
                after: Some("1".into()),
                before: Some("0".into()),
                patch: vec![json!({"op": "add", "path": "/spec", "value": {}})],
                paths: vec!["/spec".into()],
            }),
            completes: Some(Uuid::from_u128(2)),
            id: Uuid::from_u128(1),
            message: Some("m".into()),
            origin: Origin {
                address: Some("192.0.2.1".into()),
                component: "api".into(),
                field_manager: Some("kubectl".into()),
                instance: "a-1".into(),
                user_agent: Some("curl".into()),
            },
            outcome: Outcome::Denied,
            reason: Some("Forbidden".into()),
            request_id: Some("r".into()),
            seq: 7,
            target: Some(Target {
                kind: "EventTopic".into(),
                name: "orders".into(),
                namespace: Some("shop".into()),
                uid: Some("u".into()),
            }),
            tenant: "shop".parse().unwrap(),
            time: "2026-11-21T08:00:00.123456Z".parse().unwrap(),
            trace_id: Some("t".into()),
        }
    }

    #[test]
    fn a_record_has_this_json() {
        let record = full();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"action":"Update","actor":{"groups":["team"],"user":"alice","via":"Admission"},"#,
                r#""change":{"after":"1","before":"0","patch":[{"op":"add","path":"/spec","value":{}}],"paths":["/spec"]},"#,
                r#""completes":"00000000-0000-0000-0000-000000000002","id":"00000000-0000-0000-0000-000000000001","#,
                r#""message":"m","origin":{"address":"192.0.2.1","component":"api","fieldManager":"kubectl","#,
                r#""instance":"a-1","userAgent":"curl"},"outcome":"Denied","reason":"Forbidden","requestId":"r","seq":7,"#,
                r#""target":{"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u"},"tenant":"shop","#,
                r#""time":"2026-11-21T08:00:00.123456Z","traceId":"t"}"#
            )
        );
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn absent_fields_are_not_written() {
        let least = json!({
            "action": "Lead", "actor": {"user": "a-1", "via": "Controllers"}, "id": Uuid::from_u128(1),
            "origin": {"component": "controllers", "instance": "a-1"}, "outcome": "Started", "seq": 0,
            "tenant": "_platform", "time": "1970-01-01T00:00:00Z",
        });
        let record: Record = serde_json::from_value(least.clone()).unwrap();
        assert_eq!(serde_json::to_value(record).unwrap(), least);
    }

    #[test]
    fn a_raw_record_keeps_its_bytes_and_unknown_fields() {
        let json = serde_json::to_string(&full()).unwrap().replace(r#""seq":7"#, r#""later":1.0, "seq":7"#);
        let raw = RawRecord::from_json(json.clone()).unwrap();
        assert_eq!((raw.json(), serde_json::to_string(&raw).unwrap()), (json.as_str(), json.clone()));
        assert_eq!(raw.parse().unwrap(), full());
        let read: RawRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(read.json(), json);
        assert!(RawRecord::from_json("no".into()).is_err());
        assert!(RawRecord::from_json("{}".into()).unwrap().parse().is_err());
    }
}
