//! EventTopics: observe, plan, apply, report.

mod access;
mod consent;
mod leave;
mod live;
mod report;
pub(super) mod schema;
mod visit;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use eventcenter_sdk::Reason;
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::watcher::{self, Event};

use super::connections::Reach;
use super::effect::{Undone, unrecorded};
use super::trigger::Fingerprint;
use super::{Context, Watched};
use crate::api::{DELETE_FINALIZER, DeletionPolicy, EventTopic};
use crate::cluster::WriteError;
use crate::domain::audit;
use crate::domain::backoff;
use crate::domain::topic::claim::Resource;
use crate::domain::topic::farewell::wants_finalizer;
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Declared, Identity, Right, attention};
use crate::kafka::Kafka;
use consent::{Course, Standing, Way};
use live::Live;

/// The topics worth a reconcile. Keeps the world true on the way.
pub(super) fn watched(
    context: &Arc<Context>,
    events: impl Stream<Item = Result<Event<Watched<EventTopic>>, watcher::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Watched<EventTopic>, watcher::Error>> + Send + 'static {
    let context = Arc::clone(context);
    events.filter_map(move |event| {
        let passed = match event {
            Ok(Event::Apply(topic)) => {
                if let Ok(topic) = &topic.0 {
                    let concerned = context.world.now().seen(topic);
                    wake(&context, concerned);
                }
                notices(&context, &topic).then_some(Ok(topic))
            }
            Ok(Event::InitApply(topic)) => notices(&context, &topic).then_some(Ok(topic)),
            Ok(Event::Delete(topic)) => {
                context.wake_topics.forget(&topic);
                context.approvals.forget(topic.uid().as_deref());
                let concerned = context.world.now().gone(&Resource::of(&topic));
                wake(&context, concerned);
                None
            }
            Ok(Event::InitDone) => {
                let topics = context.topics.state();
                let concerned =
                    context.world.now().all(topics.iter().filter_map(|topic| topic.0.as_ref().ok()));
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
        attention(topic).is_ok_and(|attention| wants_finalizer(topic, attention)) && !has_finalizer(topic)
    });
    let status = Fingerprint::shown(topic);
    context.wake_topics.notices(topic, finalizer_missing, status)
}

fn wake(context: &Context, concerned: Vec<Resource>) {
    for topic in concerned {
        context.wake_topics.wake(Some(&topic.namespace), &topic.name);
    }
}

fn has_finalizer(topic: &EventTopic) -> bool {
    topic.finalizers().iter().any(|finalizer| finalizer == DELETE_FINALIZER)
}

/// Makes one Kafka topic what its resource declares, and says how that went.
#[tracing::instrument(name = "eventtopic", skip_all, fields(
    namespace = %topic.namespace().unwrap_or_default(),
    resource = %topic.name_any(),
    tenant = context.world.now().tenant_of(&topic.namespace().unwrap_or_default()),
))]
pub(super) async fn reconcile(
    topic: Arc<Watched<EventTopic>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.wake_topics.begin(&topic);
    let visit = context.metrics.begin("EventTopic");
    let result = match &topic.0 {
        Err(invalid) if invalid.metadata.deletion_timestamp.is_some() => {
            leave::leave_unreadable(&topic, &context).await
        }
        Err(invalid) => report::unreadable(&context, invalid).await,
        Ok(topic) if topic.metadata.deletion_timestamp.is_some() => leave::leave(topic, &context).await,
        Ok(topic) => manage(topic, &context).await,
    };
    let result = match (result, &topic.0) {
        // There is nothing else to be said of it than that.
        (Err(Undone::Unrecorded(_)), Ok(topic)) => {
            let outcome = Outcome::Failed { refusal: unrecorded(), stalled: false };
            report::report(topic, &outcome, None, &Standing::unasked(topic), &context).await
        }
        (result, _) => result,
    };
    let (reason, action) = result.unwrap_or_else(|error| after_failure(&error));
    visit.end(reason.as_str());
    Ok(action)
}

/// A reconcile that ended, by the one word for it, and when to come again.
type Ended = Result<(Reason, Action), Undone<WriteError>>;

