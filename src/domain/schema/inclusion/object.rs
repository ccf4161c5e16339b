//! Objects: properties by name, by pattern and the others, which have to be there, how many.

use std::collections::BTreeSet;

use super::super::facts::{Facts, may_evaluate, mentions};
use super::super::fuel::Spent;
use super::super::node::{Count, Id, Kinds, Node};
use super::super::reading::below;
use super::super::violation::Rule;
use super::{Difference, Prover, Report};

impl Prover<'_> {
    /// The keywords for objects.
    pub(super) fn object(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        let graph = self.graph;
        let mut facts = facts.clone();
        facts.settle(graph);
        let facts = &facts;
        let required = facts.required(graph);
        let mut shown = self.presence(facts, &required, goal, report)?;
        if !shown && report.is_probe() {
            return Ok(false);
        }
        self.fuel.burn_many(facts.breadth(graph))?;
        let mut names = facts.names(graph);
        names.extend(required);
        self.fuel.burn_many(names.len() / 4)?;
        shown &= self.named(facts, &names, goal, report)?;
        if !shown && report.is_probe() {
            return Ok(false);
        }
        shown &= self.unnamed(facts, goal, report)?;
        shown &= self.property_names(facts, &names, goal, report)?;
        if let Some(unevaluated) = graph.node(goal).object.unevaluated {
            shown &= self.unevaluated_properties(facts, goal, unevaluated, report)?;
        }
        Ok(shown)
    }

    /// `required`, `dependentRequired`, `dependentSchemas` and the number of properties.
    fn presence(
        &mut self,
        facts: &Facts,
        required: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let node = graph.node(goal);
        let rules = &node.object;
        let mut shown = true;
        for name in rules.required.difference(required) {
            shown = false;
            report.note(|| Difference {
                rule: Rule::RequiredPropertyAdded,
                from: facts.holds.first().map(|id| self.place(*id, "/required")),
                to: Some(self.place(goal, "/required")),
                was: None,
                is: Some(name.as_str().into()),
            });
        }
        if rules.count != Count::default() {
            let mut count = facts.count(graph, |node| &node.object.count);
            count.least = count.least.max(required.len() as u64);
            let closed = facts.nodes(graph).filter(|node| self.is_closed(node));
            let described = closed.map(|node| node.object.properties.len() as u64).min();
            count.most = [count.most, described].into_iter().flatten().min();
            shown &=
                self.count(facts, goal, &count, &rules.count, ["/minProperties", "/maxProperties"], report);
        }
        for (name, needed) in &rules.needs {
            let with = with(facts, name, self);
            if !needed.is_subset(&with.required(graph)) && !self.is_empty(&with)? {
                let path = below(node.needs_keyword(), name);
                shown = self.fail(facts, goal, &path, Rule::DependencyAdded, report);
            }
        }
        for (name, implied) in &rules.implies {
            let with = with(facts, name, self);
            if !self.proves(&with, *implied)? {
                let path = if node.seven { "/dependencies" } else { "/dependentSchemas" };
                shown = self.fail(facts, goal, &below(path, name), Rule::DependencyAdded, report);
            }
        }
        Ok(shown)
    }

    fn is_closed(&self, node: &Node) -> bool {
        node.object.patterns.is_empty()
            && node.object.additional.is_some_and(|id| self.graph.node(id).kinds == Kinds::NONE)
    }

    /// Properties that have a name in one of the schemas.
    fn named(
        &mut self,
        facts: &Facts,
        names: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let rules = &graph.node(goal).object;
        let mut shown = true;
        for (name, wanted) in &rules.properties {
            shown &= self.described(facts, name, goal, *wanted, report)?;
            if !shown && report.is_probe() {
                return Ok(false);
            }
        }
        for name in names.iter().chain(rules.properties.keys().filter(|name| !names.contains(*name))) {
            let mut free = !rules.properties.contains_key(name);
            for (pattern, wanted) in &rules.patterns {
                if graph.matches(pattern, name) {
                    free = false;
                    let property = self.property(facts, name)?;
                    if property.facts.is_silent() && !property.is_described && self.lenient {
                        continue;
                    }
                    shown &= self.prove_inner(&property.facts, *wanted, report)?;
                }
            }
            if let Some(additional) = rules.additional.filter(|_| free) {
                shown &= self.taken_away(facts, name, goal, additional, report)?;
            }
            if !shown && report.is_probe() {
                return Ok(false);
            }
        }
        Ok(shown)
    }

    /// A property that the goal describes.
    fn described(
        &mut self,
        facts: &Facts,
        name: &str,
        goal: Id,
        wanted: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let property = self.property(facts, name)?;
        if property.is_described {
            return self.prove_inner(&property.facts, wanted, report);
        }
        let is_forbidden = self.graph.node(wanted).kinds == Kinds::NONE;
        if property.facts.is_silent() && self.lenient && !is_forbidden {
            return Ok(true);
        }
        let fits = self.inside(|prover| prover.proves(&property.facts, wanted));
        Ok(fits? || {
            let path = below("/properties", name);
            self.fail(facts, goal, &path, Rule::PropertyAddedToOpenObject, report)
        })
    }

    /// A property that the facts describe and the goal does not.
    fn taken_away(
        &mut self,
        facts: &Facts,
        name: &str,
        goal: Id,
        additional: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let described =
            facts.holds.iter().find_map(|id| Some((*id, *graph.node(*id).object.properties.get(name)?)));
        if self.lenient && described.is_some_and(|(_, id)| self.waived.contains(&id)) {
            return Ok(true);
        }
        let property = self.property(facts, name)?;
        let fits = self.inside(|prover| prover.proves(&property.facts, additional));
        if fits? {
            return Ok(true);
        }
        let Some((id, _)) = described else {
            return Ok(self.fail(
                facts,
                goal,
                "/additionalProperties",
                Rule::AdditionalPropertiesNarrowed,
                report,
            ));
        };
        let path = below("/properties", name);
        report.note(|| Difference {
            rule: Rule::PropertyRemoved,
            from: Some(self.place(id, &path)),
            to: None,
            was: self.written(id, &path).cloned(),
            is: None,
        });
        Ok(false)
    }

    /// Properties without a name in any of the schemas: by pattern, and all others.
    fn unnamed(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        let graph = self.graph;
        let rules = &graph.node(goal).object;
        let mut shown = true;
        for (pattern, wanted) in &rules.patterns {
            if !self.covers_unnamed(facts, Some(pattern), goal, *wanted)? {
                let path = below("/patternProperties", pattern);
                shown = self.fail(facts, goal, &path, Rule::PatternPropertiesNarrowed, report);
            }
        }
        if let Some(additional) = rules.additional
            && !self.covers_unnamed(facts, None, goal, additional)?
        {
            shown =
                self.fail(facts, goal, "/additionalProperties", Rule::AdditionalPropertiesNarrowed, report);
        }
        Ok(shown)
    }

    /// Whether unnamed properties fit: those that match a pattern of the goal, or those that match none of them.
    fn covers_unnamed(
        &mut self,
        facts: &Facts,
        pattern: Option<&String>,
        goal: Id,
        wanted: Id,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let mut sure = Facts::none();
        let mut unsure: Vec<Vec<Option<Id>>> = Vec::new();
        let mut is_silent = true;
        for node in facts.nodes(graph) {
            let alternatives = unnamed_schemas(node, pattern, graph.node(goal), self);
            is_silent &= alternatives.iter().all(Option::is_none);
            match alternatives.as_slice() {
                [Some(only)] => sure.assume(graph, *only),
                [None] => {}
                _ => unsure.push(alternatives),
            }
        }
        if is_silent && pattern.is_some() && self.lenient {
            return Ok(true);
        }
        self.inside(|prover| prover.covers_one_of(&sure, &unsure, wanted))
    }

    fn covers_one_of(&mut self, sure: &Facts, unsure: &[Vec<Option<Id>>], wanted: Id) -> Result<bool, Spent> {
        if self.proves(sure, wanted)? {
            return Ok(true);
        }
        for alternatives in unsure {
            let mut all = true;
            for alternative in alternatives {
                let mut case = sure.clone();
                if let Some(id) = alternative {
                    case.assume(self.graph, *id);
                }
                if !self.proves(&case, wanted)? {
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

    fn property_names(
        &mut self,
        facts: &Facts,
        names: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let Some(wanted) = graph.node(goal).object.names else { return Ok(true) };
        let mut known = Facts::none();
        known.kinds = Kinds::STRING;
        for id in facts.nodes(graph).filter_map(|node| node.object.names) {
            known.assume(graph, id);
        }
        let mut fits = self.inside(|prover| prover.proves(&known, wanted));
        if matches!(fits, Ok(false)) && facts.nodes(graph).any(|node| self.is_closed(node)) {
            fits = Ok(true);
            for name in names {
                let empty = {
                    let part = self.property(facts, name)?;
                    self.is_empty(&part.facts)?
                };
                if !empty && self.evaluate(wanted, &name.as_str().into())? != Some(true) {
                    fits = Ok(false);
                }
            }
        }
        Ok(fits? || self.fail(facts, goal, "/propertyNames", Rule::PropertyNamesNarrowed, report))
    }

    /// With other subschemas for the same object beside it, this is compared as a whole.
    fn unevaluated_properties(
        &mut self,
        facts: &Facts,
        goal: Id,
        unevaluated: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        if graph.node(unevaluated).accepts_all() {
            return Ok(true);
        }
        let node = graph.node(goal);
        let mut is_known = false;
        for known in facts.nodes(graph) {
            let Some(id) = known.object.unevaluated else { continue };
            if self.is_same(id, unevaluated)? {
                if self.evaluates_more(known, node)? {
                    return Ok(true);
                }
                is_known = true;
            }
        }
        if !is_known || !self.lenient {
            return Ok(self.fail(facts, goal, "/unevaluatedProperties", Rule::CannotProve, report));
        }
        // As teams mean it: what was described is described still.
        let mut shown = true;
        for name in facts.names(graph).iter().filter(|name| !mentions(graph, node, name)) {
            shown &= self.taken_away(facts, name, goal, unevaluated, report)?;
        }
        Ok(shown)
    }

    /// Whether the second has the same subschemas in place, and evaluates at least the properties of the first.
    fn evaluates_more(&mut self, one: &Node, other: &Node) -> Result<bool, Spent> {
        let shape = |node: &Node| {
            let condition = node.condition.as_ref();
            let condition =
                condition.map(|condition| (condition.then.is_some(), condition.otherwise.is_some()));
            let lists = [node.all.len(), node.any.len(), node.one.len()];
            (lists, node.not.is_some(), node.reference.is_some(), condition)
        };
        let (ones, others): (Vec<Id>, Vec<Id>) = (one.in_place().collect(), other.in_place().collect());
        let (a, b) = (&one.object, &other.object);
        Ok(shape(one) == shape(other)
            && a.implies.keys().eq(b.implies.keys())
            && a.properties.keys().all(|name| b.properties.contains_key(name))
            && a.patterns.keys().all(|pattern| b.patterns.contains_key(pattern))
            && a.additional.is_some() <= b.additional.is_some()
            && self.are_same(&ones, &others)?)
    }
}

/// The facts of an object that has a property.
fn with(facts: &Facts, name: &str, prover: &Prover<'_>) -> Facts {
    let mut with = facts.clone();
    with.kinds = with.kinds.and(Kinds::OBJECT);
    with.present.insert(name.to_owned());
    with.settle(prover.graph);
    with
}

/// What a node can say of an unnamed property: each schema that may be the one for it, `None` for nothing.
fn unnamed_schemas(
    node: &Node,
    pattern: Option<&String>,
    goal: &Node,
    prover: &Prover<'_>,
) -> Vec<Option<Id>> {
    let object = &node.object;
    if let Some(id) = pattern.and_then(|pattern| object.patterns.get(pattern)) {
        return vec![Some(*id)];
    }
    let elsewhere = |other: &&String| pattern.is_some() || !goal.object.patterns.contains_key(*other);
    let mut schemas: Vec<Option<Id>> =
        object.patterns.iter().filter(|(other, _)| elsewhere(other)).map(|(_, id)| Some(*id)).collect();
    let unevaluated = object.unevaluated.filter(|_| !may_evaluate(prover.graph, node, None));
    schemas.push(object.additional.or(unevaluated));
    schemas
}
