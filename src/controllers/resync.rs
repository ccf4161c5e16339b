//! Looking at all Kafka topics at once, for changes that nobody declared.
//!
//! A handful of requests a cluster. Only topics that differ from what their last visit left behind
//! are reconciled, so that a thousand unchanged topics cost no more than being read.

use eventcenter_sdk::name::{ClusterName, TopicName};
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Context, acl_resync, unregistered};
use crate::kafka::Kafka;

/// Looks from time to time, until it is dropped.
pub(super) async fn run(context: &Context) {
    let period = context.options.resync;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let clusters = context.connections.answering();
        join_all(clusters.iter().map(|(cluster, kafka)| async move {
            tokio::join!(
                look(context, cluster, kafka),
                acl_resync::look(context, cluster, kafka),
                unregistered::look(context, cluster, kafka),
            );
        }))
        .await;
    }
}

async fn look(context: &Context, cluster: &ClusterName, kafka: &Kafka) {
    let begin = Instant::now();
    // Those that have not been visited are being visited, or wait for their next try.
    let (topics, owners): (Vec<TopicName>, Vec<_>) = context
        .services
        .catalog
        .lock()
        .owned(cluster)
        .into_iter()
        .filter(|(topic, _)| {
            context.connections.last_visit(cluster, topic).is_some_and(|last| last.is_settled(begin))
        })
        .unzip();
    let found = kafka.describe_topics(&topics).await;
    let mut woken = 0_usize;
    for ((topic, owner), found) in topics.iter().zip(owners).zip(found) {
        let Ok(found) = found else { continue };
        let last = context.connections.last_visit(cluster, topic);
        if last.is_some_and(|last| last.differs(found.as_ref(), begin)) {
            woken += 1;
            context.topics.queue.enqueue(Some(&owner.namespace), &owner.name);
        }
    }
    tracing::debug!(%cluster, topics = topics.len(), woken, took = ?begin.elapsed(), "looked at all topics");
}
