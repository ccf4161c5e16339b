//! Writes statuses, and the Events of their transitions.

use eventcenter_sdk::Reason;
use kube::core::object::HasStatus;
use serde::Serialize;

use super::queue::{Fingerprint, Watched, WorkQueue};
use super::services::Services;
use crate::api::HasConditions;
use crate::domain::condition::{self, READY};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// Writes a status if it differs, and publishes an Event if `Ready` does. Returns whether it was written.
pub(super) async fn write_status<K>(
    services: &Services,
    queue: &WorkQueue<Watched<K>>,
    resource: &K,
    status: &K::Status,
) -> Result<bool, WriteError>
where
    K: kube::Resource<DynamicType = ()> + HasStatus + Clone + std::fmt::Debug + Send + 'static,
    K::Status: Serialize + PartialEq + HasConditions,
{
    let before = resource.status();
    queue.expect_status(resource, Fingerprint::of(Some(status)), Fingerprint::of(before));
    if before == Some(status) {
        return Ok(false);
    }
    services.kubernetes.write_status(resource, before, status).await?;
    queue.confirm_status(resource);
    if let Some(event) = transition(before, status) {
        tracing::info!(reason = event.reason, "{}", event.message);
        services.kubernetes.publish_event(resource, event);
    }
    Ok(true)
}

/// The Event of a `Ready` with another status or reason.
fn transition<S: HasConditions>(before: Option<&S>, status: &S) -> Option<EventRecord> {
    let ready = condition::find(status.conditions(), READY)?;
    let before = before.and_then(|before| condition::find(before.conditions(), READY));
    if before.is_some_and(|before| before.status == ready.status && before.reason == ready.reason) {
        return None;
    }
    let kind = if ready.status == "True" { EventType::Normal } else { EventType::Warning };
    let reason = ready.reason.parse::<Reason>().unwrap_or(Reason::Internal).as_str();
    Some(EventRecord { kind, reason, message: ready.message.clone() })
}
