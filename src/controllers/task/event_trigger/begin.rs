//! The positions from which a task reads events.

use eventcenter_sdk::Reason;

use super::super::super::connections::ClusterState;
use super::super::super::context::Context;
use super::super::super::effect::ToFailure;
use crate::domain::task::event_trigger::EventSource;
use crate::domain::task::planning::ActiveTask;
use crate::domain::{Failure, Refusal};
use crate::error_chain::ErrorChain;
use crate::kafka::{Kafka, OffsetSpec};
use crate::store::{self, EventPosition, PositionTopic};

/// Stores where a task begins to read events, before it is active: an event that is published once it is Ready has a later position.
/// Positions that exist are kept. Those of a task that is suspended are removed: events that pass meanwhile are not made up for.
pub(in crate::controllers::task) async fn begin_positions(
    task: &ActiveTask,
    context: &Context,
) -> Result<(), Failure> {
    let before = context.task_registry.get(task.key.uid).map(|registered| registered.active);
    let read_before = before.as_ref().and_then(|before| before.event_source());
    let Some(source) = task.event_source() else {
        // Unknown after the start of a leader.
        let may_exist = read_before.is_some() || (before.is_none() && task.source.is_some());
        return match may_exist {
            true => {
                context.runs.delete_event_positions(&[task.key.uid]).await.map_err(|error| failure(&error))
            }
            false => Ok(()),
        };
    };
    if read_before == Some(source) {
        return Ok(());
    }
    let stored = context.runs.load_event_positions(&[task.key.uid]).await.map_err(|error| failure(&error))?;
    if stored.iter().any(|position| position.topic.name == source.key()) {
        return Ok(());
    }
    let kafka = match context.connections.reach(&source.cluster) {
        ClusterState::Available(kafka) => kafka,
        ClusterState::Unavailable(reason) => return Err(unavailable(source, reason)),
        ClusterState::Unknown => return Err(unavailable(source, Reason::Progressing)),
    };
    let positions = list_ends(task, source, &kafka).await?;
    context.runs.begin_event_positions(&positions).await.map_err(|error| failure(&error))
}

/// The positions at the ends of all partitions.
async fn list_ends(
    task: &ActiveTask,
    source: &EventSource,
    kafka: &Kafka,
) -> Result<Vec<EventPosition>, Failure> {
    let observed = kafka.describe_topic(&source.topic).await.map_err(|error| error.to_failure())?;
    let observed = observed.ok_or_else(|| {
        Failure::retryable(Refusal::new(
            Reason::TopicNotFound,
            format!("the Kafka topic {} does not exist yet. Retrying automatically.", source.topic),
        ))
    })?;
    let ends = kafka.list_offsets(&source.topic, 0..observed.partitions, OffsetSpec::Latest).await;
    let ends = ends.map_err(|error| error.to_failure())?;
    let topic = PositionTopic { name: source.key(), id: observed.id };
    let position = |(partition, next_offset)| EventPosition {
        task: task.key.uid,
        topic: topic.clone(),
        partition,
        next_offset,
    };
    Ok((0..).zip(ends).map(position).collect())
}

fn unavailable(source: &EventSource, reason: Reason) -> Failure {
    Failure::retryable(Refusal::new(
        reason,
        format!(
            "KafkaCluster {} is unavailable, so the position in the topic {} is unknown. Retrying automatically.",
            source.cluster, source.topic
        ),
    ))
}

fn failure(error: &store::Error) -> Failure {
    tracing::warn!(error = %ErrorChain(error), "storing the position of a task in a topic");
    Failure::retryable(Refusal::new(
        Reason::StoreUnavailable,
        "the database is unavailable, so the position in the topic is not stored. Retrying automatically.",
    ))
}
