//! /livez, /readyz and /metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the process says of itself.
#[derive(Clone, Debug)]
pub(super) struct Health {
    roles: Arc<Mutex<Vec<Role>>>,
    /// Whether the database answers, as far as is known.
    store: Arc<AtomicBool>,
    registry: Arc<Registry>,
}

/// Whether one role of the process does its work, or waits to take it over.
#[derive(Clone, Debug, Default)]
pub(super) struct Role(Arc<AtomicBool>);

impl Role {
    pub(super) fn set_ready(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

impl Health {
    pub(super) fn new(registry: Registry) -> Self {
        Self { roles: Arc::default(), store: Arc::new(AtomicBool::new(true)), registry: Arc::new(registry) }
    }

    /// A role of the process, not ready yet. The process is ready when all of its roles are.
    pub(super) fn role(&self) -> Role {
        let role = Role::default();
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).push(role.clone());
        role
    }

    /// Whether the database answers. It is no part of being ready: a webhook that is taken out of its Service refuses
    /// everything, and cannot say why.
    pub(super) fn set_store(&self, answers: bool) {
        self.store.store(answers, Ordering::Relaxed);
    }

    /// What `/metrics` says.
    pub(super) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn is_ready(&self) -> bool {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        !roles.is_empty() && roles.iter().all(|role| role.0.load(Ordering::Relaxed))
    }
}

/// Answers until it is told to stop.
pub(super) async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the server for health and metrics ended");
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    if health.is_ready() {
        let text = match health.store.load(Ordering::Relaxed) {
            true => "ok\n",
            false => {
                "ok, but the database does not answer, so that nothing can be recorded: the log says more\n"
            }
        };
        (StatusCode::OK, text)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the log says what is waited for\n")
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
