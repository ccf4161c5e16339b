//! Faults on the real parts: each test has a Kubernetes API server and a Kafka broker for itself, and starts the operators
//! as processes with the rights of `dev/operator-rbac.yaml`. It may stop, kill, pause and cut off all of them.
//!
//! [`parts`] are an API server and a broker behind a [`proxy`] each; [`fixture`] is a namespace with its tenant on them. The
//! tests of behaviour, which share one operator, are in `tests/real`. `docs/behaviours.md` lists the behaviours with their
//! tests.
//!
//! No test sleeps to see what happens: it waits for a state.

#![allow(clippy::panic, reason = "a test fails by a panic, also in its support code")]

mod fixture;
mod parts;
mod proxy;
#[allow(dead_code, reason = "each of the two test programs uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod access_crash;
mod approval;
mod audit;
mod crash;
mod default_cluster;
mod isolation;
mod leader;
mod outage;
mod process;
mod recreated;
mod schedule;
mod task;
mod unregistered;
mod upgrade;
mod webhook;
