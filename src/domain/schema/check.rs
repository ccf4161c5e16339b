//! Compares a new revision with the registered ones according to mode and policy.

use std::borrow::Borrow;

use eventcenter_sdk::Reason;
use serde_json::Value;

use super::document::Document;
use super::fuel::{Fuel, OutOfFuel};
use super::inclusion::{Difference, Prover};
use super::limits;
use super::node::{Graph, Id};
use super::removal::{self, Removal};
use super::violation::{Direction, Rule, Violation};
use crate::api::{Compatibility, CompatibilityMode, CompatibilityPolicy};
use crate::domain::Refusal;

/// The remedy that always works.
const NEXT_MAJOR: &str = "or register the next major version beside this one";

/// Checks a new revision against the registered ones, oldest first.
///
/// Returns an empty list if the revision is compatible. A revision with the same canonical form as a registered one is
/// compatible with it in every mode.
///
/// # Errors
///
/// [`Reason::SchemaInvalid`] if the schemas are too complex to be compared within the step limit. The result is
/// deterministic.
pub fn check(
    new: &Document,
    registered: &[impl Borrow<Document>],
    compatibility: Compatibility,
) -> Result<Vec<Violation>, Refusal> {
    compare(new, registered, compatibility, &mut Budget::default())
}

/// Steps that several comparisons share.
#[derive(Debug)]
pub struct Budget {
    steps: u32,
}

impl Default for Budget {
    /// The steps of one comparison at its limit: less than a tenth of a second.
    fn default() -> Self {
        Self { steps: limits::MAX_COMPARISON_STEPS }
    }
}

impl Budget {
    /// The remaining steps.
    #[cfg(test)]
    pub(super) fn remaining(&self) -> u32 {
        self.steps
    }
}

/// Like [`check`], with a budget shared by several comparisons.
///
/// # Errors
///
/// As [`check`]; steps spent by earlier comparisons count.
pub fn compare(
    new: &Document,
    registered: &[impl Borrow<Document>],
    compatibility: Compatibility,
    budget: &mut Budget,
) -> Result<Vec<Violation>, Refusal> {
    let steps = &mut budget.steps;
    let Compatibility { mode, policy } = compatibility;
    let (directions, is_transitive) = directions_of(mode);
    if directions.is_empty() || registered.is_empty() {
        return Ok(Vec::new());
    }
    let graphs: Vec<&Graph> = registered.iter().map(|old| old.borrow().graph()).collect();
    let newest = registered.len() - 1;
    let mut violations: Vec<Violation> = Vec::new();
    let oldest = if is_transitive { 0 } else { newest };
    for (at, old) in registered.iter().enumerate().skip(oldest) {
        let old = old.borrow();
        if old.hash() == new.hash() {
            continue;
        }
        let mut fuel = Fuel::new(*steps, limits::MAX_PROOF_DEPTH);
        let comparison = Comparison { old, new, policy, revision: at + 1 };
        let before = fuel.remaining();
        let mut found = Vec::new();
        let done = (|| {
            let removal = match policy {
                CompatibilityPolicy::Lenient => removal::find(new.graph(), &graphs, at, &mut fuel)?,
                CompatibilityPolicy::Strict => Removal::default(),
            };
            if at == newest {
                found.extend(comparison.removal_violations(&removal, directions));
            }
            for direction in directions {
                found.extend(comparison.run(*direction, &removal, &mut fuel)?);
            }
            Ok(())
        })();
        *steps -= before - fuel.remaining();
        done.map_err(|OutOfFuel| too_complex(at + 1))?;
        found.sort_by(|one, other| (&one.pointer, one.rule).cmp(&(&other.pointer, other.rule)));
        found.dedup_by(|one, other| (&one.pointer, one.rule) == (&other.pointer, other.rule));
        violations.extend(found);
    }
    Ok(violations)
}

/// The directions to check, and whether to check all revisions instead of the newest.
fn directions_of(mode: CompatibilityMode) -> (&'static [Direction], bool) {
    use CompatibilityMode as Mode;
    let directions: &[Direction] = match mode {
        Mode::Backward | Mode::BackwardTransitive => &[Direction::Backward],
        Mode::Forward | Mode::ForwardTransitive => &[Direction::Forward],
        Mode::Full | Mode::FullTransitive => &[Direction::Backward, Direction::Forward],
        Mode::None => &[],
    };
    let is_transitive =
        matches!(mode, Mode::BackwardTransitive | Mode::ForwardTransitive | Mode::FullTransitive);
    (directions, is_transitive)
}

fn too_complex(revision: usize) -> Refusal {
    let message = format!(
        "too complex to compare with revision {revision}: anyOf, oneOf, not, if and references lie too often within each \
         other; use fewer combinations, {NEXT_MAJOR}"
    );
    Refusal::new(Reason::SchemaInvalid, message)
}

struct Comparison<'a> {
    old: &'a Document,
    new: &'a Document,
    policy: CompatibilityPolicy,
    revision: usize,
}

impl Comparison<'_> {
    fn run(
        &self,
        direction: Direction,
        removal: &Removal,
        fuel: &mut Fuel,
    ) -> Result<Vec<Violation>, OutOfFuel> {
        let (graph, second) = self.old.graph().join(self.new.graph());
        // Cloning is work as well.
        fuel.consume(graph.nodes.len() / 8)?;
        let sources = [self.old.value(), self.new.value()];
        let mut prover = Prover::new(&graph, sources, second, self.policy, &removal.allowed, fuel);
        let (from, to): (Id, Id) = match direction {
            Direction::Backward => (Graph::ROOT, second),
            Direction::Forward => (second, Graph::ROOT),
        };
        let differences = prover.compare(from, to)?;
        Ok(differences.into_iter().map(|difference| self.violation(difference, direction)).collect())
    }

    fn violation(&self, difference: Difference, direction: Direction) -> Violation {
        let Difference { rule, from, to, was, is } = difference;
        let (rule, place, old, new) = match direction {
            Direction::Backward => (rule, to.or(from), was, is),
            Direction::Forward => (rule.mirrored(), from.or(to), is, was),
        };
        self.new_violation(rule, place.unwrap_or_default(), old, new, direction)
    }

    fn new_violation(
        &self,
        rule: Rule,
        pointer: String,
        old: Option<Value>,
        new: Option<Value>,
        direction: Direction,
    ) -> Violation {
        let remedy = format!("{}, {NEXT_MAJOR}", rule.remedy());
        Violation { rule, pointer, old, new, direction, revision: self.revision, remedy }
    }

    /// Violations for properties that were removed too early.
    fn removal_violations(&self, removal: &Removal, directions: &[Direction]) -> Vec<Violation> {
        let direction = directions.first().copied().unwrap_or(Direction::Backward);
        let graph = self.old.graph();
        let violations = removal.refused.iter().map(|(id, deprecations)| {
            let pointer = graph.node(*id).pointer.clone();
            let old = self.old.value().pointer(&pointer).cloned();
            let mut violation = self.new_violation(Rule::PropertyRemoved, pointer, old, None, direction);
            if *deprecations > 0 {
                violation.remedy = format!("keep it, deprecated: true, for one more revision, {NEXT_MAJOR}");
            }
            violation
        });
        violations.collect()
    }
}
