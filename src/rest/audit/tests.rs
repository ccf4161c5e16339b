//! The JSON of the SDK's types validates against the schemas of the OpenAPI document.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::audit::merkle::{Consistency, Hash, Inclusion};
use crate::domain::audit::{self as domain, Action, Event, LogName, Outcome, Via};

/// The documented schema of a type.
fn schema(name: &str) -> Value {
    let document: Value = serde_json::from_str(crate::rest::document()).unwrap();
    json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]})
}

/// The value validates, and has no undocumented fields; if `full`, it has all documented fields.
fn check(name: &str, value: &Value, full: bool) {
    let schema = schema(name);
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
        let field = known.get(key).unwrap_or_else(|| panic!("{at}.{key} is not documented"));
        same_fields(document, field, value, full, &format!("{at}.{key}"));
    }
    for key in known.keys().filter(|_| full) {
        assert!(there.contains_key(key), "{at}.{key} is documented and missing");
    }
}

fn event() -> Event {
    let actor = domain::Actor { user: "alice".into(), groups: vec!["team".into()], via: Via::Admission };
    Event::new("shop".parse::<LogName>().unwrap(), actor, Action::Update, Outcome::Denied)
}

fn record(event: Event) -> Value {
    let time = "2026-11-21T08:00:00.123456Z".parse().unwrap();
    serde_json::to_value(event.into_draft(Uuid::from_u128(1), time, "webhook", "a-1").at_seq(7)).unwrap()
}

#[test]
fn records_are_as_documented() {
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
fn every_outcome_and_channel_is_documented() {
    for outcome in Outcome::ALL {
        check("Outcome", &json!(outcome), true);
    }
    for via in Via::ALL {
        check("Via", &json!(via), true);
    }
}

#[test]
fn proofs_are_as_documented() {
    let path = vec![Hash::empty()];
    check("Inclusion", &json!(Inclusion { index: 1, size: 3, path: path.clone() }), true);
    check("Consistency", &json!(Consistency { from: 1, to: 3, path }), true);
}
