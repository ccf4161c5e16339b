//! Determines the spec to reconcile, and whether it may be applied.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::core::object::HasSpec;

use super::super::effect::EffectError;
use super::super::runtime::Reconciler;
use super::super::services::Services;
use super::activation::{Activation, renew_record};
use super::report::ApprovalReport;
use crate::api::{APPROVE, ApprovalAction, Approver, Decision, GovernedChange, HasApproval};
use crate::domain::approval::active::{Evidence, revision_name};
use crate::domain::approval::authorization::{AuthorizationInput, Grant, PendingApproval};
use crate::domain::approval::pending::{PendingInput, PendingStatus};
use crate::domain::approval::{
    ActiveRecord, ActiveSpec, ApprovalState, Attribution, Authorization, ChangeRequest, DeletionRequest,
    Governed, Rules, SpecHash, VerifiedDecision, authorize,
};
use crate::domain::management::{ManagementMode, management_mode};
use crate::domain::tenant::TenantFacts;
use crate::domain::{Failure, Refusal, Revisioned};
use crate::kubernetes::{KubeClient, UserInfo, WriteError};

/// The spec to reconcile, and whether it may be applied.
pub struct ApprovalDecision<'k, K: Clone> {
    /// The resource, with its active spec while a change is pending.
    pub resource: Cow<'k, K>,
    /// Whether the spec may be applied.
    pub disposition: Disposition,
    /// The approval state for the status.
    pub report: ApprovalReport,
}

impl<'k, K: Governed> ApprovalDecision<'k, K> {
    /// For a resource that does not own its data. Its permission says that nothing is applied.
    pub(in crate::controllers) fn inactive(resource: &'k K) -> Self {
        Self {
            resource: Cow::Borrowed(resource),
            disposition: Disposition::Apply,
            report: ApprovalReport { state: ApprovalState::Inactive, ..ApprovalReport::unchanged(resource) },
        }
    }
}

/// Whether the spec of a resource may be applied.
pub enum Disposition {
    /// Apply the spec.
    Apply,
    /// Record the spec as active, then apply it.
    Activate(Activation),
    /// Apply nothing; `None` while the reason is unknown.
    Hold(Option<Obstacle>),
}

/// Why nothing is applied.
pub enum Obstacle {
    /// The change is pending approval.
    Refused(Refusal),
    /// The effect of the change cannot be determined.
    Failed(Failure),
}

/// The facts that a classification depends on.
pub enum FactsLookup<F> {
    /// The facts.
    Available(F),
    /// Reading them failed.
    Failed(Failure),
    /// They were not read: the resource is refused, or its Kafka topic is not determined yet.
    Unknown,
}

impl<F> FactsLookup<F> {
    /// The facts, or these if they are not available.
    fn or<'a>(&'a self, others: &'a F) -> &'a F {
        match self {
            Self::Available(facts) => facts,
            Self::Failed(_) | Self::Unknown => others,
        }
    }

    fn obstacle(self) -> Option<Obstacle> {
        match self {
            Self::Failed(failure) => Some(Obstacle::Failed(failure)),
            Self::Available(_) | Self::Unknown => None,
        }
    }
}

/// The controller of a governed kind.
pub trait GovernedReconciler: Reconciler<Object: Governed> {
    /// Reads the facts that the classification of a first spec depends on.
    fn look_up_facts(
        &self,
        object: &Self::Object,
    ) -> impl Future<Output = FactsLookup<<Self::Object as Governed>::Facts>> + Send;
}

/// Determines the spec to reconcile, and whether it may be applied.
pub async fn decide<'k, R: GovernedReconciler>(
    reconciler: &R,
    resource: &'k R::Object,
) -> Result<ApprovalDecision<'k, R::Object>, EffectError<WriteError>> {
    let services = reconciler.services();
    let apply = |state| ApprovalDecision {
        resource: Cow::Borrowed(resource),
        disposition: Disposition::Apply,
        report: ApprovalReport { state, ..ApprovalReport::unchanged(resource) },
    };
    let mode = management_mode(resource);
    let tenant = services.catalog.lock().governing_tenant(resource);
    let Some(tenant) = tenant else {
        services.approvals.forget(resource);
        return Ok(apply(match mode {
            Ok(ManagementMode::Paused) | Err(_) => ApprovalState::Unchanged,
            Ok(ManagementMode::Managed | ManagementMode::Unmanaged) => ApprovalState::NotGoverned,
        }));
    };
    match mode {
        Ok(ManagementMode::Managed) => decide_governed(reconciler, resource, &tenant).await,
        Ok(ManagementMode::Unmanaged) => Ok(apply(ApprovalState::NotGoverned)),
        Ok(ManagementMode::Paused) | Err(_) => Ok(apply(ApprovalState::Unchanged)),
    }
}

