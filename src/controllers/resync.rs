//! Compares all Kafka topics with their state after the last reconcile, to find drift.
//!
//! This takes a few requests for each cluster. Only topics that differ are reconciled, so that a thousand unchanged
//! topics cost only the requests.

use std::collections::HashSet;

use eventcenter_sdk::name::{ClusterName, TenantName, TopicName};
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::acl_resync;
use super::context::Context;
use crate::domain::cluster::Unregistered;
use crate::domain::topic::quota;
use crate::kafka::Kafka;

/// Compares at an interval until dropped.
pub(super) async fn run(context: &Context) {
    let period = context.options.resync;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let clusters = context.connections.list_available();
        join_all(clusters.iter().map(|(cluster, kafka)| async move {
            tokio::join!(
                resync_topics(context, cluster, kafka),
                acl_resync::resync(context, cluster, kafka),
                refresh_unregistered(context, cluster, kafka),
            );
        }))
        .await;
    }
}

async fn resync_topics(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    let started = Instant::now();
    // Topics without a last state are being reconciled, or will be retried.
    let (topics, owners): (Vec<TopicName>, Vec<_>) = context
        .services
        .catalog
        .lock()
        .owned(cluster)
        .into_iter()
        .filter(|(topic, _)| {
            context
                .connections
                .last_seen(cluster, topic)
                .is_some_and(|last| last.is_settled(started, context.options.settle_time))
        })
        .unzip();
    let current = kafka.describe_topics(&topics).await;
    let mut enqueued = 0_usize;
    for ((topic, owner), observed) in topics.iter().zip(owners).zip(current) {
        let Ok(observed) = observed else { continue };
        let last = context.connections.last_seen(cluster, topic);
        if last.is_some_and(|last| last.differs(observed.as_ref(), started, context.options.settle_time)) {
            enqueued += 1;
            context.topics.queue.enqueue(Some(&owner.namespace), &owner.name);
        }
    }
    tracing::debug!(%cluster, topics = topics.len(), enqueued, took = ?started.elapsed(), "compared all topics");
}

/// Lists the topics of a cluster that have no EventTopic. Does nothing before all EventTopics have been listed.
async fn refresh_unregistered(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    if !context.topics.is_synced() {
        return;
    }
    // An EventTopic may be created or deleted during the request.
    let mut registered = registered_names(context, cluster);
    let Ok(all) = kafka.list_topics().await else { return };
    registered.extend(registered_names(context, cluster));
    count_unmanaged(context, cluster, kafka, &all).await;
    let unregistered = Unregistered::of(all, |name| registered.contains(name));
    context.services.metrics.set_unregistered(cluster, unregistered.count);
    if context.unregistered.set(cluster, unregistered) {
        context.clusters.queue.enqueue(None, cluster.as_ref());
    }
}

/// Counts the Kafka topics of tenants with quotas that no resource manages.
async fn count_unmanaged(context: &Context, cluster: &ClusterName, kafka: &Kafka, names: &[String]) {
    let (tenants, topics): (Vec<TenantName>, Vec<TopicName>) =
        context.services.catalog.lock().unmanaged(cluster, names).into_iter().unzip();
    let observed = kafka.describe_topics(&topics).await;
    let mut counted = Vec::with_capacity(topics.len());
    for ((tenant, topic), observed) in tenants.into_iter().zip(topics).zip(observed) {
        match observed {
            Ok(Some(observed)) => counted.push((tenant, topic, quota::observed(&observed))),
            Ok(None) => {}
            // The counts of the last time stay.
            Err(_) => return,
        }
    }
    let affected = context.services.catalog.lock().replace_unmanaged(cluster, counted);
    context.enqueue_topics(affected);
}

fn registered_names(context: &Context, cluster: &ClusterName) -> HashSet<String> {
    let topics = context.topics.objects.state();
    let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    context.services.catalog.lock().registered(cluster, topics).into_iter().map(String::from).collect()
}
