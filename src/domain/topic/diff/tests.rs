//! Differences, printed.

use super::*;
use crate::domain::testing::topic;
use expect_test::{Expect, expect};

/// An empty `base` is no active spec.
fn check(base: &str, new: &str, expected: Expect) {
    let base = (!base.is_empty()).then(|| topic(base).spec);
    expected.assert_eq(&diff(base.as_ref(), &topic(new).spec, None).join("\n"));
}

#[test]
fn nothing() {
    check("{partitions: 3}", "{partitions: 3}", expect![""]);
}

#[test]
fn a_first_declaration() {
    check("", "{partitions: 3}", expect!["create with 3 partitions"]);
    check(
        "",
        "{cluster: main, topicName: shop.x, partitions: 3, replicas: 2, retention: {time: 7d}, deletionPolicy: Delete, \
         driftPolicy: Report, description: d, owner: {team: a, contact: b}, ignoreConfig: [segment.ms], \
         compatibility: {mode: FULL, policy: Strict}, \
         eventTypes: [{name: a.b, schema: {}}, {name: a.c}], \
         access: [{principal: 'User:billing', operations: [Read], groups: [shop.g]}]}",
        expect![[r#"
            create with 3 partitions, 2 replicas, retention.ms=604800000
            cluster: default -> main
            topicName: default -> shop.x
            access: User:billing may Read
            access: User:billing may be part of group shop.g
            deletionPolicy: Retain -> Delete
            eventTypes: a.b version 1 is added
            eventTypes: a.c version 1 is added, without a schema
            compatibility: BACKWARD -> FULL
            compatibility.policy: Lenient -> Strict
            driftPolicy: Correct -> Report
            owner: none -> a (b)
            description: added"#]],
    );
    check(
        "",
        "{partitions: 0}",
        expect![
            "InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)"
        ],
    );
}

#[test]
fn a_takeover_is_compared_with_kafka() {
    let existing = Observed {
        id: "id-1".into(),
        partitions: 3,
        replicas: 1,
        config: [("cleanup.policy", "compact"), ("retention.ms", "31536000000"), ("segment.ms", "5")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let check = |new: &str, expected: Expect| {
        expected.assert_eq(&diff(None, &topic(new).spec, Some(&existing)).join("\n"));
    };
    check(
        "{partitions: 6, retention: {time: 1h}}",
        expect![[r#"
        take over the existing Kafka topic with partitions: 3
        retention.ms: 31536000000 -> 3600000, which may delete records
        cleanup.policy: compact -> default, which may delete records
        segment.ms: 5 -> default
        partitions: 3 -> 6"#]],
    );
    check(
        "{partitions: 1, config: {segment.ms: 5}}",
        expect![[r#"
        take over the existing Kafka topic with partitions: 3
        cleanup.policy: compact -> default, which may delete records
        retention.ms: 31536000000 -> default, which may delete records"#]],
    );
    check(
        "{partitions: 0}",
        expect![
            "InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)"
        ],
    );
}

#[test]
fn a_first_declaration_that_is_too_long_for_a_line() {
    let config: Vec<String> = (0..12).map(|n| format!("some.quite.long.key.{n:02}: 'value {n}'")).collect();
    check(
        "",
        &format!("{{config: {{{}}}}}", config.join(", ")),
        expect![[r#"
        create with 1 partition
        some.quite.long.key.00: default -> value 0
        some.quite.long.key.01: default -> value 1
        some.quite.long.key.02: default -> value 2
        some.quite.long.key.03: default -> value 3
        some.quite.long.key.04: default -> value 4
        some.quite.long.key.05: default -> value 5
        some.quite.long.key.06: default -> value 6
        some.quite.long.key.07: default -> value 7
        some.quite.long.key.08: default -> value 8
        some.quite.long.key.09: default -> value 9
        some.quite.long.key.10: default -> value 10
        some.quite.long.key.11: default -> value 11"#]],
    );
}

#[test]
fn configuration_changes_are_listed_with_kafka_keys() {
    check("{partitions: 3}", "{partitions: 6}", expect!["partitions: 3 -> 6"]);
    check("{partitions: 6}", "{partitions: 3}", expect!["partitions: 6 -> 3 (Kafka cannot remove any)"]);
    check(
        "{retention: {time: 7d}}",
        "{retention: {time: 1d}}",
        expect!["retention.ms: 604800000 -> 86400000"],
    );
    check(
        "{config: {segment.ms: 5, a: 1}, replicas: 2}",
        "{partitions: 2, config: {segment.ms: 6}, retention: {size: 1Gi}, cleanupPolicy: Compact}",
        expect![[r#"
            cleanup.policy: default -> compact
            retention.bytes: default -> 1073741824
            partitions: 1 -> 2
            segment.ms: 5 -> 6
            a: 1 -> default
            replicas: 2 -> default"#]],
    );
}

#[test]
fn ignored_keys() {
    check("{config: {a: 1}}", "{ignoreConfig: [a]}", expect!["ignoreConfig: a is added"]);
    check(
        "{ignoreConfig: [a, retention.ms]}",
        "{config: {a: 1}}",
        expect![[r#"
        retention.ms: (unknown) -> default
        ignoreConfig: a is removed
        ignoreConfig: retention.ms is removed
        a: (unknown) -> 1"#]],
    );
}

#[test]
fn access() {
    check(
        "{access: [{principal: 'User:billing', operations: [Read], groups: [shop.g]}, {principal: 'User:x', operations: [Write]}]}",
        "{access: [{principal: 'User:billing', operations: [Write, DescribeConfigs]}, {principal: 'User:x', operations: [Write, Read], groups: ['shop.*']}]}",
        expect![[r#"
            access: User:billing may Write
            access: User:billing may DescribeConfigs
            access: User:x may Read
            access: User:x may be part of group shop.*
            access: User:billing may no longer Read
            access: User:billing may no longer be part of group shop.g"#]],
    );
}

#[test]
fn event_types() {
    check(
        "{eventTypes: [{name: Order.Created.v1, schema: {type: object}}, {name: Order.Paid.v1}, {name: Order.Sent.v1}, \
         {name: Order.Lost.v1, schema: {type: object}}, {name: Order.Moved.v1, schema: {type: object}, description: a}]}",
        "{eventTypes: [{name: Order.Created.v1, schema: {type: string}}, {name: Order.Created.v2, schema: {type: object}}, \
         {name: Order.Paid.v1, schema: {type: object}, description: d}, {name: order.seen}, {name: Order.Lost.v1}, \
         {name: Order.Moved.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: moved.json}}, description: b}]}",
        expect![[r#"
            eventTypes: Order.Lost.v1: the schema is removed
            eventTypes: Order.Moved.v1: the schema is key moved.json of ConfigMap schemas
            eventTypes: Order.Moved.v1: description: changed
            eventTypes: Order.Created.v1: the schema changes: changes /type
            eventTypes: Order.Created.v2 is added
            eventTypes: Order.Paid.v1: a schema is added
            eventTypes: Order.Paid.v1: description: added
            eventTypes: Order.Sent.v1 is removed
            eventTypes: order.seen version 1 is added, without a schema"#]],
    );
    check(
        "{eventTypes: [{name: a.b}]}",
        "{eventTypes: [{name: a.b}, {name: a.b, version: 1}]}",
        expect!["eventTypes: changed, and a type is listed twice or has an invalid name"],
    );
}

#[test]
fn compatibility_policy() {
    check(
        "{}",
        "{compatibility: {mode: FULL_TRANSITIVE, policy: Strict}}",
        expect![[r#"
        compatibility: BACKWARD -> FULL_TRANSITIVE
        compatibility.policy: Lenient -> Strict"#]],
    );
    check(
        "{compatibility: {policy: Strict}}",
        "{compatibility: {mode: NONE}}",
        expect![[r#"
        compatibility: BACKWARD -> NONE
        compatibility.policy: Strict -> Lenient"#]],
    );
}

#[test]
fn descriptions_and_owners() {
    check(
        "{}",
        "{description: a, owner: {team: a, contact: '#a'}, deletionPolicy: Delete}",
        expect![[r#"
        deletionPolicy: Retain -> Delete
        owner: none -> a (#a)
        description: added"#]],
    );
    check(
        "{description: a, owner: {team: a, contact: '#a'}, deletionPolicy: Delete, driftPolicy: Report}",
        "{description: b, owner: {team: b}}",
        expect![[r#"
            deletionPolicy: Delete -> Retain
            driftPolicy: Report -> Correct
            owner: a (#a) -> b
            description: changed"#]],
    );
    check(
        "{description: a, owner: {team: a}}",
        "{}",
        expect![[r#"
        owner: a -> none
        description: removed"#]],
    );
}

#[test]
fn another_topic() {
    check(
        "{}",
        "{cluster: main, topicName: shop.x}",
        expect![[r#"
        cluster: default -> main
        topicName: default -> shop.x"#]],
    );
}

#[test]
fn equivalent_specs() {
    check("{config: {a: 1}}", "{config: {a: '1'}}", expect!["spec: another notation of the same values"]);
    check(
        "{eventTypes: [{name: a.b}, {name: a.c}]}",
        "{eventTypes: [{name: a.c}, {name: a.b}]}",
        expect!["spec: another notation of the same values"],
    );
}

#[test]
fn invalid_specs() {
    check(
        "{}",
        "{partitions: 0, description: d}",
        expect![[r#"
        InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)
        description: added"#]],
    );
    check(
        "{partitions: 0}",
        "{}",
        expect![
            "the active spec is invalid: InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)"
        ],
    );
}

#[test]
fn changes_that_may_need_approval_come_first() {
    check(
        "{config: {a: 1, retention.ms: 2}, owner: {team: a}}",
        "{config: {a: 2, retention.ms: 1}, access: [{principal: 'User:a', operations: [Read]}]}",
        expect![[r#"
            retention.ms: 2 -> 1
            access: User:a may Read
            a: 1 -> 2
            owner: a -> none"#]],
    );
}

#[test]
fn a_value_cannot_imitate_or_hide_a_line() {
    check(
        "{}",
        r#"{config: {a: "1\nb: 1 -> 2", c: "\u001b[2Jgone", d: "\u202e2 -> 1"}, owner: {team: "a\rb"}}"#,
        expect![[r#"
            a: default -> 1\nb: 1 -> 2
            c: default -> \u{1b}[2Jgone
            d: default -> \u{202e}2 -> 1
            owner: none -> a\rb"#]],
    );
}

#[test]
fn lines_are_bounded() {
    let long = "ü".repeat(1000);
    check(
        &format!("{{config: {{a: {long}}}}}"),
        &format!("{{config: {{a: x{long}}}}}"),
        expect![
            "a: üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü… -> xüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü…"
        ],
    );
    let key = "k".repeat(255);
    let lines = diff(
        Some(&topic(&format!("{{config: {{{key}: {long}}}}}")).spec),
        &topic(&format!("{{config: {{{key}: x{long}}}}}")).spec,
        None,
    );
    assert_eq!(lines.iter().map(|line| line.chars().count()).collect::<Vec<_>>(), [MAX_LINE_CHARS]);
    assert!(lines[0].ends_with('…'), "{}", lines[0]);
}

#[test]
fn many_lines_are_counted() {
    let config: Vec<String> = (0..70).map(|n| format!("k{n}: {n}")).collect();
    let new = format!("{{config: {{{}}}, retention: {{time: 1d}}}}", config.join(", "));
    let lines = diff(Some(&topic("{}").spec), &topic(&new).spec, None);
    assert_eq!(lines.len(), MAX_LINES + 1);
    expect![[r#"
        retention.ms: default -> 86400000
        and 21 more"#]]
    .assert_eq(&format!("{}\n{}", lines[0], lines[MAX_LINES]));
}
