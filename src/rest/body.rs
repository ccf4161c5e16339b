//! Bodies of requests in JSON.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::response::ApiError;

/// Maximum size: that of a resource in Kubernetes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The media type of JSON merge patches (RFC 7396).
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The body of a request, at most [`MAX_BODY_BYTES`] long.
#[derive(Debug)]
pub(super) struct Body {
    /// The media type in lower case, without parameters.
    media_type: Option<String>,
    bytes: Vec<u8>,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let media_type = media_type(request.headers());
        let bytes = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
        let bytes = bytes.map_err(|_| {
            ApiError::invalid(format!(
                "the body is incomplete, or has more than {MAX_BODY_BYTES} bytes: shorten it"
            ))
        })?;
        Ok(Self { media_type, bytes: bytes.into() })
    }
}

impl Body {
    /// Whether the body is a JSON merge patch by its media type.
    pub(super) fn is_merge_patch(&self) -> bool {
        self.media_type.as_deref() == Some(MERGE_PATCH)
    }

    /// Parses a body that is required.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self.media_type.as_deref() {
            Some("application/json" | MERGE_PATCH) => {}
            _ => {
                return Err(ApiError::invalid(
                    "send the body as JSON, with the header Content-Type: application/json",
                ));
            }
        }
        serde_json::from_slice(&self.bytes).map_err(|error| ApiError::invalid(format!("the body: {error}")))
    }

    /// Parses a body that may be missing.
    pub(super) fn parse_optional<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.parse() }
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    async fn read(media_type: &str, text: String) -> Result<Body, ApiError> {
        let request = Request::post("/").header(CONTENT_TYPE, media_type).body(text.into()).unwrap();
        Body::from_request(request, &()).await
    }

    #[tokio::test]
    async fn json_is_parsed_and_other_bodies_are_refused() {
        let parse = async |media_type: &str, text: &str| -> Result<BTreeMap<String, u8>, String> {
            let body = read(media_type, text.into()).await.map_err(|error| error.message().to_owned())?;
            body.parse_optional().map_err(|error| error.message().to_owned())
        };
        assert_eq!(
            parse("application/json; charset=utf-8", r#"{"a":1}"#).await,
            Ok(BTreeMap::from([("a".into(), 1)]))
        );
        assert_eq!(parse("text/plain", "").await, Ok(BTreeMap::new()));
        let error = parse("text/plain", r#"{"a":1}"#).await.unwrap_err();
        assert!(error.contains("Content-Type: application/json"), "{error}");
        let error = parse("application/json", r#"{"a":"#).await.unwrap_err();
        assert!(error.starts_with("the body: EOF"), "{error}");
        let error = read("application/json", " ".repeat(MAX_BODY_BYTES + 1)).await.unwrap_err();
        assert!(error.message().contains("more than 1048576 bytes"), "{error:?}");
        assert!(read(MERGE_PATCH, "{}".into()).await.unwrap().is_merge_patch());
    }
}
