//! How records and proofs look as JSON, for the description of the API. Answers are made from the types of
//! [`crate::domain::audit`], which know nothing of descriptions; a test shows that both agree.

#![allow(dead_code, reason = "these types are described and never made")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::ToSchema;
use uuid::Uuid;

/// How something ended.
#[derive(ToSchema)]
pub(in crate::rest) enum Outcome {
    Allowed,
    Denied,
    Started,
    Succeeded,
    Failed,
}

/// The door somebody came through.
#[derive(ToSchema)]
pub(in crate::rest) enum Via {
    Admission,
    Controllers,
    Api,
}

/// Who it was.
#[derive(ToSchema)]
pub(in crate::rest) struct Actor {
    /// The name by which Kubernetes knows them, or which replica it was.
    user: String,
    /// Their groups.
    #[schema(required = false)]
    groups: Vec<String>,
    via: Via,
}

/// What it was about.
#[derive(ToSchema)]
pub(in crate::rest) struct Target {
    /// The kind of the resource.
    #[schema(example = "EventTopic")]
    kind: String,
    #[schema(required = false, nullable = false)]
    namespace: Option<String>,
    name: String,
    #[schema(required = false, nullable = false)]
    uid: Option<String>,
}

/// A resource before and after.
#[derive(ToSchema)]
pub(in crate::rest) struct Change {
    /// A JSON Patch (RFC 6902) with `test` operations for what was there before.
    #[schema(required = false)]
    patch: Vec<BTreeMap<String, serde_json::Value>>,
    /// The paths that changed, where the patch would be too large.
    #[schema(required = false)]
    paths: Vec<String>,
    /// SHA-256 of the canonical JSON before, where the patch would be too large.
    #[schema(required = false, nullable = false)]
    before: Option<String>,
    /// The same of what came after.
    #[schema(required = false, nullable = false)]
    after: Option<String>,
}

/// Which process wrote a record, and whom it served.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::rest) struct Origin {
    /// Its role: `webhook`, `controllers` or `api`.
    component: String,
    /// The replica.
    instance: String,
    /// The address a REST request came from.
    #[schema(required = false, nullable = false)]
    address: Option<String>,
    /// What a REST client calls itself.
    #[schema(required = false, nullable = false)]
    user_agent: Option<String>,
    /// What a client of the API server calls itself as the manager of fields.
    #[schema(required = false, nullable = false)]
    field_manager: Option<String>,
}

/// One entry of a log.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::rest) struct Record {
    /// Names the record; a UUID of version 7.
    id: Uuid,
    /// The place in the log, from 0 without a gap.
    seq: u64,
    /// The log: a tenant, or `_platform`.
    tenant: String,
    /// When it happened.
    time: Timestamp,
    actor: Actor,
    /// What was asked for or done. There may be more words in later versions.
    #[schema(example = "Update")]
    action: String,
    #[schema(required = false, nullable = false)]
    target: Option<Target>,
    outcome: Outcome,
    /// Why it ended like that, in the one vocabulary of reasons.
    #[schema(required = false, nullable = false)]
    reason: Option<String>,
    /// The same for people, or what exactly was done.
    #[schema(required = false, nullable = false)]
    message: Option<String>,
    #[schema(required = false, nullable = false)]
    change: Option<Change>,
    /// The record of the start, where this is the end.
    #[schema(required = false, nullable = false)]
    completes: Option<Uuid>,
    /// The id of the request.
    #[schema(required = false, nullable = false)]
    request_id: Option<String>,
    /// The trace (W3C trace context).
    #[schema(required = false, nullable = false)]
    trace_id: Option<String>,
    origin: Origin,
}

/// That a record is among the first `size` of its log (RFC 6962, section 2.1.1).
#[derive(ToSchema)]
pub(in crate::rest) struct Inclusion {
    /// The record's place.
    index: u64,
    /// The number of records of the tree.
    size: u64,
    /// SHA-256 in hexadecimal.
    path: Vec<String>,
}

/// That the first `from` records are the beginning of the first `to` (RFC 6962, section 2.1.2).
#[derive(ToSchema)]
pub(in crate::rest) struct Consistency {
    /// The number of records of the older tree.
    from: u64,
    /// That of the younger one.
    to: u64,
    /// SHA-256 in hexadecimal.
    path: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::domain::audit::merkle::{Consistency, Hash, Inclusion};
    use crate::domain::audit::{self as domain, Action, Event, LogName, Outcome, Via};

    /// What the description says of a type of this name.
    fn described(name: &str) -> Value {
        let document: Value = serde_json::from_str(crate::rest::document()).unwrap();
        json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]})
    }

    /// The value has the described form, and all that the description knows if `full`.
    fn check(name: &str, value: &Value, full: bool) {
        let schema = described(name);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name} {value}: {errors:?}");
        same_fields(&schema, &schema["components"]["schemas"][name], value, full, name);
    }

    fn same_fields(document: &Value, schema: &Value, value: &Value, full: bool, at: &str) {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap(),
            None => schema,
        };
        let (Some(known), Some(there)) = (schema["properties"].as_object(), value.as_object()) else {
            return;
        };
        for (key, value) in there {
            let described = known.get(key).unwrap_or_else(|| panic!("{at}.{key} is not described"));
            same_fields(document, described, value, full, &format!("{at}.{key}"));
        }
        for key in known.keys().filter(|_| full) {
            assert!(there.contains_key(key), "{at}.{key} is described and not there");
        }
    }

    fn event() -> Event {
        let actor = domain::Actor { user: "alice".into(), groups: vec!["team".into()], via: Via::Admission };
        Event::new("shop".parse::<LogName>().unwrap(), actor, Action::Update, Outcome::Denied)
    }

    fn record(event: Event) -> Value {
        let time = "2026-11-21T08:00:00.123456Z".parse().unwrap();
        serde_json::to_value(event.draft(Uuid::from_u128(1), time, "webhook", "a-1").at(7)).unwrap()
    }

    #[test]
    fn records_are_as_described() {
        check("Record", &record(event()), false);
        let full = Event {
            target: Some(domain::Target {
                kind: "EventTopic".into(),
                namespace: Some("shop".into()),
                name: "orders".into(),
                uid: Some("u".into()),
            }),
            reason: Some(eventcenter_sdk::Reason::Forbidden),
            message: Some("no".into()),
            change: Some(domain::Change {
                patch: vec![json!({"op": "add", "path": "/spec", "value": {}})],
                paths: vec!["/spec".into()],
                before: Some("0".into()),
                after: Some("1".into()),
            }),
            completes: Some(Uuid::from_u128(2)),
            request: Some("r".into()),
            trace: Some("t".into()),
            caller: domain::Caller {
                address: Some("192.0.2.1".into()),
                user_agent: Some("curl".into()),
                field_manager: Some("kubectl".into()),
            },
            ..event()
        };
        check("Record", &record(full), true);
    }

    #[test]
    fn every_outcome_and_door_is_described() {
        for outcome in Outcome::ALL {
            check("Outcome", &json!(outcome), true);
        }
        for via in Via::ALL {
            check("Via", &json!(via), true);
        }
    }

    #[test]
    fn proofs_are_as_described() {
        let path = vec![Hash::empty()];
        check("Inclusion", &json!(Inclusion { index: 1, size: 3, path: path.clone() }), true);
        check("Consistency", &json!(Consistency { from: 1, to: 3, path }), true);
    }
}
