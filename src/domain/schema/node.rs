//! Schemas in normal form: what both drafts say, in one way of saying it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use regex::Regex;
use serde_json::{Number, Value};

/// A subschema within a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u32);

/// Kinds of values. A number is an integer or a fraction, so that `integer` is a part of `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const OBJECT: Self = Self(4);
    pub(super) const ARRAY: Self = Self(8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const INTEGER: Self = Self(32);
    pub(super) const FRACTION: Self = Self(64);
    pub(super) const NUMBER: Self = Self(32 | 64);
    pub(super) const ALL: Self = Self(127);
    /// What a value may be split into.
    pub(super) const EACH: [Self; 6] =
        [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER];

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "string" => Self::STRING,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            _ => return None,
        })
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Object(_) => Self::OBJECT,
            Value::Array(_) => Self::ARRAY,
            Value::String(_) => Self::STRING,
            Value::Number(number) if is_integer(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// `1.0` is an integer in both drafts.
fn is_integer(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// The number as the canonical form has it: every number of a schema is a double.
pub(super) fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// The values of `enum` and `const`.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    pub(super) values: Vec<Value>,
    pub(super) keys: HashSet<String>,
    pub(super) keyword: &'static str,
}

impl Allowed {
    pub(super) fn new(values: Vec<Value>, keyword: &'static str) -> Self {
        let keys = values.iter().map(key).collect();
        Self { values, keys, keyword }
    }
}

/// A text that two values share exactly if JSON Schema calls them equal.
pub(super) fn key(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Beyond this an integer of an event is more exact than a double.
            Some(double) if double.abs() < 9_007_199_254_740_992.0 => format!("{}", double + 0.0),
            _ => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(key).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let sorted: BTreeMap<&String, String> =
                members.iter().map(|(name, value)| (name, key(value))).collect();
            format!("{sorted:?}")
        }
        Value::String(text) => format!("{text:?}"),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// An end of a range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct End {
    pub(super) at: f64,
    pub(super) open: bool,
    pub(super) keyword: &'static str,
}

/// What holds for numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumberRules {
    pub(super) lower: Option<End>,
    pub(super) upper: Option<End>,
    pub(super) multiple_of: Option<f64>,
}

/// How many characters, items or properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

/// What holds for strings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StringRules {
    pub(super) length: Count,
    pub(super) pattern: Option<String>,
    /// `format`, `contentEncoding` and `contentMediaType`.
    pub(super) hints: BTreeMap<&'static str, String>,
}

/// What holds for objects.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectRules {
    pub(super) properties: BTreeMap<String, Id>,
    pub(super) patterns: BTreeMap<String, Id>,
    pub(super) additional: Option<Id>,
    pub(super) unevaluated: Option<Id>,
    pub(super) names: Option<Id>,
    pub(super) required: BTreeSet<String>,
    pub(super) count: Count,
    pub(super) needs: BTreeMap<String, BTreeSet<String>>,
    pub(super) implies: BTreeMap<String, Id>,
}

/// What an array has to contain.
#[derive(Clone, Debug)]
pub(super) struct Contains {
    pub(super) item: Id,
    pub(super) count: Count,
}

/// What holds for arrays.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrayRules {
    pub(super) prefix: Vec<Id>,
    pub(super) rest: Option<Id>,
    pub(super) unevaluated: Option<Id>,
    pub(super) contains: Option<Contains>,
    pub(super) count: Count,
    pub(super) unique: bool,
}

/// `if`, `then` and `else`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) test: Id,
    pub(super) then: Option<Id>,
    pub(super) otherwise: Option<Id>,
}

/// A subschema: all of this holds at once.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) pointer: String,
    /// How draft-07 calls its keywords, where the two differ.
    pub(super) seven: bool,
    /// What `type` says.
    pub(super) kinds: Kinds,
    /// What can be, with all that applies to the same value. Never too small.
    pub(super) possible: Kinds,
    /// How many subschemas apply to the same value, written out.
    pub(super) weight: u32,
    /// Whether it leaves a choice: `anyOf`, `oneOf`, `not` or `if`, its own or of what it includes.
    pub(super) has_choice: bool,
    pub(super) allowed: Option<Allowed>,
    pub(super) number: NumberRules,
    pub(super) string: StringRules,
    pub(super) object: ObjectRules,
    pub(super) array: ArrayRules,
    pub(super) all: Vec<Id>,
    pub(super) any: Vec<Id>,
    pub(super) one: Vec<Id>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<Condition>,
    pub(super) reference: Option<Id>,
    pub(super) deprecated: bool,
}

