//! Responses: data, or an error in the same form.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response as HttpResponse};
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::{ErrorDetails, ErrorResponse, Response};
use serde::Serialize;

use crate::domain::Refusal;
use crate::error_chain::ErrorChain;
use crate::kubernetes::SessionError;
use crate::store;

/// A successful response with this data.
pub(super) fn success<T: Serialize>(data: T) -> HttpResponse {
    Json(Response::success(data)).into_response()
}

/// Why a request fails. The middleware, which knows the request's id, renders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    reason: Reason,
    message: String,
    kind: Kind,
}

/// What a response has beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// The path exists but does not support the method.
    MethodNotAllowed,
    /// The request may succeed after so many seconds.
    RetryAfter(u64),
    /// The request has a body, which is not read.
    UnreadBody,
}

impl ApiError {
    /// An error with a message for the caller: what is wrong, and how to fix it.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), kind: Kind::Plain }
    }

    /// The reason.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// What is wrong, and how to fix it.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The request breaks a rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidResource, message)
    }

    /// The caller is unknown. The response does not say whether there was a token, and what is wrong with it.
    pub(super) fn unauthenticated() -> Self {
        const TEXT: &str = "send a token that Kubernetes accepts, as the header Authorization: Bearer TOKEN \
                            (kubectl create token NAME makes one for a service account)";
        Self::new(Reason::Unauthenticated, TEXT)
    }

    /// The path does not exist.
    pub(super) fn path_not_found() -> Self {
        Self::new(Reason::NotFound, "the path does not exist; /api/openapi.json describes the paths")
    }

    /// The path does not support the method.
    pub(super) fn method_not_allowed() -> Self {
        const TEXT: &str = "the path does not support this method: send one that the header Allow names";
        let error = Self::new(Reason::NotSupported, TEXT);
        Self { kind: Kind::MethodNotAllowed, ..error }
    }

    /// The caller exceeded a limit.
    pub(super) fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        let error = Self::new(Reason::TooManyRequests, message);
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self { kind: Kind::RetryAfter(seconds.max(1)), ..error }
    }

    /// The request has a body.
    pub(super) fn unexpected_body() -> Self {
        Self { kind: Kind::UnreadBody, ..Self::invalid("GET requests have no body: leave it out") }
    }

    /// The run log cannot be read or written. The caller does not get the database's error.
    pub(super) fn run_log(error: &store::Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "using the run log");
        match error {
            store::Error::Unavailable { .. } => {
                Self::new(Reason::StoreUnavailable, "the run log is temporarily unavailable: try again later")
            }
            _ => Self::new(
                Reason::Internal,
                "the run log cannot be used; the server's log has the cause under this request's id",
            ),
        }
    }

    /// An effect cannot be recorded, so it was not attempted.
    pub(super) fn not_recorded(error: &store::RecordError) -> Self {
        tracing::warn!(error = %ErrorChain(error), "the effect is not attempted, because it cannot be recorded");
        Self::new(
            Reason::AuditUnavailable,
            "no change is made without a record, and the audit log is temporarily not writable: try again later",
        )
    }

    /// The API server refuses a request of the caller, or does not answer.
    pub(super) fn kubernetes(error: &SessionError) -> Self {
        let message = error.to_string();
        let reason = match error {
            SessionError::Denied(denial) => {
                let reason = denial.reason.parse().unwrap_or(Reason::Forbidden);
                let repeated = format!("{reason}: ");
                return Self::new(reason, message.strip_prefix(&repeated).unwrap_or(&message));
            }
            SessionError::Forbidden { .. } => Reason::Forbidden,
            SessionError::Conflict { .. } => Reason::ResourceConflict,
            SessionError::Status { code, .. } => match code {
                401 => return Self::unauthenticated(),
                404 => Reason::NotFound,
                409 => Reason::ResourceConflict,
                410 => {
                    return Self::invalid("cursor: it has expired: omit it, and begin with the first page");
                }
                429 => Reason::TooManyRequests,
                400..500 => Reason::InvalidResource,
                _ => return Self::api_server_failed(error),
            },
            _ => return Self::api_server_failed(error),
        };
        Self::new(reason, message)
    }

    fn api_server_failed(error: &SessionError) -> Self {
        tracing::warn!(error = %ErrorChain(error), "the API server did not answer a request of a caller");
        Self::new(Reason::Internal, "the API server of Kubernetes does not answer: try again later")
    }

    /// A read with the operator's own rights failed.
    pub(super) fn read_failed(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "reading from Kubernetes");
        Self::new(Reason::Internal, "the API server of Kubernetes does not answer: try again later")
    }

    /// Kubernetes cannot be asked who the caller is or what they may read.
    pub(super) fn authentication_unavailable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %ErrorChain(error), "Kubernetes did not review a token or an access");
        Self::new(Reason::AuditUnavailable, "Authentication is temporarily unavailable: try again later")
    }

    /// The response, which names the request. The router adds the header `Allow`.
    pub(super) fn into_http(self, request_id: &str) -> HttpResponse {
        let status = match self.kind {
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::from_u16(self.reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = ErrorResponse {
            code: self.reason.rest_code(),
            message: format!("{}: {}", self.reason, self.message),
            data: ErrorDetails { reason: self.reason.to_string(), request_id: request_id.to_owned() },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.kind {
            Kind::RetryAfter(seconds) => drop(headers.insert(RETRY_AFTER, seconds.into())),
            Kind::UnreadBody => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
            Kind::Plain if self.reason == Reason::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"eventcenter\""));
            }
            Kind::Plain | Kind::MethodNotAllowed => {}
        }
        response
    }
}

