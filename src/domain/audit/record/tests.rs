use expect_test::expect;
use serde_json::json;

use super::*;
use crate::domain::audit::change_between;
use eventcenter_sdk::rest::audit::Via;

fn id(last: u8) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(last))
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// An event with all optional values.
fn event() -> Event {
    let actor = Actor {
        user: "alice".to_owned(),
        groups: vec!["team-a".to_owned(), "system:authenticated".to_owned()],
        via: Via::Admission,
    };
    let (before, after) = (json!({"spec": {"partitions": 3}}), json!({"spec": {"partitions": 6}}));
    Event {
        target: Some(Target {
            kind: "EventTopic".to_owned(),
            namespace: Some("team-a".to_owned()),
            name: "orders".to_owned(),
            uid: Some("7d8e".to_owned()),
        }),
        reason: Some(Reason::AwaitingApproval),
        message: Some("a \"message\"\nof two lines – ü".to_owned()),
        change: change_between(Some(&before), Some(&after)),
        completes: Some(id(1)),
        request: Some("r-1".to_owned()),
        trace: Some("00-4bf9-00f0-01".to_owned()),
        caller: Caller {
            address: Some("10.0.0.1".to_owned()),
            user_agent: Some("curl/8".to_owned()),
            field_manager: Some("kubectl-client-side-apply".to_owned()),
        },
        ..Event::new(LogName::of(Some("team-a")), actor, Action::Update, Outcome::Denied)
    }
}

fn text(record: &Record) -> String {
    String::from_utf8(canonical_json(record)).expect("text")
}

