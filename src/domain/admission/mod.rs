//! What is said to somebody who wants to make, change or delete a resource, before it is stored.
//!
//! These are the rules that the controllers keep as well, asked earlier and about a change instead
//! of a state: what did not change is not held against anybody, so that an old resource that breaks
//! a newer rule can still be labelled, or deleted. Beside refusals there are warnings, for what is
//! legal and unwise.

pub mod kafka_cluster;
pub mod tenant;
pub mod topic;

pub use kafka_cluster::kafka_cluster;
pub use tenant::tenant;
pub use topic::topic;

use super::Refusal;

/// A change that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a, K> {
    /// A resource is to be made.
    Create(&'a K),
    /// A resource is to become another.
    Update {
        /// As it is stored.
        old: &'a K,
        /// As it would be.
        new: &'a K,
    },
    /// A resource is to be deleted.
    Delete(&'a K),
}

/// The answer to a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; empty if it is not.
    pub refusals: Vec<Refusal>,
    /// What is allowed and unwise, a sentence each.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// The change is refused.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self { refusals: vec![refusal], warnings: Vec::new() }
    }
}

/// A list for people: the first few, and how many more there are.
pub(crate) fn listed<T: std::fmt::Display>(things: impl Iterator<Item = T>) -> Option<String> {
    const SHOWN: usize = 10;
    let (mut text, mut number) = (String::new(), 0_usize);
    for thing in things {
        if number < SHOWN {
            let separator = if number == 0 { "" } else { ", " };
            text.push_str(&format!("{separator}{thing}"));
        }
        number += 1;
    }
    match number {
        0 => None,
        _ if number > SHOWN => Some(format!("{text} and {} more", number - SHOWN)),
        _ => Some(text),
    }
}

#[cfg(test)]
pub(crate) fn print(verdict: &Verdict) -> String {
    let refusals = verdict.refusals.iter().map(|refusal| format!("refused: {refusal}"));
    let lines: Vec<_> = refusals.chain(verdict.warnings.iter().map(|w| format!("warning: {w}"))).collect();
    if lines.is_empty() { "allowed".into() } else { lines.join("\n") }
}
