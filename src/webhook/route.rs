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

use super::review::{Reviewer, Task};

/// The largest review: a resource as it is and as it would be, each at most what etcd takes (1.5 MiB)
/// or the API server before that (3 MiB), and what JSON adds.
const LARGEST: u32 = 8 * 1024 * 1024;

/// How many bytes of reviews are in memory at once. Whoever comes when it is full waits.
const HELD: u32 = 4 * LARGEST;

/// How long a review may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shared {
    reviewer: Reviewer,
    bytes: Arc<Semaphore>,
}

/// `/validate` and `/mutate`.
pub(super) fn routes(reviewer: Reviewer) -> Router {
    let shared = Shared { reviewer, bytes: Arc::new(Semaphore::new(HELD as usize)) };
    let validate = async |State(shared): State<Shared>, headers: HeaderMap, body: Body| {
        answer(shared, Task::Validate, &headers, body).await
    };
    let mutate = async |State(shared): State<Shared>, headers: HeaderMap, body: Body| {
        answer(shared, Task::Mutate, &headers, body).await
    };
    Router::new().route("/validate", post(validate)).route("/mutate", post(mutate)).with_state(shared)
}

async fn answer(shared: Shared, task: Task, headers: &HeaderMap, body: Body) -> Response {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length else {
        return (StatusCode::LENGTH_REQUIRED, "Content-Length is needed\n").into_response();
    };
    let Some(length) = u32::try_from(length).ok().filter(|length| *length <= LARGEST) else {
        return (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {LARGEST} bytes\n")).into_response();
    };
    let arrived = timeout(ARRIVAL, async {
        let held = shared.bytes.acquire_many(length).await;
        to_bytes(body, LARGEST as usize).await.map(|bytes| (bytes, held))
    });
    let (bytes, _held) = match arrived.await {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(_)) => return (StatusCode::BAD_REQUEST, "the body ended early\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n").into_response(),
    };
    match shared.reviewer.answer(task, &bytes).await {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => {
            tracing::debug!(%error, "something else than a review");
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}