/// A different serialization would invalidate all existing logs.
#[test]
fn the_serialization_of_a_record_is_stable() {
    let record =
        event().into_draft(id(2), time("2026-11-21T10:00:00.123456789Z"), "webhook", "webhook-0").at_seq(41);
    expect![[r#"{"action":"Update","actor":{"groups":["team-a","system:authenticated"],"user":"alice","via":"Admission"},"change":{"patch":[{"op":"test","path":"/spec/partitions","value":3},{"op":"replace","path":"/spec/partitions","value":6}]},"completes":"01900000-0000-7000-8000-000000000001","id":"01900000-0000-7000-8000-000000000002","message":"a \"message\"\nof two lines – ü","origin":{"address":"10.0.0.1","component":"webhook","fieldManager":"kubectl-client-side-apply","instance":"webhook-0","userAgent":"curl/8"},"outcome":"Denied","reason":"AwaitingApproval","requestId":"r-1","seq":41,"target":{"kind":"EventTopic","name":"orders","namespace":"team-a","uid":"7d8e"},"tenant":"team-a","time":"2026-11-21T10:00:00.123456Z","traceId":"00-4bf9-00f0-01"}"#]].assert_eq(&text(&record));
    expect!["445e31d9337fd53b42d95945d05230661a8c6f1863031faab8bc8b33c30a052b"]
        .assert_eq(&eventcenter_sdk::merkle::Hash::leaf(&canonical_json(&record)).to_string());
    let actor = Actor { user: "webhook-0".to_owned(), groups: Vec::new(), via: Via::Controllers };
    let least = Event::new(LogName::platform(), actor, Action::Lead, Outcome::Started);
    let record = least.into_draft(id(3), Timestamp::UNIX_EPOCH, "controllers", "c-0").at_seq(0);
    expect![[r#"{"action":"Lead","actor":{"user":"webhook-0","via":"Controllers"},"id":"01900000-0000-7000-8000-000000000003","origin":{"component":"controllers","instance":"c-0"},"outcome":"Started","seq":0,"tenant":"_platform","time":"1970-01-01T00:00:00Z"}"#]].assert_eq(&text(&record));
}

/// Canonicalizing takes eight times as long as serializing.
#[test]
fn serialized_fields_are_in_canonical_order() {
    let record = event().into_draft(id(2), time("2026-11-21T10:00:00Z"), "webhook", "webhook-0").at_seq(41);
    let written = serde_json::to_vec(&record).expect("JSON");
    assert!(canonical::is_canonical(&written), "{}", String::from_utf8_lossy(&written));
}

#[test]
fn a_record_is_canonical_with_any_change() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for value in [
        json!(1e21),
        json!(-0.0),
        json!(1.0),
        json!(9_007_199_254_740_993_u64),
        json!({"\u{e000}": 1, "\u{1f600}": 2}),
        json!({"b": "\u{7f}\u{1}\u{8}/\\\"", "a": []}),
        deep,
    ] {
        let change = Change { patch: vec![value], paths: Vec::new(), before: None, after: None };
        let event = Event { change: Some(change), ..event() };
        let record = event.into_draft(id(2), Timestamp::UNIX_EPOCH, "webhook", "webhook-0").at_seq(0);
        assert_eq!(canonical_json(&record), serde_json_canonicalizer::to_vec(&record).expect("JSON"));
    }
}

#[test]
fn a_parsed_record_equals_the_serialized_one() {
    let record =
        event().into_draft(id(2), time("2026-11-21T10:00:00.123456789Z"), "webhook", "webhook-0").at_seq(41);
    let read: Record = serde_json::from_slice(&canonical_json(&record)).expect("a record");
    assert_eq!(read, record);
    assert_eq!(canonical_json(&read), canonical_json(&record));
    // An action of a later version.
    let later = text(&record).replace(r#""action":"Update""#, r#""action":"Foretell""#);
    let read: Record = serde_json::from_str(&later).expect("a record");
    assert_eq!(text(&read), later);
}

#[test]
fn a_draft_gets_its_position_later() {
    let draft = event().into_draft(id(2), Timestamp::UNIX_EPOCH, "webhook", "webhook-0");
    assert_eq!((draft.log().as_str(), draft.id()), ("team-a", id(2)));
    let spooled = serde_json::to_string(&draft).expect("JSON");
    let read: Draft = serde_json::from_str(&spooled).expect("a draft");
    assert_eq!(read, draft, "the spool preserves a draft");
    assert_eq!(read.at_seq(7).seq, 7);
}

#[test]
fn times_are_truncated_to_microseconds() {
    for (exact, truncated) in [
        ("2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:00.123456Z"),
        ("2026-11-21T10:00:00.000000001Z", "2026-11-21T10:00:00Z"),
        ("1969-12-31T23:59:59.9999995Z", "1970-01-01T00:00:00Z"),
    ] {
        let record = event().into_draft(id(2), time(exact), "webhook", "webhook-0").at_seq(0);
        assert_eq!(record.time, time(truncated));
        let columns = super::super::verify::Columns::parse(&canonical_json(&record)).expect("a record");
        assert_eq!(Timestamp::from_microsecond(columns.time).ok(), Some(record.time));
    }
}

#[test]
fn messages_are_truncated_at_a_character_boundary() {
    let truncated = |message: &str| {
        let event = Event { message: Some(message.to_owned()), ..event() };
        event
            .into_draft(id(2), Timestamp::UNIX_EPOCH, "webhook", "webhook-0")
            .at_seq(0)
            .message
            .expect("a message")
    };
    let longest = "x".repeat(Event::MAX_MESSAGE_BYTES);
    assert_eq!(truncated(&longest), longest);
    assert_eq!(truncated(&format!("{longest}y")), format!("{longest}…"));
    // The limit is within a character of two bytes.
    let umlauts = "ü".repeat(Event::MAX_MESSAGE_BYTES);
    assert_eq!(truncated(&umlauts), format!("{}…", &umlauts[..Event::MAX_MESSAGE_BYTES]));
    let shifted = format!("x{umlauts}");
    assert_eq!(truncated(&shifted), format!("{}…", &shifted[..Event::MAX_MESSAGE_BYTES - 1]));
}

#[test]
fn a_completion_repeats_its_start() {
    let start = event();
    let end = start.completion(id(9), Outcome::Succeeded, None);
    assert_eq!((end.completes, end.outcome, end.reason), (Some(id(9)), Outcome::Succeeded, None));
    assert_eq!((&end.message, &end.change), (&start.message, &None));
    assert_eq!((&end.actor, &end.target, end.action), (&start.actor, &start.target, start.action));
    let failed = start.completion(id(9), Outcome::Failed, Some((Reason::KafkaError, "no answer".to_owned())));
    assert_eq!((failed.reason, failed.message.as_deref()), (Some(Reason::KafkaError), Some("no answer")));
}
