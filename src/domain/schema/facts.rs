//! Facts about an arbitrary value: the premises of a proof.

use std::collections::BTreeSet;

use super::node::{CountRange, Graph, Id, Node, TypeSet};

/// What is known about a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// Subschemas for which the value is valid. Closed under `$ref` and `allOf`.
    pub(super) holds: Vec<Id>,
    pub(super) fails: Vec<Id>,
    /// Properties that the value has.
    pub(super) present: BTreeSet<String>,
    pub(super) types: TypeSet,
    /// Subschemas whose alternatives were already split into cases.
    pub(super) split: Vec<Id>,
}

/// Facts about a property or an item of a value.
pub(super) struct PartFacts {
    pub(super) facts: Facts,
    /// Whether a schema describes this part by name, pattern or position.
    pub(super) is_described: bool,
}

impl Facts {
    /// No facts.
    pub(super) fn none() -> Self {
        Self {
            holds: Vec::new(),
            fails: Vec::new(),
            present: BTreeSet::new(),
            types: TypeSet::ALL,
            split: Vec::new(),
        }
    }

    /// The facts that follow from one valid subschema.
    pub(super) fn of(graph: &Graph, id: Id) -> Self {
        let mut facts = Self::none();
        facts.assume(graph, id);
        facts
    }

    /// Adds a subschema for which the value is valid.
    pub(super) fn assume(&mut self, graph: &Graph, id: Id) {
        let node = graph.node(id);
        if self.holds.contains(&id) || node.accepts_all() {
            return;
        }
        self.holds.push(id);
        self.types = self.types.intersection(node.possible_types);
        node.not.into_iter().for_each(|id| self.deny(id));
        for id in node.all_of.iter().copied().chain(node.reference) {
            self.assume(graph, id);
        }
        for alternatives in [&node.any_of, &node.one_of] {
            if let [only] = alternatives.as_slice() {
                self.assume(graph, *only);
            }
        }
    }

    /// Adds a subschema for which the value is invalid.
    pub(super) fn deny(&mut self, id: Id) {
        if !self.fails.contains(&id) {
            self.fails.push(id);
        }
    }

    /// Cost of copying these facts, in steps.
    pub(super) fn copy_cost(&self) -> usize {
        1 + (self.holds.len() + self.fails.len() + 4 * self.present.len()) / 8
    }

    /// Cost of [`Facts::property`], in steps.
    pub(super) fn property_cost(&self, graph: &Graph) -> usize {
        let of = |node: &Node| node.weight as usize / 16 + node.object.pattern_properties.len();
        1 + self.nodes(graph).map(of).sum::<usize>() / 2
    }

    /// Whether nothing restricts the value.
    pub(super) fn is_unconstrained(&self) -> bool {
        self.holds.is_empty() && self.fails.is_empty() && self.types == TypeSet::ALL
    }

    pub(super) fn nodes<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a Node> {
        self.holds.iter().map(|id| graph.node(*id))
    }

    /// Adds the `dependentSchemas` of the properties that an object is known to have.
    pub(super) fn apply_dependent_schemas(&mut self, graph: &Graph) {
        loop {
            let required = self.required(graph);
            let implied: Vec<Id> = self
                .nodes(graph)
                .flat_map(|node| &node.object.dependent_schemas)
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

    /// Properties that an object is known to have.
    pub(super) fn required(&self, graph: &Graph) -> BTreeSet<String> {
        let mut required = self.present.clone();
        required.extend(self.nodes(graph).flat_map(|node| node.object.required.iter().cloned()));
        loop {
            let known = required.len();
            for (name, needed) in self.nodes(graph).flat_map(|node| &node.object.dependent_required) {
                if required.contains(name) {
                    required.extend(needed.iter().cloned());
                }
            }
            if required.len() == known {
                return required;
            }
        }
    }

    /// The intersection of one kind of count over all valid subschemas.
    pub(super) fn count(&self, graph: &Graph, of: impl Fn(&Node) -> &CountRange) -> CountRange {
        self.nodes(graph).map(of).fold(CountRange::default(), |known, count| CountRange {
            min: known.min.max(count.min),
            max: [known.max, count.max].into_iter().flatten().min(),
        })
    }

    /// Facts about a property.
    pub(super) fn property(&self, graph: &Graph, name: &str) -> PartFacts {
        let mut facts = Self::none();
        let mut is_described = false;
        for node in self.nodes(graph) {
            let object = &node.object;
            let matching =
                object.pattern_properties.iter().filter(|(pattern, _)| graph.matches(pattern, name));
            let mut described = false;
            for id in object.properties.get(name).into_iter().chain(matching.map(|(_, id)| id)) {
                facts.assume(graph, *id);
                described = true;
            }
            if !described {
                if let Some(id) = object.additional_properties {
                    facts.assume(graph, id);
                } else if let Some(id) =
                    object.unevaluated_properties.filter(|_| !may_evaluate(graph, node, Some(name)))
                {
                    facts.assume(graph, id);
                }
            }
            is_described |= described || mentions(graph, node, name);
        }
        PartFacts { facts, is_described }
    }

    /// Names of properties that any of the valid subschemas mentions.
    pub(super) fn names(&self, graph: &Graph) -> BTreeSet<String> {
        let mut names: BTreeSet<String> =
            self.nodes(graph).flat_map(|node| node.object.properties.keys().cloned()).collect();
        // Names that only `unevaluatedProperties` refuses have to be examined one by one.
        for node in self.nodes(graph).filter(|node| node.object.unevaluated_properties.is_some()) {
            let mut rest: Vec<Id> = node.in_place().collect();
            let mut visited: BTreeSet<Id> = BTreeSet::new();
            while let Some(id) = rest.pop() {
                if visited.insert(id) {
                    let inner = graph.node(id);
                    names.extend(inner.object.properties.keys().cloned());
                    rest.extend(inner.in_place());
                }
            }
        }
        names
    }

    /// Facts about an item.
    pub(super) fn item(&self, graph: &Graph, at: usize) -> PartFacts {
        let mut facts = Self::none();
        let mut is_described = false;
        for node in self.nodes(graph) {
            let prefix = node.array.prefix_items.get(at).copied();
            is_described |= prefix.is_some();
            if let Some(id) = prefix.or(node.array.items) {
                facts.assume(graph, id);
            }
        }
        PartFacts { facts, is_described }
    }

    /// Length of the longest `prefixItems`.
    pub(super) fn prefix_len(&self, graph: &Graph) -> usize {
        self.nodes(graph).map(|node| node.array.prefix_items.len()).max().unwrap_or(0)
    }
}

/// Whether a schema mentions a property, possibly in an alternative.
pub(super) fn mentions(graph: &Graph, node: &Node, name: &str) -> bool {
    node.object.properties.contains_key(name)
        || node.object.pattern_properties.keys().any(|pattern| graph.matches(pattern, name))
        || node.in_place().any(|id| mentions(graph, graph.node(id), name))
}

/// Whether a subschema beside `unevaluatedProperties` may evaluate this property, or, without a name, any property.
pub(super) fn may_evaluate(graph: &Graph, node: &Node, name: Option<&str>) -> bool {
    node.in_place().any(|id| {
        let inner = graph.node(id);
        let object = &inner.object;
        object.additional_properties.is_some()
            || object.unevaluated_properties.is_some()
            || match name {
                Some(name) => {
                    object.properties.contains_key(name)
                        || object.pattern_properties.keys().any(|pattern| graph.matches(pattern, name))
                }
                None => !object.pattern_properties.is_empty(),
            }
            || may_evaluate(graph, inner, name)
    })
}
