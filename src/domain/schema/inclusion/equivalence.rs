//! Structural equality of subschemas.

use std::collections::HashSet;

use super::super::fuel::OutOfFuel;
use super::super::node::{Graph, Id, Node};
use super::Prover;

impl Prover<'_> {
    /// Whether two subschemas have equal keywords in the same order, with `$ref` followed and annotations ignored.
    pub(super) fn is_equivalent(&mut self, one: Id, other: Id) -> Result<bool, OutOfFuel> {
        let first = (resolve_alias(self.graph, one), resolve_alias(self.graph, other));
        if first.0 == first.1 {
            return Ok(true);
        }
        if let Some(known) = self.same.get(&first) {
            return Ok(*known);
        }
        // Coinductive: a pair without a difference is equivalent, however often it refers to itself.
        let mut assumed = vec![first];
        let mut known_pairs = HashSet::from([first]);
        let mut at = 0;
        while let Some(&pair) = assumed.get(at) {
            at += 1;
            self.fuel.consume(1)?;
            let (one, other) = (self.graph.node(pair.0), self.graph.node(pair.1));
            if !has_equal_keywords(one, other) {
                self.same.insert(pair, false);
                self.same.insert(first, false);
                return Ok(false);
            }
            for (one, other) in one.in_place().chain(one.inner()).zip(other.in_place().chain(other.inner())) {
                let pair = (resolve_alias(self.graph, one), resolve_alias(self.graph, other));
                match self.same.get(&pair) {
                    Some(false) => {
                        self.same.insert(first, false);
                        return Ok(false);
                    }
                    None if pair.0 != pair.1 && known_pairs.insert(pair) => assumed.push(pair),
                    _ => {}
                }
            }
        }
        self.same.extend(assumed.into_iter().map(|pair| (pair, true)));
        Ok(true)
    }

    /// Whether two lists of subschemas are equivalent one by one.
    pub(super) fn are_equivalent(&mut self, ones: &[Id], others: &[Id]) -> Result<bool, OutOfFuel> {
        if ones.len() != others.len() {
            return Ok(false);
        }
        for (one, other) in ones.iter().zip(others) {
            if !self.is_equivalent(*one, *other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether two optional subschemas are both absent or equivalent.
    pub(super) fn are_equivalent_options(
        &mut self,
        one: Option<Id>,
        other: Option<Id>,
    ) -> Result<bool, OutOfFuel> {
        match (one, other) {
            (None, None) => Ok(true),
            (Some(one), Some(other)) => self.is_equivalent(one, other),
            _ => Ok(false),
        }
    }
}

/// Follows subschemas that are nothing but a reference.
fn resolve_alias(graph: &Graph, mut id: Id) -> Id {
    while let (true, Some(target)) = (graph.node(id).is_alias(), graph.node(id).reference) {
        id = target;
    }
    id
}

/// Whether two nodes have equal keywords, apart from the content of their subschemas.
fn has_equal_keywords(one: &Node, other: &Node) -> bool {
    let (a, b) = (&one.object, &other.object);
    let (x, y) = (&one.array, &other.array);
    let object = a.properties.keys().eq(b.properties.keys())
        && a.pattern_properties.keys().eq(b.pattern_properties.keys())
        && a.additional_properties.is_some() == b.additional_properties.is_some()
        && a.unevaluated_properties.is_some() == b.unevaluated_properties.is_some()
        && a.property_names.is_some() == b.property_names.is_some()
        && a.required == b.required
        && a.count == b.count
        && a.dependent_required == b.dependent_required
        && a.dependent_schemas.keys().eq(b.dependent_schemas.keys());
    let array = x.prefix_items.len() == y.prefix_items.len()
        && x.items.is_some() == y.items.is_some()
        && x.unevaluated_items.is_some() == y.unevaluated_items.is_some()
        && x.contains.as_ref().map(|contains| &contains.count)
            == y.contains.as_ref().map(|contains| &contains.count)
        && x.count == y.count
        && x.is_unique == y.is_unique;
    let shape = |node: &Node| {
        let condition = node.condition.as_ref();
        (
            [node.all_of.len(), node.any_of.len(), node.one_of.len()],
            [node.not.is_some(), node.reference.is_some(), condition.is_some()],
            condition.map(|condition| (condition.then.is_some(), condition.otherwise.is_some())),
        )
    };
    let allowed = |node: &Node| node.enum_values.as_ref().map(|allowed| allowed.keys.len());
    one.types == other.types
        && one.number == other.number
        && one.string == other.string
        && (one.string.annotations.is_empty() || one.draft == other.draft)
        && object
        && array
        && shape(one) == shape(other)
        && allowed(one) == allowed(other)
        && one
            .enum_values
            .as_ref()
            .zip(other.enum_values.as_ref())
            .is_none_or(|(one, other)| one.keys == other.keys)
}
