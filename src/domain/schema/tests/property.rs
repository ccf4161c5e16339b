//! Properties that hold for all schemas, tested with generated ones.

use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

use super::read;
use crate::api::{Compatibility, CompatibilityMode as Mode, CompatibilityPolicy as Policy};
use crate::domain::schema::evaluation::Evaluator;
use crate::domain::schema::fuel::Fuel;
use crate::domain::schema::node::Graph;
use crate::domain::schema::{Document, Rule, check};

/// Few names and values, so that two schemas constrain the same values.
fn instance() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..6).prop_map(Value::from),
        (-6i64..12).prop_map(|halves| json!(halves as f64 / 2.0)),
        "[abx]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abx]|xa", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// One keyword with a value.
fn keyword(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = (String, Value)> {
    let types = prop::sample::subsequence(
        vec!["null", "boolean", "object", "array", "string", "integer", "number"],
        1..4,
    );
    let schemas = || prop::collection::vec(inner.clone(), 1..4);
    let named = || prop::collection::btree_map("[abx]", inner.clone(), 0..3);
    let names = || prop::collection::btree_set("[abx]", 0..3);
    let number =
        || prop_oneof![(-3i64..6).prop_map(Value::from), (-6i64..12).prop_map(|x| json!(x as f64 / 2.0))];
    let count = || (0u64..4).prop_map(Value::from);
    let patterns = || prop::sample::select(vec!["^x", "a", "^[ab]*$", ""]);
    let one = |name: &'static str, value: BoxedStrategy<Value>| {
        value.prop_map(move |value| (name.to_owned(), value))
    };
    let mut choices: Vec<(u32, BoxedStrategy<(String, Value)>)> = Vec::new();
    let mut add = |weight: u32, name: &'static str, value: BoxedStrategy<Value>| {
        choices.push((weight, one(name, value).boxed()));
    };
    add(12, "type", types.prop_map(|types| json!(types)).boxed());
    add(4, "enum", prop::collection::vec(instance(), 1..5).prop_map(Value::from).boxed());
    add(2, "const", instance().boxed());
    for name in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
        add(2, name, number().boxed());
    }
    add(1, "multipleOf", (1i64..5).prop_map(Value::from).boxed());
    for name in [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minContains",
        "maxContains",
    ] {
        add(1, name, count().boxed());
    }
    add(1, "pattern", patterns().prop_map(Value::from).boxed());
    add(8, "properties", named().prop_map(|map| json!(map)).boxed());
    add(
        3,
        "patternProperties",
        (patterns(), inner.clone()).prop_map(|(name, value)| json!({ name: value })).boxed(),
    );
    add(4, "required", names().prop_map(|names| json!(names)).boxed());
    add(1, "dependentRequired", ("[abx]", names()).prop_map(|(name, names)| json!({ name: names })).boxed());
    add(
        1,
        "dependentSchemas",
        ("[abx]", inner.clone()).prop_map(|(name, value)| json!({ name: value })).boxed(),
    );
    add(2, "prefixItems", schemas().prop_map(Value::from).boxed());
    add(1, "uniqueItems", any::<bool>().prop_map(Value::from).boxed());
    for name in ["additionalProperties", "items"] {
        add(4, name, prop_oneof![Just(json!(false)), inner.clone()].boxed());
    }
    for name in ["unevaluatedProperties", "unevaluatedItems"] {
        add(2, name, prop_oneof![3 => Just(json!(false)), 1 => inner.clone()].boxed());
    }
    for name in ["propertyNames", "contains", "not", "if", "then", "else"] {
        add(1, name, inner.clone().boxed());
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        add(2, name, schemas().prop_map(Value::from).boxed());
    }
    Union::new_weighted(choices)
}

fn object(
    inner: impl Strategy<Value = Value> + Clone + 'static,
    most: usize,
) -> impl Strategy<Value = Value> {
    prop::collection::vec(keyword(inner), 1..most)
        .prop_map(|keywords| Value::Object(keywords.into_iter().collect::<Map<String, Value>>()))
}

/// Schemas of 2020-12, some of them recursive.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(Value::from),
        6 => object(Just(json!({})), 4),
        1 => Just(json!({ "$ref": "#/$defs/d" })),
    ];
    let deep = leaf.prop_recursive(3, 24, 4, |inner| object(inner, 5));
    (deep.clone(), deep).prop_map(|(mut root, definition)| {
        if let Value::Object(root) = &mut root {
            root.insert("$defs".into(), json!({ "d": definition }));
        } else {
            root = json!({ "allOf": [root], "$defs": { "d": definition } });
        }
        root
    })
}

/// The same schema with one member of one object removed or replaced by that of another schema.
fn changed(schema: &Value, other: &Value, choice: usize) -> Value {
    fn walk(value: &mut Value, other: &Value, left: &mut usize) -> bool {
        match value {
            Value::Object(members) => {
                let names: Vec<String> = members.keys().filter(|name| *name != "$defs").cloned().collect();
                for name in names {
                    if *left == 0 {
                        match other.get(&name) {
                            Some(value) => members.insert(name, value.clone()),
                            None => members.remove(&name),
                        };
                        return true;
                    }
                    *left -= 1;
                    if members.get_mut(&name).is_some_and(|inner| walk(inner, other, left)) {
                        return true;
                    }
                }
                false
            }
            Value::Array(items) => items.iter_mut().any(|item| walk(item, other, left)),
            _ => false,
        }
    }
    let mut new = schema.clone();
    let mut left = choice;
    walk(&mut new, other, &mut left);
    new
}

