//! Writes to the API server in each way that clients use, with the whole response.

use axum::body::{Body, to_bytes};
use eventcenter_sdk::Reason;
use serde_json::{Value, json};

use super::kube::{KubeClient, ObjectPath};

/// A way of writing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMethod {
    /// Server-side apply.
    Apply,
    /// Server-side apply as a dry run.
    DryRun,
    /// Create, or replace if it exists: as `kubectl create` and `kubectl replace`.
    Replace,
    /// The same as a dry run.
    ReplaceDryRun,
}

impl WriteMethod {
    /// All of them, the dry runs first.
    pub(crate) const ALL: [Self; 4] = [Self::DryRun, Self::ReplaceDryRun, Self::Apply, Self::Replace];
}

/// A response of the API server.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The object, or a Status.
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Response {
    /// The message of a Status.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl KubeClient {
    /// Writes an object.
    pub(crate) async fn write(&self, object: &Value, method: WriteMethod) -> Response {
        let path = ObjectPath::of(object);
        match method {
            WriteMethod::Apply => {
                self.send("PATCH", &path.url("?fieldManager=tests&force=true"), object).await
            }
            WriteMethod::DryRun => {
                self.send("PATCH", &path.url("?fieldManager=tests&force=true&dryRun=All"), object).await
            }
            WriteMethod::Replace => self.replace(object, &path, "").await,
            WriteMethod::ReplaceDryRun => self.replace(object, &path, "?dryRun=All").await,
        }
    }

    async fn replace(&self, object: &Value, path: &ObjectPath, query: &str) -> Response {
        let Some(stored) = self.get::<Value>(path).await else {
            return self.send("POST", &path.collection_url(query), object).await;
        };
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        self.send("PUT", &path.url(query), &object).await
    }

    /// Creates an object, as `kubectl create`. The query may be `?dryRun=All`.
    pub(crate) async fn create(&self, object: &Value, query: &str) -> Response {
        self.send("POST", &ObjectPath::of(object).collection_url(query), object).await
    }

    /// Deletes an object.
    pub(crate) async fn try_delete(&self, path: &ObjectPath) -> Response {
        self.send("DELETE", &path.url(""), &json!({})).await
    }

    async fn send(&self, method: &str, url: &str, body: &Value) -> Response {
        let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let request = axum::http::Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", kind)
            .body(body.to_string().into_bytes().into())
            .expect("a request");
        let response = self.client().send(request).await.expect("the API server answers");
        let status = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
        let body = to_bytes(Body::new(response.into_body()), 16 << 20).await.expect("a body");
        Response { status, body: serde_json::from_slice(&body).expect("JSON"), warnings }
    }

    /// Asserts that every way of writing the object is accepted, with dry runs. Returns the warnings.
    pub(crate) async fn assert_accepted(&self, object: &Value) -> Vec<String> {
        let mut warnings = Vec::new();
        for method in [WriteMethod::DryRun, WriteMethod::ReplaceDryRun] {
            let response = self.write(object, method).await;
            assert!((200..300).contains(&response.status), "{method:?} {object}: {}", response.message());
            warnings = response.warnings;
        }
        warnings
    }

    /// Asserts that every way of writing the object is refused with this reason and a message that contains the text.
    pub(crate) async fn assert_rejected(&self, object: &Value, reason: Reason, text: &str) {
        for method in WriteMethod::ALL {
            let response = self.write(object, method).await;
            assert!(
                response.status >= 400,
                "{method:?} {object} is accepted, but should be refused with {text}"
            );
            assert_refused(&response, reason, text);
        }
    }
}

/// Asserts that a response is a refusal of the webhook with this reason and a message that contains the text.
#[track_caller]
pub(crate) fn assert_refused(response: &Response, reason: Reason, text: &str) {
    let message = response.message();
    assert!(message.contains("denied the request: "), "{message}");
    assert!(message.contains(&format!("{reason}: ")), "should be {reason}\nbut is {message}");
    assert!(message.contains(text), "should contain\n  {text}\nbut is\n  {message}");
}

/// The text of a header `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let text = header.strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}
