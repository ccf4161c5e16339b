//! Schemas of events: what may be registered, what fits to it, and which revision breaks whom.
//!
//! - `document`: a schema that was read, with its canonical form; `reading`, `reference` and `text` make it one.
//! - `bounds`, `fuel`: what a schema may cost.
//! - `node`: the normal form of both drafts, `evaluation` what fits to it.
//! - `check`: a revision against the registered ones; `violation` says what is wrong with it.
//! - `inclusion`: whether all that fits to one schema fits to another, from `facts`; `removal`: what may not go.
//!
//! Deliberately absent: addresses. Nothing is ever fetched, and a schema that refers to what is outside of it is refused.
//! Also absent is time: what could take long is counted in steps, so the answer is the same on every machine.

mod bounds;
mod check;
mod document;
mod evaluation;
mod facts;
mod fuel;
mod inclusion;
mod node;
mod reading;
mod reference;
mod removal;
#[cfg(test)]
mod tests;
mod text;
mod violation;

pub use check::{Budget, check, compare};
pub use document::{Document, Fault};
pub use text::Unambiguous;
pub use violation::{Direction, Rule, Violation};
