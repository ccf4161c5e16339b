//! Reads a schema into its normal form, keyword by keyword, and refuses what is not a schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::bounds::{self, refuse};
use super::node::{Allowed, Condition, Contains, Count, End, Graph, Id, Kinds, Node, double};
use super::reference::{self, Anchors};
use crate::domain::Refusal;

/// The dialects that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draft {
    Seven,
    TwentyTwenty,
}

impl Draft {
    /// The dialect of a schema by its `$schema`.
    pub(super) fn of(schema: &Value) -> Result<Self, Refusal> {
        let Some(named) = schema.get("$schema") else { return Ok(Self::TwentyTwenty) };
        match named.as_str().map(|uri| uri.trim_end_matches('#')) {
            Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => {
                Ok(Self::Seven)
            }
            Some("https://json-schema.org/draft/2020-12/schema") => Ok(Self::TwentyTwenty),
            _ => Err(refuse(
                "/$schema",
                &format!("{named} is not a dialect that is read here"),
                "use http://json-schema.org/draft-07/schema# or https://json-schema.org/draft/2020-12/schema",
            )),
        }
    }
}

/// Reads a whole document, whose depth and size are within bounds.
pub(super) fn read(root: &Value, draft: Draft) -> Result<Graph, Refusal> {
    let anchors = Anchors::find(root, draft)?;
    let mut reader = Reader {
        root,
        draft,
        anchors,
        nodes: Vec::new(),
        ids: HashMap::new(),
        patterns: HashMap::new(),
        references: 0,
    };
    reader.subschema(root, String::new())?;
    // What a reference points to need not be in a place where schemas usually are.
    let mut at = 0;
    while at < reader.nodes.len() {
        if let Slot::Wanted(pointer) = &reader.nodes[at] {
            let pointer = pointer.clone();
            let target = root.pointer(&pointer).unwrap_or(&Value::Null);
            reader.subschema(target, pointer)?;
        }
        at += 1;
    }
    let nodes = reader.nodes.into_iter().filter_map(Slot::into_node).collect();
    let mut graph = Graph { nodes, patterns: reader.patterns };
    reference::settle(&mut graph)?;
    Ok(graph)
}

/// A subschema that was read, is being read, or is only referred to so far.
enum Slot {
    Wanted(String),
    Begun,
    Read(Box<Node>),
}

impl Slot {
    fn into_node(self) -> Option<Node> {
        match self {
            Self::Read(node) => Some(*node),
            Self::Wanted(_) | Self::Begun => None,
        }
    }
}

struct Reader<'a> {
    root: &'a Value,
    draft: Draft,
    anchors: Anchors,
    nodes: Vec<Slot>,
    ids: HashMap<String, Id>,
    patterns: HashMap<String, regex::Regex>,
    references: usize,
}

/// A pointer one step further.
pub(super) fn below(pointer: &str, segment: impl std::fmt::Display) -> String {
    let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{segment}")
}

