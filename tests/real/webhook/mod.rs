//! The admission webhook.
//!
//! - `answer`: what is said to whoever applies something, on a stage that all of these tests share.
//! - `policy`: what the API server keeps while no webhook is installed.
//! - `availability`: replicas that start, stop and die, and what happens to reviews meanwhile.
//! - `certificate`: certificates that live for seconds.
//! - `key`: whose seals are believed, and what others do to that.
//! - `wire`: whatever else arrives on the port.

mod answer;
mod availability;
mod balancer;
mod certificate;
mod key;
mod policy;
mod wire;
