//! The admission webhook: declarations are checked before they are stored.
//!
//! The decisions are made by [`crate::domain::admission`], from the snapshot of all declarations in `cache`.
//!
//! - `server`: the limits of connections. `certificate`, `authority`: when certificates are renewed, and the renewal.
//! - `route`, `request`, `review`, `outcome`: one AdmissionReview and its response. `context`: the state it uses.
//! - `kinds`: one file a kind. `schema`: schemas. `approval`, `mutate`, `target`: governed kinds; `seal_keys`: their keys.
//! - `record`: the audit record of a review.
//! - `manifest`, `policy`: the configurations that make the API server call the webhook.
//!
//! Requests that cannot be checked are refused: before all resources have been listed, and for an unknown kind or
//! object.
//!
//! Deliberately absent: leadership, and writes to anything but the webhook's own certificates and keys. Every replica answers.

mod approval;
mod authority;
mod cache;
mod certificate;
mod context;
mod kinds;
pub mod manifest;
mod metrics;
mod mutate;
mod outcome;
mod patch;
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

use crate::http::{self, ServingCertificate};
use crate::kubernetes::KubeClient;
use crate::store::Recorder;
use authority::CertificateManager;
use cache::Cache;
use context::ReviewContext;
use kinds::Handlers;
use review::Reviewer;
use seal_keys::SealKeys;
use self_audit::SelfAudit;

/// Settings of the webhook.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who issues the certificates.
    pub source: Source,
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
    let serving = ServingCertificate::new().map_err(SetupError)?;
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
    let certificates = CertificateManager {
        kubernetes: kubernetes.clone(),
        secret: options.secret,
        serving: serving.clone(),
        metrics,
        own: own.clone(),
        clock,
    };
    let certified = Notify::new();
    let announce = async {
        tokio::join!(cache.wait_until_synced(), seal_keys.wait_until_available(), certified.notified());
        tracing::info!("the webhook answers");
        ready(true);
        stop.cancelled().await;
        ready(false);
        std::future::pending::<()>().await;
    };
    let routes = server::closing_connections(route::routes(reviewer), stop.clone());
    let limits = server::limits(options.drain);
    let background = async {
        tokio::join!(
            certificates.run(options.source, || certified.notify_one()),
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

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("setting up TLS for the webhook: {0}")]
pub struct SetupError(#[source] rustls::Error);
