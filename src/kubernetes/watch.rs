//! Watches.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::KubeClient;
use super::guard::{self, Guarded};

/// The first list of a watch is read in pages, of which each is in memory as a whole.
const LIST_PAGE_SIZE: u32 = 100;

impl KubeClient {
    /// Watches all resources of a kind in all namespaces. An invalid one is an error of its own and does not stop the
    /// watch. Removes metadata that the operator does not use, to save memory.
    pub fn watch<K>(
        &self,
    ) -> impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let config = watcher::Config::default().page_size(LIST_PAGE_SIZE);
        watcher(Api::<Guarded<K>>::all(self.client.clone()), config)
            .map(|event| event.map(guard::unwrap))
            .default_backoff()
            .modify(|resource| {
                resource.meta_mut().managed_fields = None;
                if let Some(annotations) = &mut resource.meta_mut().annotations {
                    // kubectl's own copy of the whole resource.
                    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                }
            })
    }

    /// The names of changed Secrets in the operator's namespace. Only metadata is watched.
    pub fn watch_secrets(&self) -> impl Stream<Item = String> + Send + use<> {
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &self.namespace);
        watcher(secrets, watcher::Config::default()).default_backoff().filter_map(|event| async {
            match event {
                Ok(Event::Apply(secret) | Event::Delete(secret)) => secret.metadata.name,
                Ok(Event::Init | Event::InitApply(_) | Event::InitDone) => None,
                Err(error) => {
                    tracing::warn!(%error, "watching Secrets failed; retrying");
                    None
                }
            }
        })
    }
}
