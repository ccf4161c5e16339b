//! What is done when a resource goes.
//!
//! Where deleting data needs approval it waits for that first, and everything stays as it is meanwhile, access
//! included.

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use kube::runtime::controller::Action as Next;

use super::super::connections::Reach;
use super::super::effect::{Failure, Undone};
use super::super::{Context, Watched};
use super::consent::{self, Going, Standing};
use super::live::{self, Live};
use super::{Ended, LET_GO, access, has_finalizer, report, visit};
use crate::api::{DELETE_FINALIZER, EventTopic};
use crate::cluster::{Note, NoteKind, WriteError};
use crate::domain::approval::Consent;
use crate::domain::audit::Action;
use crate::domain::topic::Identity;
use crate::domain::topic::access::Parting;
use crate::domain::topic::farewell::Farewell;
use crate::domain::topic::status::Outcome;
use crate::domain::{Refusal, backoff};

/// Takes the access away, deletes the Kafka topic if that is wanted, then lets the resource go.
pub(super) async fn leave(topic: &EventTopic, context: &Context) -> Ended {
    if !has_finalizer(topic) {
        return Ok((Reason::Deleting, Next::await_change()));
    }
    let Going { topic, live } = match consent::going(topic, context).await? {
        Ok(going) => going,
        Err(withheld) => {
            let outcome = Outcome::Refused(withheld.refusal.clone());
            let consent = Consent::Withheld(withheld);
            let standing = Standing { consent, ..Standing::unasked(topic) };
            return report::report(topic, &outcome, None, &standing, context).await;
        }
    };
    let (topic, standing) = (&*topic, Standing::unasked(&topic));
    let stays = async |refusal, stalled| {
        report::report(topic, &Outcome::Failed { refusal, stalled }, None, &standing, context).await
    };
    let parting = context.world.now().parting(topic);
    match parting {
        Parting::Nothing => {}
        Parting::Withdraw(identity, acls) => {
            if let Err((refusal, stalled)) = access::withdraw(&acls, topic, &identity, context).await {
                let message = format!(
                    "taking away the access to Kafka topic {}: {}. Set the annotation eventcenter.io/managed: \"false\" to \
                     let the resource go and leave topic and ACLs in Kafka",
                    identity.topic, refusal.message
                );
                return stays(Refusal { message, ..refusal }, stalled).await;
            }
        }
        Parting::Keep(message) => {
            tracing::warn!("{message}");
            context.cluster.note(topic, Note { kind: NoteKind::Warning, reason: "Retained", message });
        }
        Parting::Wait(refusal) => {
            return report::report(topic, &Outcome::Refused(refusal), None, &standing, context).await;
        }
    }
    let farewell = context.world.now().farewell(topic);
    match farewell {
        Farewell::DeleteKafkaTopic(identity) => {
            match delete(topic, live.as_ref(), &identity, context).await {
                Ok(()) => {
                    if let Some(live) = live {
                        live::tell(topic, &live, context);
                    }
                    let message =
                        format!("deleted Kafka topic {} in cluster {}", identity.topic, identity.cluster);
                    context.cluster.note(topic, Note { kind: NoteKind::Normal, reason: "Deleted", message });
                    context.connections.visited(&identity.cluster, &identity.topic, None);
                }
                Err((refusal, stalled)) => {
                    let message = format!(
                        "deleting Kafka topic {}: {}. Set spec.deletionPolicy: Retain to let the resource go and keep the topic",
                        identity.topic, refusal.message
                    );
                    return stays(Refusal { message, ..refusal }, stalled).await;
                }
            }
        }
        Farewell::Release(why) => {
            let message = format!("the Kafka topic, if there is one, stays: {why}");
            tracing::info!("{message}");
            context.cluster.note(topic, Note { kind: NoteKind::Normal, reason: "Retained", message });
        }
        Farewell::Wait(refusal) => {
            return report::report(topic, &Outcome::Refused(refusal), None, &standing, context).await;
        }
    }
    release(topic, context).await?;
    Ok((Reason::Deleting, Next::await_change()))
}

/// Lets a resource go that cannot be read. Which Kafka topic it stood for is not known, so none is
/// deleted.
pub(super) async fn leave_unreadable(topic: &Watched<EventTopic>, context: &Context) -> Ended {
    if !topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER) {
        return Ok((Reason::Deleting, Next::await_change()));
    }
    let remove = context.cluster.remove_finalizer(topic, DELETE_FINALIZER);
    match context.effect(topic, Action::RemoveFinalizer, LET_GO, remove).await {
        // The API server may refuse any change of what it cannot check.
        Err(Undone::Failed(WriteError::Conflict { .. })) => {
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
    live: Option<&Live>,
    identity: &Identity,
    context: &Context,
) -> Result<(), (Refusal, bool)> {
    let kafka = match context.connections.reach(&identity.cluster) {
        Reach::Answers(kafka) => kafka,
        Reach::Away(reason) => return Err((visit::away(identity, reason), false)),
        Reach::Unknown => return Err((visit::away(identity, Reason::Progressing), false)),
    };
    tracing::info!(topic = %identity.topic, cluster = %identity.cluster, change = "delete", "changing Kafka");
    let what = format!("Kafka topic {identity} and its data");
    let delete = context.effect(topic, Action::DeleteTopic, what, kafka.delete(&identity.topic));
    match live.and_then(|live| live.begins(topic, context)) {
        Some(begins) => context.recorded(begins, delete).await.map_err(|error| error.told()),
        None => delete.await.map_err(|error| error.told()),
    }
}

/// Takes our finalizer off a resource, if it has it.
pub(super) async fn release(topic: &EventTopic, context: &Context) -> Result<(), Undone<WriteError>> {
    if !has_finalizer(topic) {
        return Ok(());
    }
    let remove = context.cluster.remove_finalizer(topic, DELETE_FINALIZER);
    context.effect(topic, Action::RemoveFinalizer, LET_GO, remove).await
}
