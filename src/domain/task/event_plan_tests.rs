use expect_test::{Expect, expect};

use super::super::planning::tests::active;
use super::*;

fn record(offset: i64, headers: &[(&str, &str)], value: &str) -> ReadRecord {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect();
    let time = Timestamp::from_second(1_780_272_000 + offset).expect("in range");
    ReadRecord { partition: 3, offset, time, event: read_event(&headers, Some(value.as_bytes())).ok() }
}

fn event(offset: i64, event_type: &str, data: &str) -> ReadRecord {
    event_of("shop", offset, event_type, data)
}

fn event_of(source: &str, offset: i64, event_type: &str, data: &str) -> ReadRecord {
    let id = offset.to_string();
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_type", event_type),
        ("ce_source", source),
        ("ce_time", "2026-01-01T00:00:00Z"),
        ("content-type", "application/json"),
    ];
    record(offset, &headers, data)
}

fn check(trigger: &str, url: &str, position: i64, records: &[ReadRecord], room: usize, expected: Expect) {
    let spec = format!(
        "{{schedule: {{onEvent: {{topic: orders{trigger}}}}}, target: {{http: {{url: 'https://a/{url}'}}}}}}"
    );
    let source = EventSource {
        cluster: "main".parse().expect("a name"),
        topic: "shop.orders".parse().expect("a name"),
    };
    let task = ActiveTask { source: Some(source), ..active(&spec) };
    let now = "2026-06-01T00:00:05Z".parse().expect("a time");
    let from = records.first().map_or(0, |record| record.offset);
    let planned = plan(&task, position, ReadRecords { topic_id: "id", from, records }, room, now);
    let mut lines: Vec<String> = planned
        .runs
        .iter()
        .map(|run| {
            let Trigger::Event { position, .. } = &run.trigger else { return format!("{:?}", run.trigger) };
            let message = run.message.as_ref().map(|message| format!(" {message}")).unwrap_or_default();
            format!("{position} at {} {}{message} {:?}", run.scheduled_at, run.state, run.parameters)
        })
        .collect();
    lines.push(format!("next {}", planned.next_offset));
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn each_event_of_the_declared_types_is_a_run() {
    let records = [
        event(4, "Order.Created.v1", "{}"),
        event(5, "Order.Created.v1", r#"{"n":5}"#),
        event(6, "Order.Paid.v1", "{}"),
        record(7, &[], "no event"),
        event(9, "Order.Created.v1", r#"{"n":9}"#),
    ];
    check(
        ", types: [Order.Created.v1]",
        "$(event.id)/$(event.subject)?$(event.data)&$(event.time)",
        5,
        &records,
        10,
        expect![[r#"
            shop.orders/3/5 at 2026-06-01T00:00:05Z Requested {"event.data": "{\"n\":5}", "event.id": "5", "event.subject": "", "event.time": "2026-01-01T00:00:00Z"}
            shop.orders/3/9 at 2026-06-01T00:00:05Z Requested {"event.data": "{\"n\":9}", "event.id": "9", "event.subject": "", "event.time": "2026-01-01T00:00:00Z"}
            next 10"#]],
    );
    check(
        "",
        "",
        4,
        &records,
        10,
        expect![[r#"
            shop.orders/3/4 at 2026-06-01T00:00:04Z Requested {}
            shop.orders/3/5 at 2026-06-01T00:00:05Z Requested {}
            shop.orders/3/6 at 2026-06-01T00:00:05Z Requested {}
            shop.orders/3/9 at 2026-06-01T00:00:05Z Requested {}
            next 10"#]],
    );
    // Other types move the position as well.
    check(", types: [Order.Deleted.v1]", "", 5, &records, 10, expect!["next 10"]);
    check("", "", 20, &records, 10, expect!["next 20"]);
    // A task that is behind misses nothing.
    check("", "", 3, &records, 10, expect!["next 3"]);
}

#[test]
fn a_task_does_not_run_for_events_of_itself() {
    let own = "eventcenter/tasks/shop/nightly";
    let records =
        [event_of(own, 1, "System.Job.Completed.v1", "{}"), event_of(&format!("{own}2"), 2, "A.B.v1", "{}")];
    check(
        "",
        "",
        1,
        &records,
        10,
        expect![[r#"
            shop.orders/3/2 at 2026-06-01T00:00:02Z Requested {}
            next 3"#]],
    );
}

#[test]
fn without_room_the_rest_is_read_again() {
    let records = [
        event(1, "Order.Created.v1", "{}"),
        event(2, "Order.Paid.v1", "{}"),
        event(3, "Order.Created.v1", "{}"),
    ];
    check(
        ", types: [Order.Created.v1]",
        "",
        1,
        &records,
        1,
        expect![[r#"
            shop.orders/3/1 at 2026-06-01T00:00:01Z Requested {}
            next 3"#]],
    );
    check("", "", 1, &records, 0, expect!["next 1"]);
}

#[test]
fn data_that_is_too_large_fails_the_run_that_needs_it() {
    let large = format!("\"{}\"", "x".repeat(MAX_DATA_BYTES));
    let records = [event(1, "Order.Created.v1", &large)];
    check(
        "",
        "$(event.data)",
        1,
        &records,
        10,
        expect![[r#"
            shop.orders/3/1 at 2026-06-01T00:00:01Z Failed the data of the event has 16386 bytes, and $(event.data) may have 16384: let the target read the data from where the event says {}
            next 2"#]],
    );
    check(
        "",
        "$(event.id)",
        1,
        &records,
        10,
        expect![[r#"
            shop.orders/3/1 at 2026-06-01T00:00:01Z Requested {"event.id": "1"}
            next 2"#]],
    );
}

#[test]
fn a_topic_that_is_created_again_has_other_runs() {
    let trigger = |topic_id: &str| Trigger::Event { position: "t/0/1".into(), topic_id: topic_id.into() };
    assert_ne!(trigger("a").key(), trigger("b").key());
}

#[test]
fn a_partition_is_read_where_the_last_of_its_tasks_is() {
    for (current, positions, expected) in [
        (None, &[][..], NextRead::Keep),
        (None, &[5, 3], NextRead::From(3)),
        (Some(3), &[5, 3], NextRead::Keep),
        // A task has room again that was left behind.
        (Some(5), &[5, 3], NextRead::From(3)),
        // The task that is behind has no room any more.
        (Some(4), &[9, 12], NextRead::From(9)),
        (Some(4), &[], NextRead::Stop),
    ] {
        assert_eq!(next_read(current, positions.iter().copied()), expected, "{current:?} {positions:?}");
    }
}
