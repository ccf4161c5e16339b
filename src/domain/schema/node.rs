//! The normal form of a schema, common to both drafts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use regex::Regex;
use serde_json::{Number, Value};

use super::draft::Draft;

/// Index of a subschema in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u32);

/// A set of JSON types. `number` is the union of `INTEGER` and `FRACTION`, so that `integer` is a subset of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeSet(u8);

impl TypeSet {
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
    /// The types that a proof by cases distinguishes.
    pub(super) const BASIC: [Self; 6] =
        [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER];

    pub(super) fn from_name(name: &str) -> Option<Self> {
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

    pub(super) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// `1.0` is an integer in both drafts.
fn is_integer(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// The number as a double, as in the canonical form.
pub(super) fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// The values of `enum` and `const`.
#[derive(Clone, Debug)]
pub(super) struct EnumValues {
    pub(super) values: Vec<Value>,
    pub(super) keys: HashSet<String>,
    pub(super) keyword: &'static str,
}

impl EnumValues {
    pub(super) fn new(values: Vec<Value>, keyword: &'static str) -> Self {
        let keys = values.iter().map(equality_key).collect();
        Self { values, keys, keyword }
    }
}

/// A key that two values share exactly if JSON Schema considers them equal.
pub(super) fn equality_key(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Beyond 2^53 an integer of an event is more exact than a double.
            Some(double) if double.abs() < 9_007_199_254_740_992.0 => format!("{}", double + 0.0),
            _ => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(equality_key).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let sorted: BTreeMap<&String, String> =
                members.iter().map(|(name, value)| (name, equality_key(value))).collect();
            format!("{sorted:?}")
        }
        Value::String(text) => format!("{text:?}"),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// One end of a numeric range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) is_exclusive: bool,
    pub(super) keyword: &'static str,
}

/// Keywords for numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumberRules {
    pub(super) lower: Option<Bound>,
    pub(super) upper: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
}

/// Range of a length: characters, items or properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CountRange {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}

/// Keywords for strings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StringRules {
    pub(super) length: CountRange,
    pub(super) pattern: Option<String>,
    /// `format`, `contentEncoding` and `contentMediaType`.
    pub(super) annotations: BTreeMap<&'static str, String>,
}

/// Keywords for objects.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectRules {
    pub(super) properties: BTreeMap<String, Id>,
    pub(super) pattern_properties: BTreeMap<String, Id>,
    pub(super) additional_properties: Option<Id>,
    pub(super) unevaluated_properties: Option<Id>,
    pub(super) property_names: Option<Id>,
    pub(super) required: BTreeSet<String>,
    pub(super) count: CountRange,
    pub(super) dependent_required: BTreeMap<String, BTreeSet<String>>,
    pub(super) dependent_schemas: BTreeMap<String, Id>,
}

/// `contains`, `minContains` and `maxContains`.
#[derive(Clone, Debug)]
pub(super) struct Contains {
    pub(super) item: Id,
    pub(super) count: CountRange,
}

/// Keywords for arrays.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrayRules {
    pub(super) prefix_items: Vec<Id>,
    pub(super) items: Option<Id>,
    pub(super) unevaluated_items: Option<Id>,
    pub(super) contains: Option<Contains>,
    pub(super) count: CountRange,
    pub(super) is_unique: bool,
}

/// `if`, `then` and `else`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) test: Id,
    pub(super) then: Option<Id>,
    pub(super) otherwise: Option<Id>,
}

/// A subschema: the conjunction of all fields.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) pointer: String,
    /// The dialect it was written in, for names of keywords in reports.
    pub(super) draft: Draft,
    /// The value of `type`.
    pub(super) types: TypeSet,
    /// Types of values that can be valid, in-place subschemas included. An over-approximation.
    pub(super) possible_types: TypeSet,
    /// Number of subschemas that apply to the same value, each counted as often as it is reached.
    pub(super) weight: u32,
    /// Whether it or an included subschema has `anyOf`, `oneOf`, `not` or `if`.
    pub(super) has_choice: bool,
    pub(super) enum_values: Option<EnumValues>,
    pub(super) number: NumberRules,
    pub(super) string: StringRules,
    pub(super) object: ObjectRules,
    pub(super) array: ArrayRules,
    pub(super) all_of: Vec<Id>,
    pub(super) any_of: Vec<Id>,
    pub(super) one_of: Vec<Id>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<Condition>,
    pub(super) reference: Option<Id>,
    pub(super) deprecated: bool,
}