async fn decide_governed<'k, R: GovernedReconciler>(
    reconciler: &R,
    resource: &'k R::Object,
    tenant: &TenantFacts,
) -> Result<ApprovalDecision<'k, R::Object>, EffectError<WriteError>> {
    let services = reconciler.services();
    let mut context = ApprovalContext::new(resource, &tenant.approval, services);
    let active = context.active_spec().await?;
    let report = |state, record| ApprovalReport { state, record, ..ApprovalReport::unchanged(resource) };
    let borrowed =
        |disposition, report| ApprovalDecision { resource: Cow::Borrowed(resource), disposition, report };
    if let ActiveSpec::Current(record) = active {
        let record = renew_record(resource, &context.subject, &context.hash, record, services).await?;
        return Ok(borrowed(Disposition::Apply, report(ApprovalState::Approved, Some(record))));
    }
    let facts = match active.depends_on_facts::<R::Object>(resource.spec()) {
        true => reconciler.look_up_facts(resource).await,
        false => FactsLookup::Available(Default::default()),
    };
    let no_facts = Default::default();
    let changes = active.classify::<R::Object>(resource.spec(), facts.or(&no_facts));
    context.takeover_hash = R::Object::takeover_hash(facts.or(&no_facts));
    let record = active.record().cloned();
    match (context.authorize(ApprovalAction::Apply, &changes).await?, facts) {
        (Authorization::Granted(grant), FactsLookup::Available(_)) => {
            let activation = context.into_activation(grant, changes);
            let report = report(ApprovalState::Approved, record);
            Ok(borrowed(Disposition::Activate(activation), report))
        }
        // The effect of the change is unknown.
        (Authorization::Granted(_), facts) => {
            let report = report(ApprovalState::Unchanged, record);
            Ok(borrowed(Disposition::Hold(facts.obstacle()), report))
        }
        (Authorization::Pending(approval), facts) => {
            let diff = R::Object::diff(active.previous(), resource.spec(), facts.or(&no_facts));
            let pending =
                context.pending_status(ApprovalAction::Apply, &approval, &diff, active.unknown_because());
            let restored = active.restore(resource);
            let disposition = match (&restored, facts) {
                (Some(_), _) => Disposition::Apply,
                (None, FactsLookup::Available(_)) => {
                    Disposition::Hold(Some(Obstacle::Refused(pending.refusal.clone())))
                }
                (None, facts) => Disposition::Hold(facts.obstacle()),
            };
            Ok(ApprovalDecision {
                resource: restored.map_or(Cow::Borrowed(resource), Cow::Owned),
                disposition,
                report: report(ApprovalState::Pending(Box::new(pending)), record),
            })
        }
    }
}

/// How a resource under deletion is handled.
pub(in crate::controllers) enum DeletionApproval<'k, K: Clone> {
    /// The finalizer may be removed after the cleanup that this spec requires. A deletion of data has this grant, if it
    /// needed one.
    Granted(Cow<'k, K>, Option<Activation>),
    /// The deletion of data is pending approval.
    Pending(Box<PendingStatus>),
}

