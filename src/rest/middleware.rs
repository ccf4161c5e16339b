//! The middleware of every request: its id, its deadline, its metrics, and the rendering of errors.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use eventcenter_sdk::Reason;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::request_id::{HEADER, RequestId};
use super::response::ApiError;
use super::state::ApiState;

/// Time until the response begins; streaming its body may take longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Handles a request.
pub(super) async fn handle(
    State(state): State<ApiState>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let start = Instant::now();
    let id = RequestId::from_headers(request.headers());
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let span = tracing::info_span!("request", %id);
    let response = async {
        if [Method::GET, Method::HEAD].contains(request.method()) && has_body(request.headers()) {
            return ApiError::unexpected_body().into_response();
        }
        match timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                tracing::warn!("a request timed out");
                let text = "the request timed out: ask for less, or try again later";
                ApiError::new(Reason::AuditUnavailable, text).into_response()
            }
        }
    };
    let mut response = response.instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.into_http(id.as_str());
    }
    let duration = start.elapsed();
    let status = response.status();
    span.in_scope(|| tracing::debug!(%method, route, status = status.as_u16(), ?duration, "request"));
    state.metrics.count_response(route.as_deref(), &method, status, duration);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HEADER, id);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request has a body, which would have to be read before the next request.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}
