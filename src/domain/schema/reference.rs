//! References: resolves `$ref` and refuses references that never end.

use std::collections::HashMap;

use serde_json::Value;

use super::draft::Draft;
use super::limits::{self, refusal};
use super::node::{Graph, Id, Node, TypeSet};
use super::pointer::child;
use crate::domain::Refusal;

/// Anchors of a document, with their JSON Pointers.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    named: HashMap<String, String>,
    /// The root's `$id`, without a fragment.
    base: Option<String>,
}

impl Anchors {
    /// Collects `$anchor`, `$dynamicAnchor` and draft-07's `$id: "#name"`. Refuses an `$id` within the schema.
    pub(super) fn find(root: &Value, draft: Draft) -> Result<Self, Refusal> {
        let mut anchors = Self::default();
        let mut rest = vec![(root, String::new())];
        while let Some((value, pointer)) = rest.pop() {
            match value {
                Value::Object(members) => {
                    anchors.collect(value, &pointer, draft)?;
                    // The values of these keywords are data.
                    let data = ["enum", "const", "default", "examples"];
                    let inner = members.iter().filter(|(name, _)| !data.contains(&name.as_str()));
                    rest.extend(inner.map(|(name, value)| (value, child(&pointer, name))));
                }
                Value::Array(items) => {
                    rest.extend(items.iter().enumerate().map(|(at, value)| (value, child(&pointer, at))));
                }
                _ => {}
            }
        }
        Ok(anchors)
    }

