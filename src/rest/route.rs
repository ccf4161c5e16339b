//! Paths, and what all answers have in common.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use eventcenter_sdk::Reason;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::Rest;
use super::audit::{checkpoints, export, logs};
use super::envelope::Failure;
use super::request_id::{HEADER, RequestId};
use super::{health, openapi};

/// How long a request may take until its answer begins. What is streamed may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// All paths.
pub(super) fn routes(rest: Rest) -> Router {
    Router::new()
        .route("/api/audit/logs", get(logs::list))
        .route("/api/audit/logs/export", get(export::export))
        .route("/api/audit/logs/{id}", get(logs::show))
        .route("/api/audit/checkpoints", get(checkpoints::list))
        .route("/api/audit/proof/consistency", get(checkpoints::consistency))
        .route("/api/openapi.json", get(description))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(async || Failure::no_such_path())
        .method_not_allowed_fallback(async || Failure::no_such_method())
        .layer(from_fn_with_state(rest.clone(), frame))
        .with_state(rest)
}

/// The description of this API, as OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "description",
    responses((status = 200, description = "This document", body = Object, content_type = "application/json")),
    security(())
)]
pub(super) async fn description() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi::document())
}

/// What is around every answer: the request's name, its time, its form if it is a failure.
async fn frame(State(rest): State<Rest>, mut request: Request<Body>, next: Next) -> Response {
    let begun = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let span = tracing::info_span!("request", %id);
    let answered = async {
        if has_body(request.headers()) {
            return Failure::body().into_response();
        }
        match timeout(PATIENCE, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                tracing::warn!("a request was not answered in time");
                let text = "there was no answer in time: ask for less, or try again later";
                Failure::new(Reason::AuditUnavailable, text).into_response()
            }
        }
    };
    let mut answer = answered.instrument(span.clone()).await;
    if let Some(failure) = answer.extensions_mut().remove::<Failure>() {
        answer = failure.answer(id.as_str());
    }
    let took = begun.elapsed();
    let status = answer.status();
    span.in_scope(|| tracing::debug!(%method, route, status = status.as_u16(), ?took, "answered"));
    rest.metrics.answered(route.as_deref(), &method, status, took);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HEADER, id);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Whether a request has a body. It would have to be read before the next one.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}
