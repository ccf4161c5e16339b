//! Parses a schema into its normal form, keyword by keyword, and refuses invalid schemas.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::draft::Draft;
use super::limits::{self, refusal};
use super::node::{Bound, Condition, Contains, CountRange, EnumValues, Graph, Id, Node, TypeSet, double};
use super::pointer::child;
use super::reference::{self, Anchors};
use crate::domain::Refusal;

/// Parses a document whose nesting and size are within the limits.
pub(super) fn parse(root: &Value, draft: Draft) -> Result<Graph, Refusal> {
    let anchors = Anchors::find(root, draft)?;
    let mut parser = Parser {
        root,
        draft,
        anchors,
        nodes: Vec::new(),
        ids: HashMap::new(),
        patterns: HashMap::new(),
        references: 0,
    };
    parser.subschema(root, String::new())?;
    // A reference may point to a place that usually holds no schema.
    let mut at = 0;
    while at < parser.nodes.len() {
        if let Slot::Referenced(pointer) = &parser.nodes[at] {
            let pointer = pointer.clone();
            let target = root.pointer(&pointer).unwrap_or(&Value::Null);
            parser.subschema(target, pointer)?;
        }
        at += 1;
    }
    let nodes = parser.nodes.into_iter().filter_map(Slot::into_node).collect();
    let mut graph = Graph { nodes, patterns: parser.patterns };
    reference::finish(&mut graph)?;
    Ok(graph)
}

/// State of a subschema during parsing.
enum Slot {
    Referenced(String),
    Started,
    Parsed(Box<Node>),
}

impl Slot {
    fn into_node(self) -> Option<Node> {
        match self {
            Self::Parsed(node) => Some(*node),
            Self::Referenced(_) | Self::Started => None,
        }
    }
}

struct Parser<'a> {
    root: &'a Value,
    draft: Draft,
    anchors: Anchors,
    nodes: Vec<Slot>,
    ids: HashMap<String, Id>,
    patterns: HashMap<String, regex::Regex>,
    references: usize,
}

