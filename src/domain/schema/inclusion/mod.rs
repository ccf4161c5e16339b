//! Decides whether every instance of one schema is an instance of another.
//!
//! The premises are [`Facts`]: subschemas for which a value is known to be valid. The goal is a subschema. A goal is
//! proven keyword by keyword, each from all facts at once. Where that fails, the alternatives of the facts (`anyOf`,
//! `oneOf`, `if`, types) are split into cases, and the goal is proven for each case.
//!
//! A positive answer is a proof. A negative answer means that no proof was found, which errs on the safe side. A goal
//! under proof may be assumed once the proof has descended into a smaller value (a property, an item). This induction
//! makes recursive schemas terminate.
//!
//! Deliberately absent: counterexamples. A report names the keyword that could not be proven.

mod array;
mod combination;
mod emptiness;
mod equivalence;
mod object;
mod scalar;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::evaluation::Evaluator;
use super::facts::{Facts, PartFacts};
use super::fuel::{Fuel, OutOfFuel};
use super::node::{Graph, Id, TypeSet};
use super::violation::Rule;
use crate::api::CompatibilityPolicy;

/// Maximum nesting of case splits.
const MAX_SPLITS: usize = 3;

/// A difference that could not be proven harmless. `was` is the value among the facts, `is` that of the goal.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) rule: Rule,
    /// JSON Pointer among the facts.
    pub(super) from: Option<String>,
    /// JSON Pointer in the goal.
    pub(super) to: Option<String>,
    pub(super) was: Option<Value>,
    pub(super) is: Option<Value>,
}

/// Collects differences. A probe only asks whether there is one.
pub(super) enum Report {
    Probe,
    Full(Vec<Difference>),
}

impl Report {
    fn is_probe(&self) -> bool {
        matches!(self, Self::Probe)
    }

    fn push(&mut self, difference: impl FnOnce() -> Difference) {
        if let Self::Full(differences) = self {
            differences.push(difference());
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Probe => 0,
            Self::Full(differences) => differences.len(),
        }
    }
}

/// The facts, the goal, and whether the policy is lenient.
type Goal = (Facts, Id, bool);

