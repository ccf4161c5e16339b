//! Whether every value that fits to one schema fits to another.
//!
//! What is concluded from are [`Facts`]: subschemas that a value is known to fit to. What is to be shown is a goal: a
//! subschema. A goal is shown keyword by keyword, each from all facts at once. Where that does not succeed, the
//! alternatives of the facts (`anyOf`, `oneOf`, `if`, kinds of values) are told apart, and the goal is shown for each.
//!
//! A "yes" is a proof. A "no" says that none was found: it is on the safe side, never the other way round. What is still
//! being shown may be taken for shown once the values have become smaller (a property, an item), which is what makes
//! schemas that refer to themselves end.
//!
//! Deliberately absent: examples that would refute. A report names the keyword that could not be shown.

mod array;
mod combination;
mod emptiness;
mod object;
mod sameness;
mod scalar;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::evaluation::Evaluation;
use super::facts::{Facts, Part};
use super::fuel::{Fuel, Spent};
use super::node::{Graph, Id, Kinds};
use super::violation::Rule;
use crate::api::CompatibilityPolicy;

/// How often alternatives are told apart one within another.
const SPLITS: usize = 3;

/// A difference that could not be shown to be harmless. `was` is what the facts say, `is` what the goal says.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) rule: Rule,
    /// The place among the facts.
    pub(super) from: Option<String>,
    /// The place in the goal.
    pub(super) to: Option<String>,
    pub(super) was: Option<Value>,
    pub(super) is: Option<Value>,
}

/// Where differences are noted. A probe only wants to know whether there is one.
pub(super) enum Report {
    Probe,
    Full(Vec<Difference>),
}

impl Report {
    fn is_probe(&self) -> bool {
        matches!(self, Self::Probe)
    }

    fn note(&mut self, difference: impl FnOnce() -> Difference) {
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

/// What is to be shown, from what, and whether as sets whatever the policy says.
type Goal = (Facts, Id, bool);

/// Shows goals, within its fuel.
pub(super) struct Prover<'a> {
    graph: &'a Graph,
    /// The two schemas as they were written: of the nodes below `second`, and of the others.
    sources: [&'a Value; 2],
    second: Id,
    lenient: bool,
    /// Properties that may go although events could have them.
    waived: &'a BTreeSet<Id>,
    fuel: &'a mut Fuel,
    /// How many properties and items were descended through.
    depth: usize,
    known: HashMap<Goal, bool>,
    /// What was shown, in this order, so that it can be taken back together with what it was shown from.
    shown: Vec<Goal>,
    open: HashMap<Goal, usize>,
    empty: HashMap<Facts, bool>,
    emptied: Vec<Facts>,
    explained: HashSet<Goal>,
    same: HashMap<(Id, Id), bool>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        sources: [&'a Value; 2],
        second: Id,
        policy: CompatibilityPolicy,
        waived: &'a BTreeSet<Id>,
        fuel: &'a mut Fuel,
    ) -> Self {
        Self {
            graph,
            sources,
            second,
            lenient: policy == CompatibilityPolicy::Lenient,
            waived,
            fuel,
            depth: 0,
            known: HashMap::new(),
            shown: Vec::new(),
            open: HashMap::new(),
            empty: HashMap::new(),
            emptied: Vec::new(),
            explained: HashSet::new(),
            same: HashMap::new(),
        }
    }

    /// Shows that what fits to the one root fits to the other, and notes what keeps it from that.
    pub(super) fn compare(&mut self, from: Id, to: Id) -> Result<Vec<Difference>, Spent> {
        let mut report = Report::Full(Vec::new());
        self.prove(&Facts::of(self.graph, from), to, &mut report)?;
        Ok(match report {
            Report::Full(differences) => differences,
            Report::Probe => Vec::new(),
        })
    }

    /// Does something with schemas taken as sets: what follows from an exclusion must not be lenient, or the exclusion
    /// would be the opposite of it.
    fn strictly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.lenient, false);
        let outcome = work(self);
        self.lenient = before;
        outcome
    }

