//! Activates a granted spec, or grants the deletion of data.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;

use super::super::effect::EffectError;
use super::super::runtime::Informer;
use super::super::services::Services;
use super::super::status::write_status;
use crate::api::{ApprovedSpec, GovernedChange, HasApproval};
use crate::domain::Revisioned;
use crate::domain::approval::active::{revision_data, revision_name};
use crate::domain::approval::authorization::Grant;
use crate::domain::approval::pending::change_names;
use crate::domain::approval::{ActiveRecord, Governed, SpecHash};
use crate::domain::audit::{Action, Event};
use crate::error_chain::ErrorChain;
use crate::kubernetes::{EventRecord, EventType, StoredRevision, WriteError};

/// A granted change.
pub struct Activation {
    pub(super) hash: SpecHash,
    pub(super) grant: Grant,
    pub(super) changes: BTreeSet<GovernedChange>,
    /// When the last missing decision was made.
    pub(super) decided_at: Option<Timestamp>,
}

impl Activation {
    /// The record before the change takes effect; `None` if it needs no approval.
    pub(in crate::controllers) fn start_record<K: Governed>(
        &self,
        resource: &K,
        services: &Services,
    ) -> Option<Event> {
        let action = match &self.grant {
            Grant::NotRequired => return None,
            Grant::Approved(_) => Action::TakeEffect,
            Grant::BreakGlass(_) => Action::BreakGlass,
        };
        let generation = resource.meta().generation.unwrap_or_default();
        let what = format!("{}; generation {generation}, content {}", self.describe(), self.hash);
        Some(services.start_record(resource, action, what))
    }

    /// The change and why it is granted.
    fn describe(&self) -> String {
        let changes = change_names(&self.changes);
        match &self.grant {
            Grant::NotRequired => changes,
            Grant::Approved(people) => format!("{changes}: approved by {}", people.join(", ")),
            Grant::BreakGlass(break_glass) => format!(
                "{changes}: activated without approval by {}, because: {}",
                break_glass.by, break_glass.reason
            ),
        }
    }

    /// Measures the time from the last decision until the change is in Kafka.
    pub(in crate::controllers) fn observe_applied(&self, services: &Services) {
        if let Some(decided_at) = self.decided_at {
            let took = services.now().duration_since(decided_at);
            services.metrics.observe_approval(took.try_into().unwrap_or_default());
        }
    }
}

/// Records the declared spec of a resource as active. Returns the resource with the new record in its status.
pub async fn activate<K: Governed + Send + Sync + 'static>(
    resource: &K,
    activation: &Activation,
    informer: &Informer<K>,
    services: &Services,
) -> Result<(K, ActiveRecord), EffectError<WriteError>> {
    let subject = Revisioned::of(resource);
    let revision = store_revision(resource, &subject, &activation.hash, services).await?;
    let key = services.approvals.key();
    let record = ActiveRecord::seal(&subject, &activation.hash, Some(revision), services.now(), key);
    let mut status = resource.status().cloned().unwrap_or_default();
    status.set_approved(Some(record.as_status().clone()));
    let write = write_status(services, &informer.queue, resource, &status);
    match activation.start_record(resource, services) {
        Some(start) => drop(services.run_recorded(start, write).await?),
        None => drop(write.await?),
    }
    services.approvals.remember(resource, record.clone());
    let mut activated = resource.clone();
    *activated.status_mut() = Some(status);
    publish(&activated, activation, services);
    Ok((activated, record))
}

/// Removes what is recorded about the active spec of a resource that does not own its data: another resource may change the
/// data. The next status write removes the record.
pub(in crate::controllers) async fn deactivate<K: Governed>(
    resource: &K,
    services: &Services,
) -> Result<(), EffectError<WriteError>> {
    services.approvals.remember_inactive(resource, services.now());
    let approved = resource.status().and_then(HasApproval::approved);
    match approved.is_some_and(|approved| approved.revision.is_some()) {
        true => delete_other_revisions(resource, None, services).await,
        false => Ok(()),
    }
}