impl Parser<'_> {
    fn id(&mut self, pointer: String) -> Result<Id, Refusal> {
        if let Some(id) = self.ids.get(&pointer) {
            return Ok(*id);
        }
        if self.nodes.len() >= limits::MAX_SUBSCHEMAS {
            let rule = format!("there are more than {} subschemas", limits::MAX_SUBSCHEMAS);
            return Err(refusal("", &rule, "split the event type"));
        }
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Slot::Referenced(pointer.clone()));
        self.ids.insert(pointer, id);
        Ok(id)
    }

    fn subschema(&mut self, value: &Value, pointer: String) -> Result<Id, Refusal> {
        let id = self.id(pointer.clone())?;
        let at = id.0 as usize;
        if !matches!(self.nodes[at], Slot::Referenced(_)) {
            return Ok(id);
        }
        self.nodes[at] = Slot::Started;
        let mut node = Node::new(pointer, self.draft);
        match value {
            Value::Bool(true) => {}
            Value::Bool(false) => node.types = TypeSet::NONE,
            Value::Object(keywords) => self.keywords(keywords, &mut node)?,
            other => {
                let rule = format!("{} is not a schema", json_type(other));
                return Err(refusal(&node.pointer, &rule, "write an object, true or false"));
            }
        }
        self.nodes[at] = Slot::Parsed(Box::new(node));
        Ok(id)
    }

    fn keywords(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        // Definitions come first: an invalid one is refused even if nothing refers to it.
        for name in ["$defs", "definitions"] {
            self.map(keywords, name, node)?;
        }
        if let Some(Value::Bool(deprecated)) = keywords.get("deprecated") {
            node.deprecated = *deprecated;
        }
        let references: &[&str] =
            if self.draft == Draft::Seven { &["$ref"] } else { &["$ref", "$dynamicRef"] };
        for name in references {
            if let Some(target) = keywords.get(*name) {
                let target = self.reference(target, &child(&node.pointer, name))?;
                match node.reference {
                    None => node.reference = Some(target),
                    Some(_) => node.all_of.push(target),
                }
            }
        }
        // In draft-07, keywords beside `$ref` are ignored.
        if self.draft == Draft::Seven && node.reference.is_some() {
            return Ok(());
        }
        Self::values(keywords, node)?;
        Self::numbers(keywords, node)?;
        self.strings(keywords, node)?;
        self.objects(keywords, node)?;
        self.arrays(keywords, node)?;
        self.combinations(keywords, node)
    }

    fn reference(&mut self, target: &Value, pointer: &str) -> Result<Id, Refusal> {
        self.references += 1;
        if self.references > limits::MAX_REFERENCES {
            let rule = format!("there are more than {} references", limits::MAX_REFERENCES);
            return Err(refusal(pointer, &rule, "split the event type"));
        }
        let resolved = reference::resolve(target, &self.anchors, self.root, pointer)?;
        self.id(resolved)
    }

    fn values(keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let at = |name: &str| child(&node.pointer, name);
        if let Some(value) = keywords.get("type") {
            let wrong = || {
                refusal(
                    &at("type"),
                    &format!("{value} is not a type"),
                    "name one type or several different ones",
                )
            };
            let names = match value {
                Value::Array(names) if !names.is_empty() => names.as_slice(),
                name => std::slice::from_ref(name),
            };
            let mut types = TypeSet::NONE;
            let mut unique = BTreeSet::new();
            for name in names {
                let name = name.as_str().ok_or_else(wrong)?;
                types = types.union(TypeSet::from_name(name).ok_or_else(wrong)?);
                if !unique.insert(name) {
                    return Err(wrong());
                }
            }
            node.types = types;
        }
        if let Some(value) = keywords.get("enum") {
            let values = expect(value.as_array(), value, &at("enum"), "an array")?;
            node.enum_values = Some(EnumValues::new(values.clone(), "enum"));
        }
        if let Some(value) = keywords.get("const") {
            let mut only = EnumValues::new(vec![value.clone()], "const");
            if node.enum_values.as_ref().is_some_and(|values| !only.keys.is_subset(&values.keys)) {
                only = EnumValues::new(Vec::new(), "const");
            }
            node.enum_values = Some(only);
        }
        Ok(())
    }

    fn numbers(keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let pointer = node.pointer.clone();
        let number = |name: &str| -> Result<Option<f64>, Refusal> {
            let Some(value) = keywords.get(name) else { return Ok(None) };
            let what = "a number (a boolean exclusiveMinimum or exclusiveMaximum is draft-04)";
            expect(value.as_number(), value, &child(&pointer, name), what).map(|number| Some(double(number)))
        };
        let lower = [("minimum", false), ("exclusiveMinimum", true)];
        for (keyword, is_exclusive) in lower {
            if let Some(value) = number(keyword)? {
                node.number.lower =
                    tighter(node.number.lower, Bound { value, is_exclusive, keyword }, |new, old| new > old);
            }
        }
        let upper = [("maximum", false), ("exclusiveMaximum", true)];
        for (keyword, is_exclusive) in upper {
            if let Some(value) = number(keyword)? {
                node.number.upper =
                    tighter(node.number.upper, Bound { value, is_exclusive, keyword }, |new, old| new < old);
            }
        }
        if let Some(divisor) = number("multipleOf")? {
            if divisor <= 0.0 {
                return Err(refusal(
                    &child(&pointer, "multipleOf"),
                    "it has to be above 0",
                    "write a positive number",
                ));
            }
            node.number.multiple_of = Some(divisor);
        }
        Ok(())
    }

    fn strings(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        node.string.length = count(keywords, "minLength", "maxLength", &node.pointer)?;
        if let Some(value) = keywords.get("pattern") {
            let pointer = child(&node.pointer, "pattern");
            let text = expect(value.as_str(), value, &pointer, "a string")?;
            self.pattern(text, &pointer)?;
            // These match every string.
            if !["", "^", "$", ".*", "^.*", ".*$"].contains(&text) {
                node.string.pattern = Some(text.to_owned());
            }
        }
        for name in ["format", "contentEncoding", "contentMediaType"] {
            if let Some(value) = keywords.get(name) {
                let text = expect(value.as_str(), value, &child(&node.pointer, name), "a string")?;
                node.string.annotations.insert(name, text.to_owned());
            }
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str, pointer: &str) -> Result<(), Refusal> {
        if !self.patterns.contains_key(text) {
            if self.patterns.len() >= limits::MAX_PATTERNS {
                let rule =
                    format!("there are more than {} different regular expressions", limits::MAX_PATTERNS);
                return Err(refusal(
                    pointer,
                    &rule,
                    "use one expression in several places, or fewer of them",
                ));
            }
            self.patterns.insert(text.to_owned(), limits::compile_pattern(text, pointer)?);
        }
        Ok(())
    }

    fn objects(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        node.object.properties = self.map(keywords, "properties", node)?;
        node.object.pattern_properties = self.map(keywords, "patternProperties", node)?;
        let pointer = child(&node.pointer, "patternProperties");
        for text in node.object.pattern_properties.keys() {
            self.pattern(text, &child(&pointer, text))?;
        }
        node.object.additional_properties = self.schema(keywords, "additionalProperties", node)?;
        node.object.property_names = self.schema(keywords, "propertyNames", node)?;
        node.object.count = count(keywords, "minProperties", "maxProperties", &node.pointer)?;
        if let Some(value) = keywords.get("required") {
            node.object.required = names(value, &child(&node.pointer, "required"))?;
        }
        if self.draft == Draft::Seven {
            self.dependencies(keywords, node)?;
        } else {
            let pointer = child(&node.pointer, "dependentRequired");
            if let Some(value) = keywords.get("dependentRequired") {
                for (name, needed) in expect(value.as_object(), value, &pointer, "an object")? {
                    node.object
                        .dependent_required
                        .insert(name.clone(), names(needed, &child(&pointer, name))?);
                }
            }
            node.object.dependent_schemas = self.map(keywords, "dependentSchemas", node)?;
            node.object.unevaluated_properties = self.schema(keywords, "unevaluatedProperties", node)?;
        }
        Ok(())
    }

    /// `dependencies` of draft-07, which 2020-12 splits into two keywords.
    fn dependencies(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let Some(value) = keywords.get("dependencies") else { return Ok(()) };
        let pointer = child(&node.pointer, "dependencies");
        for (name, needed) in expect(value.as_object(), value, &pointer, "an object")? {
            let pointer = child(&pointer, name);
            if needed.is_array() {
                node.object.dependent_required.insert(name.clone(), names(needed, &pointer)?);
            } else {
                node.object.dependent_schemas.insert(name.clone(), self.subschema(needed, pointer)?);
            }
        }
        Ok(())
    }

    fn arrays(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let tuple = if self.draft == Draft::Seven { "items" } else { "prefixItems" };
        if self.draft == Draft::TwentyTwenty && keywords.get("items").is_some_and(Value::is_array) {
            return Err(refusal(
                &child(&node.pointer, "items"),
                "a list of schemas is draft-07",
                "call it prefixItems, or set $schema to draft-07",
            ));
        }
        if keywords.get(tuple).is_some_and(Value::is_array) {
            node.array.prefix_items = self.list(keywords, tuple, node)?;
            let rest = if self.draft == Draft::Seven { "additionalItems" } else { "items" };
            node.array.items = self.schema(keywords, rest, node)?;
        } else if let Some(wrong) = keywords.get("prefixItems").filter(|_| tuple == "prefixItems") {
            expect(wrong.as_array(), wrong, &child(&node.pointer, tuple), "an array of schemas")?;
        } else {
            node.array.items = self.schema(keywords, "items", node)?;
            if self.draft == Draft::Seven {
                // Without a list in `items` it has no effect, but a reference may point to it.
                self.schema(keywords, "additionalItems", node)?;
            }
        }
        node.array.count = count(keywords, "minItems", "maxItems", &node.pointer)?;
        if let Some(value) = keywords.get("uniqueItems") {
            node.array.is_unique =
                expect(value.as_bool(), value, &child(&node.pointer, "uniqueItems"), "true or false")?;
        }
        if let Some(item) = self.schema(keywords, "contains", node)? {
            let mut count = match self.draft {
                Draft::Seven => CountRange::default(),
                Draft::TwentyTwenty => count(keywords, "minContains", "maxContains", &node.pointer)?,
            };
            if self.draft == Draft::Seven || !keywords.contains_key("minContains") {
                count.min = 1;
            }
            node.array.contains = Some(Contains { item, count });
        }
        if self.draft == Draft::TwentyTwenty {
            node.array.unevaluated_items = self.schema(keywords, "unevaluatedItems", node)?;
        }
        Ok(())
    }

    fn combinations(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        node.all_of.extend(self.list(keywords, "allOf", node)?);
        node.any_of = self.list(keywords, "anyOf", node)?;
        node.one_of = self.list(keywords, "oneOf", node)?;
        node.not = self.schema(keywords, "not", node)?;
        let test = self.schema(keywords, "if", node)?;
        let then = self.schema(keywords, "then", node)?;
        let otherwise = self.schema(keywords, "else", node)?;
        // Without a branch it asserts nothing, but it evaluates properties and items.
        let unevaluated =
            node.object.unevaluated_properties.is_some() || node.array.unevaluated_items.is_some();
        if let Some(test) = test.filter(|_| then.is_some() || otherwise.is_some() || unevaluated) {
            node.condition = Some(Condition { test, then, otherwise });
        }
        Ok(())
    }

    fn schema(
        &mut self,
        keywords: &Map<String, Value>,
        name: &str,
        node: &Node,
    ) -> Result<Option<Id>, Refusal> {
        keywords.get(name).map(|value| self.subschema(value, child(&node.pointer, name))).transpose()
    }

    fn list(&mut self, keywords: &Map<String, Value>, name: &str, node: &Node) -> Result<Vec<Id>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(Vec::new()) };
        let pointer = child(&node.pointer, name);
        let list =
            expect(value.as_array().filter(|list| !list.is_empty()), value, &pointer, "a list of schemas")?;
        list.iter().enumerate().map(|(at, value)| self.subschema(value, child(&pointer, at))).collect()
    }

    fn map(
        &mut self,
        keywords: &Map<String, Value>,
        name: &str,
        node: &Node,
    ) -> Result<BTreeMap<String, Id>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(BTreeMap::new()) };
        let pointer = child(&node.pointer, name);
        let map = expect(value.as_object(), value, &pointer, "an object with schemas")?;
        map.iter()
            .map(|(name, value)| Ok((name.clone(), self.subschema(value, child(&pointer, name))?)))
            .collect()
    }
}