/// Proves goals within its fuel.
pub(super) struct Prover<'a> {
    graph: &'a Graph,
    /// The two source schemas: of the nodes below `second`, and of the others.
    sources: [&'a Value; 2],
    second: Id,
    lenient: bool,
    /// Properties that may be removed although events can have them.
    removable: &'a BTreeSet<Id>,
    fuel: &'a mut Fuel,
    /// Number of properties and items on the way to the current value.
    depth: usize,
    known: HashMap<Goal, bool>,
    /// Proven goals in order, so that they can be retracted together with a failed assumption.
    proven: Vec<Goal>,
    open: HashMap<Goal, usize>,
    empty: HashMap<Facts, bool>,
    proven_empty: Vec<Facts>,
    explained: HashSet<Goal>,
    same: HashMap<(Id, Id), bool>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        sources: [&'a Value; 2],
        second: Id,
        policy: CompatibilityPolicy,
        removable: &'a BTreeSet<Id>,
        fuel: &'a mut Fuel,
    ) -> Self {
        Self {
            graph,
            sources,
            second,
            lenient: policy == CompatibilityPolicy::Lenient,
            removable,
            fuel,
            depth: 0,
            known: HashMap::new(),
            proven: Vec::new(),
            open: HashMap::new(),
            empty: HashMap::new(),
            proven_empty: Vec::new(),
            explained: HashSet::new(),
            same: HashMap::new(),
        }
    }

    /// Proves that every instance of `from` is an instance of `to`, and returns the differences that prevent it.
    pub(super) fn compare(&mut self, from: Id, to: Id) -> Result<Vec<Difference>, OutOfFuel> {
        let mut report = Report::Full(Vec::new());
        self.prove(&Facts::of(self.graph, from), to, &mut report)?;
        Ok(match report {
            Report::Full(differences) => differences,
            Report::Probe => Vec::new(),
        })
    }

    /// Runs a proof with the strict policy. What follows from an exclusion must not be lenient, or the exclusion would
    /// mean the opposite.
    fn with_strict_policy<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.lenient, false);
        let outcome = work(self);
        self.lenient = before;
        outcome
    }

    /// Runs a proof for a property or an item of the value.
    fn descend<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let outcome = work(self);
        self.depth -= 1;
        outcome
    }

    /// The value in the source schema at a path below a subschema.
    fn source_value(&self, id: Id, path: &str) -> Option<&'a Value> {
        let source = self.sources[usize::from(id >= self.second)];
        source.pointer(&format!("{}{path}", self.graph.node(id).pointer))
    }

    fn pointer_to(&self, id: Id, path: &str) -> String {
        format!("{}{path}", self.graph.node(id).pointer)
    }

    /// Reports that a keyword of the goal could not be proven. Returns false.
    fn fail(&self, facts: &Facts, goal: Id, path: &str, rule: Rule, report: &mut Report) -> bool {
        // The normal form may have replaced `unevaluated…` by `additional…`.
        let path = match path {
            "/additionalProperties" if self.source_value(goal, path).is_none() => "/unevaluatedProperties",
            "/items" if self.source_value(goal, path).is_none() => "/unevaluatedItems",
            path => path,
        };
        report.push(|| {
            let found = facts.holds.iter().find_map(|id| Some((*id, self.source_value(*id, path)?)));
            Difference {
                rule,
                from: found.map(|(id, _)| self.pointer_to(id, path)),
                to: Some(self.pointer_to(goal, path)),
                was: found.map(|(_, value)| value.clone()),
                is: self.source_value(goal, path).cloned(),
            }
        });
        false
    }

    /// Proves a goal. A full report gets at least one difference if that fails.
    fn prove(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, OutOfFuel> {
        if self.proves(facts, goal)? {
            return Ok(true);
        }
        // A goal that was explained before is at the same location.
        if report.is_probe() || !self.explained.insert((facts.clone(), goal, self.lenient)) {
            return Ok(false);
        }
        let before = report.len();
        if self.fuel.enter() {
            let explained = self.explain(facts, goal, report);
            self.fuel.leave();
            explained?;
        }
        if report.len() == before {
            self.fail(facts, goal, "", Rule::CannotProve, report);
        }
        Ok(false)
    }

    /// Proves a goal for a property or an item.
    fn prove_inner(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, OutOfFuel> {
        self.descend(|prover| prover.prove(facts, goal, report))
    }

    fn proves(&mut self, facts: &Facts, goal: Id) -> Result<bool, OutOfFuel> {
        self.fuel.consume(facts.copy_cost())?;
        if self.graph.node(goal).accepts_all() || facts.holds.contains(&goal) {
            return Ok(true);
        }
        for id in &facts.holds {
            if self.is_equivalent(*id, goal)? {
                return Ok(true);
            }
        }
        let key = (facts.clone(), goal, self.lenient);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        if let Some(depth) = self.open.get(&key) {
            return Ok(*depth < self.depth);
        }
        if !self.fuel.enter() {
            return Ok(false);
        }
        self.open.insert(key.clone(), self.depth);
        let mark = (self.proven.len(), self.proven_empty.len());
        let answer = self.attempt(facts, goal);
        self.open.remove(&key);
        self.fuel.leave();
        let answer = answer?;
        if answer {
            self.proven.push(key.clone());
        } else {
            // The goal may have been assumed on the way; retract the conclusions.
            for taken_back in self.proven.drain(mark.0..) {
                self.known.remove(&taken_back);
            }
            for taken_back in self.proven_empty.drain(mark.1..) {
                self.empty.remove(&taken_back);
            }
        }
        self.known.insert(key, answer);
        Ok(answer)
    }

    fn attempt(&mut self, facts: &Facts, goal: Id) -> Result<bool, OutOfFuel> {
        if self.is_empty(facts)? {
            return Ok(true);
        }
        if let Some(values) = self.enumerate_values(facts)? {
            let mut unknown = false;
            for value in &values {
                match self.evaluate(goal, value)? {
                    Some(true) => {}
                    Some(false) => return Ok(false),
                    None => unknown = true,
                }
            }
            if !unknown {
                return Ok(true);
            }
        }
        if self.prove_keywords(facts, goal, &mut Report::Probe)? {
            return Ok(true);
        }
        for cases in self.case_splits(facts, goal)? {
            let mut all = true;
            for case in &cases {
                if !self.proves(case, goal)? {
                    all = false;
                    break;
                }
            }
            if all {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reports why a goal cannot be proven.
    fn explain(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<(), OutOfFuel> {
        self.fuel.consume(1)?;
        if self.explain_values(facts, goal, report)? {
            return Ok(());
        }
        // A goal without alternatives is compared with each alternative of the facts, which is more precise.
        if let Some(cases) = self.case_splits(facts, goal)?.into_iter().next() {
            let before = report.len();
            for case in &cases {
                if !self.proves(case, goal)? && self.fuel.enter() {
                    let explained = self.explain(case, goal, report);
                    self.fuel.leave();
                    explained?;
                }
            }
            if report.len() > before {
                return Ok(());
            }
        }
        self.prove_keywords(facts, goal, report)?;
        Ok(())
    }

    /// Reports the values of an `enum` that are no longer accepted.
    fn explain_values(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, OutOfFuel> {
        let Some(allowed) = &self.graph.node(goal).enum_values else { return Ok(false) };
        let Some(listed) = facts.nodes(self.graph).find_map(|node| node.enum_values.as_ref()) else {
            return Ok(false);
        };
        let Some(values) = self.enumerate_values(facts)? else { return Ok(false) };
        let removed: Vec<Value> = values
            .into_iter()
            .filter(|value| !allowed.keys.contains(&super::node::equality_key(value)))
            .collect();
        if removed.is_empty() {
            return Ok(false);
        }
        let path = format!("/{}", allowed.keyword);
        let known = format!("/{}", listed.keyword);
        report.push(|| Difference {
            rule: Rule::EnumValueRemoved,
            from: facts
                .holds
                .iter()
                .find(|id| self.source_value(**id, &known).is_some())
                .map(|id| self.pointer_to(*id, &known)),
            to: Some(self.pointer_to(goal, &path)),
            was: Some(match <[Value; 1]>::try_from(removed) {
                Ok([only]) => only,
                Err(several) => Value::Array(several),
            }),
            is: None,
        });
        Ok(true)
    }

    /// Proves every keyword of the goal.
    fn prove_keywords(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, OutOfFuel> {
        let node = self.graph.node(goal);
        let mut proven = true;
        if !facts.types.is_subset_of(node.types) {
            let path = if self.source_value(goal, "/type").is_some() { "/type" } else { "" };
            proven = self.fail(facts, goal, path, Rule::TypeNarrowed, report);
            // For a schema that accepts no value of this type, the other differences would be repetitions.
            if report.is_probe() || !facts.types.intersects(node.types) {
                return Ok(false);
            }
        }
        for id in node.reference.iter().chain(&node.all_of) {
            proven &= self.prove(facts, *id, report)?;
            if !proven && report.is_probe() {
                return Ok(false);
            }
        }
        if let Some(allowed) = &node.enum_values {
            proven &= self.prove_enum(facts, goal, allowed, report)?;
        }
        proven &= self.prove_scalars(facts, goal, report);
        if !proven && report.is_probe() {
            return Ok(false);
        }
        if facts.types.intersects(TypeSet::OBJECT) {
            proven &= self.prove_object(facts, goal, report)?;
        }
        if (proven || !report.is_probe()) && facts.types.intersects(TypeSet::ARRAY) {
            proven &= self.prove_array(facts, goal, report)?;
        }
        if proven || !report.is_probe() {
            proven &= self.prove_combinations(facts, goal, report)?;
        }
        Ok(proven)
    }

    fn prove_enum(
        &mut self,
        facts: &Facts,
        goal: Id,
        allowed: &super::node::EnumValues,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        if let Some(values) = self.enumerate_values(facts)?
            && values.iter().all(|value| allowed.keys.contains(&super::node::equality_key(value)))
        {
            return Ok(true);
        }
        Ok(self.fail(facts, goal, &format!("/{}", allowed.keyword), Rule::EnumAdded, report))
    }

    /// The possible values, if the facts limit them to a list.
    fn enumerate_values(&mut self, facts: &Facts) -> Result<Option<Vec<Value>>, OutOfFuel> {
        let graph = self.graph;
        let shortest = facts.nodes(graph).filter_map(|node| node.enum_values.as_ref());
        let candidates = match shortest.min_by_key(|allowed| allowed.values.len()) {
            Some(allowed) => allowed.values.clone(),
            None if facts.types.is_subset_of(TypeSet::BOOLEAN.union(TypeSet::NULL)) => {
                vec![Value::Null, Value::Bool(false), Value::Bool(true)]
            }
            None => return Ok(None),
        };
        let mut values = Vec::new();
        for value in candidates {
            if self.is_possible_value(facts, &value)? {
                values.push(value);
            }
        }
        Ok(Some(values))
    }

    /// Whether a value may satisfy the facts.
    fn is_possible_value(&mut self, facts: &Facts, value: &Value) -> Result<bool, OutOfFuel> {
        if !TypeSet::of(value).is_subset_of(facts.types) {
            return Ok(false);
        }
        if value.is_object() && facts.present.iter().any(|name| value.get(name).is_none()) {
            return Ok(false);
        }
        for id in &facts.holds {
            if self.evaluate(*id, value)? == Some(false) {
                return Ok(false);
            }
        }
        for id in &facts.fails {
            if self.evaluate(*id, value)? == Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Facts about a property.
    fn property(&mut self, facts: &Facts, name: &str) -> Result<PartFacts, OutOfFuel> {
        self.fuel.consume(facts.property_cost(self.graph))?;
        Ok(facts.property(self.graph, name))
    }

    fn evaluate(&mut self, id: Id, value: &Value) -> Result<Option<bool>, OutOfFuel> {
        Evaluator::new(self.graph, self.fuel).evaluate(id, value)
    }
}
