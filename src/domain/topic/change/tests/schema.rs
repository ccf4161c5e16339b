//! Schemas, and what is demanded of them.

use super::*;
use crate::domain::approval::Governed;

#[test]
fn schemas() {
    const NONE: &str = "eventTypes: [{name: a.b}]";
    const OLD: &str = "eventTypes: [{name: a.b, schema: {type: object}}]";
    const NEW: &str = "eventTypes: [{name: a.b, schema: {type: string}}]";
    const FROM: &str = "eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]";
    const OTHER: &str = "eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: l}}}]";
    const NEXT: &str = "eventTypes: [{name: a.b, version: 2, schema: {type: object}}]";
    const BOTH: &str = "eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}]";
    const UNNAMED: &str = "eventTypes: [{name: 'Order.x.1.y'}]";
    let anything = |types: &str| format!("{{compatibility: {{mode: NONE}}, {types}}}");
    let held = |types: &str| format!("{{{types}}}");
    let pairs = [
        ("{}".to_owned(), held(OLD)),
        (held(NONE), held(OLD)),
        (held(OLD), held(NEW)),
        (held(OLD), held(NEXT)),
        (held(OLD), held(FROM)),
        (held(FROM), held(OTHER)),
        (held(NONE), held(FROM)),
        (held(OLD), anything(OLD)),
        (held(OLD), anything(NEW)),
        (anything(OLD), anything(NEW)),
        (anything(NONE), anything(NEW)),
        (anything(FROM), anything(NEW)),
        (held(OLD), held(BOTH)),
        (held(BOTH), format!("{{{BOTH}, description: d}}")),
        (held(OLD), held(UNNAMED)),
    ];
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(one, other)| (one.as_str(), other.as_str())).collect();
    check(
        &pairs,
        expect![[r#"
        {} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {}: BreakSchema Any
        {eventTypes: [{name: a.b}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b, schema: {type: string}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: string}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b, version: 2, schema: {type: object}}]}: BreakSchema Any
        {eventTypes: [{name: a.b, version: 2, schema: {type: object}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]} -> {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: l}}}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: l}}}]} -> {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]}: BreakSchema Any
        {eventTypes: [{name: a.b}]} -> {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]}: Any
        {eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]} -> {eventTypes: [{name: a.b}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: object}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]}: Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]}: BreakSchema Any
        {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schema: {type: string}}]} -> {compatibility: {mode: NONE}, eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: m, key: k}}}]}: BreakSchema Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}]}: BreakSchema Any
        {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
        {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}], description: d}: Any
        {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}], description: d} -> {eventTypes: [{name: a.b}, {name: a.b, schema: {type: object}}]}: Any
        {eventTypes: [{name: a.b, schema: {type: object}}]} -> {eventTypes: [{name: 'Order.x.1.y'}]}: BreakSchema Any
        {eventTypes: [{name: 'Order.x.1.y'}]} -> {eventTypes: [{name: a.b, schema: {type: object}}]}: BreakSchema Any
    "#]],
    );
}

#[test]
fn compatibility() {
    let of = |mode: &str| format!("{{compatibility: {{mode: {mode}}}}}");
    let modes = [
        "NONE",
        "BACKWARD",
        "BACKWARD_TRANSITIVE",
        "FORWARD",
        "FORWARD_TRANSITIVE",
        "FULL",
        "FULL_TRANSITIVE",
    ];
    let mut table = String::new();
    for from in modes {
        let breaks = modes.iter().filter(|to| {
            EventTopic::classify(Some(&spec(&of(from))), &spec(&of(to)), &None)
                .contains(&GovernedChange::BreakSchema)
        });
        let _ = writeln!(table, "{from} broken by {}", breaks.copied().collect::<Vec<_>>().join(" "));
    }
    expect![[r#"
        NONE broken by 
        BACKWARD broken by NONE FORWARD FORWARD_TRANSITIVE
        BACKWARD_TRANSITIVE broken by NONE BACKWARD FORWARD FORWARD_TRANSITIVE FULL
        FORWARD broken by NONE BACKWARD BACKWARD_TRANSITIVE
        FORWARD_TRANSITIVE broken by NONE BACKWARD BACKWARD_TRANSITIVE FORWARD FULL
        FULL broken by NONE BACKWARD BACKWARD_TRANSITIVE FORWARD FORWARD_TRANSITIVE
        FULL_TRANSITIVE broken by NONE BACKWARD BACKWARD_TRANSITIVE FORWARD FORWARD_TRANSITIVE FULL
    "#]]
    .assert_eq(&table);
    check(
        &[
            ("{compatibility: {policy: Strict}}", "{}"),
            ("{compatibility: {mode: FULL, policy: Strict}}", "{compatibility: {mode: FULL_TRANSITIVE}}"),
        ],
        expect![[r#"
            {compatibility: {policy: Strict}} -> {}: BreakSchema Any
            {} -> {compatibility: {policy: Strict}}: Any
            {compatibility: {mode: FULL, policy: Strict}} -> {compatibility: {mode: FULL_TRANSITIVE}}: BreakSchema Any
            {compatibility: {mode: FULL_TRANSITIVE}} -> {compatibility: {mode: FULL, policy: Strict}}: BreakSchema Any
        "#]],
    );
}
