//! Whether a value fits to a subschema, counted in steps: for the closed lists of values that comparisons meet.

use serde_json::{Map, Value};

use super::fuel::{Fuel, Spent};
use super::node::{Count, Graph, Id, Kinds, Node, double, key};

/// Checks values. `None` where it is not known, which only `unevaluatedProperties`, `unevaluatedItems`, `format` and
/// fractions as `multipleOf` can cause.
pub(super) struct Evaluation<'a> {
    graph: &'a Graph,
    fuel: &'a mut Fuel,
}

/// All of several answers: no if one says no, unknown if one is.
#[derive(Clone, Copy)]
struct All(Option<bool>);

impl All {
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

impl<'a> Evaluation<'a> {
    pub(super) fn new(graph: &'a Graph, fuel: &'a mut Fuel) -> Self {
        Self { graph, fuel }
    }

    pub(super) fn holds(&mut self, id: Id, value: &Value) -> Result<Option<bool>, Spent> {
        self.fuel.burn()?;
        if !self.fuel.enter() {
            return Ok(None);
        }
        let answer = self.node(self.graph.node(id), value);
        self.fuel.leave();
        answer
    }

    fn node(&mut self, node: &'a Node, value: &Value) -> Result<Option<bool>, Spent> {
        let mut all = All(Some(Kinds::of(value).is_within(node.kinds)));
        if let Some(allowed) = &node.allowed {
            all.and(Some(allowed.keys.contains(&key(value))));
        }
        if all.fails() {
            return Ok(all.0);
        }
        match value {
            Value::Number(number) => all.and(within(node, double(number))),
            Value::String(text) => all.and(self.string(node, text)?),
            Value::Object(members) => all.and(self.object(node, members)?),
            Value::Array(items) => all.and(self.array(node, items)?),
            Value::Null | Value::Bool(_) => {}
        }
        if !all.fails() {
            all.and(self.combinations(node, value)?);
        }
        Ok(all.0)
    }

    fn string(&mut self, node: &Node, text: &str) -> Result<Option<bool>, Spent> {
        let rules = &node.string;
        let mut all = All(Some(true));
        if rules.length != Count::default() {
            all.and(Some(counted(&rules.length, text.chars().count())));
        }
        if let Some(pattern) = &rules.pattern {
            self.fuel.burn_many(text.len() / 16)?;
            all.and(Some(self.graph.matches(pattern, text)));
        }
        if !rules.hints.is_empty() {
            all.and(None);
        }
        Ok(all.0)
    }

    fn object(&mut self, node: &'a Node, members: &Map<String, Value>) -> Result<Option<bool>, Spent> {
        let rules = &node.object;
        let mut all = All(Some(counted(&rules.count, members.len())));
        all.and(Some(rules.required.iter().all(|name| members.contains_key(name))));
        for (name, needed) in &rules.needs {
            let kept = !members.contains_key(name) || needed.iter().all(|name| members.contains_key(name));
            all.and(Some(kept));
        }
        for (name, value) in members {
            self.fuel.burn()?;
            let mut described = false;
            if let Some(id) = rules.properties.get(name) {
                described = true;
                all.and(self.holds(*id, value)?);
            }
            for (pattern, id) in &rules.patterns {
                self.fuel.burn_many(1 + name.len() / 16)?;
                if self.graph.matches(pattern, name) {
                    described = true;
                    all.and(self.holds(*id, value)?);
                }
            }
            match rules.additional {
                Some(id) if !described => all.and(self.holds(id, value)?),
                _ => {}
            }
            if let Some(names) = rules.names {
                all.and(self.holds(names, &Value::String(name.clone()))?);
            }
            if rules.unevaluated.is_some() && !described {
                all.and(None);
            }
        }
        Ok(all.0)
    }

    fn array(&mut self, node: &'a Node, items: &[Value]) -> Result<Option<bool>, Spent> {
        let rules = &node.array;
        let mut all = All(Some(counted(&rules.count, items.len())));
        for (at, item) in items.iter().enumerate() {
            self.fuel.burn()?;
            if let Some(id) = rules.prefix.get(at).copied().or(rules.rest) {
                all.and(self.holds(id, item)?);
            } else if rules.unevaluated.is_some() {
                all.and(None);
            }
        }
        if rules.unique {
            let mut keys: Vec<String> = items.iter().map(key).collect();
            keys.sort_unstable();
            all.and(Some(keys.windows(2).all(|pair| pair[0] != pair[1])));
        }
        if let Some(contains) = &rules.contains {
            let (mut sure, mut possible) = (0, 0);
            for item in items {
                match self.holds(contains.item, item)? {
                    Some(true) => sure += 1,
                    Some(false) => {}
                    None => possible += 1,
                }
            }
            let (worst, best) = (counted(&contains.count, sure), counted(&contains.count, sure + possible));
            all.and(if possible == 0 { Some(worst) } else { (worst && best).then_some(true) });
        }
        Ok(all.0)
    }

    fn combinations(&mut self, node: &'a Node, value: &Value) -> Result<Option<bool>, Spent> {
        let mut all = All(Some(true));
        for id in node.all.iter().copied().chain(node.reference) {
            all.and(self.holds(id, value)?);
        }
        for (name, id) in &node.object.implies {
            if value.get(name).is_some() {
                all.and(self.holds(*id, value)?);
            }
        }
        if !node.any.is_empty() {
            let (fit, unknown) = self.fitting(&node.any, value)?;
            all.and(if fit > 0 { Some(true) } else { (unknown == 0).then_some(false) });
        }
        if !node.one.is_empty() {
            let (fit, unknown) = self.fitting(&node.one, value)?;
            all.and(if fit > 1 { Some(false) } else { (unknown == 0).then_some(fit == 1) });
        }
        if let Some(not) = node.not {
            all.and(self.holds(not, value)?.map(|holds| !holds));
        }
        if let Some(condition) = &node.condition {
            let branch = match self.holds(condition.test, value)? {
                Some(true) => condition.then.map(Some),
                Some(false) => condition.otherwise.map(Some),
                None => Some(None),
            };
            match branch {
                Some(Some(id)) => all.and(self.holds(id, value)?),
                Some(None) => all.and(None),
                None => {}
            }
        }
        Ok(all.0)
    }

    /// How many subschemas a value fits to, and of how many that is not known.
    fn fitting(&mut self, ids: &[Id], value: &Value) -> Result<(usize, usize), Spent> {
        let (mut fit, mut unknown) = (0, 0);
        for id in ids {
            match self.holds(*id, value)? {
                Some(true) => fit += 1,
                Some(false) => {}
                None => unknown += 1,
            }
        }
        Ok((fit, unknown))
    }
}

fn counted(count: &Count, number: usize) -> bool {
    let number = number as u64;
    count.least <= number && count.most.is_none_or(|most| number <= most)
}

fn within(node: &Node, number: f64) -> Option<bool> {
    let rules = &node.number;
    let above = rules.lower.is_none_or(|end| if end.open { number > end.at } else { number >= end.at });
    let below = rules.upper.is_none_or(|end| if end.open { number < end.at } else { number <= end.at });
    if !above || !below {
        return Some(false);
    }
    match rules.multiple_of {
        None => Some(true),
        // With fractions, implementations disagree about what a multiple is.
        Some(divisor) if divisor.fract() != 0.0 || number.fract() != 0.0 => None,
        Some(divisor) => Some(number % divisor == 0.0),
    }
}
