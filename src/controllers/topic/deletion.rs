//! Topics under deletion.
//!
//! While the deletion of data is pending approval, nothing is deleted, including the ACLs.

use eventcenter_sdk::Reason;

use super::super::approval::{
    Activation, ApprovalReport, DeletionApproval, GovernedReconciler, decide_deletion, publish,
};
use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use super::super::queue::Watched;
use super::super::runtime::{ReconcileResult, Reconciled};
use super::finalizer::{FINALIZER_REMOVED, has_finalizer, release};
use super::{access, kafka_topic, schema, status};
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::domain::approval::ApprovalState;
use crate::domain::audit::Action;
use crate::domain::topic::Identity;
use crate::domain::topic::access::AclCleanup;
use crate::domain::topic::deletion::DeletionPlan;
use crate::domain::topic::status::Outcome;
use crate::domain::{Failure, Refusal, backoff};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// Deletes the ACLs, and the Kafka topic if the resource requests it, then removes the finalizer.
pub(super) async fn reconcile_deletion(
    topic: &EventTopic,
    reconciler: &impl GovernedReconciler<Object = EventTopic>,
    context: &Context,
) -> ReconcileResult {
    if !has_finalizer(topic) {
        return Ok(Reconciled::until_change(Reason::Deleting));
    }
    let deleted_data = |topic: &EventTopic| match context.services.catalog.lock().plan_deletion(topic) {
        DeletionPlan::DeleteKafkaTopic(identity) => {
            Some(format!("Kafka topic {identity} and its data are deleted"))
        }
        DeletionPlan::Release(_) | DeletionPlan::Wait(_) => None,
    };
    let (topic, activation) = match decide_deletion(reconciler, topic, deleted_data).await? {
        DeletionApproval::Granted(topic, activation) => (topic, activation),
        DeletionApproval::Pending(pending) => {
            let outcome = Outcome::Refused(pending.refusal.clone());
            let state = ApprovalState::Pending(pending);
            let report = ApprovalReport { state, ..ApprovalReport::unchanged(topic) };
            return status::report(topic, &outcome, None, &report, context).await;
        }
    };
    if let Err(outcome) = delete_acls(&topic, context).await {
        return status::report(&topic, &outcome, None, &ApprovalReport::unchanged(&*topic), context).await;
    }
    if let Err(outcome) = delete_kafka_topic(&topic, activation.as_ref(), context).await {
        return status::report(&topic, &outcome, None, &ApprovalReport::unchanged(&*topic), context).await;
    }
    release(&topic, context).await?;
    Ok(Reconciled::until_change(Reason::Deleting))
}

/// Deletes the ACLs that no other topic needs.
async fn delete_acls(topic: &EventTopic, context: &Context) -> Result<(), Outcome> {
    let cleanup = context.services.catalog.lock().plan_acl_cleanup(topic);
    match cleanup {
        AclCleanup::None => Ok(()),
        AclCleanup::Delete(identity, acls) => {
            access::withdraw(&acls, topic, &identity, context).await.map_err(|failure| {
                with_context(failure, |message| {
                    format!(
                        "removing the access to Kafka topic {}: {message}. Set the annotation eventcenter.io/managed: \"false\" \
                         to delete only the resource and leave topic and ACLs in Kafka",
                        identity.topic
                    )
                })
            })
        }
        AclCleanup::Keep(message) => {
            tracing::warn!("{message}");
            let event = EventRecord { kind: EventType::Warning, reason: "Retained", message };
            context.services.kubernetes.publish_event(topic, event);
            Ok(())
        }
        AclCleanup::Hold(refusal) => Err(Outcome::Refused(refusal)),
    }
}

/// Deletes the Kafka topic, if the plan says so.
async fn delete_kafka_topic(
    topic: &EventTopic,
    activation: Option<&Activation>,
    context: &Context,
) -> Result<(), Outcome> {
    let plan = context.services.catalog.lock().plan_deletion(topic);
    let publish_event = |reason, message| {
        let event = EventRecord { kind: EventType::Normal, reason, message };
        context.services.kubernetes.publish_event(topic, event);
    };
    match plan {
        DeletionPlan::DeleteKafkaTopic(identity) => {
            delete(topic, activation, &identity, context).await.map_err(|failure| {
                with_context(failure, |message| {
                    format!(
                        "deleting Kafka topic {}: {message}. Set spec.deletionPolicy: Retain to delete only the resource and keep the topic",
                        identity.topic
                    )
                })
            })?;
            let deleted = schema::delete_history(topic, context).await;
            deleted.map_err(|error| Outcome::Failed(error.to_failure()))?;
            if let Some(activation) = activation {
                publish(topic, activation, &context.services);
            }
            publish_event(
                "Deleted",
                format!("deleted Kafka topic {} in cluster {}", identity.topic, identity.cluster),
            );
            context.connections.set_last_seen(&identity.cluster, &identity.topic, None);
            Ok(())
        }
        DeletionPlan::Release(why) => {
            let message = format!("the Kafka topic, if it exists, is retained: {why}");
            tracing::info!("{message}");
            publish_event("Retained", message);
            Ok(())
        }
        DeletionPlan::Wait(refusal) => Err(Outcome::Refused(refusal)),
    }
}

fn with_context(failure: Failure, message: impl FnOnce(&str) -> String) -> Outcome {
    let message = message(&failure.refusal.message());
    let refusal = Refusal::new(failure.refusal.reason, message);
    Outcome::Failed(Failure { refusal, ..failure })
}

/// Removes the finalizer of a resource that cannot be deserialized. Its Kafka topic is unknown, so none is deleted.
pub(super) async fn reconcile_invalid_deletion(
    topic: &Watched<EventTopic>,
    context: &Context,
) -> ReconcileResult {
    if !has_finalizer(topic) {
        return Ok(Reconciled::until_change(Reason::Deleting));
    }
    let remove = context.services.kubernetes.remove_finalizer(topic, DELETE_FINALIZER);
    match context.services.effect(topic, Action::RemoveFinalizer, FINALIZER_REMOVED, remove).await {
        // The API server may refuse any change of an object that violates its schema.
        Err(EffectError::Failed(WriteError::Conflict { .. })) => {
            Ok(Reconciled::requeue(Reason::InvalidResource, backoff::MIN_DELAY))
        }
        result => {
            result?;
            Ok(Reconciled::until_change(Reason::Deleting))
        }
    }
}

async fn delete(
    topic: &EventTopic,
    activation: Option<&Activation>,
    identity: &Identity,
    context: &Context,
) -> Result<(), Failure> {
    let kafka = kafka_topic::reach(identity, context)?;
    tracing::info!(topic = %identity.topic, cluster = %identity.cluster, change = "delete", "changing Kafka");
    let what = format!("Kafka topic {identity} and its data");
    let services = &context.services;
    let delete = services.effect(topic, Action::DeleteTopic, what, kafka.delete_topic(&identity.topic));
    match activation.and_then(|activation| activation.start_record(topic, services)) {
        Some(start) => services.run_recorded(start, delete).await.map_err(|error| error.to_failure()),
        None => delete.await.map_err(|error| error.to_failure()),
    }
}
