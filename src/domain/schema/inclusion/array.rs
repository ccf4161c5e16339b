//! Arrays: items by place and the others, what they contain, how many.

use super::super::facts::{Facts, Part};
use super::super::fuel::Spent;
use super::super::node::{Contains, Count, Id, Kinds};
use super::super::reading::below;
use super::super::violation::Rule;
use super::{Prover, Report};

impl Prover<'_> {
    /// The keywords for arrays.
    pub(super) fn array(&mut self, facts: &Facts, goal: Id, report: &mut Report) -> Result<bool, Spent> {
        let graph = self.graph;
        let node = graph.node(goal);
        let rules = &node.array;
        let count = facts.count(graph, |node| &node.array.count);
        let mut shown = true;
        if rules.count != Count::default() {
            shown &= self.count(facts, goal, &count, &rules.count, ["/minItems", "/maxItems"], report);
        }
        let unique =
            facts.nodes(graph).any(|node| node.array.unique) || count.most.is_some_and(|most| most < 2);
        if rules.unique && !unique {
            shown = self.fail(facts, goal, "/uniqueItems", Rule::UniqueItemsAdded, report);
        }
        if !shown && report.is_probe() {
            return Ok(false);
        }
        let reach = |at: usize| count.most.is_none_or(|most| (at as u64) < most);
        for (at, wanted) in rules.prefix.iter().enumerate().filter(|(at, _)| reach(*at)) {
            let path = below(node.prefix_keyword(), at);
            shown &= self.item(facts, goal, &facts.item(graph, at), *wanted, &path, report)?;
        }
        if let Some(rest) = rules.rest {
            let described = facts.prefix(graph).max(rules.prefix.len());
            for at in (rules.prefix.len()..=described).filter(|at| reach(*at)) {
                shown &= self.item(facts, goal, &facts.item(graph, at), rest, node.rest_keyword(), report)?;
                if !shown && report.is_probe() {
                    return Ok(false);
                }
            }
        }
        if let Some(unevaluated) = rules.unevaluated {
            shown &= self.unevaluated_items(facts, goal, unevaluated, report)?;
        }
        if let Some(wanted) = &rules.contains {
            shown &= self.contains(facts, goal, &count, wanted, report)?;
        }
        Ok(shown)
    }

    fn item(
        &mut self,
        facts: &Facts,
        goal: Id,
        item: &Part,
        wanted: Id,
        path: &str,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        if self.graph.node(wanted).accepts_all() {
            return Ok(true);
        }
        // A tuple that is open at its end may become longer, as an open object may get another property.
        let is_tuple = facts.prefix(self.graph) > 0;
        if !item.is_described && item.facts.is_silent() {
            if self.lenient && is_tuple && self.graph.node(wanted).kinds != Kinds::NONE {
                return Ok(true);
            }
            return Ok(self.fail(facts, goal, path, Rule::ItemsNarrowed, report));
        }
        if self.graph.node(wanted).kinds == Kinds::NONE {
            let empty = self.is_empty(&item.facts)?;
            return Ok(empty || self.fail(facts, goal, path, Rule::ItemsNarrowed, report));
        }
        self.prove_inner(&item.facts, wanted, report)
    }

    fn unevaluated_items(
        &mut self,
        facts: &Facts,
        goal: Id,
        unevaluated: Id,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        if self.graph.node(unevaluated).accepts_all() {
            return Ok(true);
        }
        if self.lenient {
            let graph = self.graph;
            for known in facts.nodes(graph).filter_map(|node| node.array.unevaluated) {
                if self.is_same(known, unevaluated)? {
                    return Ok(true);
                }
            }
        }
        Ok(self.fail(facts, goal, "/unevaluatedItems", Rule::CannotProve, report))
    }

    fn contains(
        &mut self,
        facts: &Facts,
        goal: Id,
        count: &Count,
        wanted: &Contains,
        report: &mut Report,
    ) -> Result<bool, Spent> {
        let graph = self.graph;
        let mut least = wanted.count.least == 0;
        let mut most = wanted.count.most.is_none_or(|most| count.most.is_some_and(|items| items <= most));
        for known in facts.nodes(graph).filter_map(|node| node.array.contains.as_ref()) {
            if !least && known.count.least >= wanted.count.least {
                least = self.part_of(known.item, wanted.item)?;
            }
            let fewer =
                known.count.most.is_some_and(|known| wanted.count.most.is_some_and(|most| known <= most));
            if !most && fewer {
                most = self.strictly(|prover| prover.part_of(wanted.item, known.item))?;
            }
        }
        if !least && count.least >= wanted.count.least {
            // Enough items, and all of them are what is wanted.
            least = true;
            for at in 0..=facts.prefix(graph) {
                let item = facts.item(graph, at);
                let fits = self.inside(|prover| prover.proves(&item.facts, wanted.item));
                least &= fits?;
            }
        }
        if !least {
            let path = if wanted.count.least == 1 { "/contains" } else { "/minContains" };
            return Ok(self.fail(facts, goal, path, Rule::ContainsNarrowed, report));
        }
        Ok(most || self.fail(facts, goal, "/maxContains", Rule::ContainsNarrowed, report))
    }

    /// Whether what fits to one subschema fits to another, for an item.
    fn part_of(&mut self, one: Id, other: Id) -> Result<bool, Spent> {
        let facts = Facts::of(self.graph, one);
        self.inside(|prover| prover.proves(&facts, other))
    }
}
