//! EventTopics: observe, plan, apply, report.

mod access;
mod activation;
mod approval;
mod deletion;
mod kafka_topic;
pub(super) mod schema;
mod status;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use eventcenter_sdk::Reason;
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::watcher::{self, Event};

use super::connections::ClusterState;
use super::effect::{EffectError, unrecorded};
use super::queue::Fingerprint;
use super::{Context, Watched};
use crate::api::{DELETE_FINALIZER, DeletionPolicy, EventTopic};
use crate::domain::topic::deletion::wants_finalizer;
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Declared, Identity, Permission, management_mode};
use crate::domain::{Failure, ObjectRef, audit, backoff};
use crate::kafka::Kafka;
use crate::kubernetes::WriteError;
use activation::Activation;
use approval::{ApprovalDecision, ApprovalReport, Disposition};

/// The topics worth a reconcile. Keeps the catalog true on the way.
pub(super) fn watched(
    context: &Arc<Context>,
    events: impl Stream<Item = Result<Event<Watched<EventTopic>>, watcher::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Watched<EventTopic>, watcher::Error>> + Send + 'static {
    let context = Arc::clone(context);
    events.filter_map(move |event| {
        let passed = match event {
            Ok(Event::Apply(topic)) => {
                if let Ok(topic) = &topic.0 {
                    let concerned = context.catalog.lock().upsert(topic);
                    wake(&context, concerned);
                }
                notices(&context, &topic).then_some(Ok(topic))
            }
            Ok(Event::InitApply(topic)) => notices(&context, &topic).then_some(Ok(topic)),
            Ok(Event::Delete(topic)) => {
                context.topic_queue.forget(&topic);
                context.approvals.forget(topic.uid().as_deref());
                let concerned = context.catalog.lock().remove(&ObjectRef::of(&topic));
                wake(&context, concerned);
                None
            }
            Ok(Event::InitDone) => {
                let topics = context.topics.state();
                let concerned = context
                    .catalog
                    .lock()
                    .replace_all(topics.iter().filter_map(|topic| topic.0.as_ref().ok()));
                wake(&context, concerned);
                None
            }
            Ok(Event::Init) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(passed)
    })
}

fn notices(context: &Context, topic: &Watched<EventTopic>) -> bool {
    let finalizer_missing = topic.0.as_ref().is_ok_and(|topic| {
        management_mode(topic).is_ok_and(|attention| wants_finalizer(topic, attention))
            && !has_finalizer(topic)
    });
    let status = Fingerprint::shown(topic);
    context.topic_queue.should_reconcile(topic, finalizer_missing, status)
}

fn wake(context: &Context, concerned: Vec<ObjectRef>) {
    for topic in concerned {
        context.topic_queue.enqueue(Some(&topic.namespace), &topic.name);
    }
}

fn has_finalizer(topic: &EventTopic) -> bool {
    topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER)
}

/// Makes one Kafka topic what its resource declares, and says how that went.
#[tracing::instrument(name = "eventtopic", skip_all, fields(
    namespace = %topic.namespace().unwrap_or_default(),
    resource = %topic.name_any(),
    tenant = context.catalog.lock().tenant_of(&topic.namespace().unwrap_or_default()),
))]
pub(super) async fn reconcile(
    topic: Arc<Watched<EventTopic>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.topic_queue.begin(&topic);
    let visit = context.metrics.begin("EventTopic");
    let result = match &topic.0 {
        Err(invalid) if invalid.metadata.deletion_timestamp.is_some() => {
            deletion::reconcile_unreadable_deletion(&topic, &context).await
        }
        Err(invalid) => status::report_unreadable(&context, invalid).await,
        Ok(topic) if topic.metadata.deletion_timestamp.is_some() => {
            deletion::reconcile_deletion(topic, &context).await
        }
        Ok(topic) => manage(topic, &context).await,
    };
    let result = match (result, &topic.0) {
        // There is nothing else to be said of it than that.
        (Err(EffectError::NotRecorded(_)), Ok(topic)) => {
            let outcome = Outcome::Failed(Failure::retryable(unrecorded()));
            status::report(topic, &outcome, None, &ApprovalReport::unasked(topic), &context).await
        }
        (result, _) => result,
    };
    let (reason, action) = result.unwrap_or_else(|error| after_failure(&error));
    visit.end(reason.as_str());
    Ok(action)
}

/// A reconcile that ended, by the one word for it, and when to come again.
type Ended = Result<(Reason, Action), EffectError<WriteError>>;

