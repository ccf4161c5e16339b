//! A second opinion: the canonical form of the crate jsonschema, which decides inclusion by algebra.
//!
//! Where both decide, they have to agree. Where one of them does not, the table says why.

use jsonschema::canonical::{Containment, options};
use proptest::prelude::*;
use serde_json::Value;

use super::property::pair;
use super::read;
use super::table::all_pairs;
use crate::api::{Compatibility, CompatibilityMode as Mode, CompatibilityPolicy as Policy};
use crate::domain::schema::{Document, check};

/// Whether the new schema covers the old one, as the other implementation sees it.
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

/// Pairs of the table that hold, of which we do not show one direction, each with the reason.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("integers are multiples of 1", "a divisor does not make a number an integer: kinds come from type only"),
    (
        "an encoding comes",
        "in 2020-12 an encoding is a remark; that it changed is told all the same, as for format",
    ),
    (
        "what is not excluded",
        "kinds are not taken from not: whatever is excluded twice is told as a wider type",
    ),
    (
        "a tree of required trees has no values",
        "that no finite value exists is not searched for along references",
    ),
];

#[test]
fn the_table_agrees_with_the_other_implementation() {
    let (mut agreed, mut undecided) = (0, 0);
    let mut wrong = Vec::new();
    let mut not_shown = Vec::new();
    for (name, old, new) in all_pairs() {
        for (from, to) in [(&old, &new), (&new, &old)] {
            let ours = accepts(&read(from), &read(to));
            match covers(from, to) {
                None => undecided += 1,
                Some(theirs) if ours == theirs => agreed += 1,
                Some(true) if NOT_SHOWN.iter().any(|(known, _)| *known == name) => {
                    not_shown.push(name.clone())
                }
                Some(theirs) => wrong.push(format!("{name}: ours {ours}, theirs {theirs}: {from} in {to}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {agreed} + {undecided}\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(not_shown.len(), NOT_SHOWN.len(), "what is shown by now is taken off the list: {not_shown:?}");
    assert!(agreed > 300, "{agreed} agreed, {undecided} undecided");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What we accept is never what the other one refutes. The other way round there are things that we do not show.
    #[test]
    fn what_strict_accepts_is_covered((old, new) in pair()) {
        if let (Ok(from), Ok(to)) = (Document::read(&old), Document::read(&new))
            && accepts(&from, &to)
        {
            prop_assert_ne!(covers(from.value(), to.value()), Some(false));
        }
    }
}
