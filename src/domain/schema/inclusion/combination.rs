//! Proofs for `anyOf`, `oneOf`, `not` and `if`, and case splits.

use super::super::facts::Facts;
use super::super::fuel::OutOfFuel;
use super::super::node::{Id, TypeSet};
use super::super::violation::Rule;
use super::{MAX_SPLITS, Prover, Report};

impl Prover<'_> {
    /// Proves the keywords that combine subschemas for the same value, except `allOf`.
    pub(super) fn prove_combinations(
        &mut self,
        facts: &Facts,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let node = graph.node(goal);
        let mut proven = true;
        if !node.any_of.is_empty() && !self.proves_any_of(facts, &node.any_of)? {
            proven = self.fail_alternatives(facts, goal, "/anyOf", &node.any_of, report)?;
        }
        if !node.one_of.is_empty() && !self.proves_one_of(facts, &node.one_of)? {
            proven = self.fail_alternatives(facts, goal, "/oneOf", &node.one_of, report)?;
        }
        if let Some(not) = node.not
            && !self.excludes(facts, not)?
        {
            proven = self.fail(facts, goal, "/not", Rule::ExclusionAdded, report);
        }
        if let Some(condition) = &node.condition {
            for known in facts.nodes(graph).filter_map(|known| known.condition.as_ref()) {
                if self.is_equivalent(known.test, condition.test)?
                    && self.are_equivalent_options(known.then, condition.then)?
                    && self.are_equivalent_options(known.otherwise, condition.otherwise)?
                {
                    return Ok(proven);
                }
            }
            let mut then = facts.clone();
            then.assume(graph, condition.test);
            let mut otherwise = facts.clone();
            otherwise.deny(condition.test);
            for (case, wanted, path) in
                [(then, condition.then, "/then"), (otherwise, condition.otherwise, "/else")]
            {
                if let Some(wanted) = wanted
                    && !self.proves(&case, wanted)?
                {
                    proven = self.fail(facts, goal, path, Rule::ConditionAdded, report);
                }
            }
        }
        Ok(proven)
    }

    fn proves_any_of(&mut self, facts: &Facts, wanted: &[Id]) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        for known in facts.nodes(graph) {
            if self.are_equivalent(&known.any_of, wanted)? {
                return Ok(true);
            }
        }
        for id in wanted {
            if self.proves(facts, *id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn proves_one_of(&mut self, facts: &Facts, wanted: &[Id]) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        for known in facts.nodes(graph) {
            if self.are_equivalent(&known.one_of, wanted)? {
                return Ok(true);
            }
        }
        for (at, id) in wanted.iter().enumerate() {
            if !self.proves(facts, *id)? {
                continue;
            }
            let mut alone = true;
            for (other, excluded) in wanted.iter().enumerate() {
                if other != at && !self.excludes(facts, *excluded)? {
                    alone = false;
                    break;
                }
            }
            if alone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reports the alternative that cannot be proven, in detail if it has a counterpart at the same index.
    fn fail_alternatives(
        &mut self,
        facts: &Facts,
        goal: Id,
        path: &str,
        wanted: &[Id],
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        if report.is_probe() {
            return Ok(false);
        }
        let graph = self.graph;
        let counterpart = facts.split.last().and_then(|id| {
            let known = graph.node(*id);
            let list = if path == "/anyOf" { &known.any_of } else { &known.one_of };
            let at = list.iter().position(|id| facts.holds.contains(id))?;
            (list.len() == wanted.len()).then(|| wanted[at])
        });
        if let Some(counterpart) = counterpart {
            let before = report.len();
            if !self.prove(facts, counterpart, report)? && report.len() > before {
                return Ok(false);
            }
        }
        // A value that is valid for one alternative and possibly for others is not a removed alternative.
        let rule = if path == "/oneOf" && self.proves_any_of(facts, wanted)? {
            Rule::CannotProve
        } else {
            Rule::AlternativeRemoved
        };
        Ok(self.fail(facts, goal, path, rule, report))
    }

    /// The case splits of the facts that may help to prove a goal.
    pub(super) fn case_splits(&mut self, facts: &Facts, goal: Id) -> Result<Vec<Vec<Facts>>, OutOfFuel> {
        if facts.split.len() >= MAX_SPLITS {
            return Ok(Vec::new());
        }
        let mut splits = self.alternatives_of(facts)?;
        if self.graph.node(goal).has_choice {
            let types = TypeSet::BASIC.into_iter().filter(|type_| facts.types.intersects(*type_));
            let by_type: Vec<Facts> = types
                .map(|type_| {
                    let mut case = facts.clone();
                    case.types = case.types.intersection(type_);
                    case
                })
                .collect();
            if by_type.len() > 1 {
                splits.push(by_type);
            }
        }
        Ok(splits)
    }

    /// The alternatives of each subschema that has some and was not split before.
    pub(super) fn alternatives_of(&mut self, facts: &Facts) -> Result<Vec<Vec<Facts>>, OutOfFuel> {
        let graph = self.graph;
        let mut splits = Vec::new();
        for id in facts.holds.iter().filter(|id| !facts.split.contains(id)) {
            let node = graph.node(*id);
            // Each alternative is a copy of the facts, and each one of `oneOf` denies all others.
            let copies = node.any_of.len() + node.one_of.len();
            self.fuel.consume(copies * facts.copy_cost() + node.one_of.len() * node.one_of.len() / 16)?;
            let case = |assumed: &[Id], denied: &[Id]| {
                let mut case = facts.clone();
                case.split.push(*id);
                assumed.iter().for_each(|id| case.assume(graph, *id));
                denied.iter().for_each(|id| case.deny(*id));
                case
            };
            if node.any_of.len() > 1 {
                splits.push(node.any_of.iter().map(|id| case(&[*id], &[])).collect());
            }
            if node.one_of.len() > 1 {
                let others =
                    |id: &Id| node.one_of.iter().copied().filter(|other| other != id).collect::<Vec<_>>();
                splits.push(node.one_of.iter().map(|id| case(&[*id], &others(id))).collect());
            }
            if let Some(condition) = &node.condition {
                let then: Vec<Id> = std::iter::once(condition.test).chain(condition.then).collect();
                let otherwise: Vec<Id> = condition.otherwise.into_iter().collect();
                splits.push(vec![case(&then, &[]), case(&otherwise, &[condition.test])]);
            }
            // One split is enough: the cases split the rest.
            if splits.len() > 1 {
                break;
            }
        }
        Ok(splits)
    }
}
