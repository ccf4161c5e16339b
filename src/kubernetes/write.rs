//! Status and finalizer writes.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::KubeClient;
use super::timeout::{in_time, is_temporary};

/// A request to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The resource no longer exists, or has another uid.
    #[error("{what}: the resource no longer exists")]
    NotFound {
        /// The request.
        what: &'static str,
    },
    /// The resource has changed since it was read.
    #[error("{what}: the resource has changed meanwhile")]
    Conflict {
        /// The request.
        what: &'static str,
    },
    /// Any other error, an unreachable API server included.
    #[error("{what}: {source}")]
    Api {
        /// The request.
        what: &'static str,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

impl WriteError {
    /// Whether the same request may succeed later without a change by somebody.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_temporary(source))
    }

    /// Whether the API server refuses the object, so that retrying cannot succeed.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        let Self::Api { source, .. } = self else { return false };
        matches!(&**source, kube::Error::Api(status) if status.code == 422 || status.code == 400)
    }
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> WriteError {
    move |error| match &error {
        kube::Error::Api(status) if status.code == 404 => WriteError::NotFound { what },
        // A JSON patch whose test fails is answered with 422, a stale resourceVersion with 409.
        kube::Error::Api(status) if status.code == 409 || status.code == 422 => {
            tracing::debug!(what, %error, "the API server refuses a write");
            WriteError::Conflict { what }
        }
        _ => WriteError::Api { what, source: Box::new(error) },
    }
}

impl KubeClient {
    /// Patches the changed fields of a resource's status.
    ///
    /// # Errors
    /// The resource no longer exists, or the API server does not answer.
    pub async fn write_status<K, S>(
        &self,
        resource: &K,
        before: Option<&S>,
        after: &S,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
        S: Serialize,
    {
        const WHAT: &str = "writing the status";
        let before = before.map_or(Value::Null, |status| json!(status));
        let mut patch = json!({"status": difference(&before, &json!(after))});
        // A new resource of the same name must not get this one's status.
        patch["metadata"] = json!({"uid": resource.uid()});
        self.patch(WHAT, resource, &Patch::Merge(patch), Some("status")).await
    }

    /// Adds a finalizer to a resource.
    ///
    /// # Errors
    /// The resource has changed or no longer exists, or the API server does not answer.
    pub async fn add_finalizer<K>(&self, resource: &K, finalizer: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let operations = if resource.finalizers().is_empty() {
            json!([
                {"op": "test", "path": "/metadata/uid", "value": resource.uid()},
                {"op": "test", "path": "/metadata/finalizers", "value": null},
                {"op": "add", "path": "/metadata/finalizers", "value": [finalizer]},
            ])
        } else {
            json!([
                {"op": "test", "path": "/metadata/uid", "value": resource.uid()},
                {"op": "test", "path": "/metadata/finalizers", "value": resource.finalizers()},
                {"op": "add", "path": "/metadata/finalizers/-", "value": finalizer},
            ])
        };
        self.patch("adding the finalizer", resource, &json_patch(operations), None).await
    }

    /// Sets an annotation of a resource.
    ///
    /// # Errors
    /// The resource no longer exists, or the API server does not answer.
    pub async fn annotate<K>(&self, resource: &K, key: &str, value: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        // A new resource of the same name must not get the annotation.
        let patch = json!({"metadata": {"uid": resource.uid(), "annotations": {key: value}}});
        self.patch("writing an annotation", resource, &Patch::Merge(patch), None).await
    }

    /// Removes a finalizer from a resource; a missing resource is no error.
    ///
    /// # Errors
    /// The resource has changed, or the API server does not answer.
    pub async fn remove_finalizer<K>(&self, resource: &K, finalizer: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let Some(index) = resource.finalizers().iter().position(|known| known == finalizer) else {
            return Ok(());
        };
        let path = format!("/metadata/finalizers/{index}");
        let operations = json!([
            {"op": "test", "path": path, "value": finalizer},
            {"op": "remove", "path": path},
        ]);
        match self.patch("removing the finalizer", resource, &json_patch(operations), None).await {
            Err(WriteError::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    async fn patch<K>(
        &self,
        what: &'static str,
        resource: &K,
        patch: &Patch<Value>,
        subresource: Option<&str>,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let url = K::url_path(&(), resource.namespace().as_deref());
        let request = kube::core::Request::new(url);
        let name = resource.name_any();
        let parameters = PatchParams::default();
        let request = match subresource {
            Some(subresource) => request.patch_subresource(subresource, &name, &parameters, patch),
            None => request.patch(&name, &parameters, patch),
        };
        let request = request.map_err(|error| failed(what)(kube::Error::BuildRequest(error)))?;
        let _permit = self.writers.acquire().await;
        // The response is the whole resource, which is not needed.
        in_time(self.client.request::<serde::de::IgnoredAny>(request)).await.map(drop).map_err(failed(what))
    }
}

pub(super) fn json_patch(operations: Value) -> Patch<Value> {
    let patch = serde_json::from_value(operations).expect("written above as a JSON patch");
    Patch::Json(patch)
}

/// A merge patch (RFC 7396) that turns one value into another.
fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let mut patch = serde_json::Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(known) if known == value => {}
            Some(known) => drop(patch.insert(key.clone(), difference(known, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_fields_are_written() {
        let before = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1], "d": true});
        let after = json!({"a": 1, "b": {"x": 1, "z": 3}, "c": [1, 2]});
        assert_eq!(difference(&before, &after), json!({"b": {"y": null, "z": 3}, "c": [1, 2], "d": null}));
        assert_eq!(difference(&Value::Null, &after), after);
        assert_eq!(difference(&after, &after), json!({}));
    }
}
