//! The admission webhook.
//!
//! - `authentication`: callers of the webhook's port that are not the API server.
//! - `availability`: reviews while replicas start, stop and die.
//! - `certificate`: certificates with a validity of seconds.
//! - `key`: the keys for signatures, and changes to them by others.
//! - `path`: the paths with tokens in the webhook configurations.
//! - `policy`: what the API server's policies enforce while no webhook is installed.
//! - `wire`: requests on the webhook's port that are no reviews.

mod authentication;
mod availability;
mod balancer;
mod caller;
mod certificate;
mod key;
mod path;
mod policy;
mod wire;
