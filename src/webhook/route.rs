//! Requests: who sends them, their limits, and their responses.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};

use super::body::{BodyError, BodyReader, MAX_BODY_BYTES};
use super::caller::{CallerAuthenticator, RefusedCaller};
use super::review::Reviewer;
use crate::http::ClientIdentification;

#[derive(Clone)]
struct Shared {
    callers: CallerAuthenticator,
    bodies: BodyReader,
    reviewer: Reviewer,
}

/// Answers reviews of the API server. Other callers learn neither which paths exist nor which methods they have.
pub(super) fn routes(callers: CallerAuthenticator, reviewer: Reviewer) -> Router {
    let shared = Shared { callers, bodies: BodyReader::default(), reviewer };
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(
    State(shared): State<Shared>,
    client: Option<Extension<ClientIdentification>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let review_type = match shared.callers.authenticate(uri.path()).await {
        Ok(review_type) => review_type,
        Err(refused) => {
            tracing::debug!(%refused, "refused a caller");
            let status = match refused {
                RefusedCaller::NoToken | RefusedCaller::UnknownToken => StatusCode::FORBIDDEN,
                RefusedCaller::Unchecked => StatusCode::SERVICE_UNAVAILABLE,
            };
            return (status, format!("{refused}\n")).into_response();
        }
    };
    if let Some(Extension(client)) = client {
        client.confirm();
    }
    if method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response();
    }
    if let Err(refused) = check_length(&headers) {
        return refused.into_response();
    }
    let guard = shared.callers.guard_review();
    let body = match shared.bodies.read(body).await {
        Ok(body) => body,
        Err(error) => {
            let status = match error {
                BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Incomplete => StatusCode::BAD_REQUEST,
                BodyError::TooLate => StatusCode::REQUEST_TIMEOUT,
            };
            return (status, format!("{error}\n")).into_response();
        }
    };
    let response = match shared.reviewer.answer(review_type, &body.bytes).await {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => {
            tracing::debug!(%error, "the body is not an AdmissionReview");
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    };
    guard.complete();
    response
}

/// The API server announces the length of each review.
fn check_length(headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| u64::from_str(value.to_str().ok()?).ok());
    match length.map(usize::try_from) {
        None => Err((StatusCode::LENGTH_REQUIRED, "Content-Length is needed\n".to_owned())),
        Some(Ok(length)) if length <= MAX_BODY_BYTES => Ok(()),
        Some(_) => Err((StatusCode::PAYLOAD_TOO_LARGE, format!("{}\n", BodyError::TooLarge))),
    }
}
