//! Sends HTTP requests to addresses that users declare.
//!
//! [`CallbackClient`] is the only way out: it resolves the host, has the tenant's policy
//! ([`HostPolicy`](crate::domain::callback::HostPolicy)) check each address, and connects to these addresses and no other. A name
//! is never resolved twice for a connection, so an answer that changes (DNS rebinding) cannot lead elsewhere. A connection that is
//! kept alive serves only the tenant that opened it, and only while its policy allows the address.
//!
//! Deliberately absent: which hosts are allowed (`domain::callback`), retries of requests, redirects, cookies, and proxies of the
//! environment. A redirect is returned as it is: its target was not checked.

mod client;
mod connection;
mod error;
mod message;
mod options;
mod pool;
mod resolver;
mod tls;

pub use client::CallbackClient;
pub use error::{CallbackError, Phase, SetupError, TlsFailure};
pub use hyper::body::Bytes;
pub use hyper::header::{HeaderName, HeaderValue};
pub use hyper::{HeaderMap, Method, StatusCode};
pub use message::{BodyEnd, CallbackRequest, CallbackResponse};
pub use options::CallbackOptions;
