//! Probes, and the metrics of the process for networks that reach only this port.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::time::timeout;

use super::state::ApiState;
use crate::domain::audit::LogName;

/// How long `/readyz` waits for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain")),
    security(())
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Requests can be answered: the database responds and the process is not shutting down.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "Requests can be answered", body = String, content_type = "text/plain"),
        (status = 503, description = "Requests cannot be answered", body = String, content_type = "text/plain"),
    ),
    security(())
)]
pub(super) async fn readyz(State(state): State<ApiState>) -> (StatusCode, &'static str) {
    if state.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match timeout(DATABASE_TIMEOUT, state.audit.read_head(&LogName::platform())).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not respond\n"),
    }
}

/// The metrics of the process, in the OpenMetrics text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text")),
    security(())
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, media_type)], (state.options.metrics_page.0)())
}
