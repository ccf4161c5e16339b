//! The filter of a subscription.

use eventcenter_sdk::{CloudEvent, Reason};
use serde_json::{Map, Value};

use super::{EventView, Expression, TypePattern};
use crate::domain::Refusal;

/// Maximum number of conditions of a filter, those inside others included.
const MAX_CONDITIONS: usize = 64;

/// Maximum depth of conditions inside others.
const MAX_DEPTH: usize = 8;

/// The dialects, as messages list them.
const DIALECTS: &str = "types, exact, prefix, suffix, all, any, not or cel";

/// A condition on events.
///
/// In YAML it is an object whose members are conditions of a dialect, of which each has to hold:
/// - `types`: a list of [`TypePattern`]s, of which one matches.
/// - `exact`, `prefix`, `suffix`: attributes and their values, or how these begin or end. A missing attribute has no value.
/// - `all`, `any`: lists of conditions, of which each or one holds. `not`: a condition that does not hold.
/// - `cel`: an [`Expression`] that is true. One that has no value, such as for a key that the data does not have, does not hold.
///
/// All but `types` and `cel` are as in the CloudEvents Subscriptions API 1.0-wip, section 3.2.4, and in the `filters` of Knative's Triggers.
#[derive(Debug)]
pub enum Condition {
    /// The type matches one of the patterns.
    Types(Vec<TypePattern>),
    /// An attribute has a value.
    Attribute {
        /// Name of the attribute.
        name: String,
        /// How its value is compared.
        comparison: Comparison,
        /// The text that it is compared with.
        text: String,
    },
    /// Each of the conditions holds.
    All(Vec<Condition>),
    /// One of the conditions holds.
    Any(Vec<Condition>),
    /// The condition does not hold.
    Not(Box<Condition>),
    /// The expression is true.
    Expression(Expression),
}

/// How the value of an attribute is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is the text.
    Exact,
    /// It begins with the text.
    Prefix,
    /// It ends with the text.
    Suffix,
}

impl Comparison {
    fn holds(self, value: &str, text: &str) -> bool {
        match self {
            Self::Exact => value == text,
            Self::Prefix => value.starts_with(text),
            Self::Suffix => value.ends_with(text),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Exact => "is not",
            Self::Prefix => "does not begin with",
            Self::Suffix => "does not end with",
        }
    }
}

/// Reads conditions and counts them.
struct Parser {
    count: usize,
}

impl Condition {
    /// Parses the filter in a field.
    ///
    /// # Errors
    /// The first part that breaks a rule, with its path.
    pub fn parse(field: &str, filter: &Value) -> Result<Self, Refusal> {
        Parser { count: 0 }.parse(field, filter, 0)
    }

    /// Whether an event meets the condition.
    #[must_use]
    pub fn matches(&self, view: &EventView<'_>) -> bool {
        match self {
            Self::Types(patterns) => patterns.iter().any(|pattern| pattern.matches(type_of(view.event()))),
            Self::Attribute { name, comparison, text } => {
                view.event().attribute(name).is_some_and(|value| comparison.holds(value, text))
            }
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches(view)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches(view)),
            Self::Not(condition) => !condition.matches(view),
            Self::Expression(expression) => expression.evaluate(view).unwrap_or_default(),
        }
    }

    /// Why an event does not meet the condition, as a sentence for people; `None` if it does.
    #[must_use]
    pub fn explain_mismatch(&self, view: &EventView<'_>) -> Option<String> {
        if self.matches(view) {
            return None;
        }
        Some(match self {
            Self::Types(patterns) => {
                let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
                format!("its type {} matches none of {}", type_of(view.event()), patterns.join(", "))
            }
            Self::Attribute { name, comparison, text } => match view.event().attribute(name) {
                Some(value) => format!("its {name} {value:?} {} {text:?}", comparison.verb()),
                None => format!("it has no attribute {name}"),
            },
            Self::All(conditions) => return conditions.iter().find_map(|one| one.explain_mismatch(view)),
            Self::Any(conditions) => {
                let reasons: Vec<String> =
                    conditions.iter().filter_map(|one| one.explain_mismatch(view)).collect();
                reasons.join(", and ")
            }
            Self::Not(_) => "it meets the condition in not".to_owned(),
            Self::Expression(expression) => match expression.evaluate(view) {
                Ok(_) => format!("the expression {} is false", expression.source()),
                Err(error) => format!("the expression {} has no value: {error}", expression.source()),
            },
        })
    }

    /// The patterns of which the type of each event that meets the condition matches one. `None`: it may have any type.
    #[must_use]
    pub fn types(&self) -> Option<&[TypePattern]> {
        match self {
            Self::Types(patterns) => Some(patterns),
            Self::All(conditions) => conditions.iter().find_map(Self::types),
            Self::Attribute { .. } | Self::Any(_) | Self::Not(_) | Self::Expression(_) => None,
        }
    }
}