async fn manage(topic: &EventTopic, context: &Context) -> Ended {
    let ApprovalDecision { topic, way, mut standing } = approval::course(topic, context).await?;
    let right = match &way {
        Disposition::Hold(_) => context.catalog.lock().check(&topic),
        Disposition::Apply | Disposition::Activate(_) => context.catalog.lock().reserve(&topic),
    };
    let (outcome, access) = match (right, way) {
        (Ok(Permission::Paused), _) => (Outcome::Paused, None),
        (Ok(Permission::Unmanaged), _) => {
            deletion::release(&topic, context).await?;
            (Outcome::Unmanaged, None)
        }
        (Ok(Permission::Managed(..)), Disposition::Hold(Some(outcome))) => (outcome, None),
        // What Kafka has was not known when it was decided what this changes.
        (Ok(Permission::Managed(..)), Disposition::Hold(None)) => {
            return Ok((Reason::Progressing, Action::requeue(backoff::SHORTEST)));
        }
        (Ok(Permission::Managed(identity, declared)), way) => {
            match context.connections.reach(&identity.cluster) {
                // The first that is known of the cluster wakes this topic again.
                ClusterState::Unknown => return Ok((Reason::Progressing, Action::await_change())),
                ClusterState::Unavailable(reason) => {
                    (Outcome::Failed(Failure::retryable(kafka_topic::away(&identity, reason))), None)
                }
                ClusterState::Available(kafka) => {
                    let Disposition::Activate(live) = way else {
                        return apply(&topic, identity, &declared, &kafka, &standing, None, context).await;
                    };
                    // Before anything is done for it.
                    let (topic, record) = approval::activate(&topic, &live, context).await?;
                    standing.record = Some(record.clone());
                    let ended =
                        apply(&topic, identity, &declared, &kafka, &standing, Some(&live), context).await?;
                    approval::tidy(&topic, record.as_status(), context).await;
                    return Ok(ended);
                }
            }
        }
        (Ok(Permission::Stopped(identity, refusal)), _) => {
            access::stop(&topic, &identity, refusal, context).await
        }
        (Err(refusal), _) => (Outcome::Refused(refusal), None),
    };
    status::report(&topic, &outcome, access.as_ref(), &standing, context).await
}

/// Registers the schemas, gives the Kafka topic what is declared, then the access to it.
async fn apply(
    topic: &EventTopic,
    identity: Identity,
    declared: &Declared,
    kafka: &Kafka,
    standing: &ApprovalReport,
    live: Option<&Activation>,
    context: &Context,
) -> Ended {
    // Before anything exists that would have to be deleted with the resource.
    finalizer(topic, context).await?;
    let known = schema::schemas(topic, context).await?;
    let mut outcome = kafka_topic::sync(topic, identity.clone(), declared, kafka, context).await;
    if let Some(live) = live {
        activation::is_live(live, &outcome, context);
    }
    if let Outcome::Applied { schemas, .. } = &mut outcome {
        *schemas = known;
    }
    // A value that Kafka refuses does not keep access from being taken away.
    let answers = !matches!(outcome, Outcome::Failed(Failure { is_stalled: false, .. }));
    let (topic, access) = match answers {
        true => access::enforce(topic, &identity, declared, kafka, context).await?,
        false => (Cow::Borrowed(topic), None),
    };
    let ended = status::report(&topic, &outcome, access.as_ref(), standing, context).await?;
    let is_over = topic.spec.access.is_empty() && access.is_some_and(|access| access.acls.is_empty());
    if is_over && topic.spec.deletion_policy == DeletionPolicy::Retain && has_finalizer(&topic) {
        deletion::release(&topic, context).await?;
    }
    Ok(ended)
}

/// What is recorded of our finalizer.
const HOLD: &str = "the resource does not go before what was made for it in Kafka is taken care of";
const LET_GO: &str = "the resource may go: nothing in Kafka is to go with it any more";

async fn finalizer(topic: &EventTopic, context: &Context) -> Result<(), EffectError<WriteError>> {
    let wanted = management_mode(topic).is_ok_and(|attention| wants_finalizer(topic, attention));
    match (wanted, has_finalizer(topic)) {
        (true, false) => {
            let add = context.kubernetes.add_finalizer(topic, DELETE_FINALIZER);
            context.effect(topic, audit::Action::AddFinalizer, HOLD, add).await
        }
        (false, true) => deletion::release(topic, context).await,
        _ => Ok(()),
    }
}

/// A write to Kubernetes failed, so there is nowhere to report it but here. What was done in Kafka
/// stays and is found there by the next visit.
fn after_failure(error: &EffectError<WriteError>) -> (Reason, Action) {
    let error = match error {
        EffectError::Failed(error) => error,
        EffectError::NotRecorded(_) => return (Reason::AuditUnavailable, Action::requeue(backoff::SHORTEST)),
    };
    match error {
        // It comes again as it is now, or never.
        WriteError::Gone { .. } => (Reason::Deleting, Action::await_change()),
        WriteError::Conflict { .. } => {
            tracing::debug!(%error, "comes again");
            (Reason::Progressing, Action::requeue(std::time::Duration::from_millis(200)))
        }
        WriteError::Api { .. } => {
            tracing::warn!(%error, "comes again");
            (Reason::Internal, Action::requeue(backoff::SHORTEST))
        }
    }
}