impl Node {
    pub(super) fn new(pointer: String, seven: bool) -> Self {
        Self {
            pointer,
            seven,
            kinds: Kinds::ALL,
            possible: Kinds::ALL,
            weight: 1,
            has_choice: false,
            allowed: None,
            number: NumberRules::default(),
            string: StringRules::default(),
            object: ObjectRules::default(),
            array: ArrayRules::default(),
            all: Vec::new(),
            any: Vec::new(),
            one: Vec::new(),
            not: None,
            condition: None,
            reference: None,
            deprecated: false,
        }
    }

    /// What its list of schemas for the first items is called.
    pub(super) fn prefix_keyword(&self) -> &'static str {
        if self.seven { "/items" } else { "/prefixItems" }
    }

    /// What its schema for the other items is called.
    pub(super) fn rest_keyword(&self) -> &'static str {
        if self.seven && !self.array.prefix.is_empty() { "/additionalItems" } else { "/items" }
    }

    /// What its lists of properties that others need are called.
    pub(super) fn needs_keyword(&self) -> &'static str {
        if self.seven { "/dependencies" } else { "/dependentRequired" }
    }

    /// Whether it is known at a glance to accept every value.
    pub(super) fn accepts_all(&self) -> bool {
        self.has_no_rules_of_its_own() && self.in_place().next().is_none()
    }

    /// Whether it does nothing but refer to another.
    pub(super) fn is_alias(&self) -> bool {
        self.has_no_rules_of_its_own() && self.in_place().count() == 1 && self.reference.is_some()
    }

    fn has_no_rules_of_its_own(&self) -> bool {
        let (object, array) = (&self.object, &self.array);
        self.kinds == Kinds::ALL
            && self.allowed.is_none()
            && self.number == NumberRules::default()
            && self.string == StringRules::default()
            && object.properties.is_empty()
            && object.patterns.is_empty()
            && object.additional.is_none()
            && object.unevaluated.is_none()
            && object.names.is_none()
            && object.required.is_empty()
            && object.count == Count::default()
            && object.needs.is_empty()
            && array.prefix.is_empty()
            && array.rest.is_none()
            && array.unevaluated.is_none()
            && array.contains.is_none()
            && array.count == Count::default()
            && !array.unique
    }

    /// The subschemas that apply to the same value.
    pub(super) fn in_place(&self) -> impl Iterator<Item = Id> + '_ {
        let condition = self.condition.iter().flat_map(|condition| {
            [Some(condition.test), condition.then, condition.otherwise].into_iter().flatten()
        });
        let lists = [&self.all, &self.any, &self.one].into_iter().flatten().copied();
        lists
            .chain(self.not)
            .chain(self.reference)
            .chain(condition)
            .chain(self.object.implies.values().copied())
    }

    /// The subschemas that apply to properties, their names, and items.
    pub(super) fn inner(&self) -> impl Iterator<Item = Id> + '_ {
        let (object, array) = (&self.object, &self.array);
        let many = object.properties.values().chain(object.patterns.values()).chain(&array.prefix).copied();
        let one = [object.additional, object.unevaluated, object.names, array.rest, array.unevaluated];
        many.chain(one.into_iter().flatten()).chain(array.contains.iter().map(|contains| contains.item))
    }

    fn shift(&mut self, by: u32) {
        let (object, array) = (&mut self.object, &mut self.array);
        let lists = [&mut self.all, &mut self.any, &mut self.one, &mut array.prefix];
        let many = lists.into_iter().flatten();
        let maps = [&mut object.properties, &mut object.patterns, &mut object.implies];
        let many = many.chain(maps.into_iter().flat_map(BTreeMap::values_mut));
        let one = [&mut object.additional, &mut object.unevaluated, &mut object.names, &mut array.rest];
        let one = one.into_iter().chain([&mut array.unevaluated, &mut self.not, &mut self.reference]);
        let condition = self.condition.iter_mut().flat_map(|condition| {
            let branches = [condition.then.as_mut(), condition.otherwise.as_mut()].into_iter().flatten();
            std::iter::once(&mut condition.test).chain(branches)
        });
        let contains = array.contains.iter_mut().map(|contains| &mut contains.item);
        for id in many.chain(one.flatten()).chain(condition).chain(contains) {
            id.0 += by;
        }
    }
}

/// All subschemas of a document, or of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) patterns: HashMap<String, Regex>,
}

impl Graph {
    /// The schema itself.
    pub(super) const ROOT: Id = Id(0);

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Whether a text matches a regular expression of one of the schemas.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> bool {
        self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
    }

    /// Both graphs as one, and the root of the second.
    pub(super) fn join(&self, other: &Self) -> (Self, Id) {
        let mut joined = self.clone();
        let by = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        joined.nodes.extend(other.nodes.iter().cloned().map(|mut node| {
            node.shift(by);
            node
        }));
        joined.patterns.extend(other.patterns.iter().map(|(text, regex)| (text.clone(), regex.clone())));
        (joined, Id(by))
    }
}