impl Parser {
    fn parse(&mut self, field: &str, filter: &Value, depth: usize) -> Result<Condition, Refusal> {
        if depth > MAX_DEPTH {
            return Err(refuse(field, format!("is deeper than {MAX_DEPTH} conditions: simplify the filter")));
        }
        let members = object(field, filter)?;
        if members.is_empty() {
            return Err(refuse(field, format!("is empty: set {DIALECTS}, or remove it")));
        }
        let mut conditions = Vec::new();
        for (dialect, value) in members {
            self.count_condition(field)?;
            self.parse_dialect(&format!("{field}.{dialect}"), dialect, value, depth, &mut conditions)?;
        }
        Ok(match <[Condition; 1]>::try_from(conditions) {
            Ok([condition]) => condition,
            Err(conditions) => Condition::All(conditions),
        })
    }

    fn parse_dialect(
        &mut self,
        field: &str,
        dialect: &str,
        value: &Value,
        depth: usize,
        conditions: &mut Vec<Condition>,
    ) -> Result<(), Refusal> {
        match dialect {
            "types" => conditions.push(Condition::Types(parse_types(field, value)?)),
            "exact" => self.parse_attributes(field, value, Comparison::Exact, conditions)?,
            "prefix" => self.parse_attributes(field, value, Comparison::Prefix, conditions)?,
            "suffix" => self.parse_attributes(field, value, Comparison::Suffix, conditions)?,
            "all" => conditions.push(Condition::All(self.parse_list(field, value, depth)?)),
            "any" => conditions.push(Condition::Any(self.parse_list(field, value, depth)?)),
            "not" => conditions.push(Condition::Not(Box::new(self.parse(field, value, depth + 1)?))),
            "cel" => conditions.push(Condition::Expression(Expression::compile(field, text(field, value)?)?)),
            "sql" | "cesql" => {
                let rule = "CloudEvents SQL is not supported: write the expression in CEL, as cel";
                return Err(Refusal::at(Reason::NotSupported, field, rule));
            }
            _ => return Err(refuse(field, format!("is no dialect of filters: use {DIALECTS}"))),
        }
        Ok(())
    }

    fn parse_list(&mut self, field: &str, value: &Value, depth: usize) -> Result<Vec<Condition>, Refusal> {
        let items = list(field, value)?;
        let parse = |(index, item)| self.parse(&format!("{field}[{index}]"), item, depth + 1);
        items.iter().enumerate().map(parse).collect()
    }

