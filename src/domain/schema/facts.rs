//! What is known of a value, whatever it is: the side of a comparison from which is concluded.

use std::collections::BTreeSet;

use super::node::{Count, Graph, Id, Kinds, Node};

/// Subschemas that a value fits to, subschemas that it does not fit to, and what else is assumed of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// Closed under `$ref` and `allOf`.
    pub(super) holds: Vec<Id>,
    pub(super) fails: Vec<Id>,
    /// Properties that are there.
    pub(super) present: BTreeSet<String>,
    pub(super) kinds: Kinds,
    /// Subschemas whose alternatives were told apart.
    pub(super) split: Vec<Id>,
}

/// What is known of a part of a value.
pub(super) struct Part {
    pub(super) facts: Facts,
    /// Whether a schema speaks of this part by name or place.
    pub(super) is_described: bool,
}

impl Facts {
    /// Nothing is known.
    pub(super) fn none() -> Self {
        Self {
            holds: Vec::new(),
            fails: Vec::new(),
            present: BTreeSet::new(),
            kinds: Kinds::ALL,
            split: Vec::new(),
        }
    }

    /// The value fits to this.
    pub(super) fn of(graph: &Graph, id: Id) -> Self {
        let mut facts = Self::none();
        facts.assume(graph, id);
        facts
    }

    /// The value fits to this as well.
    pub(super) fn assume(&mut self, graph: &Graph, id: Id) {
        let node = graph.node(id);
        if self.holds.contains(&id) || node.accepts_all() {
            return;
        }
        self.holds.push(id);
        self.kinds = self.kinds.and(node.possible);
        node.not.into_iter().for_each(|id| self.deny(id));
        for id in node.all.iter().copied().chain(node.reference) {
            self.assume(graph, id);
        }
        for alternatives in [&node.any, &node.one] {
            if let [only] = alternatives.as_slice() {
                self.assume(graph, *only);
            }
        }
    }

    /// The value does not fit to this.
    pub(super) fn deny(&mut self, id: Id) {
        if !self.fails.contains(&id) {
            self.fails.push(id);
        }
    }

    /// What it costs to have a copy of this, in steps.
    pub(super) fn weight(&self) -> usize {
        1 + (self.holds.len() + self.fails.len() + 4 * self.present.len()) / 8
    }

    /// What it costs to ask for one property, in steps.
    pub(super) fn breadth(&self, graph: &Graph) -> usize {
        let of = |node: &Node| node.weight as usize / 16 + node.object.patterns.len();
        1 + self.nodes(graph).map(of).sum::<usize>() / 2
    }

    /// Nothing but the kinds of values is known.
    pub(super) fn is_silent(&self) -> bool {
        self.holds.is_empty() && self.fails.is_empty() && self.kinds == Kinds::ALL
    }

    pub(super) fn nodes<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a Node> {
        self.holds.iter().map(|id| graph.node(*id))
    }

    /// Takes in what follows for an object from the properties that it is known to have.
    pub(super) fn settle(&mut self, graph: &Graph) {
        loop {
            let required = self.required(graph);
            let implied: Vec<Id> = self
                .nodes(graph)
                .flat_map(|node| &node.object.implies)
                .filter(|(name, id)| required.contains(*name) && !self.holds.contains(id))
                .map(|(_, id)| *id)
                .filter(|id| !graph.node(*id).accepts_all())
                .collect();
            if implied.is_empty() {
                return;
            }
            for id in implied {
                self.assume(graph, id);
            }
        }
    }

    /// The properties that an object is known to have.
    pub(super) fn required(&self, graph: &Graph) -> BTreeSet<String> {
        let mut required = self.present.clone();
        required.extend(self.nodes(graph).flat_map(|node| node.object.required.iter().cloned()));
        loop {
            let known = required.len();
            for (name, needed) in self.nodes(graph).flat_map(|node| &node.object.needs) {
                if required.contains(name) {
                    required.extend(needed.iter().cloned());
                }
            }
            if required.len() == known {
                return required;
            }
        }
    }

    /// How many there are, by the tightest of the counts.
    pub(super) fn count(&self, graph: &Graph, of: impl Fn(&Node) -> &Count) -> Count {
        self.nodes(graph).map(of).fold(Count::default(), |known, count| Count {
            least: known.least.max(count.least),
            most: [known.most, count.most].into_iter().flatten().min(),
        })
    }

    /// What is known of a property.
    pub(super) fn property(&self, graph: &Graph, name: &str) -> Part {
        let mut facts = Self::none();
        let mut is_described = false;
        for node in self.nodes(graph) {
            let object = &node.object;
            let matching = object.patterns.iter().filter(|(pattern, _)| graph.matches(pattern, name));
            let mut described = false;
            for id in object.properties.get(name).into_iter().chain(matching.map(|(_, id)| id)) {
                facts.assume(graph, *id);
                described = true;
            }
            if !described {
                if let Some(id) = object.additional {
                    facts.assume(graph, id);
                } else if let Some(id) = object.unevaluated.filter(|_| !may_evaluate(graph, node, Some(name)))
                {
                    facts.assume(graph, id);
                }
            }
            is_described |= described || mentions(graph, node, name);
        }
        Part { facts, is_described }
    }

    /// The names that any of the known schemas has a word for.
    pub(super) fn names(&self, graph: &Graph) -> BTreeSet<String> {
        let mut names: BTreeSet<String> =
            self.nodes(graph).flat_map(|node| node.object.properties.keys().cloned()).collect();
        // What is refused because nobody evaluates it has to be asked for by name.
        for node in self.nodes(graph).filter(|node| node.object.unevaluated.is_some()) {
            let mut rest: Vec<Id> = node.in_place().collect();
            let mut seen: BTreeSet<Id> = BTreeSet::new();
            while let Some(id) = rest.pop() {
                if seen.insert(id) {
                    let inner = graph.node(id);
                    names.extend(inner.object.properties.keys().cloned());
                    rest.extend(inner.in_place());
                }
            }
        }
        names
    }

    /// What is known of an item.
    pub(super) fn item(&self, graph: &Graph, at: usize) -> Part {
        let mut facts = Self::none();
        let mut is_described = false;
        for node in self.nodes(graph) {
            let prefix = node.array.prefix.get(at).copied();
            is_described |= prefix.is_some();
            if let Some(id) = prefix.or(node.array.rest) {
                facts.assume(graph, id);
            }
        }
        Part { facts, is_described }
    }

    /// The longest list of described items.
    pub(super) fn prefix(&self, graph: &Graph) -> usize {
        self.nodes(graph).map(|node| node.array.prefix.len()).max().unwrap_or(0)
    }
}

/// Whether a schema speaks of a property, be it in an alternative.
pub(super) fn mentions(graph: &Graph, node: &Node, name: &str) -> bool {
    node.object.properties.contains_key(name)
        || node.object.patterns.keys().any(|pattern| graph.matches(pattern, name))
        || node.in_place().any(|id| mentions(graph, graph.node(id), name))
}

/// Whether something beside `unevaluatedProperties` can have evaluated this property, or one that has no name here.
pub(super) fn may_evaluate(graph: &Graph, node: &Node, name: Option<&str>) -> bool {
    node.in_place().any(|id| {
        let inner = graph.node(id);
        let object = &inner.object;
        object.additional.is_some()
            || object.unevaluated.is_some()
            || match name {
                Some(name) => {
                    object.properties.contains_key(name)
                        || object.patterns.keys().any(|pattern| graph.matches(pattern, name))
                }
                None => !object.patterns.is_empty(),
            }
            || may_evaluate(graph, inner, name)
    })
}
