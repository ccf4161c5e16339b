//! Whether the API can answer, for probes; and the process's metrics, for those who reach nothing else of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::time::timeout;

use super::Rest;
use crate::domain::audit::LogName;

/// How long the database has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A text that is made when somebody asks for it.
#[derive(Clone)]
pub struct Page(pub Arc<dyn Fn() -> String + Send + Sync>);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Page").finish_non_exhaustive()
    }
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "The process answers", body = String, content_type = "text/plain")),
    security(())
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be answered: the database answers, and the process does not end.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "Requests can be answered", body = String, content_type = "text/plain"),
        (status = 503, description = "They cannot", body = String, content_type = "text/plain"),
    ),
    security(())
)]
pub(super) async fn readyz(State(rest): State<Rest>) -> (StatusCode, &'static str) {
    if rest.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match timeout(PATIENCE, rest.audit.read_head(&LogName::platform())).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

/// The metrics of the process, in the text format of OpenMetrics.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text")),
    security(())
)]
pub(super) async fn metrics(State(rest): State<Rest>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], (rest.options.metrics_page.0)())
}
