//! Whether two subschemas say the same, keyword by keyword.

use std::collections::HashSet;

use super::super::fuel::Spent;
use super::super::node::{Graph, Id, Node};
use super::Prover;

impl Prover<'_> {
    /// Whether two subschemas say the same in the same order, `$ref` followed. Titles, defaults and the like do not count.
    pub(super) fn is_same(&mut self, one: Id, other: Id) -> Result<bool, Spent> {
        let first = (alias(self.graph, one), alias(self.graph, other));
        if first.0 == first.1 {
            return Ok(true);
        }
        if let Some(known) = self.same.get(&first) {
            return Ok(*known);
        }
        // What is found to differ nowhere is the same, however often it refers to itself.
        let mut assumed = vec![first];
        let mut seen = HashSet::from([first]);
        let mut at = 0;
        while let Some(&pair) = assumed.get(at) {
            at += 1;
            self.fuel.burn()?;
            let (one, other) = (self.graph.node(pair.0), self.graph.node(pair.1));
            if !says_the_same(one, other) {
                self.same.insert(pair, false);
                self.same.insert(first, false);
                return Ok(false);
            }
            for (one, other) in one.in_place().chain(one.inner()).zip(other.in_place().chain(other.inner())) {
                let pair = (alias(self.graph, one), alias(self.graph, other));
                match self.same.get(&pair) {
                    Some(false) => {
                        self.same.insert(first, false);
                        return Ok(false);
                    }
                    None if pair.0 != pair.1 && seen.insert(pair) => assumed.push(pair),
                    _ => {}
                }
            }
        }
        self.same.extend(assumed.into_iter().map(|pair| (pair, true)));
        Ok(true)
    }

    /// Whether two lists of subschemas say the same one by one.
    pub(super) fn are_same(&mut self, ones: &[Id], others: &[Id]) -> Result<bool, Spent> {
        if ones.len() != others.len() {
            return Ok(false);
        }
        for (one, other) in ones.iter().zip(others) {
            if !self.is_same(*one, *other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether two optional subschemas are both absent or say the same.
    pub(super) fn agree(&mut self, one: Option<Id>, other: Option<Id>) -> Result<bool, Spent> {
        match (one, other) {
            (None, None) => Ok(true),
            (Some(one), Some(other)) => self.is_same(one, other),
            _ => Ok(false),
        }
    }
}

/// What a subschema that is nothing but a reference stands for.
fn alias(graph: &Graph, mut id: Id) -> Id {
    while let (true, Some(target)) = (graph.node(id).is_alias(), graph.node(id).reference) {
        id = target;
    }
    id
}

/// Whether two nodes differ in nothing but the subschemas that they name, of which they have the same number.
fn says_the_same(one: &Node, other: &Node) -> bool {
    let (a, b) = (&one.object, &other.object);
    let (x, y) = (&one.array, &other.array);
    let object = a.properties.keys().eq(b.properties.keys())
        && a.patterns.keys().eq(b.patterns.keys())
        && a.additional.is_some() == b.additional.is_some()
        && a.unevaluated.is_some() == b.unevaluated.is_some()
        && a.names.is_some() == b.names.is_some()
        && a.required == b.required
        && a.count == b.count
        && a.needs == b.needs
        && a.implies.keys().eq(b.implies.keys());
    let array = x.prefix.len() == y.prefix.len()
        && x.rest.is_some() == y.rest.is_some()
        && x.unevaluated.is_some() == y.unevaluated.is_some()
        && x.contains.as_ref().map(|contains| &contains.count)
            == y.contains.as_ref().map(|contains| &contains.count)
        && x.count == y.count
        && x.unique == y.unique;
    let shape = |node: &Node| {
        let condition = node.condition.as_ref();
        (
            [node.all.len(), node.any.len(), node.one.len()],
            [node.not.is_some(), node.reference.is_some(), condition.is_some()],
            condition.map(|condition| (condition.then.is_some(), condition.otherwise.is_some())),
        )
    };
    let allowed = |node: &Node| node.allowed.as_ref().map(|allowed| allowed.keys.len());
    one.kinds == other.kinds
        && one.number == other.number
        && one.string == other.string
        && (one.string.hints.is_empty() || one.seven == other.seven)
        && object
        && array
        && shape(one) == shape(other)
        && allowed(one) == allowed(other)
        && one.allowed.as_ref().zip(other.allowed.as_ref()).is_none_or(|(one, other)| one.keys == other.keys)
}
