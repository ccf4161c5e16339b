//! Proofs for arrays: items by position and others, `contains`, and lengths.

use super::super::facts::{Facts, PartFacts};
use super::super::fuel::OutOfFuel;
use super::super::node::{Contains, CountRange, Id, TypeSet};
use super::super::pointer::child;
use super::super::violation::Rule;
use super::{Prover, Report};

impl Prover<'_> {
    /// Proves the keywords for arrays.
    pub(super) fn prove_array(
        &mut self,
        facts: &Facts,
        goal: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let node = graph.node(goal);
        let rules = &node.array;
        let count = facts.count(graph, |node| &node.array.count);
        let mut proven = true;
        if rules.count != CountRange::default() {
            proven &= self.prove_count(facts, goal, &count, &rules.count, ["/minItems", "/maxItems"], report);
        }
        let unique =
            facts.nodes(graph).any(|node| node.array.is_unique) || count.max.is_some_and(|most| most < 2);
        if rules.is_unique && !unique {
            proven = self.fail(facts, goal, "/uniqueItems", Rule::UniqueItemsAdded, report);
        }
        if !proven && report.is_probe() {
            return Ok(false);
        }
        let reach = |at: usize| count.max.is_none_or(|most| (at as u64) < most);
        for (at, wanted) in rules.prefix_items.iter().enumerate().filter(|(at, _)| reach(*at)) {
            let path = child(node.prefix_items_keyword(), at);
            proven &= self.prove_item(facts, goal, &facts.item(graph, at), *wanted, &path, report)?;
        }
        if let Some(rest) = rules.items {
            let described = facts.prefix_len(graph).max(rules.prefix_items.len());
            for at in (rules.prefix_items.len()..=described).filter(|at| reach(*at)) {
                proven &=
                    self.prove_item(facts, goal, &facts.item(graph, at), rest, node.items_keyword(), report)?;
                if !proven && report.is_probe() {
                    return Ok(false);
                }
            }
        }
        if let Some(unevaluated) = rules.unevaluated_items {
            proven &= self.prove_unevaluated_items(facts, goal, unevaluated, report)?;
        }
        if let Some(wanted) = &rules.contains {
            proven &= self.prove_contains(facts, goal, &count, wanted, report)?;
        }
        Ok(proven)
    }

    fn prove_item(
        &mut self,
        facts: &Facts,
        goal: Id,
        item: &PartFacts,
        wanted: Id,
        path: &str,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        if self.graph.node(wanted).accepts_all() {
            return Ok(true);
        }
        // A tuple with an open end may become longer, like an open object may get another property.
        let is_tuple = facts.prefix_len(self.graph) > 0;
        if !item.is_described && item.facts.is_unconstrained() {
            if self.lenient && is_tuple && self.graph.node(wanted).types != TypeSet::NONE {
                return Ok(true);
            }
            return Ok(self.fail(facts, goal, path, Rule::ItemsNarrowed, report));
        }
        if self.graph.node(wanted).types == TypeSet::NONE {
            let empty = self.is_empty(&item.facts)?;
            return Ok(empty || self.fail(facts, goal, path, Rule::ItemsNarrowed, report));
        }
        self.prove_inner(&item.facts, wanted, report)
    }

    fn prove_unevaluated_items(
        &mut self,
        facts: &Facts,
        goal: Id,
        unevaluated: Id,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        if self.graph.node(unevaluated).accepts_all() {
            return Ok(true);
        }
        if self.lenient {
            let graph = self.graph;
            for known in facts.nodes(graph).filter_map(|node| node.array.unevaluated_items) {
                if self.is_equivalent(known, unevaluated)? {
                    return Ok(true);
                }
            }
        }
        Ok(self.fail(facts, goal, "/unevaluatedItems", Rule::CannotProve, report))
    }

    fn prove_contains(
        &mut self,
        facts: &Facts,
        goal: Id,
        count: &CountRange,
        wanted: &Contains,
        report: &mut Report,
    ) -> Result<bool, OutOfFuel> {
        let graph = self.graph;
        let mut least = wanted.count.min == 0;
        let mut most = wanted.count.max.is_none_or(|most| count.max.is_some_and(|items| items <= most));
        for known in facts.nodes(graph).filter_map(|node| node.array.contains.as_ref()) {
            if !least && known.count.min >= wanted.count.min {
                least = self.is_included(known.item, wanted.item)?;
            }
            let fewer =
                known.count.max.is_some_and(|known| wanted.count.max.is_some_and(|most| known <= most));
            if !most && fewer {
                most = self.with_strict_policy(|prover| prover.is_included(wanted.item, known.item))?;
            }
        }
        if !least && count.min >= wanted.count.min {
            // There are enough items, and all of them are valid.
            least = true;
            for at in 0..=facts.prefix_len(graph) {
                let item = facts.item(graph, at);
                let fits = self.descend(|prover| prover.proves(&item.facts, wanted.item));
                least &= fits?;
            }
        }
        if !least {
            let path = if wanted.count.min == 1 { "/contains" } else { "/minContains" };
            return Ok(self.fail(facts, goal, path, Rule::ContainsNarrowed, report));
        }
        Ok(most || self.fail(facts, goal, "/maxContains", Rule::ContainsNarrowed, report))
    }

    /// Proves that every item valid for `one` is valid for `other`.
    fn is_included(&mut self, one: Id, other: Id) -> Result<bool, OutOfFuel> {
        let facts = Facts::of(self.graph, one);
        self.descend(|prover| prover.proves(&facts, other))
    }
}
