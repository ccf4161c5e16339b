//! `anyOf`, `oneOf`, `not`, `if`, and telling alternatives apart.

use super::super::facts::Facts;
use super::super::fuel::Spent;
use super::super::node::{Id, Kinds};
use super::super::violation::Rule;
use super::{Prover, Report, SPLITS};

impl Prover<'_> {
    /// The keywords that combine subschemas for the same value, `allOf` excepted.
    pub(super) fn combinations(
        &mut self,
        facts: &Facts,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let node = graph.node(goal);
        let mut shown = true;
        if !node.any.is_empty() && !self.any(facts, &node.any)? {
            shown = self.alternatives(facts, goal, "/anyOf", &node.any, report)?;
        }
        if !node.one.is_empty() && !self.one(facts, &node.one)? {
            shown = self.alternatives(facts, goal, "/oneOf", &node.one, report)?;
        }
        if let Some(not) = node.not
            && !self.excludes(facts, not)?
        {
            shown = self.fail(facts, goal, "/not", Rule::ExclusionAdded, report);
        }
        if let Some(condition) = &node.condition {
            for known in facts.nodes(graph).filter_map(|known| known.condition.as_ref()) {
                if self.is_same(known.test, condition.test)?
                    && self.agree(known.then, condition.then)?
                    && self.agree(known.otherwise, condition.otherwise)?
                {
                    return Ok(shown);
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
                    shown = self.fail(facts, goal, path, Rule::ConditionAdded, report);
                }
            }
        }
        Ok(shown)
    }

    fn any(&mut self, facts: &Facts, wanted: &[Id]) -> Result<bool, Spent> {
        let graph = self.graph;
        for known in facts.nodes(graph) {
            if self.are_same(&known.any, wanted)? {
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

    fn one(&mut self, facts: &Facts, wanted: &[Id]) -> Result<bool, Spent> {
        let graph = self.graph;
        for known in facts.nodes(graph) {
            if self.are_same(&known.one, wanted)? {
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

    /// Says which alternative does not fit: with its inner difference if it has a counterpart in the same place.
    fn alternatives(
        &mut self,
        facts: &Facts,
        goal: Id,
        path: &str,
        wanted: &[Id],
        report: &mut Report,
    ) -> Result<bool, Spent> {
        if report.is_probe() {
            return Ok(false);
        }
        let graph = self.graph;
        let counterpart = facts.split.last().and_then(|id| {
            let known = graph.node(*id);
            let list = if path == "/anyOf" { &known.any } else { &known.one };
            let at = list.iter().position(|id| facts.holds.contains(id))?;
            (list.len() == wanted.len()).then(|| wanted[at])
        });
        if let Some(counterpart) = counterpart {
            let before = report.len();
            if !self.prove(facts, counterpart, report)? && report.len() > before {
                return Ok(false);
            }
        }
        // What fits to one alternative, but perhaps to others as well, is no lost alternative.
        let rule = if path == "/oneOf" && self.any(facts, wanted)? {
            Rule::CannotProve
        } else {
            Rule::AlternativeRemoved
        };
        Ok(self.fail(facts, goal, path, rule, report))
    }

    /// The ways of telling apart what the facts leave open, that could help with a goal.
    pub(super) fn cases(&mut self, facts: &Facts, goal: Id) -> Result<Vec<Vec<Facts>>, Spent> {
        if facts.split.len() >= SPLITS {
            return Ok(Vec::new());
        }
        let mut ways = self.told_apart(facts)?;
        if self.graph.node(goal).has_choice {
            let kinds = Kinds::EACH.into_iter().filter(|kind| facts.kinds.meets(*kind));
            let by_kind: Vec<Facts> = kinds
                .map(|kind| {
                    let mut case = facts.clone();
                    case.kinds = case.kinds.and(kind);
                    case
                })
                .collect();
            if by_kind.len() > 1 {
                ways.push(by_kind);
            }
        }
        Ok(ways)
    }

    /// The alternatives of each subschema that has some and was not told apart before.
    pub(super) fn told_apart(&mut self, facts: &Facts) -> Result<Vec<Vec<Facts>>, Spent> {
        let graph = self.graph;
        let mut ways = Vec::new();
        for id in facts.holds.iter().filter(|id| !facts.split.contains(id)) {
            let node = graph.node(*id);
            // Each alternative is a copy of the facts, and one of `oneOf` denies all others.
            let copies = node.any.len() + node.one.len();
            self.fuel.burn_many(copies * facts.weight() + node.one.len() * node.one.len() / 16)?;
            let case = |assumed: &[Id], denied: &[Id]| {
                let mut case = facts.clone();
                case.split.push(*id);
                assumed.iter().for_each(|id| case.assume(graph, *id));
                denied.iter().for_each(|id| case.deny(*id));
                case
            };
            if node.any.len() > 1 {
                ways.push(node.any.iter().map(|id| case(&[*id], &[])).collect());
            }
            if node.one.len() > 1 {
                let others =
                    |id: &Id| node.one.iter().copied().filter(|other| other != id).collect::<Vec<_>>();
                ways.push(node.one.iter().map(|id| case(&[*id], &others(id))).collect());
            }
            if let Some(condition) = &node.condition {
                let then: Vec<Id> = std::iter::once(condition.test).chain(condition.then).collect();
                let otherwise: Vec<Id> = condition.otherwise.into_iter().collect();
                ways.push(vec![case(&then, &[]), case(&otherwise, &[condition.test])]);
            }
            // One way after the other is enough: each is a proof on its own.
            if ways.len() > 1 {
                break;
            }
        }
        Ok(ways)
    }
}