impl Reader<'_> {
    fn id(&mut self, pointer: String) -> Result<Id, Refusal> {
        if let Some(id) = self.ids.get(&pointer) {
            return Ok(*id);
        }
        if self.nodes.len() >= bounds::SUBSCHEMAS {
            let rule = format!("there are more than {} subschemas", bounds::SUBSCHEMAS);
            return Err(refuse("", &rule, "split the event type"));
        }
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Slot::Wanted(pointer.clone()));
        self.ids.insert(pointer, id);
        Ok(id)
    }

    fn subschema(&mut self, value: &Value, pointer: String) -> Result<Id, Refusal> {
        let id = self.id(pointer.clone())?;
        let at = id.0 as usize;
        if !matches!(self.nodes[at], Slot::Wanted(_)) {
            return Ok(id);
        }
        self.nodes[at] = Slot::Begun;
        let mut node = Node::new(pointer, self.draft == Draft::Seven);
        match value {
            Value::Bool(true) => {}
            Value::Bool(false) => node.kinds = Kinds::NONE,
            Value::Object(keywords) => self.keywords(keywords, &mut node)?,
            other => {
                let rule = format!("{} is not a schema", kind(other));
                return Err(refuse(&node.pointer, &rule, "write an object, true or false"));
            }
        }
        self.nodes[at] = Slot::Read(Box::new(node));
        Ok(id)
    }

    fn keywords(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        // Definitions first: a mistake in them is one even if nobody refers to them.
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
                let target = self.reference(target, &below(&node.pointer, name))?;
                match node.reference {
                    None => node.reference = Some(target),
                    Some(_) => node.all.push(target),
                }
            }
        }
        // In draft-07 nothing beside `$ref` counts.
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
        if self.references > bounds::REFERENCES {
            let rule = format!("there are more than {} references", bounds::REFERENCES);
            return Err(refuse(pointer, &rule, "split the event type"));
        }
        let resolved = reference::resolve(target, &self.anchors, self.root, pointer)?;
        self.id(resolved)
    }

    fn values(keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let at = |name: &str| below(&node.pointer, name);
        if let Some(value) = keywords.get("type") {
            let wrong = || {
                refuse(
                    &at("type"),
                    &format!("{value} is not a type"),
                    "name one type or several different ones",
                )
            };
            let names = match value {
                Value::Array(names) if !names.is_empty() => names.as_slice(),
                name => std::slice::from_ref(name),
            };
            let mut kinds = Kinds::NONE;
            let mut seen = BTreeSet::new();
            for name in names {
                let name = name.as_str().ok_or_else(wrong)?;
                kinds = kinds.or(Kinds::named(name).ok_or_else(wrong)?);
                if !seen.insert(name) {
                    return Err(wrong());
                }
            }
            node.kinds = kinds;
        }
        if let Some(value) = keywords.get("enum") {
            let values = expect(value.as_array(), value, &at("enum"), "an array")?;
            node.allowed = Some(Allowed::new(values.clone(), "enum"));
        }
        if let Some(value) = keywords.get("const") {
            let mut only = Allowed::new(vec![value.clone()], "const");
            if node.allowed.as_ref().is_some_and(|values| !only.keys.is_subset(&values.keys)) {
                only = Allowed::new(Vec::new(), "const");
            }
            node.allowed = Some(only);
        }
        Ok(())
    }

    fn numbers(keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let pointer = node.pointer.clone();
        let number = |name: &str| -> Result<Option<f64>, Refusal> {
            let Some(value) = keywords.get(name) else { return Ok(None) };
            let what = "a number (a boolean exclusiveMinimum or exclusiveMaximum is draft-04)";
            expect(value.as_number(), value, &below(&pointer, name), what).map(|number| Some(double(number)))
        };
        let lower = [("minimum", false), ("exclusiveMinimum", true)];
        for (keyword, open) in lower {
            if let Some(at) = number(keyword)? {
                node.number.lower =
                    tighter(node.number.lower, End { at, open, keyword }, |new, old| new > old);
            }
        }
        let upper = [("maximum", false), ("exclusiveMaximum", true)];
        for (keyword, open) in upper {
            if let Some(at) = number(keyword)? {
                node.number.upper =
                    tighter(node.number.upper, End { at, open, keyword }, |new, old| new < old);
            }
        }
        if let Some(divisor) = number("multipleOf")? {
            if divisor <= 0.0 {
                return Err(refuse(
                    &below(&pointer, "multipleOf"),
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
            let pointer = below(&node.pointer, "pattern");
            let text = expect(value.as_str(), value, &pointer, "a string")?;
            self.pattern(text, &pointer)?;
            // These match every string.
            if !["", "^", "$", ".*", "^.*", ".*$"].contains(&text) {
                node.string.pattern = Some(text.to_owned());
            }
        }
        for name in ["format", "contentEncoding", "contentMediaType"] {
            if let Some(value) = keywords.get(name) {
                let text = expect(value.as_str(), value, &below(&node.pointer, name), "a string")?;
                node.string.hints.insert(name, text.to_owned());
            }
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str, pointer: &str) -> Result<(), Refusal> {
        if !self.patterns.contains_key(text) {
            if self.patterns.len() >= bounds::PATTERNS {
                let rule = format!("there are more than {} different regular expressions", bounds::PATTERNS);
                return Err(refuse(pointer, &rule, "use one expression in several places, or fewer of them"));
            }
            self.patterns.insert(text.to_owned(), bounds::pattern(text, pointer)?);
        }
        Ok(())
    }

    fn objects(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        node.object.properties = self.map(keywords, "properties", node)?;
        node.object.patterns = self.map(keywords, "patternProperties", node)?;
        let pointer = below(&node.pointer, "patternProperties");
        for text in node.object.patterns.keys() {
            self.pattern(text, &below(&pointer, text))?;
        }
        node.object.additional = self.schema(keywords, "additionalProperties", node)?;
        node.object.names = self.schema(keywords, "propertyNames", node)?;
        node.object.count = count(keywords, "minProperties", "maxProperties", &node.pointer)?;
        if let Some(value) = keywords.get("required") {
            node.object.required = names(value, &below(&node.pointer, "required"))?;
        }
        if self.draft == Draft::Seven {
            self.dependencies(keywords, node)?;
        } else {
            let pointer = below(&node.pointer, "dependentRequired");
            if let Some(value) = keywords.get("dependentRequired") {
                for (name, needed) in expect(value.as_object(), value, &pointer, "an object")? {
                    node.object.needs.insert(name.clone(), names(needed, &below(&pointer, name))?);
                }
            }
            node.object.implies = self.map(keywords, "dependentSchemas", node)?;
            node.object.unevaluated = self.schema(keywords, "unevaluatedProperties", node)?;
        }
        Ok(())
    }

    /// In draft-07 one keyword says what later became two.
    fn dependencies(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let Some(value) = keywords.get("dependencies") else { return Ok(()) };
        let pointer = below(&node.pointer, "dependencies");
        for (name, needed) in expect(value.as_object(), value, &pointer, "an object")? {
            let pointer = below(&pointer, name);
            if needed.is_array() {
                node.object.needs.insert(name.clone(), names(needed, &pointer)?);
            } else {
                node.object.implies.insert(name.clone(), self.subschema(needed, pointer)?);
            }
        }
        Ok(())
    }

    fn arrays(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        let tuple = if self.draft == Draft::Seven { "items" } else { "prefixItems" };
        if self.draft == Draft::TwentyTwenty && keywords.get("items").is_some_and(Value::is_array) {
            return Err(refuse(
                &below(&node.pointer, "items"),
                "a list of schemas is draft-07",
                "call it prefixItems, or set $schema to draft-07",
            ));
        }
        if keywords.get(tuple).is_some_and(Value::is_array) {
            node.array.prefix = self.list(keywords, tuple, node)?;
            let rest = if self.draft == Draft::Seven { "additionalItems" } else { "items" };
            node.array.rest = self.schema(keywords, rest, node)?;
        } else if let Some(wrong) = keywords.get("prefixItems").filter(|_| tuple == "prefixItems") {
            expect(wrong.as_array(), wrong, &below(&node.pointer, tuple), "an array of schemas")?;
        } else {
            node.array.rest = self.schema(keywords, "items", node)?;
            if self.draft == Draft::Seven {
                // Without a list of items it says nothing, but it may be referred to.
                self.schema(keywords, "additionalItems", node)?;
            }
        }
        node.array.count = count(keywords, "minItems", "maxItems", &node.pointer)?;
        if let Some(value) = keywords.get("uniqueItems") {
            node.array.unique =
                expect(value.as_bool(), value, &below(&node.pointer, "uniqueItems"), "true or false")?;
        }
        if let Some(item) = self.schema(keywords, "contains", node)? {
            let mut count = match self.draft {
                Draft::Seven => Count::default(),
                Draft::TwentyTwenty => count(keywords, "minContains", "maxContains", &node.pointer)?,
            };
            if self.draft == Draft::Seven || !keywords.contains_key("minContains") {
                count.least = 1;
            }
            node.array.contains = Some(Contains { item, count });
        }
        if self.draft == Draft::TwentyTwenty {
            node.array.unevaluated = self.schema(keywords, "unevaluatedItems", node)?;
        }
        Ok(())
    }

    fn combinations(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<(), Refusal> {
        node.all.extend(self.list(keywords, "allOf", node)?);
        node.any = self.list(keywords, "anyOf", node)?;
        node.one = self.list(keywords, "oneOf", node)?;
        node.not = self.schema(keywords, "not", node)?;
        let test = self.schema(keywords, "if", node)?;
        let then = self.schema(keywords, "then", node)?;
        let otherwise = self.schema(keywords, "else", node)?;
        // Without a branch it says nothing of a value, but what it has evaluated is not unevaluated.
        let unevaluated = node.object.unevaluated.is_some() || node.array.unevaluated.is_some();
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
        keywords.get(name).map(|value| self.subschema(value, below(&node.pointer, name))).transpose()
    }

    fn list(&mut self, keywords: &Map<String, Value>, name: &str, node: &Node) -> Result<Vec<Id>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(Vec::new()) };
        let pointer = below(&node.pointer, name);
        let list =
            expect(value.as_array().filter(|list| !list.is_empty()), value, &pointer, "a list of schemas")?;
        list.iter().enumerate().map(|(at, value)| self.subschema(value, below(&pointer, at))).collect()
    }

    fn map(
        &mut self,
        keywords: &Map<String, Value>,
        name: &str,
        node: &Node,
    ) -> Result<BTreeMap<String, Id>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(BTreeMap::new()) };
        let pointer = below(&node.pointer, name);
        let map = expect(value.as_object(), value, &pointer, "an object with schemas")?;
        map.iter()
            .map(|(name, value)| Ok((name.clone(), self.subschema(value, below(&pointer, name))?)))
            .collect()
    }
}

