//! Properties that a revision takes away, and whether they were deprecated for long enough.
//!
//! This is no question of sets: an event that has a property too many is read by everybody who is open. It is a promise
//! to consumers. Nothing is removed that was not marked `deprecated: true` in two revisions before.

use std::collections::{BTreeSet, HashSet};

use super::fuel::{Fuel, Spent};
use super::node::{Graph, Id, Kinds};

/// How many revisions have to mark a property before it may go.
const MARKED: usize = 2;

/// The properties of one registered revision that a new one does not have.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// Those that were deprecated for long enough.
    pub(super) waived: BTreeSet<Id>,
    /// Those that were not, and in how many of the last revisions they were marked.
    pub(super) refused: Vec<(Id, usize)>,
}

/// Subschemas for the same place in the new schema, and in each of the registered ones.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    new: Vec<Id>,
    registered: Vec<Vec<Id>>,
}

/// Finds what the new schema does not have any more of the revision at an index.
pub(super) fn find(new: &Graph, registered: &[&Graph], at: usize, fuel: &mut Fuel) -> Result<Removal, Spent> {
    let mut removal = Removal::default();
    let root = |graph: &Graph| in_place(graph, &[Graph::ROOT]);
    let mut rest =
        vec![Place { new: root(new), registered: registered.iter().map(|graph| root(graph)).collect() }];
    let mut seen: HashSet<Place> = rest.iter().cloned().collect();
    while let Some(place) = rest.pop() {
        fuel.burn_many(4 + place.weight())?;
        let old = registered[at];
        let is_object = place.new.iter().all(|id| new.node(*id).possible.meets(Kinds::OBJECT));
        let is_array = place.new.iter().all(|id| new.node(*id).possible.meets(Kinds::ARRAY));
        let nodes = || place.registered[at].iter().map(|id| old.node(*id));
        let mut inner = Vec::new();
        for name in nodes()
            .filter(|_| is_object)
            .flat_map(|node| node.object.properties.keys())
            .collect::<BTreeSet<_>>()
        {
            fuel.burn_many(4 + place.weight())?;
            let step = |graph: &Graph, ids: &[Id]| property(graph, ids, name);
            let next = place.step(new, registered, &step);
            if next.new.is_empty() {
                let marks = next.marks(registered);
                for id in nodes().filter_map(|node| node.object.properties.get(name)) {
                    if marks >= MARKED {
                        removal.waived.insert(*id);
                    } else if !removal.refused.iter().any(|(known, _)| known == id) {
                        removal.refused.push((*id, marks));
                    }
                }
            } else {
                inner.push(next);
            }
        }
        let longest = nodes().map(|node| node.array.prefix.len()).max().unwrap_or(0);
        if is_array && nodes().any(|node| node.array.rest.is_some() || !node.array.prefix.is_empty()) {
            for at in 0..=longest {
                inner.push(place.step(new, registered, &|graph, ids| item(graph, ids, at)));
            }
        }
        if is_object && nodes().any(|node| node.object.additional.is_some()) {
            inner.push(place.step(new, registered, &additional));
        }
        for next in inner {
            if !next.new.is_empty() && !next.registered[at].is_empty() && seen.insert(next.clone()) {
                rest.push(next);
            }
        }
    }
    removal.refused.sort_unstable();
    Ok(removal)
}

impl Place {
    fn step(&self, new: &Graph, registered: &[&Graph], step: &dyn Fn(&Graph, &[Id]) -> Vec<Id>) -> Self {
        let inner = registered.iter().zip(&self.registered);
        Self { new: step(new, &self.new), registered: inner.map(|(graph, ids)| step(graph, ids)).collect() }
    }

    /// What it costs to go on from here, in steps.
    fn weight(&self) -> usize {
        self.new.len() + self.registered.iter().map(|ids| 1 + ids.len()).sum::<usize>()
    }

    /// In how many of the last revisions that have this property it is deprecated.
    fn marks(&self, registered: &[&Graph]) -> usize {
        let having = self.registered.iter().zip(registered).filter(|(ids, _)| !ids.is_empty()).rev();
        having.take(MARKED).filter(|(ids, graph)| ids.iter().any(|id| graph.node(*id).deprecated)).count()
    }
}

/// Subschemas with all that apply to the same value, except what must not fit.
fn in_place(graph: &Graph, ids: &[Id]) -> Vec<Id> {
    let mut found: BTreeSet<Id> = BTreeSet::new();
    let mut rest = ids.to_vec();
    while let Some(id) = rest.pop() {
        if found.insert(id) {
            let node = graph.node(id);
            rest.extend(node.in_place().filter(|inner| node.not != Some(*inner)));
        }
    }
    found.into_iter().collect()
}

fn property(graph: &Graph, ids: &[Id], name: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for id in ids {
        let object = &graph.node(*id).object;
        found.extend(object.properties.get(name));
        let matching = object.patterns.iter().filter(|(pattern, _)| graph.matches(pattern, name));
        found.extend(matching.map(|(_, id)| *id));
    }
    in_place(graph, &found)
}

fn item(graph: &Graph, ids: &[Id], at: usize) -> Vec<Id> {
    let arrays = ids.iter().map(|id| &graph.node(*id).array);
    let found: Vec<Id> = arrays.filter_map(|array| array.prefix.get(at).copied().or(array.rest)).collect();
    in_place(graph, &found)
}

fn additional(graph: &Graph, ids: &[Id]) -> Vec<Id> {
    let found: Vec<Id> = ids.iter().filter_map(|id| graph.node(*id).object.additional).collect();
    in_place(graph, &found)
}
