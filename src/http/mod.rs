//! HTTP servers: connections, their limits and their end, and TLS with a certificate that is replaced while serving.
//!
//! `server` accepts connections, answers over HTTP/1.1 and shuts down gracefully; `certificate` is what it serves TLS with, and
//! `client_certificate` which clients it accepts. `unidentified` limits the connections of clients that send nothing.
//! The webhook, the REST API and the server for health and metrics differ in their routes and [`Limits`] only.
//!
//! Deliberately absent: routes, and where certificates come from.

mod certificate;
mod client_certificate;
mod server;
mod unidentified;

pub use certificate::{InvalidCertificate, ServingCertificate};
pub use client_certificate::{ClientVerification, InvalidClientAuthority};
pub use server::{Limits, Peer, serve};
pub use unidentified::ClientIdentification;
