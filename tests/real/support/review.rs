//! Asking the API server for a change in each way that people have, and hearing everything it says.

use axum::body::{Body, to_bytes};
use eventcenter_sdk::Reason;
use serde_json::{Value, json};

use super::kube::{Kube, Place};

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Server-side apply.
    Apply,
    /// Server-side apply, nothing is stored.
    DryRun,
    /// Create, or replace if it is there: what `kubectl create` and `kubectl replace` do.
    Replace,
    /// The same, nothing is stored.
    ReplaceDryRun,
}

impl Way {
    /// Every one of them; those that store nothing come first.
    pub(crate) const ALL: [Self; 4] = [Self::DryRun, Self::ReplaceDryRun, Self::Apply, Self::Replace];
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The object, or a Status.
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The message of a Status.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl Kube {
    /// Asks for an object to be as given.
    pub(crate) async fn ask(&self, object: &Value, way: Way) -> Answer {
        let place = Place::of(object);
        match way {
            Way::Apply => self.send("PATCH", &place.url("?fieldManager=tests&force=true"), object).await,
            Way::DryRun => {
                self.send("PATCH", &place.url("?fieldManager=tests&force=true&dryRun=All"), object).await
            }
            Way::Replace => self.replace(object, &place, "").await,
            Way::ReplaceDryRun => self.replace(object, &place, "?dryRun=All").await,
        }
    }

    async fn replace(&self, object: &Value, place: &Place, query: &str) -> Answer {
        let Some(stored) = self.get::<Value>(place).await else {
            return self.send("POST", &place.folder(query), object).await;
        };
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        self.send("PUT", &place.url(query), &object).await
    }

    /// Asks for an object to be made: what `kubectl create` does. The query may say `?dryRun=All`.
    pub(crate) async fn create(&self, object: &Value, query: &str) -> Answer {
        self.send("POST", &Place::of(object).folder(query), object).await
    }

    /// Asks for an object to be deleted.
    pub(crate) async fn ask_to_delete(&self, place: &Place) -> Answer {
        self.send("DELETE", &place.url(""), &json!({})).await
    }

    async fn send(&self, method: &str, url: &str, body: &Value) -> Answer {
        let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let request = axum::http::Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", kind)
            .body(body.to_string().into_bytes().into())
            .expect("a request");
        let answer = self.client().send(request).await.expect("the API server answers");
        let status = answer.status().as_u16();
        let warnings = answer.headers().get_all("warning").iter();
        let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
        let body = to_bytes(Body::new(answer.into_body()), 16 << 20).await.expect("an answer");
        Answer { status, body: serde_json::from_slice(&body).expect("JSON"), warnings }
    }

    /// Every way of asking for an object is allowed. Returns the warnings. Nothing is stored.
    pub(crate) async fn accepts(&self, object: &Value) -> Vec<String> {
        let mut warnings = Vec::new();
        for way in [Way::DryRun, Way::ReplaceDryRun] {
            let answer = self.ask(object, way).await;
            assert!((200..300).contains(&answer.status), "{way:?} {object}: {}", answer.message());
            warnings = answer.warnings;
        }
        warnings
    }

    /// Every way of asking for an object is refused with this reason, and with these words among others.
    pub(crate) async fn rejects(&self, object: &Value, reason: Reason, words: &str) {
        for way in Way::ALL {
            let answer = self.ask(object, way).await;
            assert!(answer.status >= 400, "{way:?} {object} is accepted, which should be refused: {words}");
            refused(&answer, reason, words);
        }
    }
}

/// An answer is a refusal with this reason and these words among others.
#[track_caller]
pub(crate) fn refused(answer: &Answer, reason: Reason, words: &str) {
    let message = answer.message();
    assert!(message.contains("denied the request: "), "{message}");
    assert!(message.contains(&format!("{reason}: ")), "should be {reason}\nbut is {message}");
    assert!(message.contains(words), "should say\n  {words}\nbut says\n  {message}");
}

/// The text of a header `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let text = header.strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}
