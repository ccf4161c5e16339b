use expect_test::{Expect, expect};

use super::super::Definition;
use super::super::testing::{rules, task};

fn check_task(spec: &str, expected: Expect) {
    let task = task(spec);
    let created = task.metadata.creation_timestamp.as_ref().expect("created").0;
    let read = Definition::read(&task.spec, None, created, &rules());
    expected.assert_eq(&read.map_or_else(
        |refusal| refusal.to_string(),
        |definition| format!("{:?} {:?}", definition.gate.policy, definition.event_properties),
    ));
}

#[test]
fn references_to_an_event_need_one() {
    let call = |url: &str| format!("target: {{http: {{url: 'https://a/{url}'}}}}");
    let of_event = "schedule: {onEvent: {topic: orders}}";
    check_task(&format!("{{{of_event}, {}}}", call("$(event.id)")), expect!["Queue {Id}"]);
    check_task(&format!("{{{of_event}, {}}}", call("")), expect!["Queue {}"]);
    check_task(
        &format!("{{{of_event}, concurrency: {{policy: Allow}}, {}}}", call("$(event.type)$(event.data)")),
        expect!["Allow {Type, Data}"],
    );
    check_task(
        &format!("{{{of_event}, concurrency: {{group: g, limit: 2}}, {}}}", call("")),
        expect!["Queue {}"],
    );
    check_task(
        &format!("{{schedule: {{every: 1m}}, {}}}", call("$(event.id)")),
        expect![
            "InvalidResource: spec.schedule: $(event.id) needs an event: set onEvent, or remove the reference from the target"
        ],
    );
    check_task(&format!("{{schedule: {{every: 1m}}, {}}}", call("")), expect!["Forbid {}"]);
    check_task(
        &format!("{{{of_event}, {}}}", call("$(event.key)")),
        expect![
            "InvalidResource: spec.target.http.url: $(event.key) is unknown: an event has id, type, source, subject, time and data"
        ],
    );
}

#[test]
fn a_task_does_not_run_for_its_own_events() {
    let check = |trigger: &str, event: &str, expected: Expect| {
        check_task(
            &format!("{{schedule: {{onEvent: {{{trigger}}}}}, target: {{event: {{{event}}}}}}}"),
            expected,
        );
    };
    let own = "topic: orders, type: Order.Checked.v1";
    check(
        "topic: orders",
        own,
        expect![
            "InvalidResource: spec.schedule.onEvent: spec.target.event publishes Order.Checked.v1 to topic orders, for which the task would run again: name other types in onEvent.types, or publish to another topic"
        ],
    );
    check(
        "topic: orders, types: [Order.Created.v1, Order.Checked.v1]",
        own,
        expect![
            "InvalidResource: spec.schedule.onEvent: spec.target.event publishes Order.Checked.v1 to topic orders, for which the task would run again: name other types in onEvent.types, or publish to another topic"
        ],
    );
    check("topic: orders, types: [Order.Created.v1]", own, expect!["Queue {}"]);
    check("topic: others", own, expect!["Queue {}"]);
}