/// Determines whether the data of a resource under deletion may be deleted. `describe` returns what would be deleted;
/// `None` if the resource may be deleted without approval.
pub(in crate::controllers) async fn decide_deletion<'k, R: GovernedReconciler>(
    reconciler: &R,
    resource: &'k R::Object,
    describe: impl FnOnce(&R::Object) -> Option<String>,
) -> Result<DeletionApproval<'k, R::Object>, WriteError> {
    let services = reconciler.services();
    let tenant = services.catalog.lock().governing_tenant(resource);
    let Some(tenant) = tenant else {
        return Ok(DeletionApproval::Granted(Cow::Borrowed(resource), None));
    };
    let mut context = ApprovalContext::new(resource, &tenant.approval, services);
    let active = context.active_spec_before_deletion().await?;
    let limited = active.limit_deletion(resource);
    let Some(deleted) = describe(&limited) else {
        return Ok(DeletionApproval::Granted(limited, None));
    };
    context.switch_to_deletion();
    let changes = BTreeSet::from([GovernedChange::Delete]);
    Ok(match context.authorize(ApprovalAction::Delete, &changes).await? {
        Authorization::Granted(grant) => {
            DeletionApproval::Granted(limited, Some(context.into_activation(grant, changes)))
        }
        Authorization::Pending(approval) => {
            let pending = context.pending_status(
                ApprovalAction::Delete,
                &approval,
                &[deleted],
                active.unknown_because(),
            );
            DeletionApproval::Pending(Box::new(pending))
        }
    })
}

/// The inputs of the decision on a resource.
struct ApprovalContext<'a, K> {
    resource: &'a K,
    subject: Revisioned,
    hash: SpecHash,
    record: Option<ActiveRecord>,
    /// The hash of the existing data that the change takes over.
    takeover_hash: Option<String>,
    request: Option<ChangeRequest>,
    decisions: Vec<VerifiedDecision>,
    rules: &'a Rules,
    services: &'a Services,
    now: Timestamp,
}

impl<'a, K: Governed> ApprovalContext<'a, K> {
    fn new(resource: &'a K, rules: &'a Rules, services: &'a Services) -> Self {
        let (subject, hash) = (Revisioned::of(resource), SpecHash::of(resource.spec()));
        let record = services.approvals.active_record(resource);
        let is_active = record.as_ref().is_some_and(|record| record.is_of(&hash));
        let is_deleted = resource.meta().deletion_timestamp.is_some();
        // An active spec needs no decision.
        let (request, decisions) = match is_active && !is_deleted {
            true => (None, Vec::new()),
            false => {
                let keys = services.approvals.webhook_keys();
                let request = ChangeRequest::verified(resource, &subject, &hash, &keys);
                (request, services.approvals.decisions_on(&subject, &hash, &keys))
            }
        };
        let now = services.now();
        Self {
            resource,
            subject,
            hash,
            record,
            takeover_hash: None,
            request,
            decisions,
            rules,
            services,
            now,
        }
    }

    /// Determines the active spec. Reads from Kubernetes only if it differs from the declared spec, or is unknown to
    /// this process.
    async fn active_spec(&self) -> Result<ActiveSpec<K::Spec>, WriteError> {
        let is_stale = match &self.record {
            Some(record) if record.is_of(&self.hash) && !self.services.approvals.remembers(self.resource) => {
                self.is_stale(record).await?
            }
            _ => false,
        };
        self.determine_active_spec(is_stale).await
    }

    /// Determines the active spec of a resource under deletion. The garbage collector may already have deleted the revision
    /// that a current record names (foreground deletion). That the record may be outdated does not matter: the deletion of
    /// the declared spec itself needs approval.
    async fn active_spec_before_deletion(&self) -> Result<ActiveSpec<K::Spec>, WriteError> {
        self.determine_active_spec(false).await
    }

    async fn determine_active_spec(&self, is_stale: bool) -> Result<ActiveSpec<K::Spec>, WriteError> {
        let kubernetes = &self.services.kubernetes;
        let mut evidence = Evidence { record: self.record.clone(), is_stale, ..Evidence::default() };
        let revision;
        match &self.record {
            Some(record) if record.is_of(&self.hash) => {}
            Some(record) => {
                revision = match &record.as_status().revision {
                    Some(name) => kubernetes.get_approved_revision(self.resource, name).await?,
                    None => None,
                };
                evidence.revision = revision.as_ref();
            }
            None => {
                evidence.has_revisions = !kubernetes.list_approved_revisions(self.resource).await?.is_empty();
            }
        }
        Ok(ActiveSpec::determine(self.resource, &self.hash, evidence))
    }