/// Two schemas that are similar or unrelated.
pub(super) fn pair() -> impl Strategy<Value = (Value, Value)> {
    (schema(), schema(), 0usize..12, 0u8..4).prop_map(|(old, other, choice, kind)| {
        let new = if kind == 0 { other } else { changed(&old, &other, choice) };
        if kind == 1 { (new, old) } else { (old, new) }
    })
}

fn verdict(new: &Document, old: Document, mode: Mode, policy: Policy) -> Option<Vec<Rule>> {
    let violations = check(new, &[old], Compatibility { mode, policy }).ok()?;
    Some(violations.into_iter().map(|violation| violation.rule).collect())
}

const MODES: [Mode; 7] = [
    Mode::Backward,
    Mode::BackwardTransitive,
    Mode::Forward,
    Mode::ForwardTransitive,
    Mode::Full,
    Mode::FullTransitive,
    Mode::None,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_schema_is_compatible_with_itself(schema in schema()) {
        let Ok(old) = Document::from_value(&schema) else { return Ok(()) };
        // Another canonical form, so that the result is proven and not looked up by hash.
        let mut retitled = schema.clone();
        retitled["title"] = json!("the same");
        let new = read(&retitled);
        for mode in MODES {
            for policy in [Policy::Lenient, Policy::Strict] {
                let compatibility = Compatibility { mode, policy };
                let violations = check(&new, std::slice::from_ref(&old), compatibility).unwrap();
                prop_assert!(violations.is_empty(), "{mode:?} {policy:?}: {violations:?}");
            }
        }
    }

    #[test]
    fn accepted_by_strict_is_never_refuted(
        (old, new) in pair(),
        instances in prop::collection::vec(instance(), 64),
    ) {
        let (Ok(old), Ok(new)) = (Document::from_value(&old), Document::from_value(&new)) else { return Ok(()) };
        for (mode, from, to) in [(Mode::Backward, &old, &new), (Mode::Forward, &new, &old)] {
            if verdict(&new, read(old.value()), mode, Policy::Strict) == Some(Vec::new()) {
                for instance in instances.iter().chain(&listed(from.value())) {
                    let (Ok(before), Ok(after)) = (from.validate(instance), to.validate(instance)) else { continue };
                    prop_assert!(!before.is_empty() || after.is_empty(), "{mode:?}: {instance} {after:?}");
                }
            }
        }
    }

    /// Apart from removed properties, Lenient never reports more than Strict.
    #[test]
    fn accepted_by_strict_is_accepted_by_lenient((old, new) in pair()) {
        let (Ok(old), Ok(new)) = (Document::from_value(&old), Document::from_value(&new)) else { return Ok(()) };
        for mode in [Mode::Backward, Mode::Forward] {
            if verdict(&new, read(old.value()), mode, Policy::Strict) == Some(Vec::new()) {
                let lenient = verdict(&new, read(old.value()), mode, Policy::Lenient).unwrap_or_default();
                prop_assert!(lenient.iter().all(|rule| *rule == Rule::PropertyRemoved), "{mode:?}: {lenient:?}");
            }
        }
    }

    /// The evaluator agrees with the validator.
    #[test]
    fn the_evaluator_agrees_with_the_validator(
        schema in schema(),
        instances in prop::collection::vec(instance(), 32),
    ) {
        let Ok(schema) = Document::from_value(&schema) else { return Ok(()) };
        for instance in &instances {
            let mut fuel = Fuel::new(1_000_000, 1_000);
            let ours = Evaluator::new(schema.graph(), &mut fuel).evaluate(Graph::ROOT, instance).unwrap();
            let theirs = schema.validate(instance).unwrap();
            prop_assert!(ours.is_none_or(|ours| ours == theirs.is_empty()), "{instance}: {ours:?} {theirs:?}");
        }
    }

    /// Every parsed schema can validate.
    #[test]
    fn every_parsed_schema_can_validate(schema in instance(), other in schema()) {
        for value in [schema, changed(&other, &json!({"type": 7, "items": [], "required": "a"}), 3)] {
            if let Ok(document) = Document::from_value(&value) {
                document.validate(&json!({})).unwrap();
                let again = Document::parse(document.canonical()).unwrap();
                prop_assert_eq!(again.hash(), document.hash());
            }
        }
    }
}

#[test]
fn an_if_without_branches_evaluates_properties_and_items() {
    for (schema, instance) in [
        (json!({"if": {"properties": {"x": true}}, "unevaluatedProperties": false}), json!({"x": null})),
        (json!({"if": {"prefixItems": [true]}, "unevaluatedItems": false}), json!([1])),
    ] {
        let schema = Document::from_value(&schema).unwrap();
        let ours = Evaluator::new(schema.graph(), &mut Fuel::new(1_000, 10))
            .evaluate(Graph::ROOT, &instance)
            .unwrap();
        assert!(ours.is_none_or(|ours| ours == schema.validate(&instance).unwrap().is_empty()), "{instance}");
    }
}

/// The values listed in a schema, which are the most likely to be valid.
fn listed(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = vec![schema];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(members) => {
                found.extend(members.get("const").cloned());
                found.extend(members.get("enum").and_then(Value::as_array).into_iter().flatten().cloned());
                rest.extend(members.values());
            }
            Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    found
}
