//! Reports the approval state of a resource: status, audit log, metrics, next reconcile.

use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::super::runtime::Informer;
use super::super::services::Services;
use super::super::status::write_status;
use super::activation::{prune_revisions, record_ungoverned};
use crate::api::{HasApproval, HasConditions};
use crate::domain::approval::pending::change_names;
use crate::domain::approval::{ActiveRecord, ApprovalState, Governed};
use crate::domain::audit::{Action, Outcome};
use crate::domain::condition::{self, READY};
use crate::kubernetes::WriteError;

/// The delay after the expiry of an approval, so that it has certainly expired.
const EXPIRY_DELAY: Duration = Duration::from_millis(50);

/// The approval state of a resource.
pub struct ApprovalReport {
    /// The state.
    pub state: ApprovalState,
    /// The generation of the declared spec, also if the active spec is reconciled.
    pub generation: Option<i64>,
    /// The record of the active spec.
    pub record: Option<ActiveRecord>,
}

impl ApprovalReport {
    /// Keeps the reported state.
    pub fn unchanged(resource: &impl kube::Resource) -> Self {
        Self { state: ApprovalState::Unchanged, generation: resource.meta().generation, record: None }
    }

    /// Adds the approval state to the status of the spec that was reconciled. `is_applied`: that spec is in force.
    fn apply_to<K: Governed>(
        &self,
        mut status: K::Status,
        resource: &K,
        is_applied: bool,
        now: Timestamp,
        services: &Services,
    ) -> K::Status {
        if let Some(record) = &self.record {
            status.set_approved(Some(record.as_status().clone()));
        } else if self.state == ApprovalState::NotGoverned
            && is_applied
            && condition::find(status.conditions(), READY).is_some_and(|ready| ready.status == "True")
            && let Some(record) = record_ungoverned(resource, now, services)
        {
            status.set_approved(Some(record.as_status().clone()));
        }
        self.state.apply_to::<K>(status, resource.status(), self.generation, now)
    }

    /// When to reconcile again: no later than an approval expires that counts now.
    pub fn requeue_before_expiry(&self, requeue_after: Option<Duration>, now: Timestamp) -> Option<Duration> {
        let expires = match &self.state {
            ApprovalState::Pending(pending) => pending.expires,
            _ => None,
        };
        let until_expiry = expires.map(|expires| {
            Duration::try_from(expires.duration_since(now)).unwrap_or_default() + EXPIRY_DELAY
        });
        requeue_after.into_iter().chain(until_expiry).min()
    }
}

/// The status that a reconcile reports.
pub struct ReportedStatus<S> {
    /// The status.
    pub status: S,
    /// Whether it was written, because it differs from the one before.
    pub is_written: bool,
}

/// Adds the approval state to the status of the spec that was reconciled, records a rejection that the status before does not
/// report, and writes the status. `is_applied`: that spec is in force.
///
/// # Errors
/// The status was not written.
pub async fn report_status<K>(
    resource: &K,
    status: K::Status,
    is_applied: bool,
    report: &ApprovalReport,
    informer: &Informer<K>,
    services: &Services,
) -> Result<ReportedStatus<K::Status>, WriteError>
where
    K: Governed + Send + Sync + 'static,
{
    let status = report.apply_to(status, resource, is_applied, services.now(), services);
    let rejection = new_rejection(resource.status(), &status);
    if let Some(what) = &rejection {
        let reason = Some(Reason::ChangeRejected);
        services.record_event(resource, Action::RejectChange, Outcome::Denied, reason, what.clone()).await;
    }
    let is_written = write_status(services, &informer.queue, resource, &status).await?;
    if rejection.is_some() {
        services.metrics.count_change("rejected");
    }
    if let Some(record) = &report.record {
        services.approvals.remember(resource, record.clone());
    }
    if matches!(report.state, ApprovalState::Pending(_)) {
        // The time until people decide is not the operator's latency.
        informer.queue.observe_pending(resource);
    }
    let revision = |status: &K::Status| status.approved().and_then(|approved| approved.revision.clone());
    if let (Some(before), Some(approved)) = (resource.status(), status.approved())
        && revision(before).is_some()
        && revision(before) != revision(&status)
    {
        prune_revisions(resource, approved, services).await;
    }
    Ok(ReportedStatus { status, is_written })
}

/// The record of a rejection that the status before did not report.
fn new_rejection<S: HasApproval>(before: Option<&S>, status: &S) -> Option<String> {
    let pending = status.pending()?;
    let rejection = pending.rejected.as_ref()?;
    let reported = before.and_then(HasApproval::pending).filter(|before| before.rejected.is_some());
    if reported.is_some_and(|reported| reported.generation == pending.generation) {
        return None;
    }
    let comment =
        rejection.comment.as_deref().map(|comment| format!(", because: {comment}")).unwrap_or_default();
    Some(format!(
        "{}: rejected by {}{comment}; generation {}, content {}",
        change_names(&pending.changes),
        rejection.by,
        pending.generation,
        pending.hash
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PendingChange;
    use crate::domain::Refusal;
    use crate::domain::approval::pending::PendingStatus;

    fn pending(expires: Option<Timestamp>) -> ApprovalReport {
        let change = PendingChange {
            hash: String::new(),
            takeover_hash: None,
            generation: 1,
            action: Default::default(),
            changes: Vec::new(),
            requested_by: Vec::new(),
            since: Timestamp::UNIX_EPOCH,
            approvals: "0/1".into(),
            missing: Vec::new(),
            rejected: None,
            diff: Vec::new(),
            approve_with: None,
        };
        let refusal = Refusal::new(Reason::AwaitingApproval, "");
        let state = ApprovalState::Pending(Box::new(PendingStatus { change, refusal, expires }));
        ApprovalReport { state, ..ApprovalReport::unchanged(&crate::domain::testing::topic("{}")) }
    }

    #[test]
    fn a_requeue_is_no_later_than_the_expiry_of_an_approval() {
        let now = Timestamp::UNIX_EPOCH;
        let expires = Some(Timestamp::from_second(10).expect("in range"));
        let (short, long) = (Duration::from_secs(5), Duration::from_secs(300));
        let expiry = Duration::from_secs(10) + EXPIRY_DELAY;
        for (requeue_after, expires, expected) in [
            (None, None, None),
            (None, expires, Some(expiry)),
            (Some(short), expires, Some(short)),
            (Some(long), expires, Some(expiry)),
            (Some(long), None, Some(long)),
        ] {
            assert_eq!(pending(expires).requeue_before_expiry(requeue_after, now), expected);
        }
        let past = pending(Some(Timestamp::UNIX_EPOCH));
        let later = Timestamp::from_second(60).expect("in range");
        assert_eq!(past.requeue_before_expiry(Some(long), later), Some(EXPIRY_DELAY));
    }
}
