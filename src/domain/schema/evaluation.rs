//! Evaluates a value against a subschema within a step limit. Used for the values listed in `enum` and `const`.

use serde_json::{Map, Value};

use super::fuel::{Fuel, OutOfFuel};
use super::node::{CountRange, Graph, Id, Node, TypeSet, double, equality_key};

/// Evaluates values. The result is `None` if it is unknown, which only `unevaluatedProperties`, `unevaluatedItems`,
/// `format` and a fractional `multipleOf` can cause.
pub(super) struct Evaluator<'a> {
    graph: &'a Graph,
    fuel: &'a mut Fuel,
}

/// Conjunction in three-valued logic (Kleene).
#[derive(Clone, Copy)]
struct Conjunction(Option<bool>);

impl Conjunction {
    fn and(&mut self, answer: Option<bool>) {
        self.0 = match (self.0, answer) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        };
    }

    fn fails(self) -> bool {
        self.0 == Some(false)
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(graph: &'a Graph, fuel: &'a mut Fuel) -> Self {
        Self { graph, fuel }
    }

    pub(super) fn evaluate(&mut self, id: Id, value: &Value) -> Result<Option<bool>, OutOfFuel> {
        self.fuel.consume(1)?;
        if !self.fuel.enter() {
            return Ok(None);
        }
        let answer = self.evaluate_node(self.graph.node(id), value);
        self.fuel.leave();
        answer
    }

    fn evaluate_node(&mut self, node: &'a Node, value: &Value) -> Result<Option<bool>, OutOfFuel> {
        let mut all = Conjunction(Some(TypeSet::of(value).is_subset_of(node.types)));
        if let Some(allowed) = &node.enum_values {
            all.and(Some(allowed.keys.contains(&equality_key(value))));
        }
        if all.fails() {
            return Ok(all.0);
        }
        match value {
            Value::Number(number) => all.and(is_in_bounds(node, double(number))),
            Value::String(text) => all.and(self.evaluate_string(node, text)?),
            Value::Object(members) => all.and(self.evaluate_object(node, members)?),
            Value::Array(items) => all.and(self.evaluate_array(node, items)?),
            Value::Null | Value::Bool(_) => {}
        }
        if !all.fails() {
            all.and(self.evaluate_combinations(node, value)?);
        }
        Ok(all.0)
    }

    fn evaluate_string(&mut self, node: &Node, text: &str) -> Result<Option<bool>, OutOfFuel> {
        let rules = &node.string;
        let mut all = Conjunction(Some(true));
        if rules.length != CountRange::default() {
            all.and(Some(is_in_range(&rules.length, text.chars().count())));
        }
        if let Some(pattern) = &rules.pattern {
            self.fuel.consume(text.len() / 16)?;
            all.and(Some(self.graph.matches(pattern, text)));
        }
        if !rules.annotations.is_empty() {
            all.and(None);
        }
        Ok(all.0)
    }

    fn evaluate_object(
        &mut self,
        node: &'a Node,
        members: &Map<String, Value>,
    ) -> Result<Option<bool>, OutOfFuel> {
        let rules = &node.object;
        let mut all = Conjunction(Some(is_in_range(&rules.count, members.len())));
        all.and(Some(rules.required.iter().all(|name| members.contains_key(name))));
        for (name, needed) in &rules.dependent_required {
            let holds = !members.contains_key(name) || needed.iter().all(|name| members.contains_key(name));
            all.and(Some(holds));
        }
        for (name, value) in members {
            self.fuel.consume(1)?;
            let mut described = false;
            if let Some(id) = rules.properties.get(name) {
                described = true;
                all.and(self.evaluate(*id, value)?);
            }
            for (pattern, id) in &rules.pattern_properties {
                self.fuel.consume(1 + name.len() / 16)?;
                if self.graph.matches(pattern, name) {
                    described = true;
                    all.and(self.evaluate(*id, value)?);
                }
            }
            match rules.additional_properties {
                Some(id) if !described => all.and(self.evaluate(id, value)?),
                _ => {}
            }
            if let Some(names) = rules.property_names {
                all.and(self.evaluate(names, &Value::String(name.clone()))?);
            }
            if rules.unevaluated_properties.is_some() && !described {
                all.and(None);
            }
        }
        Ok(all.0)
    }

    fn evaluate_array(&mut self, node: &'a Node, items: &[Value]) -> Result<Option<bool>, OutOfFuel> {
        let rules = &node.array;
        let mut all = Conjunction(Some(is_in_range(&rules.count, items.len())));
        for (at, item) in items.iter().enumerate() {
            self.fuel.consume(1)?;
            if let Some(id) = rules.prefix_items.get(at).copied().or(rules.items) {
                all.and(self.evaluate(id, item)?);
            } else if rules.unevaluated_items.is_some() {
                all.and(None);
            }
        }
        if rules.is_unique {
            let mut keys: Vec<String> = items.iter().map(equality_key).collect();
            keys.sort_unstable();
            all.and(Some(keys.windows(2).all(|pair| pair[0] != pair[1])));
        }
        if let Some(contains) = &rules.contains {
            let (mut sure, mut possible) = (0, 0);
            for item in items {
                match self.evaluate(contains.item, item)? {
                    Some(true) => sure += 1,
                    Some(false) => {}
                    None => possible += 1,
                }
            }
            let (worst, best) =
                (is_in_range(&contains.count, sure), is_in_range(&contains.count, sure + possible));
            all.and(if possible == 0 { Some(worst) } else { (worst && best).then_some(true) });
        }
        Ok(all.0)
    }

    fn evaluate_combinations(&mut self, node: &'a Node, value: &Value) -> Result<Option<bool>, OutOfFuel> {
        let mut all = Conjunction(Some(true));
        for id in node.all_of.iter().copied().chain(node.reference) {
            all.and(self.evaluate(id, value)?);
        }
        for (name, id) in &node.object.dependent_schemas {
            if value.get(name).is_some() {
                all.and(self.evaluate(*id, value)?);
            }
        }
        if !node.any_of.is_empty() {
            let (valid, unknown) = self.count_valid(&node.any_of, value)?;
            all.and(if valid > 0 { Some(true) } else { (unknown == 0).then_some(false) });
        }
        if !node.one_of.is_empty() {
            let (valid, unknown) = self.count_valid(&node.one_of, value)?;
            all.and(if valid > 1 { Some(false) } else { (unknown == 0).then_some(valid == 1) });
        }
        if let Some(not) = node.not {
            all.and(self.evaluate(not, value)?.map(|holds| !holds));
        }
        if let Some(condition) = &node.condition {
            let branch = match self.evaluate(condition.test, value)? {
                Some(true) => condition.then.map(Some),
                Some(false) => condition.otherwise.map(Some),
                None => Some(None),
            };
            match branch {
                Some(Some(id)) => all.and(self.evaluate(id, value)?),
                Some(None) => all.and(None),
                None => {}
            }
        }
        Ok(all.0)
    }

    /// Counts the subschemas for which a value is valid, and those for which that is unknown.
    fn count_valid(&mut self, ids: &[Id], value: &Value) -> Result<(usize, usize), OutOfFuel> {
        let (mut valid, mut unknown) = (0, 0);
        for id in ids {
            match self.evaluate(*id, value)? {
                Some(true) => valid += 1,
                Some(false) => {}
                None => unknown += 1,
            }
        }
        Ok((valid, unknown))
    }
}

fn is_in_range(count: &CountRange, number: usize) -> bool {
    let number = number as u64;
    count.min <= number && count.max.is_none_or(|most| number <= most)
}

fn is_in_bounds(node: &Node, number: f64) -> Option<bool> {
    let rules = &node.number;
    let above =
        rules.lower.is_none_or(|end| if end.is_exclusive { number > end.value } else { number >= end.value });
    let below =
        rules.upper.is_none_or(|end| if end.is_exclusive { number < end.value } else { number <= end.value });
    if !above || !below {
        return Some(false);
    }
    match rules.multiple_of {
        None => Some(true),
        // Implementations disagree about multiples of fractions.
        Some(divisor) if divisor.fract() != 0.0 || number.fract() != 0.0 => None,
        Some(divisor) => Some(number % divisor == 0.0),
    }
}
