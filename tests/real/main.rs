//! Behaviour on the real parts: a Kubernetes API server, Kafka brokers, and the operator as the process that a cluster
//! would run, with the rights of `dev/operator-rbac.yaml`.
//!
//! `cargo xtask test --only real` starts the environment; a program that runs alone starts its own. The tests share one
//! operator ([`stage::shared`]), and each has a namespace and a tenant of its own ([`support::Fixture`]). Tests that break
//! something are in `tests/faults`.
//!
//! [`store`] tests the audit log in its databases, PostgreSQL and SQLite, without Kubernetes.
//!
//! [`runner`] tests the role that executes calls and events of tasks: processes with only the rights of that role.
//!
//! `docs/behaviours.md` lists the behaviours with their tests.
//!
//! No test sleeps to see what happens: it waits for a state. That nothing happens is shown by a later event
//! ([`support::Fixture::wait_for_resync`]).

#![allow(clippy::panic, reason = "a test fails by a panic, also in its support code")]

mod clients;
mod fixture;
mod stage;
#[allow(dead_code, reason = "each of the two test programs uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod access;
mod admission;
mod adopt;
mod approval;
mod audit;
mod clusters;
mod command_line;
mod config;
mod conflict;
mod create;
mod deletion;
mod drift;
mod event_type;
mod hold;
mod load;
mod quota;
mod refusal;
mod rest;
mod runner;
mod schema;
mod schemas;
mod security;
mod shape;
mod store;
mod suspended;
mod task;
mod task_command_line;
mod tenancy;
mod webhook;
