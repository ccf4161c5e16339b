//! Observe, plan and apply for one Kafka topic.

use std::sync::Arc;

use eventcenter_sdk::Reason;
use tokio::time::Instant;

use super::super::connections::ClusterState;
use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use super::super::last_seen::{LastSeen, changed_at_by_status, is_settled};
use crate::api::EventTopic;
use crate::domain::audit::Action;
use crate::domain::topic::status::{Outcome, is_applied};
use crate::domain::topic::{Change, Declared, Identity, Observed, plan};
use crate::domain::{Failure, Refusal};
use crate::kafka::{Error, Kafka};

/// Reads the Kafka topic and applies the necessary changes.
pub(super) async fn sync(
    topic: &EventTopic,
    identity: Identity,
    declared: &Declared,
    kafka: &Kafka,
    context: &Context,
) -> Outcome {
    let now = Instant::now();
    let changed_at = match context.connections.last_seen(&identity.cluster, &identity.topic) {
        Some(last) => last.changed_at(),
        None => changed_at_by_status(topic, context.services.now(), now),
    };
    match observe_and_apply(topic, &identity, declared, changed_at, kafka, context).await {
        Ok((outcome, last_seen)) => {
            context.connections.set_last_seen(&identity.cluster, &identity.topic, Some(last_seen));
            outcome
        }
        Err(error) => {
            context.connections.set_last_seen(&identity.cluster, &identity.topic, None);
            Outcome::Failed(error.to_failure())
        }
    }
}

/// Remembers the state of a Kafka topic that is not changed yet, so that a resync notices when it changes.
pub(super) fn remember(identity: &Identity, observed: Option<&Observed>, context: &Context) {
    let (cluster, topic) = (&identity.cluster, &identity.topic);
    let changed_at = context.connections.last_seen(cluster, topic).and_then(|last| last.changed_at());
    let last_seen = LastSeen::new(observed, changed_at, Instant::now());
    context.connections.set_last_seen(cluster, topic, Some(last_seen));
}

/// Returns the connection to the topic's cluster.
///
/// # Errors
/// The cluster is unavailable, or its first health check has not finished.
pub(super) fn reach(identity: &Identity, context: &Context) -> Result<Arc<Kafka>, Failure> {
    match context.connections.reach(&identity.cluster) {
        ClusterState::Available(kafka) => Ok(kafka),
        ClusterState::Unavailable(reason) => Err(unavailable(identity, reason)),
        ClusterState::Unknown => Err(unavailable(identity, Reason::Progressing)),
    }
}

/// The failure for a cluster that does not answer. The cluster's status has details that tenants need not know.
pub(super) fn unavailable(identity: &Identity, reason: Reason) -> Failure {
    let message = format!(
        "KafkaCluster {} is unavailable ({reason}, see its status); the topic is reconciled as soon as it is available",
        identity.cluster
    );
    Failure { refusal: Refusal::new(Reason::ClusterUnavailable, message), is_stalled: false }
}

async fn observe_and_apply(
    topic: &EventTopic,
    identity: &Identity,
    declared: &Declared,
    changed_at: Option<Instant>,
    kafka: &Kafka,
    context: &Context,
) -> Result<(Outcome, LastSeen<Observed>), EffectError<Error>> {
    let observed = kafka.describe_topic(&identity.topic).await?;
    // A difference within the settle time after a change of the operator is no drift.
    let is_applied = is_applied(topic) && is_settled(changed_at, Instant::now(), context.options.settle_time);
    let known_id = topic.status.as_ref().and_then(|status| status.topic_id.as_deref());
    let plan = plan(declared, observed.as_ref(), is_applied, known_id);
    let observed = apply(&plan.changes, topic, identity, observed, kafka, context).await?;
    let changed_at = if plan.changes.is_empty() { changed_at } else { Some(Instant::now()) };
    let last_seen = LastSeen::new(observed.as_ref(), changed_at, Instant::now());
    let outcome = Outcome::Applied {
        identity: identity.clone(),
        observed,
        refusals: plan.refusals,
        drift: plan.drift,
        schemas: None,
    };
    Ok((outcome, last_seen))
}

/// Describes a change of a Kafka topic for the audit record.
fn describe(identity: &Identity, what: impl std::fmt::Display) -> String {
    format!("Kafka topic {identity}: {what}")
}

/// Applies the changes and returns the new state. A failed change does not stop the others; the first failure is
/// returned.
async fn apply(
    changes: &[Change],
    topic: &EventTopic,
    identity: &Identity,
    observed: Option<Observed>,
    kafka: &Kafka,
    context: &Context,
) -> Result<Option<Observed>, EffectError<Error>> {
    let (mut set, mut reset, mut failure) = (Vec::new(), Vec::new(), None);
    let mut altered: Vec<String> = Vec::new();
    for change in changes {
        tracing::info!(topic = %identity.topic, cluster = %identity.cluster, %change, "changing Kafka");
        match change {
            Change::Create { partitions, replicas, config } => {
                let create = kafka.create_topic(&identity.topic, *partitions, *replicas, config);
                return context
                    .services
                    .effect(topic, Action::CreateTopic, describe(identity, change), create)
                    .await
                    .map(Some);
            }
            Change::Set { key, to, .. } => {
                set.push((key.clone(), to.clone()));
                altered.push(change.to_string());
            }
            Change::Reset { key, .. } => {
                reset.push(key.clone());
                altered.push(change.to_string());
            }
            Change::AddPartitions { from, to } => {
                let add = kafka.create_partitions(&identity.topic, *from, *to);
                let added = context
                    .services
                    .effect(topic, Action::AddPartitions, describe(identity, change), add)
                    .await;
                failure = failure.or(added.err());
            }
        }
    }
    if !set.is_empty() || !reset.is_empty() {
        let alter = kafka.alter_topic_config(&identity.topic, set, reset);
        let what = describe(identity, altered.join("\n"));
        let done = context.services.effect(topic, Action::AlterConfig, what, alter).await;
        failure = failure.or(done.err());
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(observed.map(|observed| crate::domain::topic::plan::state_after(&observed, changes))),
    }
}
