//! What an object has that its definition does not allow: unknown fields, wrong types and values, repeated items,
//! broken CEL rules.
//!
//! The schema of a definition is a part of JSON Schema, so a validator for that checks most of it. The rest is
//! Kubernetes' own: the API server, asked to be strict, refuses unknown fields; lists may be sets or maps; numbers may
//! stand for text; and rules in CEL are evaluated with all defaults in place.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError, Validator};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::cel::Rules;
use super::field_path::FieldPath;

/// What a definition allows, compiled.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Value,
    validator: Option<Validator>,
    pub(super) rules: Rules,
}

/// A field and what is wrong with it, as a sentence that names the field.
pub(super) type Wrong = (FieldPath, String);

impl Shape {
    /// Compiles the first version of a definition, which is the only one.
    pub(super) fn of(definition: &CustomResourceDefinition) -> Self {
        let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
        let schema = schema.and_then(|schema| serde_json::to_value(&schema.open_api_v3_schema).ok());
        let schema = with_whole_numbers(schema.unwrap_or_default());
        Self { validator: jsonschema::draft7::new(&schema).ok(), rules: Rules::compile(&schema), schema }
    }

    /// Checks an object, without its metadata. `old` is the object that it replaces.
    pub(super) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for (key, part) in self.schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(value) = object.get(key).filter(|_| key != "metadata") {
                check_structure(part, value, &FieldPath::default().key(key), &mut wrong);
            }
        }
        for error in self.validator.iter().flat_map(|validator| validator.iter_errors(object)) {
            let field =
                error.instance_path().into_iter().fold(
                    FieldPath::default(),
                    |field, segment| match segment {
                        LocationSegment::Property(key) => field.key(&key),
                        LocationSegment::Index(index) => field.index(index),
                    },
                );
            let message = format!("{field}: {}", describe(&error));
            wrong.push((field, message));
        }
        let old = old.map(|old| with_defaults(&self.schema, old));
        let outcome = self.rules.evaluate(&with_defaults(&self.schema, object), old.as_ref());
        // CEL rules assume correct types.
        if wrong.is_empty() {
            wrong.extend(outcome.unevaluated);
        }
        wrong.extend(outcome.violations);
        wrong
    }
}

/// What is wrong with a value, with the remedy where the validator names none.
fn describe(error: &ValidationError<'_>) -> String {
    let value = error.instance();
    match error.kind() {
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(plain).collect();
            format!("{value} is not supported: write one of {}", options.join(", "))
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::String) }
            if value.is_number() || value.is_boolean() =>
        {
            format!("{value} is not text: write \"{value}\"")
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::Integer) } => {
            format!("{value} is not a whole number: write one, without quotes")
        }
        _ => error.to_string(),
    }
}

/// A value without the quotes of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Bounds are floating-point numbers in a definition. Messages are to say 1 and not 1.0.
fn with_whole_numbers(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, with_whole_numbers(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Number(number) => match number.as_f64().map(|number| format!("{number:.0}")) {
            Some(whole) if number.is_f64() => match whole.parse::<i64>() {
                Ok(whole) if number.as_f64() == Some(whole as f64) => whole.into(),
                _ => number.into(),
            },
            _ => number.into(),
        },
        value => value,
    }
}

/// Checks what JSON Schema does not know.
fn check_structure(schema: &Value, value: &Value, field: &FieldPath, wrong: &mut Vec<Wrong>) {
    let is_set = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    if is_set("x-kubernetes-int-or-string") && !(value.is_string() || value.is_i64()) {
        wrong.push((
            field.clone(),
            format!("{field}: {value} is neither a whole number nor text: write it in quotes"),
        ));
    }
    if is_set("x-kubernetes-preserve-unknown-fields") {
        return;
    }
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            for (key, value) in fields {
                let field = field.key(key);
                match known.and_then(|known| known.get(key)).or(others) {
                    Some(part) => check_structure(part, value, &field, wrong),
                    None => {
                        let message =
                            format!("{field}: there is no such field: correct its name, or remove it");
                        wrong.push((field, message));
                    }
                }
            }
        }
        Value::Array(items) => {
            check_repetition(schema, items, field, wrong);
            let Some(part) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                check_structure(part, item, &field.index(index), wrong);
            }
        }
        _ => {}
    }
}

/// Checks that no two items of a set are equal, and no two of a map have equal keys.
fn check_repetition(schema: &Value, items: &[Value], field: &FieldPath, wrong: &mut Vec<Wrong>) {
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Vec::new(),
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            keys.into_iter().flatten().filter_map(Value::as_str).collect()
        }
        _ => return,
    };
    let are_equal = |one: &Value, other: &Value| match keys.as_slice() {
        [] => one == other,
        keys => keys.iter().all(|key| one.get(key).is_some() && one.get(key) == other.get(key)),
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(first) = items[..index].iter().position(|earlier| are_equal(earlier, item)) {
            let what =
                if keys.is_empty() { item.to_string() } else { format!("the same {}", keys.join(" and ")) };
            let (repeated, first) = (field.index(index), field.index(first));
            let message = format!("{repeated}: {what} stands in {first} already: remove one of them");
            wrong.push((repeated, message));
        }
    }
}

/// A value with the defaults of its schema filled in.
fn with_defaults(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let known = schema.get("properties").and_then(Value::as_object);
            for (key, part) in known.into_iter().flatten() {
                if let (false, Some(default)) = (fields.contains_key(key), part.get("default")) {
                    fields.insert(key.clone(), default.clone());
                }
            }
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            for (key, value) in &mut fields {
                if let Some(part) = known.and_then(|known| known.get(key)).or(others) {
                    *value = with_defaults(part, value);
                }
            }
            Value::Object(fields)
        }
        Value::Array(items) => match schema.get("items") {
            Some(part) => Value::Array(items.iter().map(|item| with_defaults(part, item)).collect()),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}
