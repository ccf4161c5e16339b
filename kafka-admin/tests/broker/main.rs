//! The client against a real broker.
//!
//! `KAFKA_BOOTSTRAP` is a broker without authentication, `KAFKA_SASL_BOOTSTRAP` one with SCRAM-SHA-512 and the
//! StandardAuthorizer, where `admin` (password `admin-secret`) is authorized for everything and `alice` (`alice-secret`) for
//! nothing. `cargo xtask test` starts both. Every test uses its own topics.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod acls;
mod connection;
mod consumer;
mod produce;
mod support;
mod topics;
