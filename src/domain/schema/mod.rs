//! The schema engine: parses JSON Schemas and decides whether a new revision is compatible with registered ones.
//!
//! - `document`: a parsed schema with its canonical form. `parser`, `reference` and `json` produce it.
//! - `limits`, `fuel`: what a schema may cost.
//! - `node`: the normal form of both drafts. `evaluation` checks a value against it.
//! - `check`: compares a new revision with the registered ones; `violation` lists the rules it can break.
//! - `inclusion`: proves that every instance of one schema is an instance of another, from `facts`.
//! - `removal`: finds removed properties that were not deprecated first.
//!
//! # Where the engine ends
//!
//! It answers two questions: is this a usable schema, and which rules does a revision break. It is complete for the
//! keywords of draft-07 and 2020-12, and its accuracy is fixed: whatever it cannot prove is `CANNOT_PROVE`. The
//! following must not be added:
//!
//! - Network or file access. A reference that leaves the schema is refused.
//! - Clocks. Work is counted in steps, so that the answer is the same on every machine.
//! - Validation of events. The crate `jsonschema` does that; `evaluation` only checks values listed in schemas.
//! - Other schema languages (Avro, Protobuf), other drafts, custom keywords, code generation, schema inference.
//! - Smarter proofs, such as inclusion of regular expressions. A new special case has to be sound against the second
//!   implementation in `tests/oracle.rs`, and so far none was worth its size.
//! - Knowledge of topics, event types, tenants or storage. That is `domain::registration`; the only other caller is `eventctl
//!   schema`.

mod check;
mod document;
mod draft;
mod evaluation;
mod facts;
mod fuel;
mod inclusion;
mod json;
mod limits;
mod node;
mod parser;
mod pointer;
mod reference;
mod removal;
#[cfg(test)]
mod tests;
mod violation;

pub use check::{Budget, check, compare};
pub use document::{Document, Fault};
pub use json::StrictValue;
pub use violation::{Direction, Rule, Violation};
