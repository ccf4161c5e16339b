//! The Kubernetes API client: watches, reads, writes, Events, Secrets and leader election.
//!
//! [`Session`] and [`RestSession`] are the API server and the REST API as the user of a command, [`CallerSession`] the API server
//! as the caller of a REST request.
//!
//! This is the only module that names `kube::Client`. Deliberately absent: any decision about what to write. Writes are
//! merge and JSON patches of the operator's own fields, so that they overwrite no other change; they share a bounded
//! number of connections.

mod access_review;
mod approval_session;
mod caller_session;
mod certificate;
mod checkpoint;
mod config_map;
mod event;
mod get;
mod guard;
mod heartbeat;
mod job;
mod lease;
mod list;
mod rest_session;
mod revision;
mod seal_keys;
mod secret;
mod session;
mod timeout;
mod token_request;
mod token_review;
mod watch;
mod webhook_configuration;
mod write;

pub use access_review::UserInfo;
pub use caller_session::CallerSession;
pub use certificate::CertificateSecret;
pub use checkpoint::{PublishedCheckpoints, UnpublishedLogs};
pub use event::{EventRecord, EventType};
pub use heartbeat::{Heartbeat, Replica};
pub use lease::{Leadership, Lease, LeaseLost, LeaseSettings};
pub use list::ListError;
pub use rest_session::{Download, RestError, RestLogin, RestSession, Secret};
pub use revision::{OwnedRevision, StoredRevision};
pub use seal_keys::{SealKey, SealRole, TrustedKeys};
pub use secret::SecretError;
pub use session::{Denial, Login, Session, SessionError};
pub use token_request::ServiceAccountToken;
pub use token_review::AuthenticatedUser;
pub use webhook_configuration::{
    WebhookClient, WebhookConfiguration, WebhookConfigurationKind, WebhookEndpoint,
};
pub use write::WriteError;

use std::sync::Arc;

use kube::config::AuthInfo;
use kube::{Client, Resource};
use tokio::sync::Semaphore;

/// Each write has a connection of its own (HTTP/1.1), and more do not make the API server faster.
const MAX_CONCURRENT_WRITES: usize = 32;

/// A connection to the Kubernetes API server.
#[derive(Clone)]
pub struct KubeClient {
    client: Client,
    /// The same API server without credentials, for requests with the token of a caller.
    anonymous: Client,
    writers: Arc<Semaphore>,
    events: event::Sender,
    namespace: Arc<str>,
}

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeClient").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KubeClient {
    /// Connects with the kubeconfig of the environment, or the service account of the pod.
    /// `namespace` is the operator's own, with its Secrets and its Lease. `instance` names this
    /// replica in Events.
    ///
    /// # Errors
    /// No usable configuration.
    pub async fn connect(namespace: &str, instance: &str) -> Result<Self, ConnectError> {
        let config = kube::Config::infer().await.map_err(|source| ConnectError::Config(Box::new(source)))?;
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        let connect =
            |config| Client::try_from(config).map_err(|source| ConnectError::Client(Box::new(source)));
        let (client, anonymous) = (connect(config)?, connect(anonymous)?);
        Ok(Self {
            anonymous,
            events: event::start(client.clone(), instance),
            client,
            writers: Arc::new(Semaphore::new(MAX_CONCURRENT_WRITES)),
            namespace: namespace.into(),
        })
    }

    /// The operator's own namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Queues an Event about a resource; drops it if the queue is full.
    pub fn publish_event(&self, resource: &impl Resource<DynamicType = ()>, event: EventRecord) {
        if let Err(error) = self.events.try_send((resource.object_ref(&()), event)) {
            tracing::debug!(%error, "an Event was dropped");
        }
    }
}

/// The client has no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod's service account.
    #[error("no configuration to reach Kubernetes: set KUBECONFIG, or run in a pod")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("creating the Kubernetes client")]
    Client(#[source] Box<kube::Error>),
}
