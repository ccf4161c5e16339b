//! Compares verdicts with the crate `jsonschema`, whose canonical form decides inclusion by algebra.
//!
//! Where both decide, they have to agree. The table below gives the reason for each exception.

use jsonschema::canonical::{Containment, options};
use proptest::prelude::*;
use serde_json::Value;

use super::property::pair;
use super::read;
use super::table::all_pairs;
use crate::api::{Compatibility, CompatibilityMode as Mode, CompatibilityPolicy as Policy};
use crate::domain::schema::{Document, check};

/// Whether the new schema covers the old one according to the other implementation.
fn covers(old: &Value, new: &Value) -> Option<bool> {
    let canonical = |schema: &Value| {
        let patterns = jsonschema::PatternOptions::regex();
        options()
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .offline()
            .canonicalize(schema)
            .ok()
    };
    match canonical(new)?.covers(&canonical(old)?).ok()? {
        Containment::Yes => Some(true),
        Containment::No => Some(false),
        Containment::Unknown => None,
    }
}

fn accepts(old: &Document, new: &Document) -> bool {
    let compatibility = Compatibility { mode: Mode::Backward, policy: Policy::Strict };
    check(new, &[read(old.value())], compatibility).is_ok_and(|violations| violations.is_empty())
}

/// Pairs that are compatible but not proven in one direction, with the reason.
const NOT_PROVEN: &[(&str, &str)] = &[
    ("integers are multiples of 1", "a divisor does not make a number an integer: types come from type only"),
    (
        "an encoding is added",
        "in 2020-12 an encoding is an annotation; a change is reported nevertheless, as for format",
    ),
    (
        "what is not excluded",
        "types are not derived from not: a double exclusion is reported as a wider type",
    ),
    ("a tree of required trees has no values", "the absence of finite values is not derived from references"),
];

#[test]
fn the_table_agrees_with_the_other_implementation() {
    let (mut agreed, mut undecided) = (0, 0);
    let mut wrong = Vec::new();
    let mut not_proven = Vec::new();
    for (name, old, new) in all_pairs() {
        for (from, to) in [(&old, &new), (&new, &old)] {
            let ours = accepts(&read(from), &read(to));
            match covers(from, to) {
                None => undecided += 1,
                Some(theirs) if ours == theirs => agreed += 1,
                Some(true) if NOT_PROVEN.iter().any(|(known, _)| *known == name) => {
                    not_proven.push(name.clone())
                }
                Some(theirs) => wrong.push(format!("{name}: ours {ours}, theirs {theirs}: {from} in {to}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {agreed} + {undecided}\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(
        not_proven.len(),
        NOT_PROVEN.len(),
        "remove from the list what is proven by now: {not_proven:?}"
    );
    assert!(agreed > 300, "{agreed} agreed, {undecided} undecided");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The other implementation never refutes what this one accepts. The reverse does not hold.
    #[test]
    fn accepted_by_strict_is_covered((old, new) in pair()) {
        if let (Ok(from), Ok(to)) = (Document::from_value(&old), Document::from_value(&new))
            && accepts(&from, &to)
        {
            prop_assert_ne!(covers(from.value(), to.value()), Some(false));
        }
    }
}