/// The end of a range that leaves out more.
fn tighter(old: Option<End>, new: End, beyond: impl Fn(f64, f64) -> bool) -> Option<End> {
    match old {
        Some(old) if beyond(old.at, new.at) || (old.at == new.at && !new.open) => Some(old),
        _ => Some(new),
    }
}

fn count(keywords: &Map<String, Value>, least: &str, most: &str, pointer: &str) -> Result<Count, Refusal> {
    let number = |name: &str| -> Result<Option<u64>, Refusal> {
        let Some(value) = keywords.get(name) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            let float =
                value.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0 && *float < 1e15)?;
            format!("{float}").parse().ok()
        });
        expect(whole, value, &below(pointer, name), "a whole number from 0 on").map(Some)
    };
    Ok(Count { least: number(least)?.unwrap_or(0), most: number(most)? })
}

fn names(value: &Value, pointer: &str) -> Result<BTreeSet<String>, Refusal> {
    let what = "a list of different names";
    let list = expect(value.as_array(), value, pointer, what)?;
    let names: Option<BTreeSet<String>> = list.iter().map(|name| name.as_str().map(String::from)).collect();
    expect(names.filter(|names| names.len() == list.len()), value, pointer, what)
}

/// A keyword's value, if it is of the type that the keyword asks for.
fn expect<T>(found: Option<T>, value: &Value, pointer: &str, wanted: &str) -> Result<T, Refusal> {
    found.ok_or_else(|| refuse(pointer, &format!("this is {}", kind(value)), &format!("write {wanted}")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number that does not fit here",
        Value::String(_) => "a string",
        Value::Array(_) => "an array that does not fit here",
        Value::Object(_) => "an object",
    }
}
