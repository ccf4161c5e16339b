//! Journeys on the real parts: a Kubernetes API server, Kafka brokers, and the operator as the process that a
//! cluster would run, with the rights of `dev/operator-rbac.yaml` and no others.
//!
//! `cargo xtask test --only real` starts the environment; alone, this program starts its own. The tests of behaviour
//! share one operator ([`support::Stage::shared`]) and disturb each other not, because each has a namespace and a tenant of
//! its own ([`support::Fixture`]). Tests of failures have a stage of their own.
//!
//! [`store`] is about the audit log in its databases: PostgreSQL and SQLite, and no Kubernetes.
//!
//! `docs/behaviours.md` lists the behaviours with their tests.
//!
//! Nothing here sleeps to see what happens: a test waits for a state, and that nothing happens is shown by something that
//! would have happened later ([`support::Fixture::settled`]).

#![allow(clippy::panic, reason = "a test fails by a panic, in its helpers as well")]

mod support;

mod access;
mod access_crash;
mod admission;
mod adopt;
mod approval;
mod audit;
mod clusters;
mod command_line;
mod config;
mod conflict;
mod crash;
mod create;
mod crowd;
mod deletion;
mod drift;
mod event_type;
mod hold;
mod isolation;
mod leader;
mod outage;
mod quota;
mod refusal;
mod rest;
mod schema;
mod schemas;
mod security;
mod shape;
mod store;
mod suspended;
mod tenancy;
mod unregistered;
mod webhook;
