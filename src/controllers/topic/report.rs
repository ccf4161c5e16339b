//! Status, Event, metrics and the next visit.

use eventcenter_sdk::Reason;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;

use super::super::Context;
use super::super::report::write;
use super::Ended;
use crate::api::{DriftAction, EventTopic, EventTopicStatus};
use crate::cluster::{Note, NoteKind, WriteError};
use crate::domain::backoff;
use crate::domain::condition::{self, Conditions, Health, READY};
use crate::domain::topic::access::{ACCESS_IN_FORCE, Standing};
use crate::domain::topic::status::{Outcome, found, status};

/// Says how a visit went, if there is anything new to say.
pub(super) async fn report(
    topic: &EventTopic,
    outcome: &Outcome,
    access: Option<&Standing>,
    context: &Context,
) -> Ended {
    let now = (context.clock)();
    let after = status(topic, outcome, access, now);
    let ready = condition::find(&after.conditions, READY);
    let reason = ready.and_then(|ready| ready.reason.parse().ok()).unwrap_or(Reason::Internal);
    let written = write(context, &context.wake_topics, topic, &after).await?;
    if let Some(note) = drift(topic.status.as_ref(), &after).filter(|_| written) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.cluster.note(topic, note);
    }
    if let Some(note) = unenforced(topic.status.as_ref(), &after).filter(|_| written) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.cluster.note(topic, note);
    }
    if let Outcome::Applied { drift, .. } = outcome
        && let Some(found) = found(drift.as_ref(), access)
    {
        context.metrics.drift("EventTopic", action_word(found.action));
    }
    if ready.is_some_and(|ready| ready.status == "True") {
        context.wake_topics.in_force(topic);
    }
    Ok((reason, next_visit(outcome, access, &after, now)))
}

fn next_visit(
    outcome: &Outcome,
    access: Option<&Standing>,
    after: &EventTopicStatus,
    now: jiff::Timestamp,
) -> Action {
    let again = || Action::requeue(backoff::pause(condition::failing_since(&after.conditions), now));
    match outcome {
        Outcome::Failed { .. } => again(),
        Outcome::Applied { .. } if access.is_some_and(|access| access.obstacle().is_some()) => again(),
        // The watch, the resync and the world wake it.
        Outcome::Applied { .. } | Outcome::Refused(_) | Outcome::Paused | Outcome::Unmanaged => {
            Action::await_change()
        }
    }
}

/// What is worth an Event besides: that access is not enforced, which leaves `Ready` as it is.
fn unenforced(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<Note> {
    let reason = Reason::AuthorizerMissing.as_str();
    let is_so = |status: &EventTopicStatus| {
        condition::find(&status.conditions, ACCESS_IN_FORCE)
            .filter(|access| access.reason == reason)
            .map(|access| access.message.clone())
    };
    let message = is_so(after).filter(|_| before.and_then(is_so).is_none())?;
    Some(Note { kind: NoteKind::Warning, reason, message })
}

/// What is worth an Event besides: drift that was not told before.
fn drift(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<Note> {
    let known = before.and_then(|before| before.last_drift.as_ref());
    let drift = after.last_drift.as_ref().filter(|drift| known != Some(drift))?;
    let message = format!("{}: {}", action_word(drift.action), drift.changes.join("; "));
    Some(Note { kind: NoteKind::Warning, reason: Reason::Drifted.as_str(), message })
}

fn action_word(action: DriftAction) -> &'static str {
    match action {
        DriftAction::Corrected => "Corrected",
        DriftAction::Reported => "Reported",
    }
}

/// Says that a resource cannot be read, which only happens to one that was stored under an older
/// definition of its kind.
pub(super) async fn unreadable(context: &Context, invalid: &InvalidObject) -> Ended {
    let message = format!(
        "the resource cannot be read: {}. Correct the field and apply it again; if the API server does not allow \
         that, delete this resource, which leaves the Kafka topic alone, and make it anew",
        invalid.error
    );
    tracing::warn!("{message}");
    let mut conditions = Conditions::after(&[], invalid.metadata.generation, (context.clock)());
    conditions.health(&Health::Stalled(Reason::InvalidResource, message.clone()));
    let after = serde_json::json!({
        "conditions": conditions.finish(),
        "observedGeneration": invalid.metadata.generation,
    });
    let resource: DeserializeGuard<EventTopic> = DeserializeGuard(Err(invalid.clone()));
    match context.cluster.write_status(&resource, None, &after).await {
        // The API server takes no status for what it cannot check either: then an Event has to do.
        Err(WriteError::Conflict { .. }) => {
            let note = Note { kind: NoteKind::Warning, reason: Reason::InvalidResource.as_str(), message };
            context.cluster.note(&resource, note);
        }
        result => result?,
    }
    Ok((Reason::InvalidResource, Action::await_change()))
}
