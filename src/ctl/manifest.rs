//! Manifests in YAML or JSON, with the position of each field in its file.
//!
//! Scalars have the types of YAML 1.1, as in `kubectl` (`yes` is true, `017` is 15). JSON is parsed as YAML.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::expansion::{self, ExpandedSize};
use super::file;
use crate::domain::lint::{FieldPath, Segment};

/// Maximum number of nodes that have an anchor, and of those that aliases repeat, in one file. Each takes some 80 bytes.
const MAX_ALIASED_NODES: usize = 50_000;

/// A position in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// An object in a file.
#[derive(Debug)]
pub struct Manifest {
    /// The object as the API server would get it. The last of repeated keys counts.
    pub object: Value,
    node: Spanned<Node>,
}

/// A value with the positions of its parts.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// Reads the objects of a file; each item of a List is an object. Documents that are not mappings are left out.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Manifest>> {
    let text = file::text(path).with_context(|| format!("reading {}", file::name(path)))?;
    parse_manifests(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file::name(path)))
}

/// Parses the objects of a text.
///
/// # Errors
/// The text is not YAML, or its aliases repeat too much. The message has the position.
pub fn parse_manifests(text: &str) -> Result<Vec<Manifest>, String> {
    let sizes: Vec<ExpandedSize> = parse_documents(text)?;
    ExpandedSize::check(&sizes, text)?;
    let documents: Vec<Spanned<Node>> = parse_documents(text)?;
    Ok(documents.into_iter().flat_map(objects).collect())
}

/// Parses the documents of a text.
fn parse_documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! {
            max_recorded_anchor_events: MAX_ALIASED_NODES,
            // `ExpandedSize` is more precise.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED_NODES },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let mut cause = error.without_snippet();
        while let serde_saphyr::Error::AliasError { error, .. } = cause {
            cause = error;
        }
        match cause {
            serde_saphyr::Error::AliasReplayLimitExceeded { .. }
            | serde_saphyr::Error::Budget { breach: BudgetBreach::RecordedAnchorEvents { .. }, .. } => {
                expansion::too_large()
            }
            _ => format!("this is not YAML: {}", error.without_snippet()),
        }
    })
}

/// The objects of a document.
fn objects(document: Spanned<Node>) -> Vec<Manifest> {
    let Node::Mapping(entries) = &document.value else { return Vec::new() };
    let is_list =
        entries.iter().any(|(key, value)| key.value == "items" && matches!(value.value, Node::Sequence(_)));
    if !is_list {
        return vec![Manifest { object: document.value.to_value(), node: document }];
    }
    let Node::Mapping(entries) = document.value else { return Vec::new() };
    entries
        .into_iter()
        .filter(|(key, _)| key.value == "items")
        .flat_map(|(_, items)| match items.value {
            Node::Sequence(items) => items,
            _ => Vec::new(),
        })
        .flat_map(|item| match item.value {
            Node::Mapping(_) => vec![Manifest { object: item.value.to_value(), node: item }],
            _ => Vec::new(),
        })
        .collect()
}

impl Manifest {
    /// The position of a field: of its key in a mapping, of the item in a sequence. A missing field has the position of
    /// the nearest field that contains it.
    #[must_use]
    pub fn position(&self, field: &FieldPath) -> Position {
        let (mut node, mut position) = (&self.node, self.node.referenced);
        for segment in field.segments() {
            let inner = match (segment, &node.value) {
                (Segment::Key(wanted), Node::Mapping(entries)) => {
                    let last = entries.iter().rfind(|(key, _)| key.value == *wanted);
                    last.map(|(key, value)| (value, key.referenced))
                }
                (Segment::Index(index), Node::Sequence(items)) => {
                    items.get(*index).map(|item| (item, item.referenced))
                }
                _ => None,
            };
            match inner {
                Some(inner) => (node, position) = inner,
                None => break,
            }
        }
        position.into()
    }

    /// The keys that are repeated in a mapping.
    #[must_use]
    pub fn repeated_keys(&self) -> Vec<FieldPath> {
        let mut repeated = Vec::new();
        self.node.value.find_repeated_keys(&FieldPath::default(), &mut repeated);
        repeated
    }
}

