//! The client against a real broker.
//!
//! `KAFKA_BOOTSTRAP` is a broker without authentication, `KAFKA_SASL_BOOTSTRAP` one with SCRAM-SHA-512 and the
//! StandardAuthorizer, where `admin` (password `admin-secret`) may do everything and `alice` (`alice-secret`) nothing.
//! `cargo xtask test` starts both. Every test works on topics of its own.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod acls;
mod connection;
mod messages;
mod support;
mod topics;
