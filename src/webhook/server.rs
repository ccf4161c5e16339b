//! The limits of the webhook's HTTP server, and when its connections are closed.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::http::Limits;

/// The limits. `drain` is how long the webhook still serves reviews after it is stopped, until Services and API servers
/// use other replicas.
pub(super) const fn limits(drain: Duration) -> Limits {
    Limits {
        // An API server opens a connection for each concurrent review.
        max_connections: 2_048,
        max_unidentified: Some(1_024),
        // As long as an API server waits for a review.
        handshake_timeout: super::manifest::TIMEOUT,
        first_request_timeout: super::manifest::TIMEOUT,
        // Longer than an API server keeps an idle connection (90 s): if the webhook closed it first, a review sent at that
        // moment would fail.
        idle_timeout: Duration::from_mins(3),
        max_age: None,
        max_header_bytes: 64 * 1024,
        max_headers: None,
        drain,
        shutdown_timeout: Duration::from_secs(10),
    }
}

/// Closes connections after responses that are not a success, and after every response once `stop` is cancelled, so that
/// API servers connect to another replica.
pub(super) fn closing_connections(routes: Router, stop: CancellationToken) -> Router {
    routes.layer(map_response_with_state(stop, close_connection))
}

async fn close_connection(State(stop): State<CancellationToken>, mut response: Response) -> Response {
    if stop.is_cancelled() || !response.status().is_success() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
