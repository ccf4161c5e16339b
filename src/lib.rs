//! eventcenter: event governance as Kubernetes resources.
//!
//! The library is the program, so that tests and benchmarks reach its parts; it promises no API.
//! A module imports only modules to its left:
//!
//! ```text
//! sdk ← api ← domain ← { kafka | store | kubernetes | http | callback } ← { controllers | webhook | rest | runner } ← { app | ctl }
//! ```
//!
//! - [`api`]: the custom resources.
//! - [`domain`]: every decision, pure.
//! - [`kafka`], [`store`], [`kubernetes`]: Kafka, the database and Kubernetes, each named there and nowhere else.
//! - [`http`]: HTTP servers and their TLS.
//! - [`callback`]: HTTP requests to addresses of users.
//! - [`controllers`]: what brings them together.
//! - [`webhook`]: what the API server asks.
//! - [`rest`]: what people and programs ask.
//! - [`app`]: the operator's program.
//! - [`ctl`]: `eventctl`, the program for teams.

pub mod api;
pub mod app;
pub mod callback;
pub mod controllers;
pub mod ctl;
pub mod domain;
pub mod error_chain;
pub mod http;
pub mod kafka;
pub mod kubernetes;
pub mod rest;
pub mod runner;
pub mod store;
pub mod webhook;
