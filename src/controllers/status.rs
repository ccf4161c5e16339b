//! Writing a status, and telling of it.

use eventcenter_sdk::Reason;
use kube::core::object::HasStatus;
use serde::Serialize;

use super::queue::{Fingerprint, WorkQueue};
use super::{Context, Watched};
use crate::api::Conditioned;
use crate::domain::condition::{self, READY};
use crate::kubernetes::{EventRecord, EventType, WriteError};

/// Writes a status if it says anything new, and tells of it if `Ready` does. Returns whether it was
/// written.
pub(super) async fn write_status<K>(
    context: &Context,
    queue: &WorkQueue<Watched<K>>,
    resource: &K,
    after: &K::Status,
) -> Result<bool, WriteError>
where
    K: kube::Resource<DynamicType = ()> + HasStatus + Clone + std::fmt::Debug + Send + 'static,
    K::Status: Serialize + PartialEq + Conditioned,
{
    let before = resource.status();
    queue.expect_status(resource, Fingerprint::of(Some(after)), Fingerprint::of(before));
    if before == Some(after) {
        return Ok(false);
    }
    context.kubernetes.write_status(resource, before, after).await?;
    if let Some(note) = transition(before, after) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.kubernetes.publish_event(resource, note);
    }
    Ok(true)
}

/// What is worth an Event: `Ready` has another status, or another reason.
fn transition<S: Conditioned>(before: Option<&S>, after: &S) -> Option<EventRecord> {
    let now = condition::find(after.conditions(), READY)?;
    let was = before.and_then(|before| condition::find(before.conditions(), READY));
    if was.is_some_and(|was| was.status == now.status && was.reason == now.reason) {
        return None;
    }
    let kind = if now.status == "True" { EventType::Normal } else { EventType::Warning };
    let reason = now.reason.parse::<Reason>().unwrap_or(Reason::Internal).as_str();
    Some(EventRecord { kind, reason, message: now.message.clone() })
}
