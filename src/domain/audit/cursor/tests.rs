use eventcenter_sdk::rest::audit::Outcome;
use expect_test::expect;

use super::*;
use crate::domain::audit::testing::log_name;

/// Filters that differ from each other.
fn filters() -> Vec<Filter> {
    let text = |set: fn(&mut Filter) -> &mut Option<String>| {
        ["a", "A"].map(|value| {
            let mut filter = Filter::default();
            *set(&mut filter) = Some(value.to_owned());
            filter
        })
    };
    let times = ["2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"].map(|time| time.parse().ok());
    let mut filters = vec![Filter::default(), Filter { open: true, ..Filter::default() }];
    filters.extend(text(|filter| &mut filter.actor));
    filters.extend(text(|filter| &mut filter.action));
    filters.extend(text(|filter| &mut filter.kind));
    filters.extend(text(|filter| &mut filter.namespace));
    filters.extend(text(|filter| &mut filter.name));
    filters.extend(text(|filter| &mut filter.text));
    filters.extend(Outcome::ALL.iter().map(|one| Filter { outcome: Some(*one), ..Filter::default() }));
    filters.extend(times.map(|since| Filter { since, ..Filter::default() }));
    filters.extend(times.map(|until| Filter { until, ..Filter::default() }));
    filters
}

#[test]
fn a_cursor_belongs_to_one_log_and_filter() {
    let cursor = Cursor { before: 1 << 40 };
    let filters = filters();
    let logs = [log_name(), LogName::platform()];
    let questions: Vec<_> =
        logs.iter().flat_map(|log| filters.iter().map(move |filter| (log, filter))).collect();
    for (log, filter) in &questions {
        let text = cursor.encode(log, filter);
        assert!(
            text.len() < 30 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        for (other_log, other) in &questions {
            let expected =
                if (log, filter) == (other_log, other) { Ok(cursor.clone()) } else { Err(CursorMismatch) };
            assert_eq!(Cursor::decode(&text, other_log, other), expected);
        }
    }
    for before in [0, 1, u64::MAX] {
        let text = Cursor { before }.encode(&log_name(), &filters[0]);
        assert_eq!(Cursor::decode(&text, &log_name(), &filters[0]), Ok(Cursor { before }));
    }
}

#[test]
fn malformed_cursors_are_rejected() {
    let filter = Filter::default();
    let text = Cursor { before: 300 }.encode(&log_name(), &filter);
    expect!["dnSdW-89nbgAAAAAAAABLA"].assert_eq(&text);
    let read = |text: &str| Cursor::decode(text, &log_name(), &filter);
    assert_eq!(read(&text), Ok(Cursor { before: 300 }));
    let longer = format!("{text}AA");
    for other in
        ["", "AA", "é", "!", &text[1..], &longer, &format!("{text}="), &"A".repeat(22), &"A".repeat(100_000)]
    {
        assert_eq!(read(other), Err(CursorMismatch), "{other}");
    }
}
