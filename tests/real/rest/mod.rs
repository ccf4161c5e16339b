//! The REST API as a process, called over HTTP with tokens of Kubernetes: its answers, its rights, and the isolation of the
//! tenants' logs.

mod export;
mod http;
mod limit;
mod login;
mod reading;
mod rights;
pub(crate) mod schedule;
mod server;
mod tenant_isolation;
mod tls;
