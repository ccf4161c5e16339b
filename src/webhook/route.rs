//! Paths and bodies.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::outcome::ReviewType;
use super::review::Reviewer;

/// Maximum size of a review: both versions of an object, each at most 1.5 MiB (etcd) or 3 MiB (API server), and JSON.
const MAX_BODY_BYTES: u32 = 8 * 1024 * 1024;

/// Maximum number of bytes of reviews in memory. Further requests wait.
const MAX_TOTAL_BYTES: u32 = 4 * MAX_BODY_BYTES;

/// Timeout of reading a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shared {
    reviewer: Reviewer,
    bytes: Arc<Semaphore>,
}

/// `/validate` and `/mutate`.
pub(super) fn routes(reviewer: Reviewer) -> Router {
    let shared = Shared { reviewer, bytes: Arc::new(Semaphore::new(MAX_TOTAL_BYTES as usize)) };
    let validate = async |State(shared): State<Shared>, headers: HeaderMap, body: Body| {
        answer(shared, ReviewType::Validate, &headers, body).await
    };
    let mutate = async |State(shared): State<Shared>, headers: HeaderMap, body: Body| {
        answer(shared, ReviewType::Mutate, &headers, body).await
    };
    Router::new().route("/validate", post(validate)).route("/mutate", post(mutate)).with_state(shared)
}

async fn answer(shared: Shared, review_type: ReviewType, headers: &HeaderMap, body: Body) -> Response {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length else {
        return (StatusCode::LENGTH_REQUIRED, "Content-Length is needed\n").into_response();
    };
    let Some(length) = u32::try_from(length).ok().filter(|length| *length <= MAX_BODY_BYTES) else {
        return (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_BODY_BYTES} bytes\n")).into_response();
    };
    let arrived = timeout(BODY_TIMEOUT, async {
        let permit = shared.bytes.acquire_many(length).await;
        to_bytes(body, MAX_BODY_BYTES as usize).await.map(|bytes| (bytes, permit))
    });
    let (bytes, _permit) = match arrived.await {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(_)) => return (StatusCode::BAD_REQUEST, "the body ended early\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n").into_response(),
    };
    match shared.reviewer.answer(review_type, &bytes).await {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => {
            tracing::debug!(%error, "the body is not an AdmissionReview");
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}
