//! Reads the events that tasks run for, and requests a run for each of them.
//!
//! - `begin`: the positions from which a task reads, stored before it is active.
//! - `reader`: one for each KafkaCluster. `position`: the positions in memory. `topic`: the topics in Kafka.
//!
//! Positions move in the transaction that inserts the runs, so neither a kill nor a second leader loses or repeats an event. The planner
//! plans the runs, as others that are requested.

mod begin;
mod position;
mod reader;
mod topic;

pub(super) use begin::begin_positions;

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::Resource;
use uuid::Uuid;

use super::super::context::Context;
use crate::error_chain::ErrorChain;
use crate::store;

/// How often positions of deleted tasks are removed.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(60);

/// Reads events until dropped.
pub(super) async fn run(context: &Context) {
    tokio::join!(read_clusters(context), remove_positions(context));
}

/// Reads each KafkaCluster of which tasks read events.
async fn read_clusters(context: &Context) {
    let mut clusters = HashSet::new();
    let mut readers = FuturesUnordered::new();
    loop {
        for cluster in context.task_registry.event_clusters() {
            if clusters.insert(cluster.clone()) {
                readers.push(async move {
                    reader::run(context, &cluster).await;
                    cluster
                });
            }
        }
        tokio::select! {
            Some(cluster) = readers.next() => drop(clusters.remove(&cluster)),
            () = context.task_registry.event_tasks_changed() => {}
        }
    }
}

/// Removes the positions of tasks that are deleted, or that do not run for events any more.
async fn remove_positions(context: &Context) {
    context.tasks.wait_until_synced().await;
    loop {
        if let Err(error) = try_remove(context).await {
            tracing::warn!(error = %ErrorChain(&error), "positions of deleted tasks are not removed yet");
        }
        tokio::time::sleep(REMOVAL_INTERVAL).await;
    }
}

async fn try_remove(context: &Context) -> Result<(), store::Error> {
    let with_positions = context.runs.list_tasks_with_positions().await?;
    if with_positions.is_empty() {
        return Ok(());
    }
    let tasks = context.tasks.objects.state();
    let uids = tasks.iter().filter_map(|task| task.meta().uid.as_ref()?.parse().ok());
    let existing: HashSet<Uuid> = uids.collect();
    let is_obsolete = |task: &Uuid| {
        let registered = context.task_registry.get(*task);
        !existing.contains(task) || registered.is_some_and(|task| task.active.event_source().is_none())
    };
    let obsolete: Vec<Uuid> = with_positions.into_iter().filter(is_obsolete).collect();
    if obsolete.is_empty() {
        return Ok(());
    }
    context.runs.delete_event_positions(&obsolete).await
}
