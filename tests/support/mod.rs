//! Shared by the test programs `real` and `faults`.
//!
//! - [`Stage`]: an API server, Kafka and the operators between them.
//! - [`Fixture`]: a namespace with its tenant on a stage.
//! - [`ResourceHandle`]: one resource of any kind: apply, patch, read, delete, wait for a status.
//! - [`KubeClient`]: Kubernetes as its administrator or as another user, with every way of writing an object.
//! - [`Broker`]: direct access to Kafka.
//! - [`audit::AuditLogs`]: the audit log of an operator, read from its database.
//! - [`signer::WebhookSigner`]: signs requests and decisions as the webhook does.
//!
//! A wait that does not end fails with the last observed state and the last lines of the operators' logs.

pub(crate) mod audit;
mod broker;
mod condition;
mod fixture;
mod kube;
pub(crate) mod operator;
pub(crate) mod rbac;
mod resource;
mod review;
pub(crate) mod signer;
mod stage;

pub(crate) use self::kube::{KubeClient, ObjectPath};
pub(crate) use broker::{Broker, KafkaTopic};
pub(crate) use condition::{has_condition, message, to_yaml};
pub(crate) use fixture::{Fixture, cluster_scoped};
pub(crate) use resource::ResourceHandle;
pub(crate) use review::{Response, WriteMethod, assert_refused};
pub(crate) use stage::{OperatorLogs, Stage};

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The limit of a wait whose duration is not what is tested: much longer than usual, because the machine may be busy.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// The pause between two polls of a wait.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Seven letters and digits that no other test has.
pub(crate) fn unique() -> String {
    let random = RandomState::new().hash_one(std::process::id());
    format!("{random:016x}")[..7].to_owned()
}

/// Polls until the closure returns `Ok`. After [`MAX_WAIT`] returns its last error.
pub(crate) async fn until<T>(poll: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
    until_within(MAX_WAIT, poll).await
}

/// As [`until`], with another limit.
pub(crate) async fn until_within<T>(
    limit: Duration,
    mut poll: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        match poll().await {
            Ok(answer) => return Ok(answer),
            Err(last) if tokio::time::Instant::now() >= deadline => return Err(last),
            Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// Parses the YAML of a test.
#[track_caller]
pub(crate) fn yaml(text: &str) -> serde_json::Value {
    match serde_yaml::from_str(text) {
        Ok(value) => value,
        Err(error) => panic!("the test's YAML: {error}\n{text}"),
    }
}