    /// Does something for a part of the value.
    fn inside<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let outcome = work(self);
        self.depth -= 1;
        outcome
    }

    /// What stands in a schema at a place below a subschema.
    fn written(&self, id: Id, path: &str) -> Option<&'a Value> {
        let source = self.sources[usize::from(id >= self.second)];
        source.pointer(&format!("{}{path}", self.graph.node(id).pointer))
    }

    fn place(&self, id: Id, path: &str) -> String {
        format!("{}{path}", self.graph.node(id).pointer)
    }

    /// Notes that a keyword of the goal could not be shown.
    fn fail(&self, facts: &Facts, goal: Id, path: &str, rule: Rule, report: &mut Report) -> bool {
        // What is additional may have been written as what is unevaluated.
        let path = match path {
            "/additionalProperties" if self.written(goal, path).is_none() => "/unevaluatedProperties",
            "/items" if self.written(goal, path).is_none() => "/unevaluatedItems",
            path => path,
        };
        report.note(|| {
            let found = facts.holds.iter().find_map(|id| Some((*id, self.written(*id, path)?)));
            Difference {
                rule,
                from: found.map(|(id, _)| self.place(id, path)),
                to: Some(self.place(goal, path)),
                was: found.map(|(_, value)| value.clone()),
                is: self.written(goal, path).cloned(),
            }
        });
        false
    }

    /// Shows a goal. A full report gets at least one difference if that does not succeed.
    fn prove(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        if self.proves(facts, goal)? {
            return Ok(true);
        }
        // What was explained before is at the same place and need not be told twice.
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

    /// Shows a goal for a part of the value.
    fn prove_inner(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        self.inside(|prover| prover.prove(facts, goal, report))
    }

    fn proves(&mut self, facts: &Facts, goal: Id) -> Result<bool, Spent> {
        self.fuel.burn_many(facts.weight())?;
        if self.graph.node(goal).accepts_all() || facts.holds.contains(&goal) {
            return Ok(true);
        }
        for id in &facts.holds {
            if self.is_same(*id, goal)? {
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
        let mark = (self.shown.len(), self.emptied.len());
        let answer = self.attempt(facts, goal);
        self.open.remove(&key);
        self.fuel.leave();
        let answer = answer?;
        if answer {
            self.shown.push(key.clone());
        } else {
            // It may have been taken for shown on the way; what followed from that has to be shown anew.
            for taken_back in self.shown.drain(mark.0..) {
                self.known.remove(&taken_back);
            }
            for taken_back in self.emptied.drain(mark.1..) {
                self.empty.remove(&taken_back);
            }
        }
        self.known.insert(key, answer);
        Ok(answer)
    }

    fn attempt(&mut self, facts: &Facts, goal: Id) -> Result<bool, Spent> {
        if self.is_empty(facts)? {
            return Ok(true);
        }
        if let Some(values) = self.values(facts)? {
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
        if self.keywords(facts, goal, &mut Report::Probe)? {
            return Ok(true);
        }
        for cases in self.cases(facts, goal)? {
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

    /// Notes why a goal cannot be shown.
    fn explain(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<(), Spent> {
        self.fuel.burn()?;
        if self.explain_values(facts, goal, report)? {
            return Ok(());
        }
        // A goal without alternatives is compared with each alternative of the facts, which says more.
        if let Some(cases) = self.cases(facts, goal)?.into_iter().next() {
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
        self.keywords(facts, goal, report)?;
        Ok(())
    }

    /// Names the values of a closed list that are no longer accepted.
    fn explain_values(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        let Some(allowed) = &self.graph.node(goal).allowed else { return Ok(false) };
        let Some(listed) = facts.nodes(self.graph).find_map(|node| node.allowed.as_ref()) else {
            return Ok(false);
        };
        let Some(values) = self.values(facts)? else { return Ok(false) };
        let gone: Vec<Value> =
            values.into_iter().filter(|value| !allowed.keys.contains(&super::node::key(value))).collect();
        if gone.is_empty() {
            return Ok(false);
        }
        let path = format!("/{}", allowed.keyword);
        let known = format!("/{}", listed.keyword);
        report.note(|| Difference {
            rule: Rule::EnumValueRemoved,
            from: facts
                .holds
                .iter()
                .find(|id| self.written(**id, &known).is_some())
                .map(|id| self.place(*id, &known)),
            to: Some(self.place(goal, &path)),
            was: Some(match <[Value; 1]>::try_from(gone) {
                Ok([only]) => only,
                Err(several) => Value::Array(several),
            }),
            is: None,
        });
        Ok(true)
    }

    /// Every keyword of the goal.
    fn keywords(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        let node = self.graph.node(goal);
        let mut shown = true;
        if !facts.kinds.is_within(node.kinds) {
            let path = if self.written(goal, "/type").is_some() { "/type" } else { "" };
            shown = self.fail(facts, goal, path, Rule::TypeNarrowed, report);
            // The rest of a schema that accepts nothing of this kind would only repeat it.
            if report.is_probe() || !facts.kinds.meets(node.kinds) {
                return Ok(false);
            }
        }
        for id in node.reference.iter().chain(&node.all) {
            shown &= self.prove(facts, *id, report)?;
            if !shown && report.is_probe() {
                return Ok(false);
            }
        }
        if let Some(allowed) = &node.allowed {
            shown &= self.closed_list(facts, goal, allowed, report)?;
        }
        shown &= self.scalars(facts, goal, report);
        if !shown && report.is_probe() {
            return Ok(false);
        }
        if facts.kinds.meets(Kinds::OBJECT) {
            shown &= self.object(facts, goal, report)?;
        }
        if (shown || !report.is_probe()) && facts.kinds.meets(Kinds::ARRAY) {
            shown &= self.array(facts, goal, report)?;
        }
        if shown || !report.is_probe() {
            shown &= self.combinations(facts, goal, report)?;
        }
        Ok(shown)
    }

    fn closed_list(
        &mut self,
        facts: &Facts,
        goal: Id,
        allowed: &super::node::Allowed,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        if let Some(values) = self.values(facts)?
            && values.iter().all(|value| allowed.keys.contains(&super::node::key(value)))
        {
            return Ok(true);
        }
        Ok(self.fail(facts, goal, &format!("/{}", allowed.keyword), Rule::EnumAdded, report))
    }

    /// The values that are possible, if they can be counted.
    fn values(&mut self, facts: &Facts) -> Result<Option<Vec<Value>>, Spent> {
        let graph = self.graph;
        let shortest = facts.nodes(graph).filter_map(|node| node.allowed.as_ref());
        let candidates = match shortest.min_by_key(|allowed| allowed.values.len()) {
            Some(allowed) => allowed.values.clone(),
            None if facts.kinds.is_within(Kinds::BOOLEAN.or(Kinds::NULL)) => {
                vec![Value::Null, Value::Bool(false), Value::Bool(true)]
            }
            None => return Ok(None),
        };
        let mut values = Vec::new();
        for value in candidates {
            if self.may_be(facts, &value)? {
                values.push(value);
            }
        }
        Ok(Some(values))
    }

    /// Whether a value can be one of which the facts hold.
    fn may_be(&mut self, facts: &Facts, value: &Value) -> Result<bool, Spent> {
        if !Kinds::of(value).is_within(facts.kinds) {
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

    /// What is known of a property.
    fn property(&mut self, facts: &Facts, name: &str) -> Result<Part, Spent> {
        self.fuel.burn_many(facts.breadth(self.graph))?;
        Ok(facts.property(self.graph, name))
    }

    fn evaluate(&mut self, id: Id, value: &Value) -> Result<Option<bool>, Spent> {
        Evaluation::new(self.graph, self.fuel).holds(id, value)
    }
}
