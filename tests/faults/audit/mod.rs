//! The audit log.
//!
//! - `checkpoint`: signed checkpoints, and what they reveal.
//! - `effects`: the records of the operator's writes to Kafka and Kubernetes.
//! - `shutdown`: the last records of a process.
//! - `unavailable`: admission while the log cannot be written.

mod checkpoint;
mod effects;
mod shutdown;
mod unavailable;
