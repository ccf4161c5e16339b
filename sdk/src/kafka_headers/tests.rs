use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::envelope::tests::{any_text, envelope, full};

type Header<'a> = (&'a str, Option<&'a [u8]>);

const GOOD: [Header<'static>; 5] = [
    ("ce_specversion", Some(b"1.0")),
    ("ce_id", Some(b"1")),
    ("ce_source", Some(b"s")),
    ("ce_type", Some(b"t")),
    ("ce_time", Some(b"2026-01-31T12:00:00Z")),
];

/// Reads an event with valid headers and these.
fn with(more: &[Header<'_>], value: &[u8]) -> Result<CloudEvent, EnvelopeError> {
    read(GOOD.into_iter().chain(more.iter().copied()), Some(value))
}

#[test]
fn headers_are_named_by_the_binding() {
    let (envelope, _) = full();
    let record = KafkaRecord::from(envelope.clone());
    let headers: Vec<_> = record.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        headers,
        [
            "ce_causationid: e-0",
            "ce_correlationid: c-1",
            "ce_id: e-1",
            "ce_requestid: r-1",
            "ce_sessionid: s-1",
            "ce_source: user-service",
            "ce_sourceip: 192.0.2.1",
            "ce_specversion: 1.0",
            "ce_subject: users/1",
            "ce_tenantid: shop",
            "ce_time: 2026-01-31T12:00:00Z",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ce_type: User.Created.v2",
            "ce_useragent: curl/8",
            "ce_userid: u-1",
            "ce_version: 2.1",
            "content-type: application/json",
        ]
    );
    assert_eq!(record.value, br#"{"email":"a@b.c"}"#);
    assert_eq!(Envelope::try_from(record.to_cloudevent().unwrap()).unwrap(), envelope);
}

#[test]
fn other_headers_are_ignored() {
    let event =
        with(&[("app-header", Some(b"x")), ("CE_SUBJECT", Some(b"x")), ("ce_subject", None)], b"{}").unwrap();
    assert_eq!(event.attributes().count(), GOOD.len());
}

#[test]
fn the_last_of_several_headers_is_used() {
    let event = with(&[("ce_subject", Some(b"one")), ("ce_subject", Some(b"two"))], b"{}").unwrap();
    assert_eq!(event.attribute("subject"), Some("two"));
}

#[test]
fn the_trace_context_has_its_own_headers() {
    for (headers, expected) in [
        (vec![("traceparent", Some(&b"anything, even this"[..]))], Some("anything, even this")),
        (vec![("ce_traceparent", Some(&b"old"[..]))], Some("old")),
        (vec![("traceparent", Some(&b"new"[..])), ("ce_traceparent", Some(b"old"))], Some("new")),
        (vec![("traceparent", Some(&b"\xff"[..]))], None),
        (vec![("traceparent", Some(&b"a\nb"[..]))], None),
        (vec![("traceparent", None)], None),
    ] {
        let event = with(&headers, b"{}").unwrap();
        assert_eq!(event.attribute("traceparent"), expected);
        let record = KafkaRecord::from(event);
        assert_eq!(record.header("traceparent"), expected);
        assert_eq!(record.header("ce_traceparent"), None);
    }
}

#[test]
fn structured_records_are_read() {
    let json = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": [1]}).to_string();
    for content_type in ["application/cloudevents+json; charset=UTF-8", "Application/CloudEvents+JSON"] {
        let headers = [("content-type", Some(content_type.as_bytes())), ("traceparent", Some(&b"tp"[..]))];
        let event = read(headers, Some(json.as_bytes())).unwrap();
        assert_eq!(event.data(), &json!([1]));
        assert_eq!(event.attribute("traceparent"), Some("tp"));
    }
    for content_type in ["application/cloudevents+avro", "application/cloudevents-batch+json"] {
        let error =
            read([("content-type", Some(content_type.as_bytes()))], Some(json.as_bytes())).unwrap_err();
        assert!(matches!(error, EnvelopeError::NotJson { .. }), "{content_type}: {error}");
    }
    let headers = [("content-type", Some(&b"application/cloudevents+json"[..]))];
    assert!(matches!(read(headers, None), Err(EnvelopeError::Json(_))));
}

#[test]
fn a_record_without_value_has_null_data() {
    for value in [None, Some(&b""[..])] {
        let event = read(GOOD, value).unwrap();
        assert_eq!(event.data(), &Value::Null);
        assert_eq!(KafkaRecord::from(event).value, b"null");
    }
}

#[test]
fn invalid_records_are_refused() {
    for (headers, value, message) in [
        (vec![], &b"{}"[..], "`specversion` is missing"),
        (vec![("ce_specversion", Some(&b"1.0"[..]))], b"{}", "`id` is missing"),
        (vec![("ce_subject", Some(&b"\xff"[..]))], b"{}", "the header `ce_subject` is not UTF-8"),
        (vec![("content-type", Some(&b"\xff"[..]))], b"{}", "the header `content-type` is not UTF-8"),
        (vec![("ce_Subject", Some(&b"a"[..]))], b"{}", "attribute name `Subject` contains 'S'"),
        (vec![("content-type", Some(&b"text/plain"[..]))], b"{}", "the data has the media type `text/plain`"),
    ] {
        let good = if headers.is_empty() || message.contains("`id`") { &[][..] } else { &GOOD[..] };
        let error = read(good.iter().copied().chain(headers), Some(value)).unwrap_err();
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
    assert!(matches!(with(&[], b"not json"), Err(EnvelopeError::Json(_))));
}

#[test]
fn the_header_content_type_has_the_media_type() {
    assert!(with(&[("ce_datacontenttype", Some(b"text/plain"))], b"{}").is_ok());
    assert!(with(&[("Content-Type", Some(b"text/plain"))], b"{}").is_err());
}

proptest! {
    #[test]
    fn kafka_records_round_trip(event in envelope()) {
        let record = KafkaRecord::from(event.clone());
        prop_assert_eq!(Envelope::try_from(record.to_cloudevent().unwrap()).unwrap(), event);
    }

    #[test]
    fn both_bindings_round_trip(event in envelope()) {
        let json = event.clone().into_cloudevent_json();
        let record = KafkaRecord::from(CloudEvent::from_json(json).unwrap());
        prop_assert_eq!(Envelope::try_from(record.to_cloudevent().unwrap()).unwrap(), event);
    }

    #[test]
    fn arbitrary_input_does_not_panic(
        headers in prop::collection::vec(
            (prop_oneof!["ce_[a-z]{1,12}", "content-type", "traceparent", any_text()],
             prop::option::of(prop_oneof!["[ -~]{0,40}".prop_map(String::into_bytes), any::<Vec<u8>>()])),
            0..8,
        ),
        value in prop::option::of(any::<Vec<u8>>()),
    ) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let _ = read(headers.iter().copied(), value.as_deref());
        let _ = read(GOOD.into_iter().chain(headers), value.as_deref()).map(Envelope::try_from);
    }
}
