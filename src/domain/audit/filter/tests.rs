use expect_test::expect;

use super::*;
use crate::domain::audit::testing::{log_name, record};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Of two values each, the first applies to the record and the second does not.
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
fn all_that_is_asked_has_to_apply() {
    let record = record(3);
    assert!(Filter::default().passes(&record, false));
    for (yes, no) in each() {
        assert!(yes.passes(&record, true), "{yes:?}");
        assert!(!no.passes(&record, true), "{no:?}");
    }
    // From then on, and before then.
    let exactly = Filter { since: Some(record.time), ..Filter::default() };
    assert!(exactly.passes(&record, true));
    let before = Filter { until: Some(record.time), ..Filter::default() };
    assert!(!before.passes(&record, true));
    // A target that is not there is none that is asked for.
    let mut without = record.clone();
    without.target = None;
    for (yes, _) in each()
        .into_iter()
        .filter(|(yes, _)| yes.kind.is_some() || yes.namespace.is_some() || yes.name.is_some())
    {
        assert!(!yes.passes(&without, true), "{yes:?}");
    }
}

#[test]
fn what_was_started_is_open_until_its_end_is_told() {
    let open = Filter { open: true, ..Filter::default() };
    let (started, allowed) = (record(3), record(1));
    assert_eq!((started.outcome, allowed.outcome), (Outcome::Started, Outcome::Allowed));
    assert!(open.passes(&started, false));
    assert!(!open.passes(&started, true));
    assert!(!open.passes(&allowed, false));
}

#[test]
fn a_text_is_looked_for_in_what_people_read() {
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
fn a_cursor_belongs_to_one_question() {
    let cursor = Cursor { before: 1 << 40 };
    let filters: Vec<Filter> = each().into_iter().flat_map(|(one, other)| [one, other]).collect();
    let logs = [log_name(), LogName::platform()];
    let questions: Vec<_> =
        logs.iter().flat_map(|log| filters.iter().map(move |filter| (log, filter))).collect();
    for (log, filter) in &questions {
        let text = cursor.text(log, filter);
        assert!(
            text.len() < 30 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        for (other_log, other) in &questions {
            let expected =
                if (log, filter) == (other_log, other) { Ok(cursor.clone()) } else { Err(ForeignCursor) };
            assert_eq!(Cursor::read(&text, other_log, other), expected);
        }
    }
    for before in [0, 1, u64::MAX] {
        let text = Cursor { before }.text(&log_name(), &filters[0]);
        assert_eq!(Cursor::read(&text, &log_name(), &filters[0]), Ok(Cursor { before }));
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    let filter = Filter::default();
    let text = Cursor { before: 300 }.text(&log_name(), &filter);
    expect!["dnSdW-89nbgAAAAAAAABLA"].assert_eq(&text);
    let read = |text: &str| Cursor::read(text, &log_name(), &filter);
    assert_eq!(read(&text), Ok(Cursor { before: 300 }));
    let longer = format!("{text}AA");
    for other in
        ["", "AA", "é", "!", &text[1..], &longer, &format!("{text}="), &"A".repeat(22), &"A".repeat(100_000)]
    {
        assert_eq!(read(other), Err(ForeignCursor), "{other}");
    }
}

#[test]
fn what_is_asked_is_told_in_one_line() {
    expect!["all records"].assert_eq(&Filter::default().words());
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
    expect![[r#"actor "alice", action "Update", kind "EventTopic", namespace "team-a", name "orders", outcome Denied, not completed, since 2026-11-21T10:00:00Z, until 2026-11-22T10:00:00.5Z, text "a \"word\"\nand \u{1b}[31m another\u{202e}""#]].assert_eq(&filter.words());
    let long = Filter { text: Some("ü".repeat(100_000)), name: Some("x".repeat(100_000)), ..filter };
    assert!(long.words().len() < 1000, "{}", long.words());
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
    assert!(worst.words().len() < 4000, "{}", worst.words().len());
}

#[test]
fn a_filter_is_told_to_machines_without_what_is_absent() {
    let json = |filter: &Filter| serde_json::to_string(filter).expect("JSON");
    assert_eq!(json(&Filter::default()), "{}");
    for (one, other) in each() {
        for filter in [one, other] {
            assert_eq!(serde_json::from_str::<Filter>(&json(&filter)).expect("a filter"), filter);
        }
    }
}
