//! The admission webhook: declarations are checked before they are stored.
//!
//! The decisions are made by [`crate::domain::admission`], from the snapshot of all declarations in `cache`.
//!
//! - `server`: the limits of connections. `certificate`, `authority`: when certificates are renewed, and the renewal.
//! - `caller`, `path_token`: who is answered. `path`, `path_manager`: the paths at which the API server calls the webhook.
//! - `route`, `body`, `request`, `review`, `outcome`: one AdmissionReview and its response. `context`: the state it uses.
//! - `kinds`: one file a kind. `schema`: schemas. `approval`, `mutate`, `target`: governed kinds; `seal_keys`: their keys.
//! - `record`: the audit record of a review.
//! - `manifest`, `policy`: the configurations that make the API server call the webhook.
//!
//! Requests that cannot be checked are refused: before all resources have been listed, and for an unknown kind or
//! object.
//!
//! Deliberately absent: leadership, and writes to anything but the webhook's own certificates, keys and paths. Every replica answers.

mod approval;
mod authority;
mod body;
mod cache;
mod caller;
mod certificate;
mod context;
mod kinds;
pub mod manifest;
mod metrics;
mod mutate;
mod outcome;
mod patch;
mod path;
mod path_manager;
mod path_token;
mod policy;
mod record;
mod request;
mod review;
mod route;
mod schema;
mod seal_keys;
mod self_audit;
mod server;
mod target;
mod task_rights;

pub use authority::Source;
pub use cache::Snapshot;
pub use certificate::Lifetimes;
pub use kinds::{Admit, AdmitGoverned, Handler};
pub use metrics::Metrics;
pub use request::{InvalidReview, Request, User};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::http::{self, ClientVerification, InvalidClientAuthority, ServingCertificate};
use crate::kubernetes::KubeClient;
use crate::store::Recorder;
use authority::CertificateManager;
use cache::Cache;
use caller::{CallerAuthenticator, Credential, RenewalTime};
use context::ReviewContext;
use kinds::Handlers;
use path_manager::PathManager;
use review::Reviewer;
use seal_keys::SealKeys;
use self_audit::SelfAudit;

/// Settings of the webhook.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who issues the certificates.
    pub source: Source,
    /// The name of both webhook configurations.
    pub configurations: String,
    /// The certificates that the API server has as a client, if it has one. Otherwise a token in the path identifies it.
    pub clients: Option<ClientAuthority>,
    /// The Secret with the certificates in the operator's namespace.
    pub secret: String,
    /// How long reviews are still served after `stop`, until the Service and the API servers use other replicas.
    pub drain: Duration,
    /// The name of this replica in audit records.
    pub instance: String,
    /// Records decisions and the webhook's own actions.
    pub recorder: Recorder,
    /// The handlers of kinds that the product does not have.
    pub additional: Vec<Handler>,
}

/// Runs the webhook until `stop`, and then finishes the running reviews.
///
/// Calls `ready` with `true` when reviews can be served, and with `false` when the shutdown starts.
///
/// # Errors
/// TLS cannot be set up at all.
pub async fn run(
    kubernetes: KubeClient,
    options: Options,
    listener: TcpListener,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
    ready: impl Fn(bool),
) -> Result<(), SetupError> {
    let (credential, clients) = match &options.clients {
        Some(clients) => (Credential::ClientCertificate, Some(clients.verification(metrics.clone())?)),
        None => (Credential::PathToken, None),
    };
    let serving = ServingCertificate::new(clients).map_err(SetupError::Tls)?;
    let cache = Arc::new(Cache::default());
    let seal_keys = Arc::new(SealKeys::default());
    let handlers = Handlers::of_product(options.additional);
    let context = ReviewContext {
        cache: Arc::clone(&cache),
        kubernetes: kubernetes.clone(),
        metrics: metrics.clone(),
        seal_keys: Arc::clone(&seal_keys),
        targets: handlers.targets(),
        recorder: options.recorder.clone(),
        clock,
        is_dry_run: false,
    };
    let reviewer = Reviewer { context, handlers };
    let own = SelfAudit::new(options.recorder, &options.instance, kubernetes.namespace());
    // While no replica ran, the API server has shown the path in its errors.
    let renewal = RenewalTime::new(clock());
    let callers = CallerAuthenticator::new(
        credential,
        kubernetes.clone(),
        options.configurations.clone(),
        renewal.clone(),
        metrics.clone(),
        clock,
    );
    let paths = PathManager {
        kubernetes: kubernetes.clone(),
        configurations: options.configurations.clone(),
        callers: callers.clone(),
        renewal: renewal.clone(),
        own: own.clone(),
        clock,
        secret: path_token::random_secret,
    };
    let certificates = CertificateManager {
        kubernetes: kubernetes.clone(),
        configurations: options.configurations,
        secret: options.secret,
        serving: serving.clone(),
        renewal,
        metrics,
        own: own.clone(),
        clock,
    };
    let (certified, reachable) = (Notify::new(), Notify::new());
    let announce = async {
        tokio::join!(
            cache.wait_until_synced(),
            seal_keys.wait_until_available(),
            certified.notified(),
            reachable.notified()
        );
        tracing::info!("the webhook answers");
        ready(true);
        stop.cancelled().await;
        ready(false);
        std::future::pending::<()>().await;
    };
    let routes = server::closing_connections(route::routes(callers, reviewer), stop.clone());
    let limits = server::limits(options.drain);
    let background = async {
        tokio::join!(
            certificates.run(options.source, || certified.notify_one()),
            paths.run(|| reachable.notify_one()),
            cache.follow(&kubernetes),
            seal_keys.follow(&kubernetes, &own),
            announce
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = http::serve(listener, Some(&serving), routes, limits, &stop) => Ok(()),
        () = background => Ok(()),
    }
}

/// The certificates that API servers have as clients.
#[derive(Clone, Debug)]
pub struct ClientAuthority {
    /// The authorities that sign them, in PEM.
    pub authorities: String,
    /// Their common name; `None` accepts every certificate of the authorities.
    pub common_name: Option<String>,
}

impl ClientAuthority {
    fn verification(&self, metrics: Metrics) -> Result<ClientVerification, InvalidClientAuthority> {
        let name = self.common_name.clone();
        let accepts = move |certificate: &[u8]| {
            name.as_ref().is_none_or(|name| certificate::has_common_name(certificate, name))
        };
        ClientVerification::new(&self.authorities, accepts, move || {
            metrics.count_refused_caller("certificate")
        })
    }
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS itself.
    #[error("setting up TLS for the webhook: {0}")]
    Tls(#[source] rustls::Error),
    /// The authorities of clients.
    #[error("setting up the certificates of the webhook's clients: {0}")]
    Clients(#[from] InvalidClientAuthority),
}