    /// Whether a record may be an old one: the revision of the active spec exists, and those of specs before are deleted
    /// soon. Before a tenant had rules, there was no revision.
    async fn is_stale(&self, record: &ActiveRecord) -> Result<bool, WriteError> {
        let kubernetes = &self.services.kubernetes;
        match &record.as_status().revision {
            Some(name) => Ok(kubernetes.get_approved_revision(self.resource, name).await?.is_none()),
            None => {
                let revisions = kubernetes.list_approved_revisions(self.resource).await?;
                // Stored a moment ago, before a kill prevented the record of it.
                let of_declared = revision_name(&self.subject, &self.hash);
                Ok(revisions.iter().any(|name| *name != of_declared))
            }
        }
    }

    /// Whether a change may take effect. Approvers must still have the right to approve, as far as that can be checked
    /// without their other groups.
    async fn authorize(
        &mut self,
        action: ApprovalAction,
        changes: &BTreeSet<GovernedChange>,
    ) -> Result<Authorization, WriteError> {
        let authorization = self.authorize_now(action, changes);
        if !matches!(authorization, Authorization::Granted(Grant::Approved(_))) {
            return Ok(authorization);
        }
        let decisions = std::mem::take(&mut self.decisions);
        self.decisions = retain_authorized::<K>(decisions, &self.subject, &self.services.kubernetes).await?;
        Ok(self.authorize_now(action, changes))
    }

    fn authorize_now(&self, action: ApprovalAction, changes: &BTreeSet<GovernedChange>) -> Authorization {
        authorize(&AuthorizationInput {
            subject: &self.subject,
            action,
            hash: &self.hash,
            takeover_hash: self.takeover_hash.as_deref(),
            changes,
            attribution: match action {
                ApprovalAction::Apply => Attribution::of_change(self.request.as_ref()),
                ApprovalAction::Delete => Attribution::of_deletion(self.request.as_ref()),
            },
            decisions: &self.decisions,
            rules: self.rules,
            now: self.now,
        })
    }

    fn into_activation(self, grant: Grant, changes: BTreeSet<GovernedChange>) -> Activation {
        let decided_at = match &grant {
            Grant::Approved(people) => {
                let theirs = self.decisions.iter().filter(|decision| {
                    decision.decision == Decision::Approve && people.contains(&decision.approver.username)
                });
                theirs.map(|decision| decision.at).max()
            }
            Grant::NotRequired | Grant::BreakGlass(_) => None,
        };
        Activation { hash: self.hash, grant, changes, decided_at }
    }

    fn pending_status(
        &self,
        action: ApprovalAction,
        approval: &PendingApproval,
        diff: &[String],
        active_is_unknown: Option<&str>,
    ) -> PendingStatus {
        let input = PendingInput {
            subject: &self.subject,
            action,
            hash: &self.hash,
            takeover_hash: self.takeover_hash.as_deref(),
            approval,
            request: self.request.as_ref(),
            diff,
            active_is_unknown,
        };
        let before = self.resource.status().and_then(HasApproval::pending);
        input.to_status::<K>(before, self.now)
    }

    /// Considers the deletion instead of the spec. Kubernetes counts the deletion as a new generation of the same spec.
    fn switch_to_deletion(&mut self) {
        let generation = self.subject.generation;
        for decision in &mut self.decisions {
            if decision.action == ApprovalAction::Delete && decision.generation == generation - 1 {
                decision.generation = generation;
            }
        }
        let keys = self.services.approvals.webhook_keys();
        let request = DeletionRequest::verified(self.resource, &self.subject, &self.hash, &keys);
        self.request = request.map(|request| request.into_request(&self.subject, &self.hash));
    }
}

/// Drops the approvals of users who may no longer approve, as far as RBAC granted the verb to their name or the stored
/// groups.
async fn retain_authorized<K: Governed>(
    decisions: Vec<VerifiedDecision>,
    subject: &Revisioned,
    kubernetes: &KubeClient,
) -> Result<Vec<VerifiedDecision>, WriteError> {
    let (namespace, name) = (&subject.object.namespace, &subject.object.name);
    let mut retained = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let Approver { username, groups, revocable } = &decision.approver;
        let has_lost_the_right = *revocable
            && decision.decision == Decision::Approve
            && !kubernetes
                .is_allowed::<K>(UserInfo::in_groups(username, groups), APPROVE, namespace, name)
                .await?;
        if has_lost_the_right {
            tracing::info!(username, "the approver may no longer approve, so the approval does not count");
        } else {
            retained.push(decision);
        }
    }
    Ok(retained)
}