impl Node {
    fn to_value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::Sequence(items) => items.iter().map(|item| item.value.to_value()).collect(),
            Self::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.value.clone(), value.value.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    fn find_repeated_keys(&self, field: &FieldPath, repeated: &mut Vec<FieldPath>) {
        match self {
            Self::Scalar(_) => {}
            Self::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.value.find_repeated_keys(&field.index(index), repeated);
                }
            }
            Self::Mapping(entries) => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    let field = field.key(&key.value);
                    if entries[..at].iter().any(|(earlier, _)| earlier.value == key.value) {
                        repeated.push(field.clone());
                    }
                    value.value.find_repeated_keys(&field, repeated);
                }
            }
        }
    }
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn position(manifest: &Manifest, field: &str) -> (u64, u64) {
        let Position { line, column } = manifest.position(&FieldPath::parse(field));
        (line, column)
    }

    #[test]
    fn every_field_has_a_position() {
        let text = "\
# a comment
kind: A
spec:
  config:
    retention.ms: 1
---
kind: B
spec:
  eventTypes:
  - name: x
    version: 1
  -
    name: y
  text: |
    one
    two
  last: {a: 1, b: [1, 2]}
";
        let manifests = parse_manifests(text).expect("YAML");
        let [a, b] = manifests.as_slice() else { panic!("two documents: {manifests:?}") };
        assert_eq!(a.object, json!({"kind": "A", "spec": {"config": {"retention.ms": 1}}}));
        for (manifest, field, expected) in [
            (a, "", (2, 1)),
            (a, "spec.config[retention.ms]", (5, 5)),
            (a, "spec.missing.too", (3, 1)),
            (b, "", (7, 1)),
            (b, "spec.eventTypes", (9, 3)),
            (b, "spec.eventTypes[0]", (10, 5)),
            (b, "spec.eventTypes[0].version", (11, 5)),
            (b, "spec.eventTypes[1].name", (13, 5)),
            (b, "spec.eventTypes[7].name", (9, 3)),
            (b, "spec.text", (14, 3)),
            (b, "spec.last.b[1]", (17, 23)),
        ] {
            assert_eq!(position(manifest, field), expected, "{field}");
        }
    }

    #[test]
    fn fields_of_json_have_positions() {
        let text = "{\n\t\"kind\": \"A\",\n\t\"spec\": {\"a\": [\n\t\t1,\n\t\t\"\\ud83d\\ude00 \\/\"\n\t], \"b\": null}\n}\n";
        let manifests = parse_manifests(text).expect("JSON");
        let [one] = manifests.as_slice() else { panic!("one object: {manifests:?}") };
        assert_eq!(one.object, json!({"kind": "A", "spec": {"a": [1, "😀 /"], "b": null}}));
        assert_eq!(position(one, "spec.a[1]"), (5, 3));
        assert_eq!(position(one, "spec.b"), (6, 5));
    }

    #[test]
    fn items_of_a_list_are_objects() {
        let text = "kind: List\nitems:\n- kind: A\n  spec: {a: 1}\n- 7\n- kind: B\n---\n---\n- none\n";
        let manifests = parse_manifests(text).expect("YAML");
        let kinds: Vec<_> = manifests.iter().map(|manifest| manifest.object["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert_eq!(position(&manifests[0], "spec.a"), (4, 10));
        assert_eq!(position(&manifests[1], ""), (6, 3));
    }

    #[test]
    fn repeated_keys_are_reported() {
        let manifests = parse_manifests("spec:\n  a: 1\n  b: [{c: 1, c: 2}]\n  a: 3\n").expect("YAML");
        let repeated: Vec<String> = manifests[0].repeated_keys().iter().map(ToString::to_string).collect();
        assert_eq!(repeated, ["spec.b[0].c", "spec.a"]);
        assert_eq!(manifests[0].object["spec"]["a"], 3);
        assert_eq!(position(&manifests[0], "spec.a"), (4, 3));
    }

    #[test]
    fn scalars_have_the_types_of_yaml_1_1() {
        let text = "{a: yes, b: 'yes', c: 017, d: 1.5, e: ~, f: 2026-01-01, g: 1e3, h: 99999999999, 1: x}";
        let manifests = parse_manifests(text).expect("YAML");
        assert_eq!(
            manifests[0].object,
            json!({"a": true, "b": "yes", "c": 15, "d": 1.5, "e": null, "f": "2026-01-01", "g": 1e3, "h": 99_999_999_999_i64, "1": "x"})
        );
    }

    #[test]
    fn a_syntax_error_has_a_position() {
        let error = parse_manifests("kind: A\n---\na: [1\nb: 2\n").expect_err("an unclosed bracket");
        assert!(error.contains("line "), "{error}");
    }
}
