//! Whether no value at all can have what is known of it.

use super::super::facts::Facts;
use super::super::fuel::Spent;
use super::super::node::{Count, Id, Kinds};
use super::{Prover, SPLITS, scalar};

impl Prover<'_> {
    /// Whether no value fits to all facts. "No" where that is not found out.
    pub(super) fn is_empty(&mut self, facts: &Facts) -> Result<bool, Spent> {
        self.fuel.burn_many(facts.weight())?;
        if facts.kinds == Kinds::NONE {
            return Ok(true);
        }
        if facts.holds.is_empty() && facts.fails.is_empty() {
            return Ok(false);
        }
        if let Some(known) = self.empty.get(facts) {
            return Ok(*known);
        }
        if !self.fuel.enter() {
            return Ok(false);
        }
        // While this is being found out, it counts as unknown: a value has to end somewhere.
        self.empty.insert(facts.clone(), false);
        let answer = self.strictly(|prover| prover.contradicts(facts));
        self.fuel.leave();
        let answer = answer?;
        self.empty.insert(facts.clone(), answer);
        if answer {
            self.emptied.push(facts.clone());
        }
        Ok(answer)
    }

    /// Whether what is known leaves nothing that fits to this as well.
    pub(super) fn excludes(&mut self, facts: &Facts, id: Id) -> Result<bool, Spent> {
        let mut both = facts.clone();
        both.assume(self.graph, id);
        self.is_empty(&both)
    }

    fn contradicts(&mut self, facts: &Facts) -> Result<bool, Spent> {
        if self.values(facts)?.is_some_and(|values| values.is_empty()) {
            return Ok(true);
        }
        for (at, id) in facts.fails.iter().enumerate() {
            // What is to be shown false is taken out first, so that this ends.
            self.fuel.burn_many(facts.weight())?;
            let mut rest = facts.clone();
            rest.fails.remove(at);
            if self.graph.node(*id).accepts_all() || self.proves(&rest, *id)? {
                return Ok(true);
            }
        }
        let mut kinds = facts.kinds;
        for kind in Kinds::EACH {
            let gone = kinds.meets(kind)
                && match kind {
                    Kinds::NUMBER => scalar::has_no_number(self.graph, facts),
                    Kinds::STRING => is_none(&facts.count(self.graph, |node| &node.string.length)),
                    Kinds::ARRAY => self.has_no_array(facts)?,
                    Kinds::OBJECT => self.has_no_object(facts)?,
                    _ => false,
                };
            if gone {
                kinds = kinds.without(kind);
            }
        }
        if kinds == Kinds::NONE {
            return Ok(true);
        }
        if facts.split.len() < SPLITS {
            for cases in self.told_apart(facts)? {
                let mut none = true;
                for case in &cases {
                    if !self.is_empty(case)? {
                        none = false;
                        break;
                    }
                }
                if none {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn has_no_array(&mut self, facts: &Facts) -> Result<bool, Spent> {
        let count = facts.count(self.graph, |node| &node.array.count);
        if is_none(&count) {
            return Ok(true);
        }
        let described = facts.prefix(self.graph) as u64;
        for at in 0..count.least.min(described + 1) {
            let item = facts.item(self.graph, usize::try_from(at).unwrap_or(usize::MAX));
            if self.is_empty(&item.facts)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_no_object(&mut self, facts: &Facts) -> Result<bool, Spent> {
        let required = facts.required(self.graph);
        let mut count = facts.count(self.graph, |node| &node.object.count);
        count.least = count.least.max(required.len() as u64);
        if is_none(&count) {
            return Ok(true);
        }
        let mut settled = facts.clone();
        settled.kinds = settled.kinds.and(Kinds::OBJECT);
        settled.settle(self.graph);
        if settled.holds != facts.holds {
            return self.is_empty(&settled);
        }
        for name in &required {
            let property = self.property(facts, name)?;
            if self.is_empty(&property.facts)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_none(count: &Count) -> bool {
    count.most.is_some_and(|most| most < count.least)
}
