//! `$ref`: where it leads, and that following it comes to an end.

use std::collections::HashMap;

use serde_json::Value;

use super::bounds::{self, refuse};
use super::node::{Graph, Id, Kinds, Node};
use super::reading::{Draft, below};
use crate::domain::Refusal;

/// What may be referred to by name, with its pointer.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    named: HashMap<String, String>,
    /// The root's `$id`, without a fragment.
    base: Option<String>,
}

impl Anchors {
    /// Finds `$anchor`, `$dynamicAnchor` and draft-07's `$id: "#name"`, and refuses an `$id` within the schema.
    pub(super) fn find(root: &Value, draft: Draft) -> Result<Self, Refusal> {
        let mut anchors = Self::default();
        let mut rest = vec![(root, String::new())];
        while let Some((value, pointer)) = rest.pop() {
            match value {
                Value::Object(members) => {
                    anchors.note(value, &pointer, draft)?;
                    // What stands in these is data.
                    let data = ["enum", "const", "default", "examples"];
                    let inner = members.iter().filter(|(name, _)| !data.contains(&name.as_str()));
                    rest.extend(inner.map(|(name, value)| (value, below(&pointer, name))));
                }
                Value::Array(items) => {
                    rest.extend(items.iter().enumerate().map(|(at, value)| (value, below(&pointer, at))));
                }
                _ => {}
            }
        }
        Ok(anchors)
    }

    fn note(&mut self, schema: &Value, pointer: &str, draft: Draft) -> Result<(), Refusal> {
        // A property may be called like a keyword.
        if pointer.rsplit_once('/').is_some_and(|(_, last)| last == "properties") {
            return Ok(());
        }
        if let Some(id) = schema.get("$id").and_then(Value::as_str) {
            match id.split_once('#') {
                Some(("", name)) if draft == Draft::Seven => self.name(name, pointer)?,
                _ if pointer.is_empty() => self.base = Some(id.trim_end_matches('#').to_owned()),
                _ => {
                    return Err(refuse(
                        &below(pointer, "$id"),
                        "a schema within a schema cannot have an address of its own",
                        "take $id out and refer to it by #/$defs/… or by an $anchor",
                    ));
                }
            }
        }
        if draft == Draft::TwentyTwenty {
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                    self.name(name, pointer)?;
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &str, pointer: &str) -> Result<(), Refusal> {
        match self.named.insert(name.to_owned(), pointer.to_owned()) {
            Some(other) if other != pointer => {
                let rule = format!("the anchor {name} is at {other} as well");
                Err(refuse(pointer, &rule, "give each place a name of its own"))
            }
            _ => Ok(()),
        }
    }
}

/// The pointer of the subschema that a reference leads to.
pub(super) fn resolve(
    target: &Value,
    anchors: &Anchors,
    root: &Value,
    pointer: &str,
) -> Result<String, Refusal> {
    let Some(text) = target.as_str() else {
        return Err(refuse(pointer, "a reference is a string", "write one such as #/$defs/address"));
    };
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !address.is_empty() && anchors.base.as_deref() != Some(address) {
        return Err(refuse(
            pointer,
            &format!("{text} leads out of this schema, and nothing is ever fetched"),
            "copy what it refers to into $defs and write #/$defs/…",
        ));
    }
    let Some(fragment) = decode(fragment) else {
        return Err(refuse(pointer, &format!("{text} is not a URI reference"), "write % as %25"));
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
        refuse(pointer, &rule, "correct the reference, or add what it refers to")
    })
}

/// A URI's fragment without percent-encoding.
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

/// Walks what applies to one and the same value, which has to end, and notes which kinds of values are possible.
pub(super) fn settle(graph: &mut Graph) -> Result<(), Refusal> {
    let mut walk = Walk { seen: vec![None; graph.nodes.len()] };
    for at in 0..graph.nodes.len() {
        walk.visit(graph, Id(u32::try_from(at).unwrap_or(u32::MAX)), 0)?;
    }
    for node in &mut graph.nodes {
        close(node);
    }
    Ok(())
}

/// Without anything else that applies to the same value, what is unevaluated is what is additional.
fn close(node: &mut Node) {
    if node.in_place().next().is_some() {
        return;
    }
    if node.object.additional.is_none() {
        node.object.additional = node.object.unevaluated.take();
    } else {
        node.object.unevaluated = None;
    }
    if node.array.contains.is_none() || node.array.rest.is_some() {
        let unevaluated = node.array.unevaluated.take();
        node.array.rest = node.array.rest.or(unevaluated);
    }
}

/// What is known of a subschema: how deep and how wide it is when written out.
#[derive(Clone, Copy)]
enum Seen {
    Begun,
    Done { height: u32, weight: u32 },
}

struct Walk {
    seen: Vec<Option<Seen>>,
}

impl Walk {
    fn visit(&mut self, graph: &mut Graph, id: Id, depth: u32) -> Result<(u32, u32), Refusal> {
        let at = id.0 as usize;
        let pointer = graph.node(id).pointer.clone();
        match self.seen[at] {
            Some(Seen::Done { height, weight }) => return Ok((height, weight)),
            Some(Seen::Begun) => {
                return Err(refuse(
                    &pointer,
                    "this refers to itself for the same value, so nothing could ever be checked with it",
                    "refer to it from within properties or items",
                ));
            }
            None => self.seen[at] = Some(Seen::Begun),
        }
        let mut height = 1;
        let mut weight: u32 = 1;
        let inner: Vec<Id> = graph.node(id).in_place().collect();
        for inner in inner {
            let deeper =
                if depth < bounds::HEIGHT { self.visit(graph, inner, depth + 1)? } else { (depth, 0) };
            height = height.max(deeper.0 + 1);
            weight = weight.saturating_add(deeper.1);
        }
        if height > bounds::HEIGHT {
            let rule =
                format!("more than {} combinations and references lie within each other", bounds::HEIGHT);
            return Err(refuse(&pointer, &rule, "refer to the last of them directly"));
        }
        if weight > bounds::UNFOLDED {
            let rule = format!("written out, more than {} schemas apply to one value", bounds::UNFOLDED);
            return Err(refuse(&pointer, &rule, "use fewer combinations of combinations"));
        }
        self.seen[at] = Some(Seen::Done { height, weight });
        let node = graph.node(id);
        let own =
            !node.any.is_empty() || !node.one.is_empty() || node.not.is_some() || node.condition.is_some();
        let has_choice = own || node.all.iter().chain(&node.reference).any(|id| graph.node(*id).has_choice);
        let possible = possible(graph, node);
        let node = &mut graph.nodes[at];
        (node.possible, node.weight, node.has_choice) = (possible, weight, has_choice);
        Ok((height, weight))
    }
}

/// Which kinds of values can fit; too many rather than too few.
fn possible(graph: &Graph, node: &Node) -> Kinds {
    let of = |id: Id| graph.node(id).possible;
    let union = |ids: &[Id]| {
        if ids.is_empty() { Kinds::ALL } else { ids.iter().fold(Kinds::NONE, |kinds, id| kinds.or(of(*id))) }
    };
    let mut kinds = node.kinds.and(union(&node.any)).and(union(&node.one));
    if let Some(allowed) = &node.allowed {
        kinds = kinds.and(allowed.values.iter().fold(Kinds::NONE, |kinds, value| kinds.or(Kinds::of(value))));
    }
    node.all.iter().copied().chain(node.reference).fold(kinds, |kinds, id| kinds.and(of(id)))
}
