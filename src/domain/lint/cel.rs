//! The CEL rules of a definition (`x-kubernetes-validations`), evaluated as the API server evaluates them.
//!
//! `self` is the value of the node that the rule stands at, `oldSelf` the value before the change; a rule that mentions
//! `oldSelf` is evaluated for changes only. The functions are those of CEL itself: a rule that uses one of Kubernetes'
//! own libraries cannot be evaluated, and the tests refuse it.

use std::collections::BTreeMap;

use cel::{Context, Program};
use serde_json::Value;

use super::field_path::FieldPath;
use crate::domain::cel_value::to_cel;

/// The rules of one node of a schema and of the nodes below it. Nodes without rules are omitted.
#[derive(Debug, Default)]
pub(super) struct Rules {
    here: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rule {
    expression: String,
    program: Result<Program, String>,
    message: String,
    blamed: FieldPath,
}

/// What the evaluation of all rules found: fields, each with a sentence.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Broken rules: the field that the rule blames, and the rule's message.
    pub(super) violations: Vec<(FieldPath, String)>,
    /// Rules that cannot be evaluated for this value: where they stand, and why.
    pub(super) unevaluated: Vec<(FieldPath, String)>,
}

impl Rules {
    /// Compiles the rules of a schema.
    pub(super) fn compile(schema: &Value) -> Self {
        let below = |key: &str| {
            let rules = schema.get(key).filter(|part| part.is_object()).map(Self::compile);
            rules.filter(|rules| !rules.is_empty()).map(Box::new)
        };
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        Self {
            here: rules.map(Rule::compile).collect(),
            properties: properties
                .map(|(key, part)| (key.clone(), Self::compile(part)))
                .filter(|(_, rules)| !rules.is_empty())
                .collect(),
            additional: below("additionalProperties"),
            items: below("items"),
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.properties.is_empty()
            && self.additional.is_none()
            && self.items.is_none()
    }

    /// Evaluates the rules for a value with all defaults, and the value that it replaces.
    pub(super) fn evaluate(&self, value: &Value, old: Option<&Value>) -> Outcome {
        let mut outcome = Outcome::default();
        self.evaluate_at(&FieldPath::default(), value, old, &mut outcome);
        outcome
    }

    fn evaluate_at(&self, field: &FieldPath, value: &Value, old: Option<&Value>, outcome: &mut Outcome) {
        if !self.here.is_empty() {
            let mut context = Context::default();
            context.add_variable_from_value("self", to_cel(value));
            if let Some(old) = old {
                context.add_variable_from_value("oldSelf", to_cel(old));
            }
            for rule in self.here.iter().filter(|rule| old.is_some() || !rule.is_about_changes()) {
                rule.evaluate(field, &context, outcome);
            }
        }
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if let Some(rules) = self.properties.get(key).or(self.additional.as_deref()) {
                        rules.evaluate_at(&field.key(key), value, old.and_then(|old| old.get(key)), outcome);
                    }
                }
            }
            // The previous version of an item is unknown, so transition rules are skipped.
            Value::Array(items) => {
                let Some(rules) = &self.items else { return };
                for (index, item) in items.iter().enumerate() {
                    rules.evaluate_at(&field.index(index), item, None, outcome);
                }
            }
            _ => {}
        }
    }

    /// The expressions and messages of all rules.
    #[cfg(test)]
    pub(super) fn list(&self) -> Vec<(&str, &str)> {
        let below = self.properties.values().chain(self.additional.as_deref()).chain(self.items.as_deref());
        let here = self.here.iter().map(|rule| (rule.expression.as_str(), rule.message.as_str()));
        here.chain(below.flat_map(Self::list)).collect()
    }
}

impl Rule {
    fn compile(rule: &Value) -> Self {
        let text = |key: &str| rule.get(key).and_then(Value::as_str);
        let expression = text("rule").unwrap_or_default().to_owned();
        Self {
            program: Program::compile(&expression).map_err(|error| error.to_string()),
            message: text("message").map_or_else(|| format!("the rule {expression} is broken"), String::from),
            blamed: FieldPath::parse(match text("fieldPath") {
                Some(field) => field,
                // A fieldPath cannot point into metadata, because no schema of a definition describes that.
                None if expression.contains("self.metadata.name") => "metadata.name",
                None => "",
            }),
            expression,
        }
    }

    fn is_about_changes(&self) -> bool {
        self.program.as_ref().is_ok_and(|program| program.references().has_variable("oldSelf"))
    }

    fn evaluate(&self, field: &FieldPath, context: &Context<'_, '_>, outcome: &mut Outcome) {
        let result = match &self.program {
            Ok(program) => program.execute(context).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(cel::Value::Bool(true)) => {}
            Ok(cel::Value::Bool(false)) => {
                outcome.violations.push((field.join(&self.blamed), self.message.clone()));
            }
            Ok(other) => outcome.cannot_evaluate(field, &self.expression, &format!("it is {other:?}")),
            Err(error) => outcome.cannot_evaluate(field, &self.expression, &error),
        }
    }
}

impl Outcome {
    fn cannot_evaluate(&mut self, field: &FieldPath, expression: &str, why: &str) {
        let message = format!("{field}: the rule {expression} cannot be evaluated here: {why}");
        self.unevaluated.push((field.clone(), message));
    }
}
