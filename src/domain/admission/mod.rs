//! Admission: validates creates, updates and deletes before they are stored.
//!
//! These are the rules of the controllers, applied to a change instead of a state: unchanged fields are not validated
//! again, so that an old resource that violates a newer rule can still be labelled or deleted. Valid changes with a risk
//! get warnings.

pub mod kafka_cluster;
pub mod task;
pub mod tenant;
pub mod topic;

pub use kafka_cluster::kafka_cluster;
pub use task::{task, task_template, task_warnings};
pub use tenant::tenant;
pub use topic::topic;

use super::Refusal;

/// A requested change.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a, K> {
    /// A create.
    Create(&'a K),
    /// An update.
    Update {
        /// The stored resource.
        old: &'a K,
        /// The new resource.
        new: &'a K,
    },
    /// A delete.
    Delete(&'a K),
}

/// The decision on a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; empty if it is allowed.
    pub refusals: Vec<Refusal>,
    /// Risks of an allowed change, one sentence each.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// Refuses the change.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self { refusals: vec![refusal], warnings: Vec::new() }
    }

    /// This verdict with the refusals and warnings of another one.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        self.refusals.append(&mut other.refusals);
        self.warnings.append(&mut other.warnings);
        self
    }
}

/// Formats the first items of a list and the number of the others.
pub(crate) fn summarize<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> Option<String> {
    const MAX_ITEMS: usize = 10;
    let (mut text, mut number) = (String::new(), 0_usize);
    for item in items {
        if number < MAX_ITEMS {
            let separator = if number == 0 { "" } else { ", " };
            text.push_str(&format!("{separator}{item}"));
        }
        number += 1;
    }
    match number {
        0 => None,
        _ if number > MAX_ITEMS => Some(format!("{text} and {} more", number - MAX_ITEMS)),
        _ => Some(text),
    }
}

#[cfg(test)]
pub(crate) fn print(verdict: &Verdict) -> String {
    let refusals = verdict.refusals.iter().map(|refusal| format!("refused: {refusal}"));
    let lines: Vec<_> = refusals.chain(verdict.warnings.iter().map(|w| format!("warning: {w}"))).collect();
    if lines.is_empty() { "allowed".into() } else { lines.join("\n") }
}
