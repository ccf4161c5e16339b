//! One resource of any kind.

use std::marker::PhantomData;
use std::time::Duration;

use ::kube::core::{ClusterResourceScope, NamespaceResourceScope};
use ::kube::{Error, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::condition::{has_condition, is_observed, to_json, to_yaml};
use super::{KubeClient, MAX_WAIT, ObjectPath, OperatorLogs, until_within, yaml};

/// Whether the resources of a kind are in a namespace.
pub(crate) trait Scope {
    /// Whether they are.
    const IS_NAMESPACED: bool;
}

impl Scope for NamespaceResourceScope {
    const IS_NAMESPACED: bool = true;
}

impl Scope for ClusterResourceScope {
    const IS_NAMESPACED: bool = false;
}

/// A spec: YAML text or JSON.
pub(crate) trait IntoSpec {
    /// The spec as JSON.
    fn into_spec(self) -> Value;
}

impl IntoSpec for &str {
    fn into_spec(self) -> Value {
        yaml(self)
    }
}

impl IntoSpec for &String {
    fn into_spec(self) -> Value {
        yaml(self)
    }
}

impl IntoSpec for Value {
    fn into_spec(self) -> Value {
        self
    }
}

impl IntoSpec for &Value {
    fn into_spec(self) -> Value {
        self.clone()
    }
}

/// One resource, which may not exist. Every wait fails with what it waited for, the last observed state, and the
/// last lines of the operators' logs.
pub(crate) struct ResourceHandle<K> {
    /// The client of its calls.
    pub(crate) kube: KubeClient,
    path: ObjectPath,
    logs: OperatorLogs,
    limit: Duration,
    kind: PhantomData<fn() -> K>,
}

impl<K> ResourceHandle<K>
where
    K: Resource<DynamicType = (), Scope: Scope> + DeserializeOwned + Serialize,
{
    /// The resource with this name, in the namespace if its kind has one.
    pub(super) fn new(kube: &KubeClient, logs: &OperatorLogs, namespace: &str, name: &str) -> Self {
        let namespace = <K::Scope as Scope>::IS_NAMESPACED.then_some(namespace);
        let path = ObjectPath::of_kind::<K>(namespace, name);
        Self { kube: kube.clone(), path, logs: logs.clone(), limit: MAX_WAIT, kind: PhantomData }
    }

    /// The same resource, whose waits have this limit.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Its path in the API.
    pub(crate) fn path(&self) -> &ObjectPath {
        &self.path
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.path.name()
    }

    /// A manifest of it with this spec.
    pub(crate) fn manifest(&self, spec: impl IntoSpec) -> Value {
        let mut metadata = json!({"name": self.path.name()});
        if let Some(namespace) = self.path.namespace() {
            metadata["namespace"] = json!(namespace);
        }
        json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "spec": spec.into_spec(),
        })
    }

    /// Server-side apply of a spec: fields of an earlier call that this one leaves out are removed.
    pub(crate) async fn try_apply(&self, spec: impl IntoSpec) -> Result<K, Error> {
        let applied = self.kube.try_apply(&self.manifest(spec)).await?;
        Ok(serde_json::from_value(applied).expect("a resource of the kind"))
    }

    /// As [`Self::try_apply`], for a spec that is accepted.
    pub(crate) async fn apply(&self, spec: impl IntoSpec) -> K {
        self.try_apply(spec).await.unwrap_or_else(|error| panic!("applying {}: {error}", self.path))
    }

    /// Changes some of its fields (RFC 7396).
    pub(crate) async fn try_patch(&self, patch: Value) -> Result<K, Error> {
        let patched = self.kube.try_merge(&self.path, &patch).await?;
        Ok(serde_json::from_value(patched).expect("a resource of the kind"))
    }

    /// As [`Self::try_patch`], for a patch that is accepted.
    pub(crate) async fn patch(&self, patch: Value) -> K {
        self.try_patch(patch).await.unwrap_or_else(|error| panic!("patching {}: {error}", self.path))
    }

    /// Changes some fields of its spec (RFC 7396).
    pub(crate) async fn patch_spec(&self, spec: Value) -> K {
        self.patch(json!({ "spec": spec })).await
    }

    /// Changes some fields of its status (RFC 7396), as a user with all rights can.
    pub(crate) async fn patch_status(&self, status: Value) {
        self.kube.merge_status(&self.path, &json!({ "status": status })).await;
    }

    /// Sets the annotation `eventcenter.io/KEY`, or removes it.
    pub(crate) async fn annotate(&self, key: &str, value: Option<&str>) {
        self.patch(json!({"metadata": {"annotations": {format!("eventcenter.io/{key}"): value}}})).await;
    }

    /// The resource as it is now, if it exists.
    pub(crate) async fn find(&self) -> Option<K> {
        self.kube.get(&self.path).await
    }

    /// The resource as it is now.
    pub(crate) async fn get(&self) -> K {
        self.find().await.unwrap_or_else(|| panic!("{} does not exist", self.path))
    }

    /// Deletes it. It may remain for as long as it has finalizers.
    pub(crate) async fn delete(&self) {
        self.kube.delete(&self.path).await;
    }

    /// Deletes it and waits until it no longer exists.
    pub(crate) async fn delete_and_wait(&self) {
        self.delete().await;
        self.wait_until_deleted().await;
    }

    /// Waits until it no longer exists.
    pub(crate) async fn wait_until_deleted(&self) {
        self.poll("deleted", |resource| resource.is_none()).await;
    }

    /// Waits until the predicate holds.
    pub(crate) async fn wait_for(&self, expectation: &str, predicate: impl Fn(&K) -> bool) -> K {
        let found = self.poll(expectation, |resource| resource.is_some_and(&predicate)).await;
        found.expect("the predicate holds only for a resource")
    }

    /// Waits until the status describes the current generation and the predicate holds.
    pub(crate) async fn wait_for_status(&self, expectation: &str, predicate: impl Fn(&K) -> bool) -> K {
        self.wait_for(expectation, |resource| is_observed(&to_json(resource)) && predicate(resource)).await
    }

    /// Waits until the status describes the current generation and a condition is as described: `Ready=True`,
    /// `Ready=False NotSupported`.
    pub(crate) async fn wait_for_condition(&self, description: &str) -> K {
        self.wait_for_status(description, |resource| has_condition(resource, description)).await
    }

    async fn poll(&self, expectation: &str, predicate: impl Fn(Option<&K>) -> bool) -> Option<K> {
        let polled = until_within(self.limit, async || {
            let resource = self.kube.try_get(&self.path).await.map_err(|error| error.to_string())?;
            if predicate(resource.as_ref()) { Ok(resource) } else { Err(to_yaml(&resource)) }
        });
        polled.await.unwrap_or_else(|last| self.fail(&format!("is not: {expectation}"), &last))
    }

    /// Waits for an Event about it with this reason, whose note contains the text.
    pub(crate) async fn wait_for_event(&self, reason: &str, note: &str) {
        let polled = until_within(self.limit, async || {
            let events = self.events().await;
            let found = events.iter().any(|(r, n)| r == reason && n.contains(note));
            if found { Ok(()) } else { Err(format!("{events:#?}")) }
        });
        if let Err(last) = polled.await {
            self.fail(&format!("has no Event {reason} with {note:?}"), &last);
        }
    }

    /// The reasons and notes of the Events about it. Kubernetes stores those of cluster-scoped resources in `default`.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let namespace = self.path.namespace().unwrap_or("default");
        let events = self.kube.events(namespace).await;
        let about = events.into_iter().filter(|event| event.regarding == self.name());
        about.map(|event| (event.reason, event.note)).collect()
    }

    /// Fails the test with the last observed state.
    pub(crate) fn fail(&self, what: &str, last: &str) -> ! {
        panic!("{} {what} within {:?}. Last seen:\n{last}\n{}", self.path, self.limit, self.logs.tail())
    }
}
