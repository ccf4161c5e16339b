//! The REST API: what people and programs ask that do not speak to Kubernetes.
//!
//! The room decides how it is asked and answered: `route` has the paths and what all answers have in common, `envelope` their
//! form, `parameter` what may stand in a query, `limit` how often somebody may ask, `server` and `tls` hold the connections.
//! `openapi` describes all of it, made from the same code.
//!
//! Who somebody is and what they may see is what Kubernetes says (TokenReview, SubjectAccessReview): `identity` and `access`
//! ask it and remember the answers for some seconds. `access` turns a request into the one log that it is about; whatever is
//! read afterwards is read from that log, and `record` tells it who has read.
//!
//! Deliberately absent: writing anything but records, and any decision about a log: that is [`crate::domain::audit`].

mod access;
mod audit;
mod envelope;
mod health;
mod identity;
mod limit;
mod metrics;
mod openapi;
mod parameter;
mod recent;
mod record;
mod request_id;
mod route;
mod server;
mod tls;

pub use health::Page;
pub use metrics::Metrics;
pub use openapi::document;

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::kubernetes::KubeClient;
use crate::store;
use access::Access;
use identity::Identities;
use limit::Limit;
use recent::Recent;

/// How many exports are under way at once. Each holds some pages of records in memory.
const EXPORTS: usize = 16;

/// How the API runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the installation, which the origins of checkpoints begin with.
    pub installation: String,
    /// How many requests a second a caller may send.
    pub rate: NonZeroU32,
    /// The Secret in the operator's namespace with the certificate to serve. Without one it is HTTP, for whatever stands
    /// before it.
    pub tls_secret: Option<String>,
    /// What `/metrics` says.
    pub metrics_page: Page,
}

/// What all requests share.
#[derive(Clone, Debug)]
struct Rest(Arc<Shared>);

impl std::ops::Deref for Rest {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[derive(Debug)]
struct Shared {
    kubernetes: KubeClient,
    audit: store::Audit,
    recorder: store::Recorder,
    options: Options,
    identities: Identities,
    access: Access,
    /// How often somebody may ask.
    limit: Limit,
    /// How many refusals are recorded.
    refusals: record::Refusals,
    /// What is recorded as read.
    readings: record::Readings,
    /// Places for exports.
    exports: Arc<Semaphore>,
    /// The public halves of the keys for checkpoints.
    keys: Recent<(), String>,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
}

/// Runs the API until it is told to stop and what is under way has been answered.
///
/// `ready` is told when requests can be answered, and when that ends.
///
/// # Errors
/// TLS cannot be set up at all.
#[expect(clippy::too_many_arguments, reason = "each of them is another thing that the process has")]
pub async fn run(
    kubernetes: KubeClient,
    audit: store::Audit,
    recorder: store::Recorder,
    options: Options,
    listener: TcpListener,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
    ready: impl Fn(bool),
) -> Result<(), SetupError> {
    let certificate =
        options.tls_secret.clone().map(tls::Certificate::new).transpose().map_err(SetupError)?;
    let rest = Rest(Arc::new(Shared {
        identities: Identities::new(kubernetes.clone()),
        access: Access::new(kubernetes.clone()),
        limit: Limit::per_second(options.rate),
        refusals: record::Refusals::new(),
        readings: record::Readings::new(),
        exports: Arc::new(Semaphore::new(EXPORTS)),
        keys: Recent::new(audit::KEYS_LAST, 1),
        kubernetes: kubernetes.clone(),
        audit,
        recorder,
        options,
        metrics,
        clock,
        stop: stop.clone(),
    }));
    let acceptor = certificate.as_ref().map(tls::Certificate::acceptor);
    let certified = Notify::new();
    let announce = async {
        if certificate.is_some() {
            certified.notified().await;
        }
        tracing::info!("the API answers");
        ready(true);
        stop.cancelled().await;
        ready(false);
        std::future::pending::<()>().await;
    };
    let renew = async {
        match &certificate {
            Some(certificate) => certificate.keep(&kubernetes, || certified.notify_one()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = server::serve(listener, acceptor, route::routes(rest), &stop) => Ok(()),
        ((), ()) = async { tokio::join!(announce, renew) } => Ok(()),
    }
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("setting up TLS for the API: {0}")]
pub struct SetupError(#[source] rustls::Error);
