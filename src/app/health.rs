//! The server for `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Limits};

// Anybody can connect, and the kubelet's probe must not wait behind clients that do nothing: connections are short.
const LIMITS: Limits = Limits {
    max_connections: 1024,
    max_unidentified: None,
    handshake_timeout: Duration::from_secs(2),
    first_request_timeout: Duration::from_secs(2),
    idle_timeout: Duration::from_secs(2),
    max_age: Some(Duration::from_secs(30)),
    max_header_bytes: 16 * 1024,
    max_headers: None,
    drain: Duration::ZERO,
    shutdown_timeout: Duration::from_secs(10),
};

/// The health and metrics of the process.
#[derive(Clone, Debug)]
pub(super) struct Health {
    roles: Arc<Mutex<Vec<Role>>>,
    /// Whether the database responded to the last check.
    is_store_available: Arc<AtomicBool>,
    registry: Arc<Registry>,
}

/// Whether a role of the process is ready: it works, or waits to take over.
#[derive(Clone, Debug, Default)]
pub(super) struct Role(Arc<AtomicBool>);

impl Role {
    pub(super) fn set_ready(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

impl Health {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            roles: Arc::default(),
            is_store_available: Arc::new(AtomicBool::new(true)),
            registry: Arc::new(registry),
        }
    }

    /// Adds a role, which is not ready yet. The process is ready when all of its roles are.
    pub(super) fn role(&self) -> Role {
        let role = Role::default();
        self.roles.lock().push(role.clone());
        role
    }

    /// Sets whether the database responds. Readiness does not depend on it: a webhook without endpoints refuses everything and
    /// cannot say why.
    pub(super) fn set_store(&self, is_available: bool) {
        self.is_store_available.store(is_available, Ordering::Relaxed);
    }

    /// Renders the metrics in the OpenMetrics text format.
    pub(super) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn is_ready(&self) -> bool {
        let roles = self.roles.lock();
        !roles.is_empty() && roles.iter().all(|role| role.0.load(Ordering::Relaxed))
    }
}

/// Serves health and metrics until `stop` is cancelled.
pub(super) async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    http::serve(listener, None, routes, LIMITS, &stop).await;
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    if health.is_ready() {
        let text = match health.is_store_available.load(Ordering::Relaxed) {
            true => "ok\n",
            false => "ok, but the database does not answer, so nothing can be recorded: see the log\n",
        };
        (StatusCode::OK, text)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: see the log for the reason\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    match health.metrics() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(CONTENT_TYPE, kind)], text)
        }
        Err(error) => {
            let kind = "text/plain; charset=utf-8";
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, kind)], error.to_string())
        }
    }
}
