//! One new revision against the registered ones, as mode and policy ask.

use std::borrow::Borrow;

use eventcenter_sdk::Reason;
use serde_json::Value;

use super::bounds;
use super::document::Document;
use super::fuel::{Fuel, Spent};
use super::inclusion::{Difference, Prover};
use super::node::{Graph, Id};
use super::removal::{self, Removal};
use super::violation::{Direction, Rule, Violation};
use crate::api::{Compatibility, CompatibilityMode, CompatibilityPolicy};
use crate::domain::Refusal;

/// What else is always possible.
const NEXT_MAJOR: &str = "or register the next major version beside this one";

/// Checks a new revision against the registered ones, oldest first.
///
/// Nothing is found where nothing breaks. A revision with the same canonical form as a registered one is compatible with
/// that one in every mode.
///
/// # Errors
///
/// [`Reason::SchemaInvalid`] if the schemas are too complex to be compared within the fuel that a comparison has. The
/// same schemas always are, or never.
pub fn check(
    new: &Document,
    registered: &[impl Borrow<Document>],
    compatibility: Compatibility,
) -> Result<Vec<Violation>, Refusal> {
    compare(new, registered, compatibility, &mut Budget::default())
}

/// What all comparisons that somebody waits for may cost together.
#[derive(Debug)]
pub struct Budget {
    steps: u32,
}

impl Default for Budget {
    /// As much as the worst comparison with one revision: less than a tenth of a second.
    fn default() -> Self {
        Self { steps: bounds::STEPS }
    }
}

impl Budget {
    /// What is left of it.
    #[cfg(test)]
    pub(super) fn left(&self) -> u32 {
        self.steps
    }
}

/// As [`check`], at the expense of a budget that others share.
///
/// # Errors
///
/// As [`check`]; what was spent before counts.
pub fn compare(
    new: &Document,
    registered: &[impl Borrow<Document>],
    compatibility: Compatibility,
    budget: &mut Budget,
) -> Result<Vec<Violation>, Refusal> {
    let steps = &mut budget.steps;
    let Compatibility { mode, policy } = compatibility;
    let (directions, all) = asked(mode);
    if directions.is_empty() || registered.is_empty() {
        return Ok(Vec::new());
    }
    let graphs: Vec<&Graph> = registered.iter().map(|old| old.borrow().graph()).collect();
    let newest = registered.len() - 1;
    let mut violations: Vec<Violation> = Vec::new();
    let oldest = if all { 0 } else { newest };
    for (at, old) in registered.iter().enumerate().skip(oldest) {
        let old = old.borrow();
        if old.hash() == new.hash() {
            continue;
        }
        let mut fuel = Fuel::new(*steps, bounds::NESTED);
        let comparison = Comparison { old, new, policy, revision: at + 1 };
        let before = fuel.left();
        let mut found = Vec::new();
        let done = (|| {
            let removal = match policy {
                CompatibilityPolicy::Lenient => removal::find(new.graph(), &graphs, at, &mut fuel)?,
                CompatibilityPolicy::Strict => Removal::default(),
            };
            if at == newest {
                found.extend(comparison.removed(&removal, directions));
            }
            for direction in directions {
                found.extend(comparison.run(*direction, &removal, &mut fuel)?);
            }
            Ok(())
        })();
        *steps -= before - fuel.left();
        done.map_err(|Spent| too_complex(at + 1))?;
        found.sort_by(|one, other| (&one.pointer, one.rule).cmp(&(&other.pointer, other.rule)));
        found.dedup_by(|one, other| (&one.pointer, one.rule) == (&other.pointer, other.rule));
        violations.extend(found);
    }
    Ok(violations)
}

/// Who has to read whose events, and whether of all revisions.
fn asked(mode: CompatibilityMode) -> (&'static [Direction], bool) {
    use CompatibilityMode as Mode;
    let directions: &[Direction] = match mode {
        Mode::Backward | Mode::BackwardTransitive => &[Direction::Backward],
        Mode::Forward | Mode::ForwardTransitive => &[Direction::Forward],
        Mode::Full | Mode::FullTransitive => &[Direction::Backward, Direction::Forward],
        Mode::None => &[],
    };
    let all = matches!(mode, Mode::BackwardTransitive | Mode::ForwardTransitive | Mode::FullTransitive);
    (directions, all)
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
    fn run(&self, direction: Direction, removal: &Removal, fuel: &mut Fuel) -> Result<Vec<Violation>, Spent> {
        let (graph, second) = self.old.graph().join(self.new.graph());
        // Cloning is work as well.
        fuel.burn_many(graph.nodes.len() / 8)?;
        let sources = [self.old.value(), self.new.value()];
        let mut prover = Prover::new(&graph, sources, second, self.policy, &removal.waived, fuel);
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
        self.told(rule, place.unwrap_or_default(), old, new, direction)
    }

    fn told(
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

    /// Properties that were taken away too early.
    fn removed(&self, removal: &Removal, directions: &[Direction]) -> Vec<Violation> {
        let direction = directions.first().copied().unwrap_or(Direction::Backward);
        let graph = self.old.graph();
        let told = removal.refused.iter().map(|(id, marks)| {
            let pointer = graph.node(*id).pointer.clone();
            let old = self.old.value().pointer(&pointer).cloned();
            let mut violation = self.told(Rule::PropertyRemoved, pointer, old, None, direction);
            if *marks > 0 {
                violation.remedy = format!("keep it, deprecated: true, for one more revision, {NEXT_MAJOR}");
            }
            violation
        });
        told.collect()
    }
}
