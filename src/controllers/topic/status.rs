//! Status, Event, metrics and the next visit.

use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;

use super::super::Context;
use super::super::status::write_status;
use super::{Ended, approval};
use crate::api::{DriftAction, EventTopic, EventTopicStatus};
use crate::domain::approval::ApprovalState;
use crate::domain::approval::pending::named;
use crate::domain::audit;
use crate::domain::backoff;
use crate::domain::condition::{self, Conditions, Health, READY};
use crate::domain::topic::access::{ACCESS_IN_FORCE, Standing};
use crate::domain::topic::status::{Outcome, found, status};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// How long after an approval has lapsed it is looked for others.
const LAPSED: Duration = Duration::from_millis(50);

/// Says how a visit went, if there is anything new to say.
pub(super) async fn report(
    topic: &EventTopic,
    outcome: &Outcome,
    access: Option<&Standing>,
    standing: &approval::ApprovalReport,
    context: &Context,
) -> Ended {
    let now = (context.clock)();
    let after = told(topic, outcome, access, standing, now, context);
    let ready = condition::find(&after.conditions, READY);
    let reason = ready.and_then(|ready| ready.reason.parse().ok()).unwrap_or(Reason::Internal);
    let rejected = rejection(topic.status.as_ref(), &after);
    if let Some(what) = &rejected {
        let why = Some(Reason::ChangeRejected);
        context
            .record_event(topic, audit::Action::RejectChange, audit::Outcome::Denied, why, what.clone())
            .await;
    }
    let written = write_status(context, &context.topic_queue, topic, &after).await?;
    if rejected.is_some() {
        context.metrics.change("rejected");
    }
    approvals(topic, &after, standing, context).await;
    if let Some(note) = drift(topic.status.as_ref(), &after).filter(|_| written) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.kubernetes.publish_event(topic, note);
    }
    if let Some(note) = unenforced(topic.status.as_ref(), &after).filter(|_| written) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.kubernetes.publish_event(topic, note);
    }
    if let Outcome::Applied { drift, .. } = outcome
        && let Some(found) = found(drift.as_ref(), access)
    {
        context.metrics.drift("EventTopic", action_word(found.action));
    }
    if ready.is_some_and(|ready| ready.status == "True") {
        context.topic_queue.in_force(topic);
    }
    let next = next_visit(outcome, access, &after, now);
    Ok((reason, sooner(next, standing, now)))
}

/// What there is to say, approvals included.
fn told(
    topic: &EventTopic,
    outcome: &Outcome,
    access: Option<&Standing>,
    standing: &approval::ApprovalReport,
    now: Timestamp,
    context: &Context,
) -> EventTopicStatus {
    let mut after = status(topic, outcome, access, now);
    if let Some(record) = &standing.record {
        after.approved = Some(record.as_status().clone());
    } else if standing.consent == ApprovalState::NotGoverned
        && matches!(outcome, Outcome::Applied { .. })
        && condition::find(&after.conditions, READY).is_some_and(|ready| ready.status == "True")
        && let Some(record) = approval::noted(topic, now, context)
    {
        after.approved = Some(record.as_status().clone());
    }
    standing.consent.told(topic.status.as_ref(), after, standing.generation, now)
}

/// What is recorded of a change that was rejected, if that was not said before.
fn rejection(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<String> {
    let rejected = |status: &EventTopicStatus| {
        let pending = status.pending.clone()?;
        Some((pending.generation, pending.hash, pending.changes, pending.rejected?))
    };
    let (generation, hash, changes, rejection) = rejected(after)?;
    if before.and_then(rejected).is_some_and(|(known, ..)| known == generation) {
        return None;
    }
    let changes = named(&changes);
    let comment = rejection.comment.map(|comment| format!(", because: {comment}")).unwrap_or_default();
    Some(format!("{changes}: rejected by {}{comment}; generation {generation}, content {hash}", rejection.by))
}

/// What follows from what was said of approvals.
async fn approvals(
    topic: &EventTopic,
    after: &EventTopicStatus,
    standing: &approval::ApprovalReport,
    context: &Context,
) {
    let before = topic.status.as_ref();
    if let Some(record) = &standing.record {
        context.approvals.remember(topic, record.clone());
    }
    if matches!(standing.consent, ApprovalState::Pending(_)) {
        // How long people take to decide says nothing of how fast the operator is.
        context.topic_queue.waits(topic);
    }
    let kept =
        |status: &EventTopicStatus| status.approved.as_ref().and_then(|record| record.revision.clone());
    if let (Some(before), Some(record)) = (before, &after.approved)
        && kept(before).is_some()
        && kept(before) != kept(after)
    {
        approval::tidy(topic, record, context).await;
    }
}

/// The next visit, no later than an approval lapses that counts now.
fn sooner(next: Action, standing: &approval::ApprovalReport, now: Timestamp) -> Action {
    let ApprovalState::Pending(withheld) = &standing.consent else { return next };
    let Some(lapses) = withheld.lapses else { return next };
    // A moment later it is over for certain.
    let until = Duration::try_from(lapses.duration_since(now)).unwrap_or_default() + LAPSED;
    if next == Action::await_change() { Action::requeue(until) } else { next }
}

fn next_visit(
    outcome: &Outcome,
    access: Option<&Standing>,
    after: &EventTopicStatus,
    now: jiff::Timestamp,
) -> Action {
    let again = || Action::requeue(backoff::pause(condition::failing_since(&after.conditions), now));
    match outcome {
        Outcome::Failed(_) => again(),
        Outcome::Applied { .. } if access.is_some_and(|access| access.obstacle().is_some()) => again(),
        // The watch, the resync and the catalog wake it.
        Outcome::Applied { .. } | Outcome::Refused(_) | Outcome::Paused | Outcome::Unmanaged => {
            Action::await_change()
        }
    }
}

/// What is worth an Event besides: that access is not enforced, which leaves `Ready` as it is.
fn unenforced(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<EventRecord> {
    let reason = Reason::AuthorizerMissing.as_str();
    let is_so = |status: &EventTopicStatus| {
        condition::find(&status.conditions, ACCESS_IN_FORCE)
            .filter(|access| access.reason == reason)
            .map(|access| access.message.clone())
    };
    let message = is_so(after).filter(|_| before.and_then(is_so).is_none())?;
    Some(EventRecord { kind: EventType::Warning, reason, message })
}

/// What is worth an Event besides: drift that was not told before.
fn drift(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<EventRecord> {
    let known = before.and_then(|before| before.last_drift.as_ref());
    let drift = after.last_drift.as_ref().filter(|drift| known != Some(drift))?;
    let message = format!("{}: {}", action_word(drift.action), drift.changes.join("; "));
    Some(EventRecord { kind: EventType::Warning, reason: Reason::Drifted.as_str(), message })
}

fn action_word(action: DriftAction) -> &'static str {
    match action {
        DriftAction::Corrected => "Corrected",
        DriftAction::Reported => "Reported",
    }
}

/// Says that a resource cannot be read, which only happens to one that was stored under an older
/// definition of its kind.
pub(super) async fn report_unreadable(context: &Context, invalid: &InvalidObject) -> Ended {
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
    match context.kubernetes.write_status(&resource, None, &after).await {
        // The API server takes no status for what it cannot check either: then an Event has to do.
        Err(WriteError::Conflict { .. }) => {
            let note =
                EventRecord { kind: EventType::Warning, reason: Reason::InvalidResource.as_str(), message };
            context.kubernetes.publish_event(&resource, note);
        }
        result => result?,
    }
    Ok((Reason::InvalidResource, Action::await_change()))
}
