//! What the handlers of requests share.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::access_log::AccessLog;
use super::authentication::Authenticator;
use super::authorization::Authorizer;
use super::checkpoint_keys::CheckpointKeys;
use super::metrics::Metrics;
use super::schedule::TaskAuthorizer;
use crate::kubernetes::KubeClient;
use crate::store;

/// Concurrent exports. Each holds some pages of records in memory.
const MAX_EXPORTS: usize = 16;

/// The options of the API.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the installation, the first part of the origins of checkpoints.
    pub installation: String,
    /// Requests per second and caller.
    pub rate: NonZeroU32,
    /// The Secret in the operator's namespace with the TLS certificate; plain HTTP if `None`.
    pub tls_secret: Option<String>,
    /// The Lease of the leader in the operator's namespace.
    pub leader_lease: String,
    /// Renders `/metrics`.
    pub metrics_page: MetricsPage,
}

/// Renders the metrics of the process.
#[derive(Clone)]
pub struct MetricsPage(pub Arc<dyn Fn() -> String + Send + Sync>);

impl fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MetricsPage").finish_non_exhaustive()
    }
}

/// The state shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct ApiState(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) kube: KubeClient,
    pub(super) audit: store::Audit,
    pub(super) runs: store::Runs,
    pub(super) options: Options,
    pub(super) authenticator: Authenticator,
    pub(super) authorizer: Authorizer,
    pub(super) task_authorizer: TaskAuthorizer,
    pub(super) access_log: AccessLog,
    pub(super) checkpoint_keys: CheckpointKeys,
    /// Permits for exports.
    pub(super) exports: Arc<Semaphore>,
    pub(super) metrics: Metrics,
    pub(super) clock: fn() -> Timestamp,
    pub(super) stop: CancellationToken,
}

impl ApiState {
    #[expect(clippy::too_many_arguments, reason = "each of them is another dependency of the process")]
    pub(super) fn new(
        kube: KubeClient,
        audit: store::Audit,
        runs: store::Runs,
        recorder: store::Recorder,
        options: Options,
        metrics: Metrics,
        clock: fn() -> Timestamp,
        stop: CancellationToken,
    ) -> Self {
        let access_log = AccessLog::new(recorder, metrics.clone());
        Self(Arc::new(Shared {
            authenticator: Authenticator::new(kube.clone(), options.rate, access_log.clone()),
            authorizer: Authorizer::new(kube.clone(), audit.clone(), access_log.clone()),
            task_authorizer: TaskAuthorizer::new(kube.clone(), access_log.clone()),
            checkpoint_keys: CheckpointKeys::new(kube.clone()),
            kube,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            audit,
            runs,
            options,
            access_log,
            metrics,
            clock,
            stop,
        }))
    }
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<ApiState> for Authenticator {
    fn from_ref(state: &ApiState) -> Self {
        state.authenticator.clone()
    }
}
