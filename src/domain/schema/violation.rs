//! What breaks whom: the closed list of rules, and one breach of a rule.

use std::fmt;

use serde_json::Value;

/// Who could no longer read whose events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// A consumer with the new schema could not read an event of the registered one.
    Backward,
    /// A consumer with the registered schema could not read an event of the new one.
    Forward,
}

impl Direction {
    /// The word for it, as in the modes.
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

/// One row a rule: its word, its mirror image, what happened, and what to do instead.
macro_rules! rules {
    ($($variant:ident $word:literal mirrors $mirror:ident: $sentence:literal, $remedy:literal)*) => {
        /// What a revision may not do. Each word says what the new schema does to the registered one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $sentence] $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word, as registries write theirs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What the same difference is called when the schemas change places.
            #[must_use]
            pub const fn mirrored(self) -> Self {
                match self { $(Self::$variant => Self::$mirror,)* }
            }

            /// What the new schema does.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }

            /// What to do instead; a new major version is always possible besides.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

rules! {
    PropertyRemoved "PROPERTY_REMOVED" mirrors PropertyAdded:
        "a property is gone",
        "keep it, marked deprecated: true, for at least two revisions"
    PropertyAdded "PROPERTY_ADDED" mirrors PropertyRemoved:
        "a property is new that a closed object of the other schema refuses",
        "open the object first (additionalProperties: true) and let consumers take that up"
    PropertyAddedToOpenObject "PROPERTY_ADDED_TO_OPEN_OBJECT" mirrors PropertyRemovedFromOpenObject:
        "a property is described whose name could already hold any other value",
        "choose another name, leave the value undescribed, or use the policy Lenient"
    PropertyRemovedFromOpenObject "PROPERTY_REMOVED_FROM_OPEN_OBJECT" mirrors PropertyAddedToOpenObject:
        "a property is no longer described, so that its name could hold any other value",
        "keep its description, or use the policy Lenient"
    RequiredPropertyAdded "REQUIRED_PROPERTY_ADDED" mirrors RequiredPropertyRemoved:
        "a property is required that was not",
        "make it optional and let consumers do without it"
    RequiredPropertyRemoved "REQUIRED_PROPERTY_REMOVED" mirrors RequiredPropertyAdded:
        "a property is no longer required",
        "keep it required"
    TypeNarrowed "TYPE_NARROWED" mirrors TypeWidened:
        "a type is no longer accepted",
        "keep accepting the old types beside the new ones"
    TypeWidened "TYPE_WIDENED" mirrors TypeNarrowed:
        "a type is accepted that was not",
        "keep to the old types, and give the new value a property of its own"
    EnumValueRemoved "ENUM_VALUE_REMOVED" mirrors EnumValueAdded:
        "a value is no longer among the accepted ones",
        "keep the value; producers may stop using it"
    EnumValueAdded "ENUM_VALUE_ADDED" mirrors EnumValueRemoved:
        "a value is accepted that was not",
        "let consumers accept it first, with a mode that allows this"
    EnumAdded "ENUM_ADDED" mirrors EnumRemoved:
        "only certain values are accepted where others were possible",
        "describe the values in a text, or give the closed list a property of its own"
    EnumRemoved "ENUM_REMOVED" mirrors EnumAdded:
        "other values are possible where only certain ones were accepted",
        "keep the list"
    BoundTightened "BOUND_TIGHTENED" mirrors BoundLoosened:
        "a bound leaves out what was within it",
        "keep the wider bound"
    BoundLoosened "BOUND_LOOSENED" mirrors BoundTightened:
        "a bound takes in what was outside of it",
        "keep the narrower bound"
    MultipleOfChanged "MULTIPLE_OF_CHANGED" mirrors MultipleOfChanged:
        "numbers have to be multiples of something else",
        "keep the divisor, or one of its divisors"
    PatternChanged "PATTERN_CHANGED" mirrors PatternChanged:
        "strings have to match another regular expression",
        "keep the expression; whether two of them accept the same is not decided here"
    FormatChanged "FORMAT_CHANGED" mirrors FormatChanged:
        "strings have another format, encoding or media type",
        "keep it, or give the new format a property of its own"
    AdditionalPropertiesNarrowed "ADDITIONAL_PROPERTIES_NARROWED" mirrors AdditionalPropertiesWidened:
        "properties that are not described are refused or limited",
        "leave the object as open as it was"
    AdditionalPropertiesWidened "ADDITIONAL_PROPERTIES_WIDENED" mirrors AdditionalPropertiesNarrowed:
        "properties that are not described are accepted where they were refused or limited",
        "leave the object as closed as it was"
    PatternPropertiesNarrowed "PATTERN_PROPERTIES_NARROWED" mirrors PatternPropertiesWidened:
        "properties with certain names are limited that were not",
        "leave them as free as they were"
    PatternPropertiesWidened "PATTERN_PROPERTIES_WIDENED" mirrors PatternPropertiesNarrowed:
        "properties with certain names are free that were limited",
        "keep the limit"
    PropertyNamesNarrowed "PROPERTY_NAMES_NARROWED" mirrors PropertyNamesWidened:
        "names of properties are limited that were not",
        "leave the names as free as they were"
    PropertyNamesWidened "PROPERTY_NAMES_WIDENED" mirrors PropertyNamesNarrowed:
        "names of properties are free that were limited",
        "keep the limit"
    DependencyAdded "DEPENDENCY_ADDED" mirrors DependencyRemoved:
        "a property asks for others that it did not ask for",
        "keep them independent"
    DependencyRemoved "DEPENDENCY_REMOVED" mirrors DependencyAdded:
        "a property no longer asks for others",
        "keep the dependency"
    ItemsNarrowed "ITEMS_NARROWED" mirrors ItemsWidened:
        "items of an array are limited that were not",
        "leave the items as free as they were"
    ItemsWidened "ITEMS_WIDENED" mirrors ItemsNarrowed:
        "items of an array are free that were limited",
        "keep the limit"
    UniqueItemsAdded "UNIQUE_ITEMS_ADDED" mirrors UniqueItemsRemoved:
        "items have to differ from each other",
        "accept repeated items"
    UniqueItemsRemoved "UNIQUE_ITEMS_REMOVED" mirrors UniqueItemsAdded:
        "items no longer have to differ from each other",
        "keep uniqueItems"
    ContainsNarrowed "CONTAINS_NARROWED" mirrors ContainsWidened:
        "an array has to contain what it did not have to",
        "accept arrays without it"
    ContainsWidened "CONTAINS_WIDENED" mirrors ContainsNarrowed:
        "an array need not contain what it had to",
        "keep contains"
    AlternativeRemoved "ALTERNATIVE_REMOVED" mirrors AlternativeAdded:
        "one of the alternatives is gone, or fits no longer",
        "keep the alternative"
    AlternativeAdded "ALTERNATIVE_ADDED" mirrors AlternativeRemoved:
        "there is an alternative that was not there",
        "let consumers accept it first, with a mode that allows this"
    ExclusionAdded "EXCLUSION_ADDED" mirrors ExclusionRemoved:
        "something is excluded that was not",
        "take it out of not"
    ExclusionRemoved "EXCLUSION_REMOVED" mirrors ExclusionAdded:
        "something is no longer excluded",
        "keep it in not"
    ConditionAdded "CONDITION_ADDED" mirrors ConditionRemoved:
        "a condition asks for more than before",
        "keep what it asks for"
    ConditionRemoved "CONDITION_REMOVED" mirrors ConditionAdded:
        "a condition asks for less than before",
        "keep what it asked for"
    CannotProve "CANNOT_PROVE" mirrors CannotProve:
        "it cannot be shown that this part still fits",
        "leave the part as it was, or write it with fewer combinations"
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing in a new schema that breaks readers.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// What the new schema does.
    pub rule: Rule,
    /// JSON Pointer to the place: in the new schema, or in the registered one if the new one has no such place.
    pub pointer: String,
    /// What stands there in the registered schema.
    pub old: Option<Value>,
    /// What stands there in the new schema.
    pub new: Option<Value>,
    /// Who is broken by it.
    pub direction: Direction,
    /// The registered revision, counted from 1.
    pub revision: usize,
    /// What to do.
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

/// A value in one line, cut where a person stops reading.
fn shorten(value: Option<&Value>) -> String {
    const LONGEST: usize = 80;
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