    fn parse_attributes(
        &mut self,
        field: &str,
        value: &Value,
        comparison: Comparison,
        conditions: &mut Vec<Condition>,
    ) -> Result<(), Refusal> {
        let attributes = object(field, value)?;
        if attributes.is_empty() {
            return Err(refuse(field, "is empty: name an attribute and its value, such as source: shop"));
        }
        for (name, value) in attributes {
            self.count_condition(field)?;
            let field = format!("{field}.{name}");
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
                return Err(refuse(
                    &field,
                    "is no name of an attribute: use lower-case letters and digits, as CloudEvents do",
                ));
            }
            let text = text(&field, value)?;
            if text.is_empty() {
                return Err(refuse(&field, "is empty: set a value"));
            }
            conditions.push(Condition::Attribute { name: name.clone(), comparison, text: text.to_owned() });
        }
        Ok(())
    }

    fn count_condition(&mut self, field: &str) -> Result<(), Refusal> {
        self.count += 1;
        match self.count > MAX_CONDITIONS {
            true => Err(refuse(
                field,
                format!("the filter has more than {MAX_CONDITIONS} conditions: simplify it"),
            )),
            false => Ok(()),
        }
    }
}

fn parse_types(field: &str, value: &Value) -> Result<Vec<TypePattern>, Refusal> {
    let items = list(field, value)?;
    if items.len() > MAX_CONDITIONS {
        return Err(refuse(field, format!("has {} patterns: use at most {MAX_CONDITIONS}", items.len())));
    }
    let parse = |(index, item)| {
        let field = format!("{field}[{index}]");
        TypePattern::parse(&field, text(&field, item)?)
    };
    items.iter().enumerate().map(parse).collect()
}

fn type_of(event: &CloudEvent) -> &str {
    event.attribute("type").unwrap_or_default()
}

fn object<'v>(field: &str, value: &'v Value) -> Result<&'v Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| refuse(field, "must be an object: write it as {name: value}"))
}

fn list<'v>(field: &str, value: &'v Value) -> Result<&'v [Value], Refusal> {
    let items = value.as_array().ok_or_else(|| refuse(field, "must be a list: write it as [item]"))?;
    match items.is_empty() {
        true => Err(refuse(field, "is empty: add an item, or remove it")),
        false => Ok(items),
    }
}

fn text<'v>(field: &str, value: &'v Value) -> Result<&'v str, Refusal> {
    value.as_str().ok_or_else(|| refuse(field, "must be a string: write it in quotes"))
}

