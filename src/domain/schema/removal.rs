//! Finds removed properties and checks that they were deprecated for long enough.
//!
//! This is a promise to consumers, not a question of sets: a consumer with an open schema reads an event without the
//! property. A property may be removed only after two revisions marked it `deprecated: true`.

use std::collections::{BTreeSet, HashSet};

use super::fuel::{Fuel, OutOfFuel};
use super::node::{Graph, Id, TypeSet};

/// Number of revisions that have to mark a property as deprecated before it may be removed.
const REQUIRED_DEPRECATIONS: usize = 2;

/// Properties of one registered revision that the new one does not have.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// Deprecated for long enough.
    pub(super) allowed: BTreeSet<Id>,
    /// Not deprecated for long enough, with the number of the last revisions that marked them.
    pub(super) refused: Vec<(Id, usize)>,
}

/// The subschemas for one location, in the new schema and in each registered one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Location {
    new: Vec<Id>,
    registered: Vec<Vec<Id>>,
}

/// Finds the properties of the registered revision with index `at` that the new schema does not have.
pub(super) fn find(
    new: &Graph,
    registered: &[&Graph],
    at: usize,
    fuel: &mut Fuel,
) -> Result<Removal, OutOfFuel> {
    let mut removal = Removal::default();
    let root = |graph: &Graph| in_place(graph, &[Graph::ROOT]);
    let mut pending =
        vec![Location { new: root(new), registered: registered.iter().map(|graph| root(graph)).collect() }];
    let mut visited: HashSet<Location> = pending.iter().cloned().collect();
    while let Some(location) = pending.pop() {
        fuel.consume(4 + location.step_cost())?;
        let old = registered[at];
        let is_object =
            location.new.iter().all(|id| new.node(*id).possible_types.intersects(TypeSet::OBJECT));
        let is_array = location.new.iter().all(|id| new.node(*id).possible_types.intersects(TypeSet::ARRAY));
        let nodes = || location.registered[at].iter().map(|id| old.node(*id));
        let mut inner = Vec::new();
        for name in nodes()
            .filter(|_| is_object)
            .flat_map(|node| node.object.properties.keys())
            .collect::<BTreeSet<_>>()
        {
            fuel.consume(4 + location.step_cost())?;
            let step = |graph: &Graph, ids: &[Id]| property(graph, ids, name);
            let next = location.step(new, registered, &step);
            if next.new.is_empty() {
                let deprecations = next.deprecations(registered);
                for id in nodes().filter_map(|node| node.object.properties.get(name)) {
                    if deprecations >= REQUIRED_DEPRECATIONS {
                        removal.allowed.insert(*id);
                    } else if !removal.refused.iter().any(|(known, _)| known == id) {
                        removal.refused.push((*id, deprecations));
                    }
                }
            } else {
                inner.push(next);
            }
        }
        let longest = nodes().map(|node| node.array.prefix_items.len()).max().unwrap_or(0);
        if is_array && nodes().any(|node| node.array.items.is_some() || !node.array.prefix_items.is_empty()) {
            for at in 0..=longest {
                inner.push(location.step(new, registered, &|graph, ids| item(graph, ids, at)));
            }
        }
        if is_object && nodes().any(|node| node.object.additional_properties.is_some()) {
            inner.push(location.step(new, registered, &additional));
        }
        for next in inner {
            if !next.new.is_empty() && !next.registered[at].is_empty() && visited.insert(next.clone()) {
                pending.push(next);
            }
        }
    }
    removal.refused.sort_unstable();
    Ok(removal)
}

impl Location {
    fn step(&self, new: &Graph, registered: &[&Graph], step: &dyn Fn(&Graph, &[Id]) -> Vec<Id>) -> Self {
        let inner = registered.iter().zip(&self.registered);
        Self { new: step(new, &self.new), registered: inner.map(|(graph, ids)| step(graph, ids)).collect() }
    }

    /// Cost of one step from here, in steps.
    fn step_cost(&self) -> usize {
        self.new.len() + self.registered.iter().map(|ids| 1 + ids.len()).sum::<usize>()
    }

    /// Number of the last revisions with this property that mark it as deprecated.
    fn deprecations(&self, registered: &[&Graph]) -> usize {
        let having = self.registered.iter().zip(registered).filter(|(ids, _)| !ids.is_empty()).rev();
        having
            .take(REQUIRED_DEPRECATIONS)
            .filter(|(ids, graph)| ids.iter().any(|id| graph.node(*id).deprecated))
            .count()
    }
}

/// Subschemas together with all in-place subschemas, `not` excepted.
fn in_place(graph: &Graph, ids: &[Id]) -> Vec<Id> {
    let mut found: BTreeSet<Id> = BTreeSet::new();
    let mut pending = ids.to_vec();
    while let Some(id) = pending.pop() {
        if found.insert(id) {
            let node = graph.node(id);
            pending.extend(node.in_place().filter(|inner| node.not != Some(*inner)));
        }
    }
    found.into_iter().collect()
}

fn property(graph: &Graph, ids: &[Id], name: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for id in ids {
        let object = &graph.node(*id).object;
        found.extend(object.properties.get(name));
        let matching = object.pattern_properties.iter().filter(|(pattern, _)| graph.matches(pattern, name));
        found.extend(matching.map(|(_, id)| *id));
    }
    in_place(graph, &found)
}

fn item(graph: &Graph, ids: &[Id], at: usize) -> Vec<Id> {
    let arrays = ids.iter().map(|id| &graph.node(*id).array);
    let found: Vec<Id> =
        arrays.filter_map(|array| array.prefix_items.get(at).copied().or(array.items)).collect();
    in_place(graph, &found)
}

fn additional(graph: &Graph, ids: &[Id]) -> Vec<Id> {
    let found: Vec<Id> = ids.iter().filter_map(|id| graph.node(*id).object.additional_properties).collect();
    in_place(graph, &found)
}
