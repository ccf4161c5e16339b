//! Proofs that no value satisfies the facts.

use super::super::facts::Facts;
use super::super::fuel::OutOfFuel;
use super::super::node::{CountRange, Id, TypeSet};
use super::{MAX_SPLITS, Prover, scalar};

impl Prover<'_> {
    /// Whether no value satisfies all facts. `false` if that cannot be proven.
    pub(super) fn is_empty(&mut self, facts: &Facts) -> Result<bool, OutOfFuel> {
        self.fuel.consume(facts.copy_cost())?;
        if facts.types == TypeSet::NONE {
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
        // Until this is proven it counts as not proven: a value has to be finite.
        self.empty.insert(facts.clone(), false);
        let answer = self.with_strict_policy(|prover| prover.contradicts(facts));
        self.fuel.leave();
        let answer = answer?;
        self.empty.insert(facts.clone(), answer);
        if answer {
            self.proven_empty.push(facts.clone());
        }
        Ok(answer)
    }

    /// Whether no value satisfies the facts and is valid for a subschema.
    pub(super) fn excludes(&mut self, facts: &Facts, id: Id) -> Result<bool, OutOfFuel> {
        let mut both = facts.clone();
        both.assume(self.graph, id);
        self.is_empty(&both)
    }

    fn contradicts(&mut self, facts: &Facts) -> Result<bool, OutOfFuel> {
        if self.enumerate_values(facts)?.is_some_and(|values| values.is_empty()) {
            return Ok(true);
        }
        for (at, id) in facts.fails.iter().enumerate() {
            // The denied subschema to prove is removed from the facts, so that the recursion ends.
            self.fuel.consume(facts.copy_cost())?;
            let mut rest = facts.clone();
            rest.fails.remove(at);
            if self.graph.node(*id).accepts_all() || self.proves(&rest, *id)? {
                return Ok(true);
            }
        }
        let mut types = facts.types;
        for type_ in TypeSet::BASIC {
            let is_impossible = types.intersects(type_)
                && match type_ {
                    TypeSet::NUMBER => scalar::has_no_number(self.graph, facts),
                    TypeSet::STRING => is_none(&facts.count(self.graph, |node| &node.string.length)),
                    TypeSet::ARRAY => self.has_no_array(facts)?,
                    TypeSet::OBJECT => self.has_no_object(facts)?,
                    _ => false,
                };
            if is_impossible {
                types = types.difference(type_);
            }
        }
        if types == TypeSet::NONE {
            return Ok(true);
        }
        if facts.split.len() < MAX_SPLITS {
            for cases in self.alternatives_of(facts)? {
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

    fn has_no_array(&mut self, facts: &Facts) -> Result<bool, OutOfFuel> {
        let count = facts.count(self.graph, |node| &node.array.count);
        if is_none(&count) {
            return Ok(true);
        }
        let described = facts.prefix_len(self.graph) as u64;
        for at in 0..count.min.min(described + 1) {
            let item = facts.item(self.graph, usize::try_from(at).unwrap_or(usize::MAX));
            if self.is_empty(&item.facts)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_no_object(&mut self, facts: &Facts) -> Result<bool, OutOfFuel> {
        let required = facts.required(self.graph);
        let mut count = facts.count(self.graph, |node| &node.object.count);
        count.min = count.min.max(required.len() as u64);
        if is_none(&count) {
            return Ok(true);
        }
        let mut settled = facts.clone();
        settled.types = settled.types.intersection(TypeSet::OBJECT);
        settled.apply_dependent_schemas(self.graph);
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

fn is_none(count: &CountRange) -> bool {
    count.max.is_some_and(|most| most < count.min)
}
