//! Kafka clusters: connections and heartbeats.

use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use futures::StreamExt;
use kube::ResourceExt;

use super::context::Context;
use super::queue::Watched;
use super::runtime::{Informer, ReconcileResult, Reconciled, Reconciler, requeue_after_status_error};
use super::services::Services;
use super::status::write_status;
use crate::api::KafkaCluster;
use crate::domain::cluster::{Clusters, build_status};
use crate::domain::{Failure, Refusal, backoff};
use crate::kafka::{ClusterDescription, SecretKeys, SecretTexts, Settings};
use crate::kubernetes::{KubeClient, SecretError};

/// Rebuilds the clusters of the catalog, closes the connections to removed clusters, and enqueues the affected
/// resources.
fn update_catalog(context: &Context) {
    let clusters = context.clusters.objects.state();
    let readable = || clusters.iter().filter_map(|cluster| cluster.0.as_ref().ok());
    let is_declared = |name: &ClusterName| clusters.iter().any(|cluster| cluster.name_any() == name.as_ref());
    context.connections.retain(is_declared);
    context.access.retain(is_declared);
    for cluster in context.unregistered.retain(is_declared) {
        context.services.metrics.forget_cluster(&cluster);
    }
    let topics = context.topics.objects.state();
    let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    let affected = context.services.catalog.lock().set_clusters(Clusters::of(readable()), topics);
    context.enqueue_topics(affected);
}

/// Enqueues the clusters that use a Secret when it changes, until dropped.
pub(super) async fn follow_secrets(context: &Context) {
    let mut changed = std::pin::pin!(context.services.kubernetes.watch_secrets());
    while let Some(secret) = changed.next().await {
        for cluster in context.clusters.objects.state() {
            if cluster
                .0
                .as_ref()
                .is_ok_and(|cluster| Settings::secrets(cluster).iter().any(|one| one.name == secret))
            {
                context.clusters.queue.enqueue(None, &cluster.name_any());
            }
        }
    }
}

/// Reconciles KafkaClusters.
pub(super) struct KafkaClusterReconciler(pub(super) Arc<Context>);

impl Reconciler for KafkaClusterReconciler {
    type Object = KafkaCluster;

    fn services(&self) -> &Services {
        &self.0.services
    }

    fn informer(&self) -> &Informer<KafkaCluster> {
        &self.0.clusters
    }

    fn object_changed(&self, _: &Watched<KafkaCluster>) {
        update_catalog(&self.0);
    }

    fn object_deleted(&self, _: &Watched<KafkaCluster>) {
        update_catalog(&self.0);
    }

    fn objects_listed(&self) {
        update_catalog(&self.0);
    }

    async fn reconcile(&self, cluster: &KafkaCluster) -> ReconcileResult {
        let context = &*self.0;
        let name = match cluster.name_any().parse::<ClusterName>() {
            Ok(name) => name,
            Err(error) => {
                tracing::warn!(%error, "a KafkaCluster has a name that topics cannot use");
                return Ok(Reconciled::until_change(Reason::InvalidResource));
            }
        };
        let facts = observe(context, cluster, &name).await;
        let state = facts.as_ref().map(drop).map_err(|refusal| refusal.reason);
        if context.connections.set_state(&name, state) {
            enqueue_topics_of(context, &name);
        }
        let is_other_default = cluster.spec.default
            && context.services.catalog.lock().clusters().default().is_some_and(|other| *other != name);
        let facts = facts.map(|facts| (facts.id, i32::try_from(facts.brokers).unwrap_or(i32::MAX)));
        let mut after = build_status(cluster, facts.as_ref(), is_other_default, context.services.now());
        if let Some(unregistered) = context.unregistered.get(&name) {
            unregistered.write_to(&mut after);
        }
        let heartbeat = context.options.heartbeat;
        let written = write_status(&context.services, &context.clusters.queue, cluster, &after).await;
        if let Err(error) = written {
            return Ok(requeue_after_status_error(&error, backoff::MIN_DELAY.min(heartbeat)));
        }
        Ok(match facts {
            Ok(_) => {
                context.clusters.queue.observe_active(cluster);
                Reconciled::requeue(Reason::Available, heartbeat)
            }
            Err(refusal) => Reconciled::requeue(refusal.reason, backoff::MIN_DELAY.min(heartbeat)),
        })
    }

    async fn report_failure(&self, _: &KafkaCluster, failure: Failure) -> ReconcileResult {
        Ok(Reconciled::requeue(failure.refusal.reason, backoff::MIN_DELAY))
    }
}

async fn observe(
    context: &Context,
    cluster: &KafkaCluster,
    name: &ClusterName,
) -> Result<ClusterDescription, Refusal> {
    let settings = settings(&context.services.kubernetes, cluster).await?;
    let kafka = context.connections.ensure(name, settings).map_err(|error| error.refusal())?;
    kafka.describe_cluster().await.map_err(|error| error.refusal())
}

/// Enqueues the topics of a cluster that is available again: their reconciles may have failed, or Kafka may have
/// changed.
fn enqueue_topics_of(context: &Context, cluster: &ClusterName) {
    let owned = context.services.catalog.lock().owned(cluster);
    context.enqueue_topics(owned.into_iter().map(|(_, owner)| owner));
}

/// The connection settings of a cluster, with the content of its Secrets.
async fn settings(kubernetes: &KubeClient, cluster: &KafkaCluster) -> Result<Settings, Refusal> {
    let refused = |error: SecretError| {
        let reason = match error {
            SecretError::Missing { .. } | SecretError::NoKey { .. } => Reason::SecretNotFound,
            SecretError::Api { .. } => Reason::Internal,
        };
        Refusal::new(reason, error.to_string())
    };
    let mut texts = SecretTexts::new();
    for SecretKeys { name, keys } in Settings::secrets(cluster) {
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let read = kubernetes.read_secret(kubernetes.namespace(), &name, &names).await.map_err(refused)?;
        texts.extend(keys.into_iter().zip(read).map(|(key, text)| ((name.clone(), key), text)));
    }
    Ok(Settings::of(cluster, &texts))
}
