use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

fn check(before: &str, after: &str, expected: Expect) {
    let object = |text: &str| (!text.is_empty()).then(|| yaml(text));
    let (before, after) = (object(before), object(after));
    let described = match change_between(before.as_ref(), after.as_ref()) {
        None => "no change".to_owned(),
        Some(change) => {
            assert_eq!((&change.paths, &change.before, &change.after), (&Vec::new(), &None, &None));
            change.patch.iter().map(|operation| format!("{operation}\n")).collect()
        }
    };
    expected.assert_eq(&described);
}

#[test]
fn created_and_deleted_objects_are_recorded_completely() {
    let topic = "{apiVersion: v1, kind: EventTopic, metadata: {name: x, uid: u, labels: {a: b}}, spec: {partitions: 3}, status: {x: y}}";
    check(
        "",
        topic,
        expect![[r#"
        {"op":"add","path":"","value":{"metadata":{"labels":{"a":"b"}},"spec":{"partitions":3}}}
    "#]],
    );
    check(
        topic,
        "",
        expect![[r#"
        {"op":"test","path":"","value":{"metadata":{"labels":{"a":"b"}},"spec":{"partitions":3}}}
        {"op":"remove","path":""}
    "#]],
    );
    check(
        "",
        "{metadata: {name: x}}",
        expect![[r#"
        {"op":"add","path":"","value":{}}
    "#]],
    );
    assert_eq!(change_between(None, None), None);
}

#[test]
fn a_patch_tests_previous_values() {
    check(
        "{spec: {partitions: 3}}",
        "{spec: {partitions: 6}}",
        expect![[r#"
        {"op":"test","path":"/spec/partitions","value":3}
        {"op":"replace","path":"/spec/partitions","value":6}
    "#]],
    );
    check(
        "{spec: {partitions: 3}}",
        "{spec: {partitions: 3, owner: a}}",
        expect![[r#"
        {"op":"add","path":"/spec/owner","value":"a"}
    "#]],
    );
    check(
        "{spec: {partitions: 3, owner: a}}",
        "{spec: {partitions: 3}}",
        expect![[r#"
        {"op":"test","path":"/spec/owner","value":"a"}
        {"op":"remove","path":"/spec/owner"}
    "#]],
    );
    check(
        "{spec: {a: {b: 1}}}",
        "{spec: {a: [1]}}",
        expect![[r#"
        {"op":"test","path":"/spec/a","value":{"b":1}}
        {"op":"replace","path":"/spec/a","value":[1]}
    "#]],
    );
    check(
        "{spec: {a/b: 1, '~': 2}}",
        "{spec: {a/b: 2, '~': 3}}",
        expect![[r#"
        {"op":"test","path":"/spec/a~1b","value":1}
        {"op":"replace","path":"/spec/a~1b","value":2}
        {"op":"test","path":"/spec/~0","value":2}
        {"op":"replace","path":"/spec/~0","value":3}
    "#]],
    );
    check(
        "{spec: {a: null}}",
        "{spec: {a: 1}}",
        expect![[r#"
        {"op":"test","path":"/spec/a","value":null}
        {"op":"replace","path":"/spec/a","value":1}
    "#]],
    );
    check(
        "{}",
        "{spec: {a: 1}}",
        expect![[r#"
        {"op":"add","path":"/spec","value":{"a":1}}
    "#]],
    );
    // Removing an item shifts the later ones.
    check(
        "{spec: {list: [1, 2, 3, 4]}}",
        "{spec: {list: [1]}}",
        expect![[r#"
        {"op":"test","path":"/spec/list/1","value":2}
        {"op":"remove","path":"/spec/list/1"}
        {"op":"test","path":"/spec/list/1","value":3}
        {"op":"remove","path":"/spec/list/1"}
        {"op":"test","path":"/spec/list/1","value":4}
        {"op":"remove","path":"/spec/list/1"}
    "#]],
    );
    check(
        "{spec: {list: [a, b, c]}}",
        "{spec: {list: [b, c]}}",
        expect![[r#"
        {"op":"test","path":"/spec/list/0","value":"a"}
        {"op":"replace","path":"/spec/list/0","value":"b"}
        {"op":"test","path":"/spec/list/1","value":"b"}
        {"op":"replace","path":"/spec/list/1","value":"c"}
        {"op":"test","path":"/spec/list/2","value":"c"}
        {"op":"remove","path":"/spec/list/2"}
    "#]],
    );
}

#[test]
fn only_compared_fields_are_recorded() {
    let before = "{kind: EventTopic, metadata: {resourceVersion: '1', generation: 1, managedFields: [], ownerReferences: [],
        annotations: {kubectl.kubernetes.io/last-applied-configuration: x, example.com/a: b}}, spec: {}, status: {a: b}, data: {a: b}}";
    let after = "{kind: EventTopic, metadata: {resourceVersion: '2', generation: 2, deletionTimestamp: now,
        annotations: {kubectl.kubernetes.io/last-applied-configuration: y}}, spec: {}, status: {a: c}, data: {a: c}}";
    check(before, after, expect!["no change"]);
    check("{metadata: {annotations: {}}}", "{metadata: {labels: null}}", expect!["no change"]);
    let after = "{metadata: {labels: {a: b}, finalizers: [eventcenter.io/topic], annotations: {eventcenter.io/paused: 'true', other: x}}}";
    check(
        "{metadata: {labels: {a: c}}}",
        after,
        expect![[r#"
        {"op":"add","path":"/metadata/annotations","value":{"eventcenter.io/paused":"true"}}
        {"op":"add","path":"/metadata/finalizers","value":["eventcenter.io/topic"]}
        {"op":"test","path":"/metadata/labels/a","value":"c"}
        {"op":"replace","path":"/metadata/labels/a","value":"b"}
    "#]],
    );
}

#[test]
fn data_is_recorded_for_config_maps_with_schemas_only() {
    let of = |kind: &str, label: &str, value: &str| {
        format!("{{kind: {kind}, metadata: {{labels: {{{label}: 'true'}}}}, data: {{schema.json: {value}}}}}")
    };
    check(
        &of("ConfigMap", SCHEMA_LABEL, "old"),
        &of("ConfigMap", SCHEMA_LABEL, "new"),
        expect![[r#"
        {"op":"test","path":"/data/schema.json","value":"old"}
        {"op":"replace","path":"/data/schema.json","value":"new"}
    "#]],
    );
    check(&of("ConfigMap", "other", "old"), &of("ConfigMap", "other", "new"), expect!["no change"]);
    check(&of("Secret", SCHEMA_LABEL, "old"), &of("Secret", SCHEMA_LABEL, "new"), expect!["no change"]);
    // Data that loses the label is not recorded as removed.
    check(
        &of("ConfigMap", SCHEMA_LABEL, "old"),
        &of("ConfigMap", "other", "old"),
        expect![[r#"
        {"op":"add","path":"/metadata/labels/other","value":"true"}
        {"op":"test","path":"/metadata/labels/eventcenter.io~1schema","value":"true"}
        {"op":"remove","path":"/metadata/labels/eventcenter.io~1schema"}
    "#]],
    );
}

#[test]
fn secrets_are_redacted() {
    let of = |password: &str| format!("{{spec: {{config: {{sasl.password: {password}, retention.ms: 1}}}}}}");
    check(
        "",
        &of("hunter2"),
        expect![[r#"
        {"op":"add","path":"","value":{"spec":{"config":{"retention.ms":1,"sasl.password":"[redacted]"}}}}
    "#]],
    );
    check(
        &of("hunter2"),
        "",
        expect![[r#"
        {"op":"test","path":"","value":{"spec":{"config":{"retention.ms":1,"sasl.password":"[redacted]"}}}}
        {"op":"remove","path":""}
    "#]],
    );
    check(
        &of("hunter2"),
        &of("hunter3"),
        expect![[r#"
        {"op":"test","path":"/spec/config/sasl.password","value":"[redacted]"}
        {"op":"replace","path":"/spec/config/sasl.password","value":"[redacted, changed]"}
    "#]],
    );
    check(&of("hunter2"), &of("hunter2"), expect!["no change"]);
    check(
        &of("hunter2"),
        "{spec: {config: {retention.ms: 1}}}",
        expect![[r#"
        {"op":"test","path":"/spec/config/sasl.password","value":"[redacted]"}
        {"op":"remove","path":"/spec/config/sasl.password"}
    "#]],
    );
    check(
        "{spec: {config: {retention.ms: 1}}}",
        &of("hunter2"),
        expect![[r#"
        {"op":"add","path":"/spec/config/sasl.password","value":"[redacted]"}
    "#]],
    );
    for key in [
        "Password",
        "client-secret",
        "sasl.jaas.config",
        "TOKEN",
        "credentials",
        "privateKey",
        "ssl.key",
        "a.b.KEY",
    ] {
        for value in ["hunter2", "{nested: hunter2}", "[hunter2]"] {
            let object =
                yaml(&format!("{{spec: {{config: {{{key}: {value}, deep: [{{{key}: {value}}}]}}}}}}"));
            let (created, deleted) =
                (change_between(None, Some(&object)), change_between(Some(&object), None));
            let other = yaml("{spec: {config: {deep: [{a: 1}, 2]}}}");
            let (to, from) =
                (change_between(Some(&object), Some(&other)), change_between(Some(&other), Some(&object)));
            for change in [created, deleted, to, from] {
                let described = serde_json::to_string(&change.expect("a change")).expect("JSON");
                assert!(
                    !described.contains("hunter2") && described.contains("[redacted]"),
                    "{key}: {described}"
                );
            }
        }
    }
    // The name of a Secret is not secret, nor are these keys.
    check(
        "",
        "{spec: {sasl: {secret: {name: kafka}}, config: {key.serializer: x, keys: y}}}",
        expect![[r#"
        {"op":"add","path":"","value":{"spec":{"config":{"key.serializer":"x","keys":"y"},"sasl":{"secret":{"name":"kafka"}}}}}
    "#]],
    );
}

/// The hashes allow to check whether a known content was the one recorded.
#[test]
fn a_large_change_is_recorded_by_paths_and_hashes() {
    let schema = |letter: &str, count: usize| {
        let data: Map<String, Value> = (0..count)
            .map(|number| (format!("schema~{number:03}/v1"), Value::from(letter.repeat(40_000 / count))))
            .collect();
        json!({"kind": "ConfigMap", "metadata": {"labels": {SCHEMA_LABEL: "true"}}, "data": data})
    };
    let show = |change: Option<Change>| {
        let change = change.expect("a change");
        assert_eq!(change.patch, Vec::<Value>::new());
        let paths = change.paths.iter().map(|path| format!("{path}\n")).collect::<String>();
        format!("{paths}before {:?}\nafter {:?}\n", change.before, change.after)
    };
    let (old, new) = (schema("a", 1), schema("b", 1));
    expect![[r#"
        /data/schema~0000~1v1
        before Some("2b675ee085681992733eeac218f7942ea21b2907d0047e56fdad68060130bd5d")
        after Some("9d49a7c7c2715817a8931f94b02a6eb0650fe28eaa5018acd2b81b55dd085285")
    "#]]
    .assert_eq(&show(change_between(Some(&old), Some(&new))));
    expect![[r#"
        /data/schema~0000~1v1
        /metadata/labels
        before None
        after Some("9d49a7c7c2715817a8931f94b02a6eb0650fe28eaa5018acd2b81b55dd085285")
    "#]]
    .assert_eq(&show(change_between(None, Some(&new))));
    expect![[r#"
        /data/schema~0000~1v1
        /metadata/labels
        before Some("2b675ee085681992733eeac218f7942ea21b2907d0047e56fdad68060130bd5d")
        after None
    "#]]
    .assert_eq(&show(change_between(Some(&old), None)));
    let change = change_between(Some(&schema("a", 250)), Some(&schema("b", 250))).expect("a change");
    assert_eq!(change.paths.len(), 100);
    assert_eq!(change.paths[..2], ["/data/schema~0000~1v1", "/data/schema~0001~1v1"]);
    assert_eq!(change.paths[99], "…and 151 more");
    let made = change_between(None, Some(&schema("b", 250))).expect("a change");
    assert_eq!((made.paths.len(), made.paths[99].as_str()), (100, "…and 152 more"), "and the labels");
    // Hashes do not depend on secrets either.
    let of = |password: &str| json!({"spec": {"config": {"password": password}, "long": "x".repeat(40_000)}});
    let (one, other) = (change_between(None, Some(&of("a"))), change_between(None, Some(&of("b"))));
    assert_eq!(one, other);
    // Keys can be long too.
    let long = json!({"spec": {"ü".repeat(100_000): 1}});
    let change = change_between(None, Some(&long)).expect("a change");
    assert_eq!(change.paths.len(), 1);
    assert!(change.paths[0].len() < 300);
}

#[test]
fn a_patch_of_the_maximum_size_is_recorded() {
    let of =
        |length: usize| change_between(None, Some(&json!({"spec": "x".repeat(length)}))).expect("a change");
    let around = canonical(&of(0).patch).len();
    let (largest, larger) = (of(MAX_PATCH_BYTES - around), of(MAX_PATCH_BYTES - around + 1));
    assert_eq!((largest.patch.len(), largest.paths.len()), (1, 0));
    assert_eq!((larger.patch.len(), larger.before), (0, None));
}

fn spec() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        "[a-b~/]{0,2}".prop_map(Value::from)
    ];
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~]{0,2}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-c]", inner, 0..3)
        .prop_map(|members| json!({"spec": Value::Object(members.into_iter().collect())}))
}

proptest! {
    /// Applying the patch, including its tests, creates the new object; reverting it creates the previous one.
    #[test]
    fn a_patch_applies_and_can_be_reverted(before in spec(), after in spec()) {
        let Some(change) = change_between(Some(&before), Some(&after)) else {
            prop_assert_eq!(before, after);
            return Ok(());
        };
        let patch: json_patch::Patch = serde_json::from_value(json!(change.patch)).expect("a patch");
        let mut patched = before.clone();
        json_patch::patch(&mut patched, &patch).expect("the tests hold");
        prop_assert_eq!(&patched, &after);

        let mut undone = after;
        let mut operations = change.patch.iter().rev().peekable();
        while let Some(operation) = operations.next() {
            let old = operations.next_if(|test| test["op"] == "test").map(|test| &test["value"]);
            let undo = match (operation["op"].as_str(), old) {
                (Some("add"), None) => json!([{"op": "remove", "path": operation["path"]}]),
                (Some("replace"), Some(old)) => json!([{"op": "replace", "path": operation["path"], "value": old}]),
                (Some("remove"), Some(old)) => json!([{"op": "add", "path": operation["path"], "value": old}]),
                other => panic!("{other:?}"),
            };
            let undo: json_patch::Patch = serde_json::from_value(undo).expect("a patch");
            json_patch::patch(&mut undone, &undo).expect("it is there");
        }
        prop_assert_eq!(undone, before);
    }
}