async fn manage(topic: &EventTopic, context: &Context) -> Ended {
    let Course { topic, way, mut standing } = consent::course(topic, context).await?;
    let right = match &way {
        Way::Hold(_) => context.world.now().consider(&topic),
        Way::Act | Way::GoLive(_) => context.world.now().decide(&topic),
    };
    let (outcome, access) = match (right, way) {
        (Ok(Right::Paused), _) => (Outcome::Paused, None),
        (Ok(Right::Unmanaged), _) => {
            leave::release(&topic, context).await?;
            (Outcome::Unmanaged, None)
        }
        (Ok(Right::Managed(..)), Way::Hold(Some(outcome))) => (outcome, None),
        // What Kafka has was not known when it was decided what this changes.
        (Ok(Right::Managed(..)), Way::Hold(None)) => {
            return Ok((Reason::Progressing, Action::requeue(backoff::SHORTEST)));
        }
        (Ok(Right::Managed(identity, declared)), way) => match context.connections.reach(&identity.cluster) {
            // The first that is known of the cluster wakes this topic again.
            Reach::Unknown => return Ok((Reason::Progressing, Action::await_change())),
            Reach::Away(reason) => {
                (Outcome::Failed { refusal: visit::away(&identity, reason), stalled: false }, None)
            }
            Reach::Answers(kafka) => {
                let Way::GoLive(live) = way else {
                    return bring_about(&topic, identity, &declared, &kafka, &standing, None, context).await;
                };
                // Before anything is done for it.
                let (topic, record) = consent::go_live(&topic, &live, context).await?;
                standing.record = Some(record.clone());
                let ended =
                    bring_about(&topic, identity, &declared, &kafka, &standing, Some(&live), context).await?;
                consent::tidy(&topic, record.said(), context).await;
                return Ok(ended);
            }
        },
        (Ok(Right::Stopped(identity, refusal)), _) => access::stop(&topic, &identity, refusal, context).await,
        (Err(refusal), _) => (Outcome::Refused(refusal), None),
    };
    report::report(&topic, &outcome, access.as_ref(), &standing, context).await
}

/// Registers the schemas, gives the Kafka topic what is declared, then the access to it.
async fn bring_about(
    topic: &EventTopic,
    identity: Identity,
    declared: &Declared,
    kafka: &Kafka,
    standing: &Standing,
    live: Option<&Live>,
    context: &Context,
) -> Ended {
    // Before anything exists that would have to be deleted with the resource.
    finalizer(topic, context).await?;
    let known = schema::schemas(topic, context).await?;
    let mut outcome = visit::visit(topic, identity.clone(), declared, kafka, context).await;
    if let Some(live) = live {
        live::is_live(live, &outcome, context);
    }
    if let Outcome::Applied { schemas, .. } = &mut outcome {
        *schemas = known;
    }
    // A value that Kafka refuses does not keep access from being taken away.
    let answers = !matches!(outcome, Outcome::Failed { stalled: false, .. });
    let (topic, access) = match answers {
        true => access::enforce(topic, &identity, declared, kafka, context).await?,
        false => (Cow::Borrowed(topic), None),
    };
    let ended = report::report(&topic, &outcome, access.as_ref(), standing, context).await?;
    let is_over = topic.spec.access.is_empty() && access.is_some_and(|access| access.acls.is_empty());
    if is_over && topic.spec.deletion_policy == DeletionPolicy::Retain && has_finalizer(&topic) {
        leave::release(&topic, context).await?;
    }
    Ok(ended)
}

/// What is recorded of our finalizer.
const HOLD: &str = "the resource does not go before what was made for it in Kafka is taken care of";
const LET_GO: &str = "the resource may go: nothing in Kafka is to go with it any more";

async fn finalizer(topic: &EventTopic, context: &Context) -> Result<(), Undone<WriteError>> {
    let wanted = attention(topic).is_ok_and(|attention| wants_finalizer(topic, attention));
    match (wanted, has_finalizer(topic)) {
        (true, false) => {
            let add = context.cluster.add_finalizer(topic, DELETE_FINALIZER);
            context.effect(topic, audit::Action::AddFinalizer, HOLD, add).await
        }
        (false, true) => leave::release(topic, context).await,
        _ => Ok(()),
    }
}

/// A write to Kubernetes failed, so there is nowhere to report it but here. What was done in Kafka
/// stays and is found there by the next visit.
fn after_failure(error: &Undone<WriteError>) -> (Reason, Action) {
    let error = match error {
        Undone::Failed(error) => error,
        Undone::Unrecorded(_) => return (Reason::AuditUnavailable, Action::requeue(backoff::SHORTEST)),
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
