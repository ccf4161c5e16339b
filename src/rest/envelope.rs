//! What every answer of the API looks like: `{"code": 0, "message": "success", "data": …}`, or a failure in the same form.

use axum::Json;
use axum::http::header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::{self, ErrorDetails, ErrorResponse};
use serde::Serialize;

use crate::store;

/// A successful response with this data.
pub(super) fn success<T: Serialize>(data: T) -> Response {
    Json(rest::Response::success(data)).into_response()
}

/// Why a request is not answered with what it asks for. It becomes an answer where the request's id is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    reason: Reason,
    message: String,
    kind: Kind,
}

/// What an answer has beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// The path is there, and the method is none that it has.
    Method,
    /// After so many seconds it is worth another try.
    Later(u64),
    /// There is more of the request that nobody will read.
    Body,
}

impl Failure {
    /// A failure with its text, which is for whoever asked: what, which rule, what to do.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), kind: Kind::Plain }
    }

    /// Something in the request breaks a rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidResource, message)
    }

    /// Nobody knows who asks. Whether there was a token, and what was wrong with it, is not told.
    pub(super) fn unauthenticated() -> Self {
        const TEXT: &str = "send a token that Kubernetes accepts, as the header Authorization: Bearer TOKEN \
                            (kubectl create token NAME makes one for a service account)";
        Self::new(Reason::Unauthenticated, TEXT)
    }

    /// There is no such path.
    pub(super) fn no_such_path() -> Self {
        Self::new(Reason::NotFound, "there is no such path; /api/openapi.json describes those that there are")
    }

    /// The path knows no such method.
    pub(super) fn no_such_method() -> Self {
        let failure = Self::new(Reason::NotSupported, "this path is for reading only: send GET");
        Self { kind: Kind::Method, ..failure }
    }

    /// Somebody asks too often.
    pub(super) fn too_many(message: impl Into<String>, seconds: u64) -> Self {
        let failure = Self::new(Reason::TooManyRequests, message);
        Self { kind: Kind::Later(seconds.max(1)), ..failure }
    }

    /// A request has a body.
    pub(super) fn body() -> Self {
        Self { kind: Kind::Body, ..Self::invalid("requests for reading have no body: leave it out") }
    }

    /// Kubernetes does not say who somebody is, or what they may see.
    pub(super) fn unknowable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %Chain(error), "Kubernetes does not say who asks and what they may see");
        Self::new(
            Reason::AuditUnavailable,
            "who you are and what you may see cannot be found out just now: try again later",
        )
    }

    /// The answer, which names the request.
    pub(super) fn answer(self, request_id: &str) -> Response {
        let status = match self.kind {
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::from_u16(self.reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let error = ErrorResponse {
            code: self.reason.rest_code(),
            message: format!("{}: {}", self.reason, self.message),
            data: ErrorDetails { reason: self.reason.to_string(), request_id: request_id.to_owned() },
        };
        let mut answer = (status, Json(error)).into_response();
        let headers = answer.headers_mut();
        match self.kind {
            Kind::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Kind::Later(seconds) => drop(headers.insert(RETRY_AFTER, seconds.into())),
            Kind::Body => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
            Kind::Plain if self.reason == Reason::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"eventcenter\""));
            }
            Kind::Plain => {}
        }
        answer
    }
}

/// The status is not known to layers in between, and need not be: the outermost one makes the answer.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// What the database says is for our log, not for whoever asks.
impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        tracing::warn!(error = %Chain(&error), "reading the audit log");
        match error {
            store::Error::Unavailable { .. } => {
                Self::new(Reason::AuditUnavailable, "the audit log cannot be read just now: try again later")
            }
            _ => Self::new(
                Reason::Internal,
                "the audit log cannot be read; our log says why, under this request's id",
            ),
        }
    }
}

impl From<store::RecordError> for Failure {
    fn from(error: store::RecordError) -> Self {
        tracing::warn!(error = %Chain(&error), "recording a read of the audit log");
        Self::new(
            Reason::AuditUnavailable,
            "reading the audit log is recorded in it, and it cannot be written just now: try again later",
        )
    }
}

