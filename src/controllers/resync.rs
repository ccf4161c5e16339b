//! Comparing all Kafka topics with what the last reconciles left there, to find drift.
//!
//! This takes a few requests for each cluster. Only topics that differ are reconciled, so that a thousand unchanged
//! topics cost no more than being read.

use eventcenter_sdk::name::{ClusterName, TopicName};
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::context::Context;
use super::{acl_resync, unregistered};
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
                unregistered::refresh(context, cluster, kafka),
            );
        }))
        .await;
    }
}

async fn resync_topics(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    let started = Instant::now();
    // Topics without a last state are being reconciled, or wait for a retry.
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
