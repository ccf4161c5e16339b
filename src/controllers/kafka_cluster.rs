//! Kafka clusters: connects to each, and asks it again and again how it is.

use std::convert::Infallible;
use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::status::write_status;
use super::{Context, Watched};
use crate::api::KafkaCluster;
use crate::domain::cluster::{Clusters, status};
use crate::domain::{Refusal, backoff};
use crate::kafka::{ClusterDescription, Credentials, Secret, Settings, TlsSettings};
use crate::kubernetes::{KubeClient, SecretError};

/// Reads all clusters again, ends the connections to those that went, and wakes whoever that concerns.
pub(super) fn learn(context: &Context) {
    let clusters = context.clusters.state();
    let readable = || clusters.iter().filter_map(|cluster| cluster.0.as_ref().ok());
    let is_declared = |name: &ClusterName| clusters.iter().any(|cluster| cluster.name_any() == name.as_ref());
    context.connections.retain(is_declared);
    context.access.retain(is_declared);
    for cluster in context.unregistered.retain(is_declared) {
        context.metrics.forget_cluster(&cluster);
    }
    let topics = context.topics.state();
    let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    let concerned = context.catalog.lock().set_clusters(Clusters::of(readable()), topics);
    for topic in concerned {
        context.topic_queue.enqueue(Some(&topic.namespace), &topic.name);
    }
}

/// Wakes the clusters that read a Secret when it changes, until it is dropped.
pub(super) async fn follow_secrets(context: &Context) {
    let mut changed = std::pin::pin!(context.kubernetes.watch_secrets());
    while let Some(secret) = changed.next().await {
        for cluster in context.clusters.state() {
            if cluster.0.as_ref().is_ok_and(|cluster| secrets(cluster).any(|name| name == secret)) {
                context.cluster_queue.enqueue(None, &cluster.name_any());
            }
        }
    }
}

fn secrets(cluster: &KafkaCluster) -> impl Iterator<Item = &str> {
    let tls = cluster.spec.tls.as_ref();
    let authorities = tls.and_then(|tls| tls.ca_secret.as_ref()).map(|secret| secret.name.as_str());
    let certificate = tls.and_then(|tls| tls.certificate_secret.as_ref()).map(|secret| secret.name.as_str());
    let credentials = cluster.spec.sasl.as_ref().map(|sasl| sasl.secret.name.as_str());
    authorities.into_iter().chain(certificate).chain(credentials)
}

/// Connects to a cluster, asks it how it is and says so in its status.
#[tracing::instrument(name = "kafkacluster", skip_all, fields(cluster = %cluster.name_any()))]
pub(super) async fn reconcile(
    cluster: Arc<Watched<KafkaCluster>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.cluster_queue.begin(&cluster);
    let visit = context.metrics.begin("KafkaCluster");
    let (cluster, name) = match (&cluster.0, cluster.name_any().parse::<ClusterName>()) {
        (Ok(cluster), Ok(name)) => (cluster, name),
        (Err(invalid), _) => {
            tracing::warn!(error = invalid.error, "a KafkaCluster cannot be read");
            visit.end(Reason::InvalidResource.as_str());
            return Ok(Action::await_change());
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "a KafkaCluster has a name that topics cannot use");
            visit.end(Reason::InvalidResource.as_str());
            return Ok(Action::await_change());
        }
    };
    let facts = observe(&context, cluster, &name).await;
    let state = facts.as_ref().map(drop).map_err(|refusal| refusal.reason);
    if context.connections.asked(&name, state) {
        topic_queue(&context, &name);
    }
    let is_other_default = cluster.spec.default
        && context.catalog.lock().clusters().default().is_some_and(|other| *other != name);
    let facts = facts.map(|facts| (facts.id, i32::try_from(facts.brokers).unwrap_or(i32::MAX)));
    let mut after = status(cluster, facts.as_ref(), is_other_default, (context.clock)());
    if let Some(found) = context.unregistered.of(&name) {
        found.tell(&mut after);
    }
    let written = write_status(&context, &context.cluster_queue, cluster, &after).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "the status could not be written");
    }
    if written.is_ok() && facts.is_ok() {
        context.cluster_queue.in_force(cluster);
    }
    let outcome = facts.map_or_else(|refusal| refusal.reason, |_| Reason::Available);
    visit.end(written.as_ref().map_or_else(|_| Reason::Internal.as_str(), |_| outcome.as_str()));
    Ok(Action::requeue(if outcome == Reason::Available && written.is_ok() {
        context.options.heartbeat
    } else {
        backoff::SHORTEST.min(context.options.heartbeat)
    }))
}

async fn observe(
    context: &Context,
    cluster: &KafkaCluster,
    name: &ClusterName,
) -> Result<ClusterDescription, Refusal> {
    let settings = settings(&context.kubernetes, cluster).await?;
    let kafka = context.connections.ensure(name, settings).map_err(|error| error.refusal())?;
    kafka.describe_cluster().await.map_err(|error| error.refusal())
}

/// Topics that could not be helped while Kafka was away need not wait for their next try; and while
/// it was away, anything may have happened to the others.
fn topic_queue(context: &Context, cluster: &ClusterName) {
    let owned = context.catalog.lock().owned(cluster);
    for (_, owner) in owned {
        context.topic_queue.enqueue(Some(&owner.namespace), &owner.name);
    }
}

/// How to reach a cluster, its Secrets read.
async fn settings(kubernetes: &KubeClient, cluster: &KafkaCluster) -> Result<Settings, Refusal> {
    let refused = |error: SecretError| {
        let reason = match error {
            SecretError::Missing { .. } | SecretError::NoKey { .. } => Reason::SecretNotFound,
            SecretError::Api { .. } => Reason::Internal,
        };
        Refusal::new(reason, error.to_string())
    };
    let mut settings =
        Settings { bootstrap_servers: cluster.spec.bootstrap_servers.clone(), tls: None, credentials: None };
    if let Some(tls) = &cluster.spec.tls {
        let mut read = TlsSettings::default();
        if let Some(secret) = &tls.ca_secret {
            let [certificates] = kubernetes.secret(&secret.name, [&secret.key]).await.map_err(refused)?;
            read.ca_certificates = Some(certificates);
        }
        if let Some(secret) = &tls.certificate_secret {
            let [certificate, key] =
                kubernetes.secret(&secret.name, ["tls.crt", "tls.key"]).await.map_err(refused)?;
            read.client_certificate = Some((certificate, Secret::new(key)));
        }
        settings.tls = Some(read);
    }
    if let Some(sasl) = &cluster.spec.sasl {
        let keys = [sasl.secret.username_key.as_str(), sasl.secret.password_key.as_str()];
        let [username, password] = kubernetes.secret(&sasl.secret.name, keys).await.map_err(refused)?;
        let password = Secret::new(password);
        settings.credentials = Some(Credentials { mechanism: sasl.mechanism, username, password });
    }
    Ok(settings)
}
