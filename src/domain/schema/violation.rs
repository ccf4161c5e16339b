//! The rules of compatibility, and violations of them.

use std::fmt;

use serde_json::Value;

/// Which reader can no longer read which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Consumers with the new schema cannot read events of the registered one.
    Backward,
    /// Consumers with the registered schema cannot read events of the new one.
    Forward,
}

impl Direction {
    /// The name, as in the compatibility modes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One line per rule: variant, name, mirrored rule, description, remedy.
macro_rules! rules {
    ($($variant:ident $word:literal mirrors $mirror:ident: $sentence:literal, $remedy:literal)*) => {
        /// A rule of compatibility. The name says what the new schema does compared with the registered one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $sentence] $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, in the style of schema registries.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The rule for the same difference with the schemas exchanged.
            #[must_use]
            pub const fn mirrored(self) -> Self {
                match self { $(Self::$variant => Self::$mirror,)* }
            }

            /// What the new schema does.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }

            /// How to avoid it. A new major version is always possible as well.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

rules! {
    PropertyRemoved "PROPERTY_REMOVED" mirrors PropertyAdded:
        "a property was removed",
        "keep it, marked deprecated: true, for at least two revisions"
    PropertyAdded "PROPERTY_ADDED" mirrors PropertyRemoved:
        "a property was added that a closed object of the other schema refuses",
        "open the object first (additionalProperties: true) and wait until consumers use that revision"
    PropertyAddedToOpenObject "PROPERTY_ADDED_TO_OPEN_OBJECT" mirrors PropertyRemovedFromOpenObject:
        "a property is described, but its name could already hold any value",
        "choose another name, leave the value undescribed, or use the policy Lenient"
    PropertyRemovedFromOpenObject "PROPERTY_REMOVED_FROM_OPEN_OBJECT" mirrors PropertyAddedToOpenObject:
        "a property is no longer described, so its name can hold any value",
        "keep its description, or use the policy Lenient"
    RequiredPropertyAdded "REQUIRED_PROPERTY_ADDED" mirrors RequiredPropertyRemoved:
        "a property became required",
        "make it optional and let consumers do without it"
    RequiredPropertyRemoved "REQUIRED_PROPERTY_REMOVED" mirrors RequiredPropertyAdded:
        "a property is no longer required",
        "keep it required"
    TypeNarrowed "TYPE_NARROWED" mirrors TypeWidened:
        "a type is no longer accepted",
        "keep accepting the old types beside the new ones"
    TypeWidened "TYPE_WIDENED" mirrors TypeNarrowed:
        "a new type is accepted",
        "keep the old types, and add a separate property for the new value"
    EnumValueRemoved "ENUM_VALUE_REMOVED" mirrors EnumValueAdded:
        "a value is no longer accepted",
        "keep the value; producers may stop using it"
    EnumValueAdded "ENUM_VALUE_ADDED" mirrors EnumValueRemoved:
        "a new value is accepted",
        "let consumers accept it first, with a mode that allows this"
    EnumAdded "ENUM_ADDED" mirrors EnumRemoved:
        "values outside a new list are no longer accepted",
        "list the values in the description, or add a separate property with the enum"
    EnumRemoved "ENUM_REMOVED" mirrors EnumAdded:
        "values outside the former list are accepted",
        "keep the list"
    BoundTightened "BOUND_TIGHTENED" mirrors BoundLoosened:
        "a bound is stricter",
        "keep the wider bound"
    BoundLoosened "BOUND_LOOSENED" mirrors BoundTightened:
        "a bound is looser",
        "keep the narrower bound"
    MultipleOfChanged "MULTIPLE_OF_CHANGED" mirrors MultipleOfChanged:
        "numbers have to be multiples of another divisor",
        "keep the divisor, or one of its divisors"
    PatternChanged "PATTERN_CHANGED" mirrors PatternChanged:
        "strings have to match another regular expression",
        "keep the expression; two expressions are never compared by meaning"
    FormatChanged "FORMAT_CHANGED" mirrors FormatChanged:
        "strings have another format, encoding or media type",
        "keep it, or add a separate property for the new format"
    AdditionalPropertiesNarrowed "ADDITIONAL_PROPERTIES_NARROWED" mirrors AdditionalPropertiesWidened:
        "undescribed properties are refused or restricted",
        "leave the object as open as it was"
    AdditionalPropertiesWidened "ADDITIONAL_PROPERTIES_WIDENED" mirrors AdditionalPropertiesNarrowed:
        "undescribed properties are no longer refused or restricted",
        "leave the object as closed as it was"
    PatternPropertiesNarrowed "PATTERN_PROPERTIES_NARROWED" mirrors PatternPropertiesWidened:
        "properties with matching names are restricted",
        "keep them unrestricted"
    PatternPropertiesWidened "PATTERN_PROPERTIES_WIDENED" mirrors PatternPropertiesNarrowed:
        "properties with matching names are no longer restricted",
        "keep the limit"
    PropertyNamesNarrowed "PROPERTY_NAMES_NARROWED" mirrors PropertyNamesWidened:
        "property names are restricted",
        "keep the names unrestricted"
    PropertyNamesWidened "PROPERTY_NAMES_WIDENED" mirrors PropertyNamesNarrowed:
        "property names are no longer restricted",
        "keep the limit"
    DependencyAdded "DEPENDENCY_ADDED" mirrors DependencyRemoved:
        "a property requires other properties",
        "keep them independent"
    DependencyRemoved "DEPENDENCY_REMOVED" mirrors DependencyAdded:
        "a property no longer requires other properties",
        "keep the dependency"
    ItemsNarrowed "ITEMS_NARROWED" mirrors ItemsWidened:
        "array items are restricted",
        "keep the items unrestricted"
    ItemsWidened "ITEMS_WIDENED" mirrors ItemsNarrowed:
        "array items are no longer restricted",
        "keep the limit"
    UniqueItemsAdded "UNIQUE_ITEMS_ADDED" mirrors UniqueItemsRemoved:
        "items have to differ from each other",
        "accept repeated items"
    UniqueItemsRemoved "UNIQUE_ITEMS_REMOVED" mirrors UniqueItemsAdded:
        "items no longer have to differ from each other",
        "keep uniqueItems"
    ContainsNarrowed "CONTAINS_NARROWED" mirrors ContainsWidened:
        "an array has to contain an item that was optional",
        "accept arrays without it"
    ContainsWidened "CONTAINS_WIDENED" mirrors ContainsNarrowed:
        "an array no longer has to contain an item",
        "keep contains"
    AlternativeRemoved "ALTERNATIVE_REMOVED" mirrors AlternativeAdded:
        "an alternative was removed or narrowed",
        "keep the alternative"
    AlternativeAdded "ALTERNATIVE_ADDED" mirrors AlternativeRemoved:
        "an alternative was added or widened",
        "let consumers accept it first, with a mode that allows this"
    ExclusionAdded "EXCLUSION_ADDED" mirrors ExclusionRemoved:
        "more values are excluded",
        "take it out of not"
    ExclusionRemoved "EXCLUSION_REMOVED" mirrors ExclusionAdded:
        "fewer values are excluded",
        "keep it in not"
    ConditionAdded "CONDITION_ADDED" mirrors ConditionRemoved:
        "a condition requires more than before",
        "keep the former requirement"
    ConditionRemoved "CONDITION_REMOVED" mirrors ConditionAdded:
        "a condition requires less than before",
        "keep the former requirement"
    CannotProve "CANNOT_PROVE" mirrors CannotProve:
        "this part cannot be proven compatible",
        "leave the part as it was, or write it with fewer combinations"
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One incompatible difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The violated rule.
    pub rule: Rule,
    /// JSON Pointer into the new schema, or into the registered one if the new one has no such location.
    pub pointer: String,
    /// The value in the registered schema.
    pub old: Option<Value>,
    /// The value in the new schema.
    pub new: Option<Value>,
    /// Which readers are affected.
    pub direction: Direction,
    /// Number of the registered revision, counted from 1.
    pub revision: usize,
    /// How to resolve it.
    pub remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, pointer, direction, revision, remedy, .. } = self;
        let place = if pointer.is_empty() { "/" } else { pointer };
        let (old, new) = (shorten(self.old.as_ref()), shorten(self.new.as_ref()));
        write!(
            f,
            "{rule} at {place}: {}: {old} -> {new} ({direction}, revision {revision}); {remedy}",
            rule.description()
        )
    }
}

/// A value in one line, shortened for people.
fn shorten(value: Option<&Value>) -> String {
    const MAX_CHARS: usize = 80;
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
