//! The few kinds of writes.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::{KubeClient, in_time};

/// A write that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The resource is gone, or another one under its name.
    #[error("{what}: the resource is gone")]
    Gone {
        /// The write.
        what: &'static str,
    },
    /// Somebody else was faster: what was read is old.
    #[error("{what}: the resource has changed meanwhile")]
    Conflict {
        /// The write.
        what: &'static str,
    },
    /// Anything else, the API server being away included.
    #[error("{what}: {source}")]
    Api {
        /// The write.
        what: &'static str,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> WriteError {
    move |error| match &error {
        kube::Error::Api(status) if status.code == 404 => WriteError::Gone { what },
        // A JSON patch whose test fails is answered with 422, a stale resourceVersion with 409.
        kube::Error::Api(status) if status.code == 409 || status.code == 422 => WriteError::Conflict { what },
        _ => WriteError::Api { what, source: Box::new(error) },
    }
}

impl KubeClient {
    /// Writes what has changed in a resource's status, and nothing else.
    ///
    /// # Errors
    /// The resource is gone, or the API server does not answer.
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
        // Another resource under the same name must not get this one's status.
        patch["metadata"] = json!({"uid": resource.uid()});
        self.patch(WHAT, resource, &Patch::Merge(patch), Some("status")).await
    }

    /// Adds our finalizer to a resource.
    ///
    /// # Errors
    /// The resource has changed or is gone, or the API server does not answer.
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

    /// Takes our finalizer off a resource.
    ///
    /// # Errors
    /// The resource has changed, or the API server does not answer. That it is gone is no error.
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
            Err(WriteError::Gone { .. }) => Ok(()),
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
        let _writing = self.writers.acquire().await;
        // The answer is the whole resource, of which nothing is needed.
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
    fn only_what_changed_is_written() {
        let before = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1], "d": true});
        let after = json!({"a": 1, "b": {"x": 1, "z": 3}, "c": [1, 2]});
        assert_eq!(difference(&before, &after), json!({"b": {"y": null, "z": 3}, "c": [1, 2], "d": null}));
        assert_eq!(difference(&Value::Null, &after), after);
        assert_eq!(difference(&after, &after), json!({}));
    }
}
