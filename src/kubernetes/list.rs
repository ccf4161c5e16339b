//! Uncached lists.

use std::fmt::Debug;

use kube::api::ListParams;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::KubeClient;
use super::guard::Guarded;
use super::timeout::in_time;

/// A list request failed.
#[derive(Debug, thiserror::Error)]
#[error("listing {kind}: {source}")]
pub struct ListError {
    /// The kind, in plural.
    kind: String,
    source: Box<kube::Error>,
}

impl KubeClient {
    /// All resources of a cluster-scoped kind; an invalid one as an error of its own.
    ///
    /// # Errors
    /// The API server does not answer, or denies access.
    pub async fn list<K>(&self) -> Result<Vec<DeserializeGuard<K>>, ListError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let all = Api::<Guarded<K>>::all(self.client.clone());
        let listed = in_time(async move { all.list(&ListParams::default()).await }).await;
        let failed = |source| ListError { kind: K::plural(&()).into_owned(), source: Box::new(source) };
        listed.map(|list| list.items.into_iter().map(|guarded| guarded.0).collect()).map_err(failed)
    }

    /// The valid resources of a kind in a namespace.
    ///
    /// # Errors
    /// The API server does not answer, or denies access.
    pub async fn list_in<K>(&self, namespace: &str) -> Result<Vec<K>, ListError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let all = Api::<Guarded<K>>::namespaced(self.client.clone(), namespace);
        let listed = in_time(async move { all.list(&ListParams::default()).await }).await;
        let failed = |source| ListError { kind: K::plural(&()).into_owned(), source: Box::new(source) };
        Ok(listed.map_err(failed)?.items.into_iter().filter_map(|guarded| guarded.0.0.ok()).collect())
    }
}