/// An error with all that is behind it.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use expect_test::{Expect, expect};

    use super::*;

    async fn check(answer: Response, expected: Expect) {
        let mut told = format!("{}\n", answer.status());
        for (name, value) in answer.headers() {
            if !["content-type", "content-length"].contains(&name.as_str()) {
                told += &format!("{name}: {}\n", value.to_str().unwrap());
            }
        }
        let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
        told += std::str::from_utf8(&body).unwrap();
        expected.assert_eq(&told);
    }

    #[tokio::test]
    async fn an_answer_and_each_kind_of_failure() {
        check(
            success(["a"]),
            expect![[r#"
            200 OK
            {"code":0,"message":"success","data":["a"]}"#]],
        )
        .await;
        check(Failure::invalid("limit: 1 to 500").answer("r-1"), expect![[r#"
            400 Bad Request
            {"code":40001,"message":"InvalidResource: limit: 1 to 500","data":{"reason":"InvalidResource","requestId":"r-1"}}"#]])
        .await;
        check(Failure::unauthenticated().answer("r-1"), expect![[r#"
            401 Unauthorized
            www-authenticate: Bearer realm="eventcenter"
            {"code":40301,"message":"Unauthenticated: send a token that Kubernetes accepts, as the header Authorization: Bearer TOKEN (kubectl create token NAME makes one for a service account)","data":{"reason":"Unauthenticated","requestId":"r-1"}}"#]])
        .await;
        check(Failure::no_such_path().answer("r-1"), expect![[r#"
            404 Not Found
            {"code":40401,"message":"NotFound: there is no such path; /api/openapi.json describes those that there are","data":{"reason":"NotFound","requestId":"r-1"}}"#]])
        .await;
        check(Failure::no_such_method().answer("r-1"), expect![[r#"
            405 Method Not Allowed
            allow: GET, HEAD
            {"code":40001,"message":"NotSupported: this path is for reading only: send GET","data":{"reason":"NotSupported","requestId":"r-1"}}"#]])
        .await;
        check(Failure::too_many("slow down", 0).answer("r-1"), expect![[r#"
            429 Too Many Requests
            retry-after: 1
            {"code":40301,"message":"TooManyRequests: slow down","data":{"reason":"TooManyRequests","requestId":"r-1"}}"#]])
        .await;
        check(Failure::body().answer("r-1"), expect![[r#"
            400 Bad Request
            connection: close
            {"code":40001,"message":"InvalidResource: requests for reading have no body: leave it out","data":{"reason":"InvalidResource","requestId":"r-1"}}"#]])
        .await;
    }

    #[tokio::test]
    async fn what_the_database_says_is_not_told() {
        let secret = || Box::<dyn std::error::Error + Send + Sync>::from("password of pg.internal");
        let away = store::Error::Unavailable { operation: "reading records", source: secret() };
        check(Failure::from(away).answer("r-1"), expect![[r#"
            503 Service Unavailable
            {"code":50001,"message":"AuditUnavailable: the audit log cannot be read just now: try again later","data":{"reason":"AuditUnavailable","requestId":"r-1"}}"#]])
        .await;
        let refused = store::Error::Rejected { operation: "reading records", source: secret() };
        check(Failure::from(refused).answer("r-1"), expect![[r#"
            500 Internal Server Error
            {"code":50001,"message":"Internal: the audit log cannot be read; our log says why, under this request's id","data":{"reason":"Internal","requestId":"r-1"}}"#]])
        .await;
        let away = store::Error::Unavailable { operation: "writing records", source: secret() };
        check(Failure::from(store::RecordError(away)).answer("r-1"), expect![[r#"
            503 Service Unavailable
            {"code":50001,"message":"AuditUnavailable: reading the audit log is recorded in it, and it cannot be written just now: try again later","data":{"reason":"AuditUnavailable","requestId":"r-1"}}"#]])
        .await;
    }
}
