use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::attribute::check_extension_name;
use crate::envelope::tests::{any_text, envelope, full, json_value};

fn good() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-01-31T12:00:00Z", "data": {}})
}

fn with(name: &str, value: Value) -> Value {
    let mut json = good();
    json[name] = value;
    json
}

#[test]
fn each_field_is_one_attribute() {
    let (envelope, _) = full();
    let json = json!({
        "specversion": "1.0",
        "id": "e-1",
        "type": "User.Created.v2",
        "source": "user-service",
        "time": "2026-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "version": "2.1",
        "tenantid": "shop",
        "userid": "u-1",
        "correlationid": "c-1",
        "causationid": "e-0",
        "requestid": "r-1",
        "useragent": "curl/8",
        "sourceip": "192.0.2.1",
        "sessionid": "s-1",
        "subject": "users/1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"email": "a@b.c"},
    });
    assert_eq!(envelope.clone().into_cloudevent_json(), json);
    assert_eq!(Envelope::try_from(CloudEvent::from_json(json).unwrap()).unwrap(), envelope);
}

#[test]
fn reserved_names_are_legal_and_no_extensions() {
    for name in RESERVED {
        assert!(name.len() <= 20 && check_name(name).is_ok(), "{name}");
        assert!(check_extension_name(name).is_err(), "{name}");
    }
}

#[test]
fn attributes_of_other_types_become_strings() {
    let mut json = good();
    json["sampledrate"] = json!(30);
    json["urgent"] = json!(true);
    json["nothing"] = json!(null);
    let event = CloudEvent::from_json(json).unwrap();
    assert_eq!(event.attribute("sampledrate"), Some("30"));
    assert_eq!(event.attribute("urgent"), Some("true"));
    assert_eq!(event.attribute("nothing"), None);
    assert_eq!(event.attribute("datacontenttype"), Some("application/json"));
}

#[test]
fn data_has_a_json_media_type() {
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "text/json",
        "application/vnd.example+json;v=1",
    ] {
        assert!(
            CloudEvent::from_json(with("datacontenttype", json!(content_type))).is_ok(),
            "{content_type}"
        );
    }
    for content_type in ["text/xml", "application/avro", "", "json", "application/jsonl"] {
        let error = CloudEvent::from_json(with("datacontenttype", json!(content_type))).unwrap_err();
        assert!(matches!(error, EnvelopeError::NotJson { .. }), "{content_type}: {error}");
    }
    let mut json = good();
    json.as_object_mut().unwrap().remove("data");
    assert_eq!(CloudEvent::from_json(json).unwrap().data(), &Value::Null);
}

#[test]
fn invalid_cloudevents_are_refused() {
    for (json, message) in [
        (json!([]), "CloudEvent `[]` is not an object"),
        (with("specversion", json!("0.3")), "specversion `0.3` is not supported; send CloudEvents 1.0"),
        (with("specversion", json!(null)), "`specversion` is missing"),
        (with("id", json!(null)), "`id` is missing"),
        (with("source", json!(null)), "`source` is missing"),
        (with("type", json!(null)), "`type` is missing"),
        (with("data_base64", json!("aGk=")), "the data is binary"),
        (
            with("tenantId", json!("a")),
            "attribute name `tenantId` contains 'I'; use up to 20 lower-case letters and digits",
        ),
        (with("", json!("a")), "attribute name `` is empty"),
        (with(&"a".repeat(65), json!("a")), "has 65 characters"),
        (with("subject", json!("a\u{0}")), "attribute subject `a\\0` contains"),
        (with("subject", json!("a".repeat(1025))), "has 1025 characters"),
        (with("subject", json!({})), "attribute subject `{}` is not a string, an integer or a boolean"),
        (with("subject", json!(1.5)), "attribute subject `1.5` is not a string"),
    ] {
        let error = CloudEvent::from_json(json.clone()).unwrap_err();
        assert!(error.to_string().contains(message), "{json}: {error}");
    }
    assert!(CloudEvent::from_attributes([("data".to_owned(), String::new())], json!(1)).is_err());

    let mut json = good();
    for at in 0..MAX_ATTRIBUTES {
        json[format!("x{at}")] = json!("");
    }
    assert!(
        CloudEvent::from_json(json).unwrap_err().to_string().contains("exceeds the limit of 48 attributes")
    );
}

#[test]
fn a_cloudevent_that_is_not_an_envelope_is_refused() {
    for (name, value, message) in [
        ("time", json!(null), "`time` is missing"),
        ("time", json!("noon"), "time `noon` is not a time of RFC 3339"),
        ("id", json!(""), "event id `` is empty"),
        ("tenantid", json!("No"), "tenant name `No` contains 'N'"),
        ("version", json!("a b"), "version `a b` contains ' '"),
    ] {
        let event = CloudEvent::from_json(with(name, value)).unwrap();
        let error = Envelope::try_from(event).unwrap_err();
        assert!(error.to_string().contains(message), "{name}: {error}");
    }
}

#[test]
fn or_time_sets_a_missing_time_only() {
    let other: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
    let event = CloudEvent::from_json(with("time", json!(null))).unwrap().or_time(other);
    assert_eq!(Envelope::try_from(event).unwrap().timestamp(), other);
    let event = CloudEvent::from_json(good()).unwrap().or_time(other);
    assert_ne!(Envelope::try_from(event).unwrap().timestamp(), other);
}

proptest! {
    #[test]
    fn cloudevents_round_trip(event in envelope()) {
        let json = serde_json::to_string(&event).unwrap();
        let read: Envelope = serde_json::from_str(&json).unwrap();
        let structured = read.into_cloudevent_json().to_string();
        let back = Envelope::try_from(CloudEvent::from_slice(structured.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(back, event);
    }

    #[test]
    fn arbitrary_input_does_not_panic(
        bytes in any::<Vec<u8>>(),
        attributes in prop::collection::vec(
            (prop_oneof!["[a-z]{1,3}", prop::sample::select(RESERVED.to_vec()).prop_map(str::to_owned), any_text()], any_text()),
            0..12,
        ),
        name in "[a-z]{1,12}",
        value in json_value(),
    ) {
        let _ = CloudEvent::from_slice(&bytes).map(Envelope::try_from);
        let _ = CloudEvent::from_attributes(attributes.clone(), value.clone());
        // Added to a valid event, so that all checks are reached.
        let good = [("specversion", "1.0"), ("id", "1"), ("source", "s"), ("type", "t"), ("time", "2026-01-31T12:00:00Z")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let _ = CloudEvent::from_attributes(good.into_iter().chain(attributes), value.clone()).map(Envelope::try_from);
        let _ = CloudEvent::from_json(with(&name, value)).map(Envelope::try_from);
    }
}
