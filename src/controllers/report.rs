//! Writing a status, and telling of it.

use eventcenter_sdk::Reason;
use kube::core::object::HasStatus;
use serde::Serialize;

use super::trigger::{Fingerprint, Triggers};
use super::{Context, Watched};
use crate::api::Conditioned;
use crate::cluster::{Note, NoteKind, WriteError};
use crate::domain::condition::{self, READY};

/// Writes a status if it says anything new, and tells of it if `Ready` does. Returns whether it was
/// written.
pub(super) async fn write<K>(
    context: &Context,
    triggers: &Triggers<Watched<K>>,
    resource: &K,
    after: &K::Status,
) -> Result<bool, WriteError>
where
    K: kube::Resource<DynamicType = ()> + HasStatus + Clone + std::fmt::Debug + Send + 'static,
    K::Status: Serialize + PartialEq + Conditioned,
{
    let before = resource.status();
    triggers.leaves(resource, Fingerprint::of(Some(after)), Fingerprint::of(before));
    if before == Some(after) {
        return Ok(false);
    }
    context.cluster.write_status(resource, before, after).await?;
    if let Some(note) = transition(before, after) {
        tracing::info!(reason = note.reason, "{}", note.message);
        context.cluster.note(resource, note);
    }
    Ok(true)
}

/// What is worth an Event: `Ready` has another status, or another reason.
fn transition<S: Conditioned>(before: Option<&S>, after: &S) -> Option<Note> {
    let now = condition::find(after.conditions(), READY)?;
    let was = before.and_then(|before| condition::find(before.conditions(), READY));
    if was.is_some_and(|was| was.status == now.status && was.reason == now.reason) {
        return None;
    }
    let kind = if now.status == "True" { NoteKind::Normal } else { NoteKind::Warning };
    let reason = now.reason.parse::<Reason>().unwrap_or(Reason::Internal).as_str();
    Some(Note { kind, reason, message: now.message.clone() })
}
