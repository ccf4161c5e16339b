//! What an object says that its definition does not allow: unknown fields, wrong types and values.
//!
//! The schemas of a definition are a part of JSON Schema, so a validator for that can check them.
//! What it does not know is that the API server, asked to be strict, refuses unknown fields.

use jsonschema::Validator;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// What a definition allows, ready to be asked.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Value,
    validator: Option<Validator>,
}

impl Shape {
    /// Of the first version of a definition, which is the only one.
    pub(super) fn of(definition: &CustomResourceDefinition) -> Self {
        let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
        let schema = schema.and_then(|schema| serde_json::to_value(&schema.open_api_v3_schema).ok());
        let schema = schema.unwrap_or_default();
        Self { validator: jsonschema::draft7::new(&schema).ok(), schema }
    }

    /// What is wrong, a sentence each.
    pub(super) fn wrong(&self, object: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, part) in self.schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(value) = object.get(key).filter(|_| key != "metadata") {
                unknown(part, value, key, &mut wrong);
            }
        }
        for error in self.validator.iter().flat_map(|validator| validator.iter_errors(object)) {
            let field = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
            wrong.push(format!("{field}: {error}"));
        }
        wrong
    }
}

fn unknown(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                match known.and_then(|known| known.get(key)).or(others) {
                    Some(part) => unknown(part, value, &path, wrong),
                    None => {
                        wrong.push(format!("{path}: there is no such field: correct its name, or remove it"))
                    }
                }
            }
        }
        Value::Array(items) => {
            let Some(part) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                unknown(part, item, &format!("{path}[{index}]"), wrong);
            }
        }
        _ => {}
    }
}