fn refuse(field: &str, rule: impl Into<String>) -> Refusal {
    Refusal::at(Reason::InvalidResource, field, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn event() -> CloudEvent {
        let event = json!({
            "specversion": "1.0", "id": "e1", "source": "shop/eu", "type": "Order.Created.v1", "subject": "order/7",
            "data": {"amount": 250},
        });
        CloudEvent::from_json(event).expect("an event")
    }

    /// Whether the event meets a filter, and else why not.
    fn check(filter: &str, expected: Expect) {
        let filter: Value = serde_yaml::from_str(filter).expect("YAML");
        let text = match Condition::parse("spec.filter", &filter) {
            Ok(condition) => {
                condition.explain_mismatch(&EventView::new(&event())).unwrap_or_else(|| "matches".to_owned())
            }
            Err(refusal) => refusal.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn each_member_of_a_filter_has_to_hold() {
        check("{types: [Order.>, user.*]}", expect!["matches"]);
        check(
            "{types: [Order.Paid.v1, user.*]}",
            expect!["its type Order.Created.v1 matches none of Order.Paid.v1, user.*"],
        );
        check("{exact: {type: Order.Created.v1, source: shop/eu}}", expect!["matches"]);
        check(
            "{exact: {type: Order.Created.v1, source: shop}}",
            expect![[r#"its source "shop/eu" is not "shop""#]],
        );
        check("{prefix: {source: shop}, suffix: {subject: '7'}}", expect!["matches"]);
        check(
            "{prefix: {source: shop}, suffix: {subject: '8'}}",
            expect![[r#"its subject "order/7" does not end with "8""#]],
        );
        check("{exact: {tenant: x}}", expect!["it has no attribute tenant"]);
        check("{types: [Order.>], cel: data.amount > 100}", expect!["matches"]);
        check(
            "{types: [Order.>], cel: data.amount > 1000}",
            expect!["the expression data.amount > 1000 is false"],
        );
        check(
            "{cel: data.total > 1000}",
            expect!["the expression data.total > 1000 has no value: No such key: total"],
        );
    }

    #[test]
    fn conditions_may_be_combined() {
        check("{any: [{exact: {source: x}}, {prefix: {source: shop}}]}", expect!["matches"]);
        check(
            "{any: [{exact: {source: x}}, {types: [user.*]}]}",
            expect![[
                r#"its source "shop/eu" is not "x", and its type Order.Created.v1 matches none of user.*"#
            ]],
        );
        check(
            "{all: [{types: [Order.>]}, {not: {exact: {subject: order/7}}}]}",
            expect!["it meets the condition in not"],
        );
        check("{not: {any: [{exact: {source: x}}, {exact: {source: y}}]}}", expect!["matches"]);
    }

    #[test]
    fn a_filter_that_says_nothing_or_too_much_is_refused() {
        check(
            "{}",
            expect![
                "InvalidResource: spec.filter: is empty: set types, exact, prefix, suffix, all, any, not or cel, or remove it"
            ],
        );
        check("[]", expect!["InvalidResource: spec.filter: must be an object: write it as {name: value}"]);
        check("{all: []}", expect!["InvalidResource: spec.filter.all: is empty: add an item, or remove it"]);
        check(
            "{exact: {}}",
            expect![
                "InvalidResource: spec.filter.exact: is empty: name an attribute and its value, such as source: shop"
            ],
        );
        check(
            "{exact: {type: ''}}",
            expect!["InvalidResource: spec.filter.exact.type: is empty: set a value"],
        );
        check(
            "{exact: {type: 7}}",
            expect!["InvalidResource: spec.filter.exact.type: must be a string: write it in quotes"],
        );
        check(
            "{exact: {Type: x}}",
            expect![
                "InvalidResource: spec.filter.exact.Type: is no name of an attribute: use lower-case letters and digits, as CloudEvents do"
            ],
        );
        check(
            "{contains: {type: x}}",
            expect![
                "InvalidResource: spec.filter.contains: is no dialect of filters: use types, exact, prefix, suffix, all, any, not or cel"
            ],
        );
        check(
            "{cesql: \"type = 'x'\"}",
            expect![
                "NotSupported: spec.filter.cesql: CloudEvents SQL is not supported: write the expression in CEL, as cel"
            ],
        );
        check(
            "{any: [{types: [ord*]}]}",
            expect![
                "InvalidResource: spec.filter.any[0].types[0]: ord* in ord* mixes a wildcard with other characters: a wildcard is a whole segment, as in order.*"
            ],
        );
        check(
            "{any: [{exact: {type: x}}, {cel: data.}]}",
            expect![
                "InvalidResource: spec.filter.any[1].cel: is not a CEL expression: Syntax error: no viable alternative at input '.'"
            ],
        );
        check(
            &format!("{}{{types: ['>']}}{}", "{not: ".repeat(9), "}".repeat(9)),
            expect![
                "InvalidResource: spec.filter.not.not.not.not.not.not.not.not.not: is deeper than 8 conditions: simplify the filter"
            ],
        );
        check(
            &format!("{{any: [{}]}}", "{exact: {type: x}}, ".repeat(40)),
            expect![
                "InvalidResource: spec.filter.any[31].exact: the filter has more than 64 conditions: simplify it"
            ],
        );
    }

    #[test]
    fn the_types_of_a_filter_are_those_that_each_event_has() {
        let types = |filter: &str| {
            let filter: Value = serde_yaml::from_str(filter).expect("YAML");
            let condition = Condition::parse("spec.filter", &filter).expect("a filter");
            condition.types().map(|types| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(types("{types: [a.*, b.>], cel: 'true'}").as_deref(), Some("a.* b.>"));
        assert_eq!(types("{all: [{types: [a.*]}, {exact: {source: x}}]}").as_deref(), Some("a.*"));
        assert_eq!(types("{any: [{types: [a.*]}, {exact: {source: x}}]}"), None);
        assert_eq!(types("{not: {types: [a.*]}}"), None);
    }
}
