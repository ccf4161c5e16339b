use uuid::Uuid;

use super::*;
use crate::rest::audit::{Actor, LogName, Origin, Target, Via};

/// A record of team-a: every third one is a start.
fn record(seq: u64) -> Record {
    Record {
        action: "Update".to_owned(),
        actor: Actor { groups: vec![], user: format!("user-{seq}"), via: Via::Admission },
        change: None,
        completes: None,
        id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(seq)),
        message: None,
        origin: Origin {
            address: None,
            component: "webhook".to_owned(),
            field_manager: None,
            instance: "webhook-0".to_owned(),
            user_agent: None,
        },
        outcome: if seq.is_multiple_of(3) { Outcome::Started } else { Outcome::Allowed },
        reason: None,
        request_id: None,
        seq,
        target: Some(Target {
            kind: "EventTopic".to_owned(),
            name: format!("topic-{seq}"),
            namespace: Some("team-a".to_owned()),
            uid: None,
        }),
        tenant: LogName::of(Some("team-a")),
        time: Timestamp::from_second(1_700_000_000).expect("a time"),
        trace_id: None,
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Pairs of filters: the first matches the record, the second does not.
fn each() -> Vec<(Filter, Filter)> {
    let text = |set: fn(&mut Filter, String), yes: &str, no: &str| {
        let of = |value: &str| {
            let mut filter = Filter::default();
            set(&mut filter, value.to_owned());
            filter
        };
        (of(yes), of(no))
    };
    let start = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).expect("a time");
    let since = |since| Filter { since: Some(since), ..Filter::default() };
    let until = |until| Filter { until: Some(until), ..Filter::default() };
    let outcome = |outcome| Filter { outcome: Some(outcome), ..Filter::default() };
    vec![
        text(|filter, value| filter.actor = Some(value), "user-3", "USER-3"),
        text(|filter, value| filter.action = Some(value), "Update", "Updat"),
        text(|filter, value| filter.kind = Some(value), "EventTopic", "Tenant"),
        text(|filter, value| filter.namespace = Some(value), "team-a", ""),
        text(|filter, value| filter.name = Some(value), "topic-3", "topic-33"),
        text(|filter, value| filter.text = Some(value), "USER-3", "user-4"),
        (outcome(Outcome::Started), outcome(Outcome::Allowed)),
        (since(start(0)), since(start(1))),
        (until(start(1)), until(start(0))),
    ]
}

#[test]
fn a_record_has_to_meet_every_condition() {
    let record = record(3);
    assert!(Filter::default().matches(&record, false));
    for (yes, no) in each() {
        assert!(yes.matches(&record, true), "{yes:?}");
        assert!(!no.matches(&record, true), "{no:?}");
    }
    // `since` is inclusive, `until` exclusive.
    let exactly = Filter { since: Some(record.time), ..Filter::default() };
    assert!(exactly.matches(&record, true));
    let before = Filter { until: Some(record.time), ..Filter::default() };
    assert!(!before.matches(&record, true));
    // A record without a target matches no condition about targets.
    let mut without = record.clone();
    without.target = None;
    for (yes, _) in each()
        .into_iter()
        .filter(|(yes, _)| yes.kind.is_some() || yes.namespace.is_some() || yes.name.is_some())
    {
        assert!(!yes.matches(&without, true), "{yes:?}");
    }
}

#[test]
fn a_start_is_open_until_its_end_is_recorded() {
    let open = Filter { open: true, ..Filter::default() };
    let (started, allowed) = (record(3), record(1));
    assert_eq!((started.outcome, allowed.outcome), (Outcome::Started, Outcome::Allowed));
    assert!(open.matches(&started, false));
    assert!(!open.matches(&started, true));
    assert!(!open.matches(&allowed, false));
}

#[test]
fn a_text_is_searched_in_what_people_read() {
    let mut record = record(3);
    record.reason = Some("AwaitingApproval".to_owned());
    record.message = Some("Größe: 3".to_owned());
    record.request_id = Some("r-17".to_owned());
    record.actor.groups = vec!["group".to_owned()];
    record.trace_id = Some("trace".to_owned());
    let matches =
        |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() }.matches_text(&record);
    for text in
        ["", "USER-3", "update", "eventtopic", "TEAM-A", "topic-3", "awaiting", "größe", "GRößE", "R-17", "3"]
    {
        assert!(matches(text), "{text}");
    }
    // The case of ASCII only; not the id, groups or trace; and not across two values.
    for text in ["GRÖSSE", "group", "trace", "0190", "user-3update", &"3".repeat(10_000)] {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn a_filter_is_shown_on_one_line() {
    assert_eq!(Filter::default().to_string(), "all records");
    let filter = Filter {
        actor: Some("alice".to_owned()),
        action: Some("Update".to_owned()),
        kind: Some("EventTopic".to_owned()),
        namespace: Some("team-a".to_owned()),
        name: Some("orders".to_owned()),
        outcome: Some(Outcome::Denied),
        open: true,
        since: Some(time("2026-11-21T10:00:00Z")),
        until: Some(time("2026-11-22T10:00:00.5Z")),
        text: Some("a \"word\"\nand \u{1b}[31m another\u{202e}".to_owned()),
    };
    assert_eq!(
        filter.to_string(),
        r#"actor "alice", action "Update", kind "EventTopic", namespace "team-a", name "orders", outcome Denied, not completed, since 2026-11-21T10:00:00Z, until 2026-11-22T10:00:00.5Z, text "a \"word\"\nand \u{1b}[31m another\u{202e}""#
    );
    let long = Filter { text: Some("ü".repeat(100_000)), name: Some("x".repeat(100_000)), ..filter };
    assert!(long.to_string().len() < 1000, "{}", long.to_string());
    let escaped = "\u{1b}".repeat(1000);
    let all = Some(escaped);
    let worst = Filter {
        actor: all.clone(),
        action: all.clone(),
        kind: all.clone(),
        namespace: all.clone(),
        name: all.clone(),
        text: all,
        ..Filter::default()
    };
    assert!(worst.to_string().len() < 4000, "{}", worst.to_string().len());
}

#[test]
fn absent_conditions_are_not_written() {
    let json = |filter: &Filter| serde_json::to_string(filter).expect("JSON");
    assert_eq!(json(&Filter::default()), "{}");
    for (one, other) in each() {
        for filter in [one, other] {
            assert_eq!(serde_json::from_str::<Filter>(&json(&filter)).expect("a filter"), filter);
        }
    }
}

#[test]
fn a_filter_becomes_query_parameters() {
    assert_eq!(Filter::default().query(), []);
    let filter = Filter {
        actor: Some("alice".to_owned()),
        outcome: Some(Outcome::Denied),
        open: true,
        since: Some(time("2026-11-21T10:00:00Z")),
        ..Filter::default()
    };
    let query: Vec<String> =
        filter.query().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(query.join(" "), "actor=alice outcome=Denied open=true since=2026-11-21T10:00:00Z");
    let names: Vec<&str> =
        each().into_iter().flat_map(|(one, _)| one.query()).map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| Filter::PARAMETERS.contains(name)) && names.len() == 9, "{names:?}");
}
