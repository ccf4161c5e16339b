//! The admission webhook.
//!
//! - `availability`: reviews while replicas start, stop and die.
//! - `certificate`: certificates with a validity of seconds.
//! - `key`: the keys for signatures, and changes to them by others.
//! - `policy`: what the API server's policies enforce while no webhook is installed.
//! - `wire`: requests on the webhook's port that are no reviews.

mod availability;
mod balancer;
mod certificate;
mod key;
mod policy;
mod wire;