/// A placeholder, which the middleware replaces by a response.
impl IntoResponse for ApiError {
    fn into_response(self) -> HttpResponse {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason, refusal.message())
    }
}

/// The database's error is logged; the caller does not get it.
impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        tracing::warn!(error = %ErrorChain(&error), "reading the audit log");
        match error {
            store::Error::Unavailable { .. } => Self::new(
                Reason::AuditUnavailable,
                "the audit log is temporarily unavailable: try again later",
            ),
            _ => Self::new(
                Reason::Internal,
                "the audit log cannot be read; the server's log has the cause under this request's id",
            ),
        }
    }
}

impl From<store::RecordError> for ApiError {
    fn from(error: store::RecordError) -> Self {
        tracing::warn!(error = %ErrorChain(&error), "recording a read of the audit log");
        Self::new(
            Reason::AuditUnavailable,
            "reading the audit log is recorded in it, and it is temporarily not writable: try again later",
        )
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use expect_test::{Expect, expect};

    use super::*;

    async fn check(response: HttpResponse, expected: Expect) {
        let mut text = format!("{}\n", response.status());
        for (name, value) in response.headers() {
            if !["content-type", "content-length"].contains(&name.as_str()) {
                text += &format!("{name}: {}\n", value.to_str().unwrap());
            }
        }
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        text += std::str::from_utf8(&body).unwrap();
        expected.assert_eq(&text);
    }

    #[tokio::test]
    async fn a_success_and_each_kind_of_error() {
        check(
            success(["a"]),
            expect![[r#"
            200 OK
            {"code":0,"message":"success","data":["a"]}"#]],
        )
        .await;
        check(ApiError::invalid("limit: 1 to 500").into_http("r-1"), expect![[r#"
            400 Bad Request
            {"code":40001,"message":"InvalidResource: limit: 1 to 500","data":{"reason":"InvalidResource","requestId":"r-1"}}"#]])
        .await;
        check(ApiError::unauthenticated().into_http("r-1"), expect![[r#"
            401 Unauthorized
            www-authenticate: Bearer realm="eventcenter"
            {"code":40301,"message":"Unauthenticated: send a token that Kubernetes accepts, as the header Authorization: Bearer TOKEN (kubectl create token NAME makes one for a service account)","data":{"reason":"Unauthenticated","requestId":"r-1"}}"#]])
        .await;
        check(ApiError::path_not_found().into_http("r-1"), expect![[r#"
            404 Not Found
            {"code":40401,"message":"NotFound: the path does not exist; /api/openapi.json describes the paths","data":{"reason":"NotFound","requestId":"r-1"}}"#]])
        .await;
        check(ApiError::method_not_allowed().into_http("r-1"), expect![[r#"
            405 Method Not Allowed
            {"code":40001,"message":"NotSupported: the path does not support this method: send one that the header Allow names","data":{"reason":"NotSupported","requestId":"r-1"}}"#]])
        .await;
        for (wait, seconds) in [(Duration::ZERO, 1), (Duration::from_millis(1_001), 2)] {
            let response = ApiError::too_many_requests("slow down", wait).into_http("r-1");
            assert_eq!(response.headers()["retry-after"], seconds.to_string().as_str());
        }
        check(ApiError::too_many_requests("slow down", Duration::ZERO).into_http("r-1"), expect![[r#"
            429 Too Many Requests
            retry-after: 1
            {"code":40301,"message":"TooManyRequests: slow down","data":{"reason":"TooManyRequests","requestId":"r-1"}}"#]])
        .await;
        check(ApiError::unexpected_body().into_http("r-1"), expect![[r#"
            400 Bad Request
            connection: close
            {"code":40001,"message":"InvalidResource: GET requests have no body: leave it out","data":{"reason":"InvalidResource","requestId":"r-1"}}"#]])
        .await;
    }

    #[tokio::test]
    async fn the_caller_does_not_get_errors_of_the_database() {
        let secret = || Box::<dyn std::error::Error + Send + Sync>::from("password of pg.internal");
        let unavailable = store::Error::Unavailable { operation: "reading records", source: secret() };
        check(ApiError::from(unavailable).into_http("r-1"), expect![[r#"
            503 Service Unavailable
            {"code":50001,"message":"AuditUnavailable: the audit log is temporarily unavailable: try again later","data":{"reason":"AuditUnavailable","requestId":"r-1"}}"#]])
        .await;
        let refused = store::Error::Rejected { operation: "reading records", source: secret() };
        check(ApiError::from(refused).into_http("r-1"), expect![[r#"
            500 Internal Server Error
            {"code":50001,"message":"Internal: the audit log cannot be read; the server's log has the cause under this request's id","data":{"reason":"Internal","requestId":"r-1"}}"#]])
        .await;
        let unavailable = store::Error::Unavailable { operation: "writing records", source: secret() };
        check(ApiError::from(store::RecordError(unavailable)).into_http("r-1"), expect![[r#"
            503 Service Unavailable
            {"code":50001,"message":"AuditUnavailable: reading the audit log is recorded in it, and it is temporarily not writable: try again later","data":{"reason":"AuditUnavailable","requestId":"r-1"}}"#]])
        .await;
    }
}