/// The more restrictive of two bounds.
fn tighter(old: Option<Bound>, new: Bound, beyond: impl Fn(f64, f64) -> bool) -> Option<Bound> {
    match old {
        Some(old) if beyond(old.value, new.value) || (old.value == new.value && !new.is_exclusive) => {
            Some(old)
        }
        _ => Some(new),
    }
}

fn count(keywords: &Map<String, Value>, min: &str, max: &str, pointer: &str) -> Result<CountRange, Refusal> {
    let number = |name: &str| -> Result<Option<u64>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            let float =
                value.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0 && *float < 1e15)?;
            format!("{float}").parse().ok()
        });
        expect(whole, value, &child(pointer, name), "a whole number from 0 on").map(Some)
    };
    Ok(CountRange { min: number(min)?.unwrap_or(0), max: number(max)? })
}

fn names(value: &Value, pointer: &str) -> Result<BTreeSet<String>, Refusal> {
    let what = "a list of different names";
    let list = expect(value.as_array(), value, pointer, what)?;
    let names: Option<BTreeSet<String>> = list.iter().map(|name| name.as_str().map(String::from)).collect();
    expect(names.filter(|names| names.len() == list.len()), value, pointer, what)
}

/// The value of a keyword, if it has the expected type.
fn expect<T>(found: Option<T>, value: &Value, pointer: &str, wanted: &str) -> Result<T, Refusal> {
    found
        .ok_or_else(|| refusal(pointer, &format!("this is {}", json_type(value)), &format!("write {wanted}")))
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number that does not fit here",
        Value::String(_) => "a string",
        Value::Array(_) => "an array that does not fit here",
        Value::Object(_) => "an object",
    }
}
