//! Which hosts a tenant's users may have called: targets of tasks and deliveries of subscriptions.
//!
//! A user who declares a URL has the operator send a request from inside of the cluster's network (server-side request
//! forgery). [`HostPolicy`] decides twice: [`HostPolicy::check_url`] before the URL is stored, and again before each request;
//! [`HostPolicy::check_address`] about each address that the name resolves to, because only then it is known.
//!
//! Deliberately absent: resolving names, and connecting; the module `callback` does both.

mod address;
mod endpoint;
mod header;
mod network;
mod pattern;
mod policy;

pub use address::{AddressClass, classify};
pub use endpoint::{Endpoint, EndpointHost, Scheme, parse_url};
pub use header::{check_header, check_header_name};
pub use network::Network;
pub use pattern::{HostPattern, InvalidHostPattern};
pub use policy::HostPolicy;

#[cfg(test)]
mod tests;
