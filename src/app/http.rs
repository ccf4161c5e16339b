//! /livez, /readyz and /metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    ready: Arc<AtomicBool>,
    registry: Arc<Registry>,
}

impl Health {
    pub(super) fn new(registry: Registry) -> Self {
        Self { ready: Arc::default(), registry: Arc::new(registry) }
    }

    /// The process does its work from now on, or waits to take it over.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
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
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the resources have not been read yet\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &health.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(CONTENT_TYPE, kind)], text)
        }
        Err(error) => {
            let kind = "text/plain; charset=utf-8";
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, kind)], error.to_string())
        }
    }
}