impl Node {
    pub(super) fn new(pointer: String, draft: Draft) -> Self {
        Self {
            pointer,
            draft,
            types: TypeSet::ALL,
            possible_types: TypeSet::ALL,
            weight: 1,
            has_choice: false,
            enum_values: None,
            number: NumberRules::default(),
            string: StringRules::default(),
            object: ObjectRules::default(),
            array: ArrayRules::default(),
            all_of: Vec::new(),
            any_of: Vec::new(),
            one_of: Vec::new(),
            not: None,
            condition: None,
            reference: None,
            deprecated: false,
        }
    }

    /// The keyword of its tuple of items.
    pub(super) fn prefix_items_keyword(&self) -> &'static str {
        if self.draft == Draft::Seven { "/items" } else { "/prefixItems" }
    }

    /// The keyword of its schema for the other items.
    pub(super) fn items_keyword(&self) -> &'static str {
        if self.draft == Draft::Seven && !self.array.prefix_items.is_empty() {
            "/additionalItems"
        } else {
            "/items"
        }
    }

    /// The keyword of its dependencies between properties.
    pub(super) fn dependent_required_keyword(&self) -> &'static str {
        if self.draft == Draft::Seven { "/dependencies" } else { "/dependentRequired" }
    }

    /// Whether it trivially accepts every value.
    pub(super) fn accepts_all(&self) -> bool {
        self.has_no_assertions() && self.in_place().next().is_none()
    }

    /// Whether it is nothing but a reference.
    pub(super) fn is_alias(&self) -> bool {
        self.has_no_assertions() && self.in_place().count() == 1 && self.reference.is_some()
    }

    fn has_no_assertions(&self) -> bool {
        let (object, array) = (&self.object, &self.array);
        self.types == TypeSet::ALL
            && self.enum_values.is_none()
            && self.number == NumberRules::default()
            && self.string == StringRules::default()
            && object.properties.is_empty()
            && object.pattern_properties.is_empty()
            && object.additional_properties.is_none()
            && object.unevaluated_properties.is_none()
            && object.property_names.is_none()
            && object.required.is_empty()
            && object.count == CountRange::default()
            && object.dependent_required.is_empty()
            && array.prefix_items.is_empty()
            && array.items.is_none()
            && array.unevaluated_items.is_none()
            && array.contains.is_none()
            && array.count == CountRange::default()
            && !array.is_unique
    }

    /// Subschemas that apply to the same value.
    pub(super) fn in_place(&self) -> impl Iterator<Item = Id> + '_ {
        let condition = self.condition.iter().flat_map(|condition| {
            [Some(condition.test), condition.then, condition.otherwise].into_iter().flatten()
        });
        let lists = [&self.all_of, &self.any_of, &self.one_of].into_iter().flatten().copied();
        lists
            .chain(self.not)
            .chain(self.reference)
            .chain(condition)
            .chain(self.object.dependent_schemas.values().copied())
    }

    /// Subschemas that apply to properties, property names and items.
    pub(super) fn inner(&self) -> impl Iterator<Item = Id> + '_ {
        let (object, array) = (&self.object, &self.array);
        let many = object
            .properties
            .values()
            .chain(object.pattern_properties.values())
            .chain(&array.prefix_items)
            .copied();
        let one = [
            object.additional_properties,
            object.unevaluated_properties,
            object.property_names,
            array.items,
            array.unevaluated_items,
        ];
        many.chain(one.into_iter().flatten()).chain(array.contains.iter().map(|contains| contains.item))
    }

    fn shift(&mut self, by: u32) {
        let (object, array) = (&mut self.object, &mut self.array);
        let lists = [&mut self.all_of, &mut self.any_of, &mut self.one_of, &mut array.prefix_items];
        let many = lists.into_iter().flatten();
        let maps = [&mut object.properties, &mut object.pattern_properties, &mut object.dependent_schemas];
        let many = many.chain(maps.into_iter().flat_map(BTreeMap::values_mut));
        let one = [
            &mut object.additional_properties,
            &mut object.unevaluated_properties,
            &mut object.property_names,
            &mut array.items,
        ];
        let one = one.into_iter().chain([&mut array.unevaluated_items, &mut self.not, &mut self.reference]);
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

/// All subschemas of one or two documents.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) patterns: HashMap<String, Regex>,
}

impl Graph {
    /// The root schema.
    pub(super) const ROOT: Id = Id(0);

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Whether a text matches a regular expression of one of the schemas.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> bool {
        self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
    }

    /// Joins two graphs. Returns the result and the root of the second.
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