    fn collect(&mut self, schema: &Value, pointer: &str, draft: Draft) -> Result<(), Refusal> {
        // A property may have the name of a keyword.
        if pointer.rsplit_once('/').is_some_and(|(_, last)| last == "properties") {
            return Ok(());
        }
        if let Some(id) = schema.get("$id").and_then(Value::as_str) {
            match id.split_once('#') {
                Some(("", name)) if draft == Draft::Seven => self.insert(name, pointer)?,
                _ if pointer.is_empty() => self.base = Some(id.trim_end_matches('#').to_owned()),
                _ => {
                    return Err(refusal(
                        &child(pointer, "$id"),
                        "a schema within a schema cannot have an address of its own",
                        "take $id out and refer to it by #/$defs/… or by an $anchor",
                    ));
                }
            }
        }
        if draft == Draft::TwentyTwenty {
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                    self.insert(name, pointer)?;
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, pointer: &str) -> Result<(), Refusal> {
        match self.named.insert(name.to_owned(), pointer.to_owned()) {
            Some(other) if other != pointer => {
                let rule = format!("the anchor {name} is at {other} as well");
                Err(refusal(pointer, &rule, "give each place a name of its own"))
            }
            _ => Ok(()),
        }
    }
}

/// Resolves a reference to the JSON Pointer of a subschema.
pub(super) fn resolve(
    target: &Value,
    anchors: &Anchors,
    root: &Value,
    pointer: &str,
) -> Result<String, Refusal> {
    let Some(text) = target.as_str() else {
        return Err(refusal(pointer, "a reference is a string", "write one such as #/$defs/address"));
    };
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !address.is_empty() && anchors.base.as_deref() != Some(address) {
        return Err(refusal(
            pointer,
            &format!("{text} leads out of this schema, and nothing is ever fetched"),
            "copy what it refers to into $defs and write #/$defs/…",
        ));
    }
    let Some(fragment) = decode(fragment) else {
        return Err(refusal(pointer, &format!("{text} is not a URI reference"), "write % as %25"));
    };
    let found = if fragment.is_empty() {
        Some(String::new())
    } else if fragment.starts_with('/') {
        root.pointer(&fragment).map(|_| fragment.clone())
    } else {
        anchors.named.get(&fragment).cloned()
    };
    found.ok_or_else(|| {
        let rule = format!("there is nothing at {text}");
        refusal(pointer, &rule, "correct the reference, or add what it refers to")
    })
}

/// Decodes a percent-encoded URI fragment.
fn decode(fragment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Visits the in-place subschemas of every node, refuses cycles among them, and computes the derived fields.
pub(super) fn finish(graph: &mut Graph) -> Result<(), Refusal> {
    let mut walk = Walk { visits: vec![None; graph.nodes.len()] };
    for at in 0..graph.nodes.len() {
        walk.visit(graph, Id(u32::try_from(at).unwrap_or(u32::MAX)), 0)?;
    }
    for node in &mut graph.nodes {
        replace_unevaluated(node);
    }
    Ok(())
}

/// Without in-place subschemas, `unevaluated…` is the same as `additional…`.
fn replace_unevaluated(node: &mut Node) {
    if node.in_place().next().is_some() {
        return;
    }
    if node.object.additional_properties.is_none() {
        node.object.additional_properties = node.object.unevaluated_properties.take();
    } else {
        node.object.unevaluated_properties = None;
    }
    if node.array.contains.is_none() || node.array.items.is_some() {
        let unevaluated = node.array.unevaluated_items.take();
        node.array.items = node.array.items.or(unevaluated);
    }
}

/// State of a node during the visit.
#[derive(Clone, Copy)]
enum Visit {
    Started,
    Done { height: u32, weight: u32 },
}

struct Walk {
    visits: Vec<Option<Visit>>,
}

impl Walk {
    fn visit(&mut self, graph: &mut Graph, id: Id, depth: u32) -> Result<(u32, u32), Refusal> {
        let at = id.0 as usize;
        let pointer = graph.node(id).pointer.clone();
        match self.visits[at] {
            Some(Visit::Done { height, weight }) => return Ok((height, weight)),
            Some(Visit::Started) => {
                return Err(refusal(
                    &pointer,
                    "this refers to itself for the same value, so nothing could ever be checked with it",
                    "refer to it from within properties or items",
                ));
            }
            None => self.visits[at] = Some(Visit::Started),
        }
        let mut height = 1;
        let mut weight: u32 = 1;
        let inner: Vec<Id> = graph.node(id).in_place().collect();
        for inner in inner {
            let deeper = if depth < limits::MAX_IN_PLACE_DEPTH {
                self.visit(graph, inner, depth + 1)?
            } else {
                (depth, 0)
            };
            height = height.max(deeper.0 + 1);
            weight = weight.saturating_add(deeper.1);
        }
        if height > limits::MAX_IN_PLACE_DEPTH {
            let rule = format!(
                "more than {} combinations and references lie within each other",
                limits::MAX_IN_PLACE_DEPTH
            );
            return Err(refusal(&pointer, &rule, "refer to the last of them directly"));
        }
        if weight > limits::MAX_UNFOLDED_SUBSCHEMAS {
            let rule = format!(
                "written out, more than {} schemas apply to one value",
                limits::MAX_UNFOLDED_SUBSCHEMAS
            );
            return Err(refusal(&pointer, &rule, "use fewer combinations of combinations"));
        }
        self.visits[at] = Some(Visit::Done { height, weight });
        let node = graph.node(id);
        let own = !node.any_of.is_empty()
            || !node.one_of.is_empty()
            || node.not.is_some()
            || node.condition.is_some();
        let has_choice =
            own || node.all_of.iter().chain(&node.reference).any(|id| graph.node(*id).has_choice);
        let possible_types = possible_types(graph, node);
        let node = &mut graph.nodes[at];
        (node.possible_types, node.weight, node.has_choice) = (possible_types, weight, has_choice);
        Ok((height, weight))
    }
}

/// Types of values that can be valid. An over-approximation.
fn possible_types(graph: &Graph, node: &Node) -> TypeSet {
    let of = |id: Id| graph.node(id).possible_types;
    let union = |ids: &[Id]| {
        if ids.is_empty() {
            TypeSet::ALL
        } else {
            ids.iter().fold(TypeSet::NONE, |types, id| types.union(of(*id)))
        }
    };
    let mut types = node.types.intersection(union(&node.any_of)).intersection(union(&node.one_of));
    if let Some(allowed) = &node.enum_values {
        types = types.intersection(
            allowed.values.iter().fold(TypeSet::NONE, |types, value| types.union(TypeSet::of(value))),
        );
    }
    node.all_of.iter().copied().chain(node.reference).fold(types, |types, id| types.intersection(of(id)))
}
