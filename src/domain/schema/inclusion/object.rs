//! Proofs for objects: properties by name, by pattern and others, required properties, and counts.

use std::collections::BTreeSet;

use super::super::draft::Draft;
use super::super::facts::{Facts, may_evaluate, mentions};
use super::super::fuel::OutOfFuel;
use super::super::node::{CountRange, Id, Node, TypeSet};
use super::super::pointer::child;
use super::super::violation::Rule;
use super::{Difference, Prover, Report};

impl Prover<'_> {
    /// Proves the keywords for objects.
    pub(super) fn prove_object(
        &mut self,
        facts: &Facts,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let mut facts = facts.clone();
        facts.apply_dependent_schemas(graph);
        let facts = &facts;
        let required = facts.required(graph);
        let mut proven = self.prove_presence(facts, &required, goal, report)?;
        if !proven && report.is_probe() {
            return Ok(false);
        }
        self.fuel.consume(facts.property_cost(graph))?;
        let mut names = facts.names(graph);
        names.extend(required);
        self.fuel.consume(names.len() / 4)?;
        proven &= self.prove_named(facts, &names, goal, report)?;
        if !proven && report.is_probe() {
            return Ok(false);
        }
        proven &= self.prove_unnamed(facts, goal, report)?;
        proven &= self.prove_property_names(facts, &names, goal, report)?;
        if let Some(unevaluated) = graph.node(goal).object.unevaluated_properties {
            proven &= self.prove_unevaluated_properties(facts, goal, unevaluated, report)?;
        }
        Ok(proven)
    }

    /// Proves `required`, `dependentRequired`, `dependentSchemas` and the number of properties.
    fn prove_presence(
        &mut self,
        facts: &Facts,
        required: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let node = graph.node(goal);
        let rules = &node.object;
        let mut proven = true;
        for name in rules.required.difference(required) {
            proven = false;
            report.push(|| Difference {
                rule: Rule::RequiredPropertyAdded,
                from: facts.holds.first().map(|id| self.pointer_to(*id, "/required")),
                to: Some(self.pointer_to(goal, "/required")),
                was: None,
                is: Some(name.as_str().into()),
            });
        }
        if rules.count != CountRange::default() {
            let mut count = facts.count(graph, |node| &node.object.count);
            count.min = count.min.max(required.len() as u64);
            let closed = facts.nodes(graph).filter(|node| self.is_closed(node));
            let described = closed.map(|node| node.object.properties.len() as u64).min();
            count.max = [count.max, described].into_iter().flatten().min();
            proven &= self.prove_count(
                facts,
                goal,
                &count,
                &rules.count,
                ["/minProperties", "/maxProperties"],
                report,
            );
        }
        for (name, needed) in &rules.dependent_required {
            let with = with(facts, name, self);
            if !needed.is_subset(&with.required(graph)) && !self.is_empty(&with)? {
                let path = child(node.dependent_required_keyword(), name);
                proven = self.fail(facts, goal, &path, Rule::DependencyAdded, report);
            }
        }
        for (name, implied) in &rules.dependent_schemas {
            let with = with(facts, name, self);
            if !self.proves(&with, *implied)? {
                let path = if node.draft == Draft::Seven { "/dependencies" } else { "/dependentSchemas" };
                proven = self.fail(facts, goal, &child(path, name), Rule::DependencyAdded, report);
            }
        }
        Ok(proven)
    }

    fn is_closed(&self, node: &Node) -> bool {
        node.object.pattern_properties.is_empty()
            && node.object.additional_properties.is_some_and(|id| self.graph.node(id).types == TypeSet::NONE)
    }

    /// Proves the properties that one of the schemas names.
    fn prove_named(
        &mut self,
        facts: &Facts,
        names: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let rules = &graph.node(goal).object;
        let mut proven = true;
        for (name, wanted) in &rules.properties {
            proven &= self.prove_described(facts, name, goal, *wanted, report)?;
            if !proven && report.is_probe() {
                return Ok(false);
            }
        }
        for name in names.iter().chain(rules.properties.keys().filter(|name| !names.contains(*name))) {
            let mut free = !rules.properties.contains_key(name);
            for (pattern, wanted) in &rules.pattern_properties {
                if graph.matches(pattern, name) {
                    free = false;
                    let property = self.property(facts, name)?;
                    if property.facts.is_unconstrained() && !property.is_described && self.lenient {
                        continue;
                    }
                    proven &= self.prove_inner(&property.facts, *wanted, report)?;
                }
            }
            if let Some(additional) = rules.additional_properties.filter(|_| free) {
                proven &= self.prove_undescribed(facts, name, goal, additional, report)?;
            }
            if !proven && report.is_probe() {
                return Ok(false);
            }
        }
        Ok(proven)
    }

    /// Proves a property that the goal describes.
    fn prove_described(
        &mut self,
        facts: &Facts,
        name: &str,
        goal: Id,
        wanted: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let property = self.property(facts, name)?;
        if property.is_described {
            return self.prove_inner(&property.facts, wanted, report);
        }
        let is_forbidden = self.graph.node(wanted).types == TypeSet::NONE;
        if property.facts.is_unconstrained() && self.lenient && !is_forbidden {
            return Ok(true);
        }
        let fits = self.descend(|prover| prover.proves(&property.facts, wanted));
        Ok(fits? || {
            let path = child("/properties", name);
            self.fail(facts, goal, &path, Rule::PropertyAddedToOpenObject, report)
        })
    }

    /// Proves a property that the facts describe and the goal does not.
    fn prove_undescribed(
        &mut self,
        facts: &Facts,
        name: &str,
        goal: Id,
        additional: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let described =
            facts.holds.iter().find_map(|id| Some((*id, *graph.node(*id).object.properties.get(name)?)));
        if self.lenient && described.is_some_and(|(_, id)| self.removable.contains(&id)) {
            return Ok(true);
        }
        let property = self.property(facts, name)?;
        let fits = self.descend(|prover| prover.proves(&property.facts, additional));
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
        let path = child("/properties", name);
        report.push(|| Difference {
            rule: Rule::PropertyRemoved,
            from: Some(self.pointer_to(id, &path)),
            to: None,
            was: self.source_value(id, &path).cloned(),
            is: None,
        });
        Ok(false)
    }

    /// Proves the properties that no schema names: by pattern, and all others.
    fn prove_unnamed(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let rules = &graph.node(goal).object;
        let mut proven = true;
        for (pattern, wanted) in &rules.pattern_properties {
            if !self.covers_unnamed(facts, Some(pattern), goal, *wanted)? {
                let path = child("/patternProperties", pattern);
                proven = self.fail(facts, goal, &path, Rule::PatternPropertiesNarrowed, report);
            }
        }
        if let Some(additional) = rules.additional_properties
            && !self.covers_unnamed(facts, None, goal, additional)?
        {
            proven =
                self.fail(facts, goal, "/additionalProperties", Rule::AdditionalPropertiesNarrowed, report);
        }
        Ok(proven)
    }

    /// Whether unnamed properties are valid: those that match a pattern of the goal, or those that match none.
    fn covers_unnamed(
        &mut self,
        facts: &Facts,
        pattern: Option<&String>,
        goal: Id,
        wanted: Id,
    ) -> Result<bool, OutOfFuel> {
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
        self.descend(|prover| prover.covers_one_of(&sure, &unsure, wanted))
    }

    fn covers_one_of(
        &mut self,
        sure: &Facts,
        unsure: &[Vec<Option<Id>>],
        wanted: Id,
    ) -> Result<bool, OutOfFuel> {
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

    fn prove_property_names(
        &mut self,
        facts: &Facts,
        names: &BTreeSet<String>,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let Some(wanted) = graph.node(goal).object.property_names else { return Ok(true) };
        let mut known = Facts::none();
        known.types = TypeSet::STRING;
        for id in facts.nodes(graph).filter_map(|node| node.object.property_names) {
            known.assume(graph, id);
        }
        let mut fits = self.descend(|prover| prover.proves(&known, wanted));
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

    /// Proves `unevaluatedProperties` beside in-place subschemas, as a whole.
    fn prove_unevaluated_properties(
        &mut self,
        facts: &Facts,
        goal: Id,
        unevaluated: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        if graph.node(unevaluated).accepts_all() {
            return Ok(true);
        }
        let node = graph.node(goal);
        let mut is_known = false;
        for known in facts.nodes(graph) {
            let Some(id) = known.object.unevaluated_properties else { continue };
            if self.is_equivalent(id, unevaluated)? {
                if self.evaluates_more(known, node)? {
                    return Ok(true);
                }
                is_known = true;
            }
        }
        if !is_known || !self.lenient {
            return Ok(self.fail(facts, goal, "/unevaluatedProperties", Rule::CannotProve, report));
        }
        // The lenient policy requires only that described properties remain described.
        let mut proven = true;
        for name in facts.names(graph).iter().filter(|name| !mentions(graph, node, name)) {
            proven &= self.prove_undescribed(facts, name, goal, unevaluated, report)?;
        }
        Ok(proven)
    }

    /// Whether `other` has the same in-place subschemas as `one` and evaluates at least its properties.
    fn evaluates_more(&mut self, one: &Node, other: &Node) -> Result<bool, OutOfFuel> {
        let shape = |node: &Node| {
            let condition = node.condition.as_ref();
            let condition =
                condition.map(|condition| (condition.then.is_some(), condition.otherwise.is_some()));
            let lists = [node.all_of.len(), node.any_of.len(), node.one_of.len()];
            (lists, node.not.is_some(), node.reference.is_some(), condition)
        };
        let (ones, others): (Vec<Id>, Vec<Id>) = (one.in_place().collect(), other.in_place().collect());
        let (a, b) = (&one.object, &other.object);
        Ok(shape(one) == shape(other)
            && a.dependent_schemas.keys().eq(b.dependent_schemas.keys())
            && a.properties.keys().all(|name| b.properties.contains_key(name))
            && a.pattern_properties.keys().all(|pattern| b.pattern_properties.contains_key(pattern))
            && a.additional_properties.is_some() <= b.additional_properties.is_some()
            && self.are_equivalent(&ones, &others)?)
    }
}

/// The facts about an object, extended by a property that it has.
fn with(facts: &Facts, name: &str, prover: &Prover<'_>) -> Facts {
    let mut with = facts.clone();
    with.types = with.types.intersection(TypeSet::OBJECT);
    with.present.insert(name.to_owned());
    with.apply_dependent_schemas(prover.graph);
    with
}

/// The schemas of a node that may apply to an unnamed property. `None` stands for no schema.
fn unnamed_schemas(
    node: &Node,
    pattern: Option<&String>,
    goal: &Node,
    prover: &Prover<'_>,
) -> Vec<Option<Id>> {
    let object = &node.object;
    if let Some(id) = pattern.and_then(|pattern| object.pattern_properties.get(pattern)) {
        return vec![Some(*id)];
    }
    let elsewhere =
        |other: &&String| pattern.is_some() || !goal.object.pattern_properties.contains_key(*other);
    let mut schemas: Vec<Option<Id>> = object
        .pattern_properties
        .iter()
        .filter(|(other, _)| elsewhere(other))
        .map(|(_, id)| Some(*id))
        .collect();
    let unevaluated = object.unevaluated_properties.filter(|_| !may_evaluate(prover.graph, node, None));
    schemas.push(object.additional_properties.or(unevaluated));
    schemas
}