/// Counts an activation and publishes its Event.
pub(in crate::controllers) fn publish<K: Governed>(
    resource: &K,
    activation: &Activation,
    services: &Services,
) {
    let (kind, reason) = match &activation.grant {
        Grant::NotRequired => {
            services.metrics.count_change("free");
            return;
        }
        Grant::Approved(_) => {
            services.metrics.count_change("approved");
            (EventType::Normal, "Approved")
        }
        Grant::BreakGlass(_) => {
            services.metrics.count_change("break_glass");
            (EventType::Warning, "BreakGlass")
        }
    };
    let message = activation.describe();
    tracing::info!(reason, generation = resource.meta().generation, hash = %activation.hash, "{message}");
    services.kubernetes.publish_event(resource, EventRecord { kind, reason, message });
}

/// The record of the active spec as it should be: with a ControllerRevision, of this generation, sealed with the
/// current key. When the first rules of a tenant are set, the active spec is stored, so that it is known after the next
/// change.
pub(super) async fn renew_record<K: Governed>(
    resource: &K,
    subject: &Revisioned,
    hash: &SpecHash,
    record: ActiveRecord,
    services: &Services,
) -> Result<ActiveRecord, EffectError<WriteError>> {
    let approved = record.as_status();
    let key = services.approvals.key();
    let is_current = approved.revision.is_some()
        && approved.generation == subject.generation
        && key.is_named_by(&approved.seal);
    if is_current {
        return Ok(record);
    }
    let revision = match approved.revision.clone() {
        Some(revision) => revision,
        None => store_revision(resource, subject, hash, services).await?,
    };
    Ok(ActiveRecord::seal(subject, hash, Some(revision), approved.at, key))
}

/// Stores the declared spec as a ControllerRevision. Returns its name.
async fn store_revision<K: Governed>(
    resource: &K,
    subject: &Revisioned,
    hash: &SpecHash,
    services: &Services,
) -> Result<String, EffectError<WriteError>> {
    let name = revision_name(subject, hash);
    let revision = StoredRevision {
        namespace: resource.namespace().unwrap_or_default(),
        name: name.clone(),
        number: subject.generation,
        data: revision_data(resource.spec()),
    };
    let what = format!("ControllerRevision {name} stores generation {}, content {hash}", subject.generation);
    let store = services.kubernetes.store_approved_revision(resource, revision);
    services.effect(resource, Action::KeepRevision, what, store).await?;
    Ok(name)
}

/// Deletes all ControllerRevisions of a resource except that of the active spec. A revision that cannot be deleted now
/// is deleted with the next change, or with the resource.
pub async fn prune_revisions<K: Governed>(resource: &K, approved: &ApprovedSpec, services: &Services) {
    if let Err(error) = delete_other_revisions(resource, approved.revision.as_deref(), services).await {
        tracing::debug!(error = %ErrorChain(&error), "a revision that is no longer active was not deleted");
    }
}

async fn delete_other_revisions<K: Governed>(
    resource: &K,
    active: Option<&str>,
    services: &Services,
) -> Result<(), EffectError<WriteError>> {
    let revisions = services.kubernetes.list_approved_revisions(resource).await?;
    for name in revisions.iter().filter(|name| active != Some(name.as_str())) {
        let what = format!("ControllerRevision {name} is no longer active");
        let delete = services.kubernetes.delete_approved_revision(resource, name);
        services.effect(resource, Action::ForgetRevision, what, delete).await?;
    }
    Ok(())
}

/// The record for a spec that is active without approval, so that rules which are added later have an active spec. `None`
/// if the status has it already. The next status write includes it.
pub(super) fn record_ungoverned<K: Governed>(
    resource: &K,
    now: Timestamp,
    services: &Services,
) -> Option<ActiveRecord> {
    let approved = resource.status().and_then(HasApproval::approved);
    let key = services.approvals.key();
    let is_recorded = approved.is_some_and(|approved| {
        Some(approved.generation) == resource.meta().generation && key.is_named_by(&approved.seal)
    });
    if is_recorded {
        return None;
    }
    let (subject, hash) = (Revisioned::of(resource), SpecHash::of(resource.spec()));
    Some(ActiveRecord::seal(&subject, &hash, None, now, key))
}
