//! HTTP servers: connections, their limits and their end, and TLS with a certificate that is replaced while serving.
//!
//! `server` accepts connections, answers over HTTP/1.1 and shuts down gracefully; `certificate` is what it serves TLS with.
//! The webhook, the REST API and the server for health and metrics differ in their routes and [`Limits`] only.
//!
//! Deliberately absent: routes, and where certificates come from.

mod certificate;
mod server;

pub use certificate::{InvalidCertificate, ServingCertificate};
pub use server::{Limits, Peer, serve};
