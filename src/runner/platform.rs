//! The Tenants and KafkaClusters, as they are now.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use eventcenter_sdk::name::ClusterName;
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::api::{KafkaCluster, Tenant};
use crate::domain::cluster::Clusters;
use crate::domain::tenant::Tenants;
use crate::error_chain::ErrorChain;
use crate::kubernetes::KubeClient;

/// The Tenants and KafkaClusters, kept up to date by [`Platform::watch`].
#[derive(Debug)]
pub(super) struct Platform {
    state: RwLock<State>,
    /// Which kinds have been listed: Tenants, KafkaClusters.
    listed: watch::Sender<(bool, bool)>,
}

#[derive(Debug, Default)]
struct State {
    tenants: Arc<Tenants>,
    clusters: Arc<Clusters>,
    by_name: HashMap<String, Arc<KafkaCluster>>,
}

impl Default for Platform {
    fn default() -> Self {
        Self { state: RwLock::default(), listed: watch::Sender::new((false, false)) }
    }
}

impl Platform {
    /// The tenants.
    pub(super) fn tenants(&self) -> Arc<Tenants> {
        Arc::clone(&self.state.read().tenants)
    }

    /// The KafkaClusters by name, and the default among them.
    pub(super) fn clusters(&self) -> Arc<Clusters> {
        Arc::clone(&self.state.read().clusters)
    }

    /// A KafkaCluster.
    pub(super) fn cluster(&self, name: &ClusterName) -> Option<Arc<KafkaCluster>> {
        self.state.read().by_name.get(name.as_ref()).cloned()
    }

    /// Waits until all resources have been listed.
    pub(super) async fn wait_until_listed(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as this object.
        drop(listed.wait_for(|listed| *listed == (true, true)).await);
    }

    /// Keeps the resources up to date until dropped.
    pub(super) async fn watch(&self, kubernetes: &KubeClient) {
        let tenants = follow(kubernetes.watch::<Tenant>(), |all, is_listed| {
            self.set_tenants(all);
            self.listed.send_if_modified(|listed| is_listed && !std::mem::replace(&mut listed.0, true));
        });
        let clusters = follow(kubernetes.watch::<KafkaCluster>(), |all, is_listed| {
            self.set_clusters(all);
            self.listed.send_if_modified(|listed| is_listed && !std::mem::replace(&mut listed.1, true));
        });
        tokio::join!(tenants, clusters);
    }

    fn set_tenants(&self, all: &BTreeMap<String, Tenant>) {
        let tenants = Arc::new(Tenants::of(all.values()));
        self.state.write().tenants = tenants;
    }

    fn set_clusters(&self, all: &BTreeMap<String, KafkaCluster>) {
        let clusters = Arc::new(Clusters::of(all.values()));
        let by_name = all.iter().map(|(name, cluster)| (name.clone(), Arc::new(cluster.clone()))).collect();
        let mut state = self.state.write();
        (state.clusters, state.by_name) = (clusters, by_name);
    }
}

/// Collects the resources of a watch by name, and passes them on after each change, with whether they are complete. A resource
/// that cannot be deserialized keeps its previous version.
async fn follow<K>(
    events: impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>>,
    set: impl Fn(&BTreeMap<String, K>, bool),
) where
    K: kube::Resource<DynamicType = ()> + Clone + Debug,
{
    let mut all = BTreeMap::new();
    let mut listing: Option<BTreeMap<String, K>> = None;
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listing = Some(BTreeMap::new()),
            Ok(Event::InitApply(guard)) => {
                let name = guard.name_any();
                let resource = guard.0.ok().or_else(|| all.get(&name).cloned());
                if let (Some(listing), Some(resource)) = (&mut listing, resource) {
                    listing.insert(name, resource);
                }
            }
            Ok(Event::InitDone) => {
                all = listing.take().unwrap_or_default();
                set(&all, true);
            }
            Ok(Event::Apply(guard)) => {
                let name = guard.name_any();
                if let Ok(resource) = guard.0 {
                    all.insert(name, resource);
                    set(&all, false);
                }
            }
            Ok(Event::Delete(guard)) => {
                all.remove(&guard.name_any());
                set(&all, false);
            }
            Err(error) => {
                let kind = K::plural(&());
                tracing::warn!(%kind, error = %ErrorChain(&error), "a watch failed; retrying");
            }
        }
    }
}
