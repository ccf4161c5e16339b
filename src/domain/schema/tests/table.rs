//! A table of cases: which rule each difference violates, in both directions and policies.

use serde::Deserialize;
use serde_json::Value;

use super::read;
use crate::api::{Compatibility, CompatibilityMode, CompatibilityPolicy};
use crate::domain::schema::check;

/// A pair of schemas with the violations in each direction. By default there are none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    name: String,
    old: Value,
    new: Value,
    #[serde(default)]
    backward: Expected,
    #[serde(default)]
    forward: Expected,
}

/// `RULE /pointer`, for both policies or for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Both(Vec<String>),
    Each {
        #[serde(default)]
        lenient: Vec<String>,
        #[serde(default)]
        strict: Vec<String>,
    },
}

impl Default for Expected {
    fn default() -> Self {
        Self::Both(Vec::new())
    }
}

/// Several revisions with violations `RULE /pointer`, followed by the number of the revision if there are several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revisions {
    name: String,
    #[serde(default)]
    mode: CompatibilityMode,
    registered: Vec<Value>,
    new: Value,
    #[serde(default)]
    expect: Vec<String>,
}

fn find_violations(
    new: &Value,
    registered: &[Value],
    mode: CompatibilityMode,
    policy: CompatibilityPolicy,
) -> Vec<String> {
    let registered: Vec<_> = registered.iter().map(read).collect();
    let several = registered.len() > 1;
    let violations = check(&read(new), &registered, Compatibility { mode, policy }).unwrap();
    let lines = violations.iter().map(|violation| {
        let place = if violation.pointer.is_empty() { "/" } else { &violation.pointer };
        let revision = if several { format!(" {}", violation.revision) } else { String::new() };
        format!("{} {place}{revision}", violation.rule)
    });
    lines.collect()
}

const PAIRS: &[(&str, &str)] = &[
    ("scalar", include_str!("cases/scalar.yaml")),
    ("object", include_str!("cases/object.yaml")),
    ("array", include_str!("cases/array.yaml")),
    ("combination", include_str!("cases/combination.yaml")),
    ("reference", include_str!("cases/reference.yaml")),
];

/// Every pair with its name, for other tests.
pub(super) fn all_pairs() -> Vec<(String, Value, Value)> {
    let read = |text: &&str| serde_yaml::from_str::<Vec<Pair>>(text).unwrap();
    let pairs = PAIRS.iter().flat_map(|(_, text)| read(text));
    pairs.map(|Pair { name, old, new, .. }| (name, old, new)).collect()
}

#[test]
fn every_pair_violates_the_expected_rules() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (file, text) in PAIRS {
        let pairs: Vec<Pair> = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for Pair { name, old, new, backward, forward } in pairs {
            cases += 1;
            for (mode, expected) in
                [(CompatibilityMode::Backward, backward), (CompatibilityMode::Forward, forward)]
            {
                let (lenient, strict) = match expected {
                    Expected::Both(both) => (both.clone(), both),
                    Expected::Each { lenient, strict } => (lenient, strict),
                };
                for (policy, expected) in
                    [(CompatibilityPolicy::Lenient, lenient), (CompatibilityPolicy::Strict, strict)]
                {
                    let found = find_violations(&new, std::slice::from_ref(&old), mode, policy);
                    if found != expected {
                        wrong.push(format!("{file}: {name}: {mode:?} {policy:?}\n  expected {expected:?}\n  found    {found:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 150, "only {cases} cases");
}

#[test]
fn every_history_violates_the_expected_rules() {
    let histories: Vec<Revisions> = serde_yaml::from_str(include_str!("cases/evolution.yaml")).unwrap();
    for Revisions { name, mode, registered, new, expect } in histories {
        let found = find_violations(&new, &registered, mode, CompatibilityPolicy::Lenient);
        let several = registered.len() > 1;
        let expect: Vec<String> = expect
            .into_iter()
            .map(|line| {
                let complete = !several || line.ends_with(|last: char| last.is_ascii_digit());
                if complete { line } else { format!("{line} {}", registered.len()) }
            })
            .collect();
        assert_eq!(found, expect, "{name}");
    }
}
