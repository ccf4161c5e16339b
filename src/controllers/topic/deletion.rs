//! What is done when a resource goes.
//!
//! Where deleting data needs approval it waits for that first, and everything stays as it is meanwhile, access
//! included.

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use kube::runtime::controller::Action as Next;

use super::super::connections::ClusterState;
use super::super::effect::{EffectError, ToFailure};
use super::super::{Context, Watched};
use super::activation::{self, Activation};
use super::approval::{self, ApprovalReport, DeletionDecision};
use super::{Ended, LET_GO, access, has_finalizer, kafka_topic, status};
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::approval::ApprovalState;
use crate::domain::audit::Action;
use crate::domain::topic::Identity;
use crate::domain::topic::access::AclCleanup;
use crate::domain::topic::deletion::DeletionPlan;
use crate::domain::topic::status::Outcome;
use crate::domain::{Failure, Refusal, backoff};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// Takes the access away, deletes the Kafka topic if that is wanted, then lets the resource go.
pub(super) async fn reconcile_deletion(topic: &EventTopic, context: &Context) -> Ended {
    if !has_finalizer(topic) {
        return Ok((Reason::Deleting, Next::await_change()));
    }
    let DeletionDecision { topic, live } = match approval::going(topic, context).await? {
        Ok(going) => going,
        Err(withheld) => {
            let outcome = Outcome::Refused(withheld.refusal.clone());
            let consent = ApprovalState::Pending(withheld);
            let standing = ApprovalReport { consent, ..ApprovalReport::unasked(topic) };
            return status::report(topic, &outcome, None, &standing, context).await;
        }
    };
    let (topic, standing) = (&*topic, ApprovalReport::unasked(&topic));
    let stays =
        async |failure| status::report(topic, &Outcome::Failed(failure), None, &standing, context).await;
    let parting = context.catalog.lock().plan_acl_cleanup(topic);
    match parting {
        AclCleanup::Nothing => {}
        AclCleanup::Withdraw(identity, acls) => {
            if let Err(Failure { refusal, is_stalled }) =
                access::withdraw(&acls, topic, &identity, context).await
            {
                let message = format!(
                    "taking away the access to Kafka topic {}: {}. Set the annotation eventcenter.io/managed: \"false\" to \
                     let the resource go and leave topic and ACLs in Kafka",
                    identity.topic,
                    refusal.message()
                );
                let refusal = Refusal::new(refusal.reason, message);
                return stays(Failure { refusal, is_stalled }).await;
            }
        }
        AclCleanup::Keep(message) => {
            tracing::warn!("{message}");
            context
                .kubernetes
                .publish_event(topic, EventRecord { kind: EventType::Warning, reason: "Retained", message });
        }
        AclCleanup::Wait(refusal) => {
            return status::report(topic, &Outcome::Refused(refusal), None, &standing, context).await;
        }
    }
    let farewell = context.catalog.lock().plan_deletion(topic);
    match farewell {
        DeletionPlan::DeleteKafkaTopic(identity) => {
            match delete(topic, live.as_ref(), &identity, context).await {
                Ok(()) => {
                    if let Some(live) = live {
                        activation::tell(topic, &live, context);
                    }
                    let message =
                        format!("deleted Kafka topic {} in cluster {}", identity.topic, identity.cluster);
                    context.kubernetes.publish_event(
                        topic,
                        EventRecord { kind: EventType::Normal, reason: "Deleted", message },
                    );
                    context.connections.visited(&identity.cluster, &identity.topic, None);
                }
                Err(Failure { refusal, is_stalled }) => {
                    let message = format!(
                        "deleting Kafka topic {}: {}. Set spec.deletionPolicy: Retain to let the resource go and keep the topic",
                        identity.topic,
                        refusal.message()
                    );
                    let refusal = Refusal::new(refusal.reason, message);
                    return stays(Failure { refusal, is_stalled }).await;
                }
            }
        }
        DeletionPlan::Release(why) => {
            let message = format!("the Kafka topic, if there is one, stays: {why}");
            tracing::info!("{message}");
            context
                .kubernetes
                .publish_event(topic, EventRecord { kind: EventType::Normal, reason: "Retained", message });
        }
        DeletionPlan::Wait(refusal) => {
            return status::report(topic, &Outcome::Refused(refusal), None, &standing, context).await;
        }
    }
    release(topic, context).await?;
    Ok((Reason::Deleting, Next::await_change()))
}

/// Lets a resource go that cannot be read. Which Kafka topic it stood for is not known, so none is
/// deleted.
pub(super) async fn reconcile_unreadable_deletion(topic: &Watched<EventTopic>, context: &Context) -> Ended {
    if !topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER) {
        return Ok((Reason::Deleting, Next::await_change()));
    }
    let remove = context.kubernetes.remove_finalizer(topic, DELETE_FINALIZER);
    match context.effect(topic, Action::RemoveFinalizer, LET_GO, remove).await {
        // The API server may refuse any change of what it cannot check.
        Err(EffectError::Failed(WriteError::Conflict { .. })) => {
            Ok((Reason::InvalidResource, Next::requeue(backoff::SHORTEST)))
        }
        result => {
            result?;
            Ok((Reason::Deleting, Next::await_change()))
        }
    }
}

async fn delete(
    topic: &EventTopic,
    live: Option<&Activation>,
    identity: &Identity,
    context: &Context,
) -> Result<(), Failure> {
    let kafka = match context.connections.reach(&identity.cluster) {
        ClusterState::Available(kafka) => kafka,
        ClusterState::Unavailable(reason) => {
            return Err(Failure::retryable(kafka_topic::away(identity, reason)));
        }
        ClusterState::Unknown => {
            return Err(Failure::retryable(kafka_topic::away(identity, Reason::Progressing)));
        }
    };
    tracing::info!(topic = %identity.topic, cluster = %identity.cluster, change = "delete", "changing Kafka");
    let what = format!("Kafka topic {identity} and its data");
    let delete = context.effect(topic, Action::DeleteTopic, what, kafka.delete_topic(&identity.topic));
    match live.and_then(|live| live.begins(topic, context)) {
        Some(begins) => context.run_recorded(begins, delete).await.map_err(|error| error.failure()),
        None => delete.await.map_err(|error| error.failure()),
    }
}

/// Takes our finalizer off a resource, if it has it.
pub(super) async fn release(topic: &EventTopic, context: &Context) -> Result<(), EffectError<WriteError>> {
    if !has_finalizer(topic) {
        return Ok(());
    }
    let remove = context.kubernetes.remove_finalizer(topic, DELETE_FINALIZER);
    context.effect(topic, Action::RemoveFinalizer, LET_GO, remove).await
}
