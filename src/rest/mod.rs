//! The REST API: audit logs (`audit`), and ScheduledTasks with their runs (`schedule`).
//!
//! `route` is the one list of paths, from which `openapi` and the router are made. `middleware` surrounds every request,
//! `response` is the form of responses, `parameter` parses queries, `rate_limit` limits callers, `certificate` watches the
//! Secret with the certificate, `state` is what the handlers share.
//!
//! Kubernetes decides who callers are and what they may read (TokenReview, SubjectAccessReview): `authentication` and
//! `authorization` ask it and keep its answers for some seconds (`cache`). `authorization` resolves a request to the one log that it
//! is about; handlers read that log only. `access_log` records who read a log and who was refused.
//!
//! `schedule` writes ScheduledTasks with the caller's own token, and requests runs in the run log, which the controllers plan.
//!
//! Deliberately absent: decisions about logs and runs, which are in [`crate::domain::audit`] and [`crate::domain::task`].

mod access_log;
mod audit;
mod authentication;
mod authorization;
mod body;
mod cache;
mod certificate;
mod checkpoint_keys;
mod health;
mod metrics;
mod middleware;
mod openapi;
mod parameter;
mod rate_limit;
mod request_id;
mod response;
mod route;
mod schedule;
mod state;

pub use audit::parse_filter;
pub use metrics::Metrics;
pub use response::ApiError;
pub use route::document;
pub use state::{MetricsPage, Options};

use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Limits};
use crate::kubernetes::KubeClient;
use crate::store;
use certificate::WatchedCertificate;
use state::ApiState;

/// Tokens with many groups have some kilobytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

const LIMITS: Limits = Limits {
    max_connections: 1_024,
    max_unidentified: None,
    handshake_timeout: Duration::from_secs(10),
    first_request_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(30),
    // An export may take hours.
    max_age: None,
    max_header_bytes: MAX_HEADER_BYTES,
    max_headers: Some(64),
    drain: Duration::ZERO,
    shutdown_timeout: Duration::from_secs(10),
};

/// Runs the API until `stop` is cancelled and the requests in progress are answered.
///
/// Calls `ready(true)` when requests can be answered, and `ready(false)` when that ends.
///
/// # Errors
/// TLS cannot be set up.
#[expect(clippy::too_many_arguments, reason = "each of them is another dependency of the process")]
pub async fn run(
    kube: KubeClient,
    audit: store::Audit,
    runs: store::Runs,
    recorder: store::Recorder,
    options: Options,
    listener: TcpListener,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
    ready: impl Fn(bool),
) -> Result<(), SetupError> {
    let certificate =
        options.tls_secret.clone().map(WatchedCertificate::new).transpose().map_err(SetupError)?;
    let state = ApiState::new(kube.clone(), audit, runs, recorder, options, metrics, clock, stop.clone());
    let has_certificate = Notify::new();
    let announce = async {
        if certificate.is_some() {
            has_certificate.notified().await;
        }
        tracing::info!("the API is ready");
        ready(true);
        stop.cancelled().await;
        ready(false);
        std::future::pending::<()>().await;
    };
    let watch = async {
        match &certificate {
            Some(certificate) => certificate.watch(&kube, || has_certificate.notify_one()).await,
            None => std::future::pending().await,
        }
    };
    let served = certificate.as_ref().map(WatchedCertificate::served);
    tokio::select! {
        () = http::serve(listener, served, route::router(state), LIMITS, &stop) => Ok(()),
        ((), ()) = async { tokio::join!(announce, watch) } => Ok(()),
    }
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("setting up TLS for the API: {0}")]
pub struct SetupError(#[source] rustls::Error);
