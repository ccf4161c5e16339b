//! Invalid schemas are refused, and the most expensive valid ones are compared within the step limit.

use expect_test::{Expect, expect};
use serde_json::{Map, Value, json};

use super::read;
use crate::api::{Compatibility, CompatibilityMode as Mode, CompatibilityPolicy as Policy};
use crate::domain::schema::check::{Budget, compare};
use crate::domain::schema::{Document, limits};

fn refused(schema: &Value, expected: &Expect) {
    expected.assert_eq(&Document::from_value(schema).unwrap_err().to_string());
}

#[test]
fn other_dialects_are_refused() {
    refused(
        &json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        &expect![[
            r#"SchemaInvalid: /$schema: "http://json-schema.org/draft-04/schema#" is not a supported dialect; use http://json-schema.org/draft-07/schema# or https://json-schema.org/draft/2020-12/schema"#
        ]],
    );
}

#[test]
fn references_out_of_the_schema_are_refused() {
    refused(
        &json!({"properties": {"a": {"$ref": "https://example.com/address.json"}}}),
        &expect![
            "SchemaInvalid: /properties/a/$ref: https://example.com/address.json leads out of this schema, and nothing is ever fetched; copy what it refers to into $defs and write #/$defs/…"
        ],
    );
    refused(
        &json!({"$ref": "#/$defs/addres", "$defs": {"address": {}}}),
        &expect![
            "SchemaInvalid: /$ref: there is nothing at #/$defs/addres; correct the reference, or add what it refers to"
        ],
    );
    refused(
        &json!({"$defs": {"a": {"$id": "https://example.com/a"}}}),
        &expect![
            "SchemaInvalid: /$defs/a/$id: a schema within a schema cannot have an address of its own; take $id out and refer to it by #/$defs/… or by an $anchor"
        ],
    );
    refused(
        &json!({"$dynamicRef": "other#node"}),
        &expect![
            "SchemaInvalid: /$dynamicRef: other#node leads out of this schema, and nothing is ever fetched; copy what it refers to into $defs and write #/$defs/…"
        ],
    );
}

