//! The audit log.
//!
//! - `admission`: what is recorded of what people ask for, and what happens while nothing can be recorded.
//! - `checkpoint`: what is signed, and what is found out by that.
//! - `command_line`: what `eventctl audit` says of databases and exports.
//! - `effects`: what the operator does to Kafka and Kubernetes, and when it is recorded.
//! - `platform`: what the operator does for itself.

mod admission;
mod checkpoint;
mod command_line;
mod effects;
mod platform;
