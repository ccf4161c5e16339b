//! Uncached reads of one resource.

use std::fmt::Debug;

use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::timeout::in_time;
use super::write::failed;
use super::{KubeClient, WriteError};

impl KubeClient {
    /// Reads a resource; `None` if it does not exist.
    ///
    /// # Errors
    /// The API server does not answer, or the resource is invalid.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let resources = Api::<K>::namespaced(self.client.clone(), namespace);
        in_time(resources.get_opt(name)).await.map_err(failed("reading a resource"))
    }
}
