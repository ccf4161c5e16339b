//! What the journeys are told with.
//!
//! - [`Stage`]: where a journey plays: an API server, Kafka, the operator between them. One is shared by the tests of
//!   behaviour.
//! - [`Fixture`]: a namespace with its tenant on a stage, and short words for what people do there.
//! - [`audit::Logs`]: the audit log of an operator, read behind its back.
//! - [`Broker`]: Kafka behind the operator's back; [`clients`]: those who use it.
//! - [`Kube`]: Kubernetes as its administrator; [`Kube::accepts`] and [`Kube::rejects`] ask in every way that people have.
//! - [`site::Site`]: where a test of failures plays: API server, Kafka and operators of its own ([`own::Own`]) that it may
//!   break, with a [`proxy::Proxy`] on each way between them.
//!
//! A wait that does not end fails with the object as it was last seen and the end of the operator's log.

pub(crate) mod audit;
mod broker;
pub(crate) mod clients;
mod fixture;
mod kube;
pub(crate) mod own;
pub(crate) mod proxy;
mod review;
pub(crate) mod seal;
pub(crate) mod site;
mod stage;
mod topic;

pub(crate) use self::kube::{Kube, Place};
pub(crate) use broker::{Broker, KafkaTopic};
pub(crate) use fixture::{Fixture, cluster_scoped};
pub(crate) use review::{Answer, Way, refused};
pub(crate) use stage::{Stage, allow, credentials, password};
pub(crate) use topic::{has, message, print};

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long anything may take that is to happen at all. Much longer than it does take, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a wait looks.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// Some letters and digits that no other test has.
pub(crate) fn unique() -> String {
    let random = RandomState::new().hash_one(std::process::id());
    format!("{random:016x}")[..7].to_owned()
}

/// Looks until there is an answer. What the last look saw instead is the error.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(answer) => return Ok(answer),
            Err(seen) if tokio::time::Instant::now() >= deadline => return Err(seen),
            Err(_) => tokio::time::sleep(GLANCE).await,
        }
    }
}

/// Reads YAML that a test has written.
#[track_caller]
pub(crate) fn yaml(text: &str) -> serde_json::Value {
    match serde_yaml::from_str(text) {
        Ok(value) => value,
        Err(error) => panic!("the test's YAML: {error}\n{text}"),
    }
}
