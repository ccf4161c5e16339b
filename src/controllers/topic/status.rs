//! Status, Events, metrics and the next reconcile.

use eventcenter_sdk::Reason;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;

use super::super::approval::{ApprovalReport, ReportedStatus, report_status};
use super::super::context::Context;
use super::super::runtime::{ReconcileResult, Reconciled};
use crate::api::{DriftAction, EventTopic, EventTopicStatus};
use crate::domain::backoff;
use crate::domain::condition::{self, Conditions, Health, READY};
use crate::domain::topic::access::{ACCESS_IN_FORCE, AccessReport};
use crate::domain::topic::status::{Outcome, merge_drift, status};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// Reports the outcome of a reconcile.
pub(super) async fn report(
    topic: &EventTopic,
    outcome: &Outcome,
    access: Option<&AccessReport>,
    approval: &ApprovalReport,
    context: &Context,
) -> ReconcileResult {
    let services = &context.services;
    let now = services.now();
    let is_applied = matches!(outcome, Outcome::Applied { .. });
    let after = status(topic, outcome, access, now);
    let ReportedStatus { status: after, is_written } =
        report_status(topic, after, is_applied, approval, &context.topics, services).await?;
    let ready = condition::find(&after.conditions, READY);
    let reason = ready.and_then(|ready| ready.reason.parse().ok()).unwrap_or(Reason::Internal);
    if is_written {
        let before = topic.status.as_ref();
        for event in [drift_event(before, &after), unenforced_event(before, &after)].into_iter().flatten() {
            tracing::info!(reason = event.reason, "{}", event.message);
            services.kubernetes.publish_event(topic, event);
        }
    }
    if let Outcome::Applied { drift, .. } = outcome
        && let Some(drift) = merge_drift(drift.as_ref(), access)
    {
        services.metrics.count_drift("EventTopic", action_word(drift.action));
    }
    if ready.is_some_and(|ready| ready.status == "True") {
        context.topics.queue.observe_active(topic);
    }
    let retry =
        retries(outcome, access).then(|| backoff::delay(condition::failing_since(&after.conditions), now));
    Ok(Reconciled { reason, requeue_after: approval.requeue_before_expiry(retry, now) })
}

/// Whether to retry after a delay, because neither watch, resync nor catalog would start a reconcile.
fn retries(outcome: &Outcome, access: Option<&AccessReport>) -> bool {
    match outcome {
        Outcome::Failed(_) => true,
        Outcome::Applied { .. } => access.is_some_and(|access| access.blocking_failure().is_some()),
        Outcome::Refused(_) | Outcome::Paused | Outcome::Unmanaged => false,
    }
}

/// The Event for access that Kafka does not enforce, which does not change `Ready`.
fn unenforced_event(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<EventRecord> {
    let reason = Reason::AuthorizerMissing.as_str();
    let unenforced = |status: &EventTopicStatus| {
        condition::find(&status.conditions, ACCESS_IN_FORCE)
            .filter(|access| access.reason == reason)
            .map(|access| access.message.clone())
    };
    let message = unenforced(after).filter(|_| before.and_then(unenforced).is_none())?;
    Some(EventRecord { kind: EventType::Warning, reason, message })
}

/// The Event for new drift.
fn drift_event(before: Option<&EventTopicStatus>, after: &EventTopicStatus) -> Option<EventRecord> {
    let reported = before.and_then(|before| before.last_drift.as_ref());
    let drift = after.last_drift.as_ref().filter(|drift| reported != Some(drift))?;
    let message = format!("{}: {}", action_word(drift.action), drift.changes.join("; "));
    Some(EventRecord { kind: EventType::Warning, reason: Reason::Drifted.as_str(), message })
}

fn action_word(action: DriftAction) -> &'static str {
    match action {
        DriftAction::Corrected => "Corrected",
        DriftAction::Reported => "Reported",
    }
}

/// Reports a resource that cannot be deserialized, because it was stored under an older definition of its kind.
pub(super) async fn report_invalid(context: &Context, invalid: &InvalidObject) -> ReconcileResult {
    let services = &context.services;
    let message = format!(
        "the resource cannot be deserialized: {}. Correct the field and apply it again; if the API server refuses that, delete the resource, which keeps the Kafka topic, and create it again",
        invalid.error
    );
    tracing::warn!("{message}");
    let mut conditions = Conditions::from_previous(&[], invalid.metadata.generation, services.now());
    conditions.set_health(&Health::Stalled(Reason::InvalidResource, message.clone()));
    let after = serde_json::json!({
        "conditions": conditions.finish(),
        "observedGeneration": invalid.metadata.generation,
    });
    let resource: DeserializeGuard<EventTopic> = DeserializeGuard(Err(invalid.clone()));
    match services.kubernetes.write_status(&resource, None, &after).await {
        // The API server may also refuse the status of an object that violates its schema.
        Err(WriteError::Conflict { .. }) => {
            let reason = Reason::InvalidResource.as_str();
            let event = EventRecord { kind: EventType::Warning, reason, message };
            services.kubernetes.publish_event(&resource, event);
        }
        result => result?,
    }
    Ok(Reconciled::until_change(Reason::InvalidResource))
}