#[test]
fn cyclic_references_are_refused() {
    refused(
        &json!({"allOf": [{"$ref": "#"}]}),
        &expect![
            "SchemaInvalid: the schema: this refers to itself for the same value, so nothing could ever be checked with it; refer to it from within properties or items"
        ],
    );
    refused(
        &json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        &expect![
            "SchemaInvalid: /$defs/a: this refers to itself for the same value, so nothing could ever be checked with it; refer to it from within properties or items"
        ],
    );
    // A property may have the name of a keyword, and data may look like a schema.
    read(
        &json!({"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}, "default": {"$id": "x"}}),
    );
}

#[test]
fn keywords_of_the_wrong_type_are_refused() {
    for (schema, expected) in [
        (
            json!({"type": "text"}),
            expect![[
                r#"SchemaInvalid: /type: "text" is not a type; name one type or several different ones"#
            ]],
        ),
        (
            json!({"properties": {"a": 5}}),
            expect![
                "SchemaInvalid: /properties/a: a number that does not fit here is not a schema; write an object, true or false"
            ],
        ),
        (
            json!({"required": "a"}),
            expect!["SchemaInvalid: /required: this is a string; write a list of different names"],
        ),
        (
            json!({"minimum": 1, "exclusiveMinimum": true}),
            expect![
                "SchemaInvalid: /exclusiveMinimum: this is a boolean; write a number (a boolean exclusiveMinimum or exclusiveMaximum is draft-04)"
            ],
        ),
        (
            json!({"items": [{}]}),
            expect![
                "SchemaInvalid: /items: a list of schemas is draft-07; call it prefixItems, or set $schema to draft-07"
            ],
        ),
        (
            json!({"maxLength": -1}),
            expect![
                "SchemaInvalid: /maxLength: this is a number that does not fit here; write a whole number from 0 on"
            ],
        ),
        (
            json!({"anyOf": []}),
            expect![
                "SchemaInvalid: /anyOf: this is an array that does not fit here; write a list of schemas"
            ],
        ),
        (
            json!({"multipleOf": 0}),
            expect!["SchemaInvalid: /multipleOf: it has to be above 0; write a positive number"],
        ),
        (
            json!({"$defs": {"a": {"enum": 5}}}),
            expect!["SchemaInvalid: /$defs/a/enum: this is a number that does not fit here; write an array"],
        ),
        (
            json!([]),
            expect![
                "SchemaInvalid: the schema: an array that does not fit here is not a schema; write an object, true or false"
            ],
        ),
    ] {
        refused(&schema, &expected);
    }
    read(&json!({"x-owner": 5, "example": [], "nullable": "yes"}));
}

#[test]
fn costly_regular_expressions_are_refused() {
    for (pattern, expected) in [
        (
            "(?=a)b",
            expect![
                "SchemaInvalid: /pattern: look-around, back references and unknown escapes are not supported: (?=a)b; use classes, groups, alternatives and repetitions only"
            ],
        ),
        (
            r"(a)\1",
            expect![[
                r"SchemaInvalid: /pattern: look-around, back references and unknown escapes are not supported: (a)\1; use classes, groups, alternatives and repetitions only"
            ]],
        ),
        (
            "((a{0,100}){0,100}){0,100}",
            expect![
                "SchemaInvalid: /pattern: the regular expression is too large when compiled: ((a{0,100}){0,100}){0,100}; use smaller repetition counts; maxLength bounds a length better"
            ],
        ),
        (
            "(",
            expect![
                "SchemaInvalid: /pattern: this is not a regular expression of ECMA 262: (; use classes, groups, alternatives and repetitions only"
            ],
        ),
    ] {
        refused(&json!({"pattern": pattern}), &expected);
    }
    // With a backtracking engine this takes longer than the age of the universe.
    let schema = read(&json!({"pattern": "^(a+)+$"}));
    assert!(!schema.validate(&json!(format!("{}!", "a".repeat(4096)))).unwrap().is_empty());
}

#[test]
fn duplicate_names_are_refused() {
    let expected = expect![[
        r#"SchemaInvalid: the schema: it is not JSON: the name "type" is repeated within one object at line 1 column 34; correct it; a name must be unique within its object"#
    ]];
    expected.assert_eq(&Document::parse(r#"{"type": "string", "type": "null"}"#).unwrap_err().to_string());
    let long = format!("{{}}{}", " ".repeat(limits::MAX_TEXT_BYTES));
    assert!(Document::parse(&long).unwrap_err().message().contains("bytes"));
}

fn nest(depth: usize, leaf: Value, layer: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(leaf, |inner, _| layer(inner))
}

fn list(length: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..length).map(item).collect()
}

fn map(length: usize, name: impl Fn(usize) -> String, value: impl Fn(usize) -> Value) -> Value {
    Value::Object((0..length).map(|at| (name(at), value(at))).collect::<Map<_, _>>())
}

#[test]
fn schemas_beyond_a_limit_are_refused() {
    let in_items = |inner| json!({ "items": inner });
    for (schema, limit) in [
        (nest(limits::MAX_NESTING + 1, json!({}), in_items), "levels deep"),
        (json!({"title": "x".repeat(limits::MAX_SCHEMA_BYTES)}), "bytes and may have"),
        (json!({"anyOf": list(limits::MAX_SUBSCHEMAS, |_| json!(true))}), "subschemas"),
        (
            json!({"prefixItems": list(limits::MAX_REFERENCES + 1, |_| json!({"$ref": "#/$defs/a"})), "$defs": {"a": {}}}),
            "references",
        ),
        (
            json!({"patternProperties": map(limits::MAX_PATTERNS + 1, |at| format!("a{at}"), |_| json!({}))}),
            "different regular expressions",
        ),
        (json!({"pattern": "a".repeat(limits::MAX_PATTERN_BYTES + 1)}), "the regular expression has"),
        (
            json!({"$ref": "#/$defs/d0", "$defs": map(20, |at| format!("d{at}"), |at| {
                let next = if at == 19 { json!({}) } else { json!({"$ref": format!("#/$defs/d{}", at + 1)}) };
                json!({"allOf": [next, next]})
            })}),
            "written out",
        ),
        (
            json!({"$ref": "#/$defs/d0", "$defs": map(99, |at| format!("d{at}"), |at| {
                if at == 98 { json!({}) } else { json!({"$ref": format!("#/$defs/d{}", at + 1)}) }
            })}),
            "lie within each other",
        ),
    ] {
        let refusal = Document::from_value(&schema).unwrap_err();
        assert!(refusal.message().contains(limit), "{refusal}");
    }
}

/// Definitions that refer to the next one twice: in place, and within a property.
fn doubling(keyword: &str, depth: usize, leaf: Value) -> Value {
    let next = |at: usize| {
        if at + 1 == depth { leaf.clone() } else { json!({"$ref": format!("#/$defs/d{}", at + 1)}) }
    };
    let definition = |at: usize| json!({ keyword: [next(at), {"properties": {format!("x{at}"): next(at)}}] });
    json!({"$ref": "#/$defs/d0", "$defs": map(depth, |at| format!("d{at}"), definition)})
}

/// Definitions that refer to each other in a cycle.
fn cycle(length: usize, least: usize) -> Value {
    let definition = |at: usize| {
        let to = |at: usize| json!({"$ref": format!("#/$defs/d{}", at % length)});
        json!({"minProperties": least, "properties": {"a": to(at + 1), "b": to(at * 7 + 3)}})
    };
    json!({"$ref": "#/$defs/d0", "$defs": map(length, |at| format!("d{at}"), definition)})
}

fn pathological() -> Vec<(&'static str, Value, Value)> {
    let kinds = |length: usize, of: &dyn Fn(usize) -> usize| {
        list(
            length,
            |at| json!({"type": "object", "properties": {"kind": {"const": of(at)}}, "required": ["kind"]}),
        )
    };
    let choices = |least: usize| {
        json!({"allOf": list(40, |at| json!({"anyOf": [
            {"required": [format!("a{at}")]}, {"minProperties": least + at}, {"properties": {"x": {"minLength": at}}}]}))})
    };
    let nots = |leaf: &str| {
        nest(15, json!({"type": leaf}), |inner| json!({"not": {"anyOf": [inner, {"type": "null"}]}}))
    };
    let conditions = |least: usize| {
        nest(
            7,
            json!({"minProperties": least}),
            |inner| json!({"if": {"required": [format!("a{}", inner.to_string().len())]}, "then": inner, "else": {"allOf": [inner]}}),
        )
    };
    let names =
        |by: &dyn Fn(usize) -> usize| json!({"enum": list(9000, |at| json!(format!("value{}", by(at))))});
    vec![
        (
            "deep",
            nest(30, json!({"type": "string"}), |inner| json!({"properties": {"a": inner}})),
            nest(30, json!({"type": "integer"}), |inner| json!({"properties": {"a": inner}})),
        ),
        ("wide anyOf", json!({"anyOf": kinds(400, &|at| at)}), json!({"anyOf": kinds(400, &|at| 399 - at)})),
        ("wide oneOf", json!({"oneOf": kinds(400, &|at| at)}), json!({"oneOf": kinds(400, &|at| 399 - at)})),
        ("two cycles", cycle(97, 1), cycle(89, 1)),
        ("two cycles that differ", cycle(31, 2), cycle(29, 1)),
        ("huge enums", names(&|at| at), names(&|at| at + 1)),
        (
            "doubling allOf",
            doubling("allOf", 12, json!({"minLength": 3})),
            doubling("allOf", 12, json!({"minLength": 4})),
        ),
        (
            "doubling anyOf",
            doubling("anyOf", 12, json!({"minLength": 3})),
            doubling("anyOf", 12, json!({"minLength": 4})),
        ),
        (
            "doubling oneOf",
            doubling("oneOf", 12, json!({"minLength": 3})),
            doubling("oneOf", 12, json!({"minLength": 4})),
        ),
        ("nots", nots("string"), nots("integer")),
        ("conditions", conditions(1), conditions(2)),
        ("choices", choices(1), choices(2)),
    ]
}

/// Ends with an answer or with a refusal, on the stack of a thread of 2 MiB, which is what tests and the runtime's
/// workers have.
#[test]
fn the_most_expensive_pairs_terminate() {
    for (name, old, new) in pathological() {
        let old = [read(&old)];
        let new = read(&new);
        for policy in [Policy::Lenient, Policy::Strict] {
            let mut steps = Budget::default();
            let outcome = compare(&new, &old, Compatibility { mode: Mode::Full, policy }, &mut steps);
            if let Err(refusal) = outcome {
                assert!(
                    refusal.message().starts_with("too complex to compare with revision 1"),
                    "{name}: {refusal}"
                );
            }
        }
    }
}

/// Realistic schemas stay far below the limits.
#[test]
fn two_hundred_properties_cost_little() {
    let event = |longest: usize| {
        json!({"type": "object", "properties": map(200, |at| format!("property{at}"), |at| {
            json!({"type": "string", "description": "a property", "maxLength": longest + at})
        }), "required": list(100, |at| json!(format!("property{at}")))})
    };
    for (longest, broken) in [(20, 0), (5, 200)] {
        let mut steps = Budget::default();
        let violations =
            compare(&read(&event(longest)), &[read(&event(10))], Compatibility::default(), &mut steps)
                .unwrap();
        assert_eq!(violations.len(), broken);
        assert!(
            limits::MAX_COMPARISON_STEPS - steps.remaining() < limits::MAX_COMPARISON_STEPS / 10,
            "{} steps",
            limits::MAX_COMPARISON_STEPS - steps.remaining()
        );
    }
}
