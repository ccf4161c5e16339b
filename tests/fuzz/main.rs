//! Fuzzes the parsers of everything that comes from outside.
//!
//! Each target has a folder of inputs in `tests/fuzz/corpus/`. They are replayed as they are, then mutated. A target checks that
//! its parser does not panic, that its memory is bounded by the size of the input, and what has to hold for the parsed value: it
//! is the same after it was written and read again, and what was not signed does not verify.
//!
//! The number of cases is fixed (`EVENTCENTER_FUZZ_CASES`), and so is the seed of the mutations (`EVENTCENTER_FUZZ_SEED`), so that
//! every run of the same source has the same result. CONTRIBUTING.md says how to run it for longer, and what to do with an input
//! that fails.

// Tests fail by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

mod approval;
mod audit;
mod callback;
mod envelope;
mod export;
mod harness;
mod manifest;
mod mutation;
mod name;
mod query;
mod review;
mod schedule;
mod schema;
mod task;
