//! Judges changes of governed resources: warns of pending ones, and refuses them where the tenant requires approval first.
//!
//! The active spec and decisions are read only where a change needs approval. The controllers decide again from what is
//! stored.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::context::ReviewContext;
use super::request::User;
use crate::api::{
    ApprovalAction, ApprovalMode, BREAK_GLASS, ChangeApproval, DELETION_REQUEST, GovernedChange, Kind,
};
use crate::domain::admission::{Change, Verdict};
use crate::domain::approval::active::{Evidence, revision_data};
use crate::domain::approval::authorization::{AuthorizationInput, Grant, PendingApproval};
use crate::domain::approval::deletion::is_attributable;
use crate::domain::approval::pending::{approval_manifest, change_names};
use crate::domain::approval::{
    ActiveRecord, ActiveSpec, Attribution, Authorization, ChangeRequest, DeletionRequest, Governed, Rules,
    SpecHash, VerifiedDecision, authorize,
};
use crate::domain::signature::SigningKey;
use crate::domain::{ObjectRef, Refusal, Revisioned};
use crate::kubernetes::{ListError, TrustedKeys, WriteError};

/// Judges a change by the approval rules of the tenant.
pub(super) async fn judge<K: Governed>(
    change: &Change<'_, K>,
    user: &User,
    context: &ReviewContext,
) -> Verdict {
    let (Change::Create(new) | Change::Update { new, .. } | Change::Delete(new)) = *change;
    let Some(tenant) = context.governing_tenant(new) else { return Verdict::default() };
    let Some((key, trusted)) = context.seal_keys.get() else {
        return Verdict::refused(approvals_unreadable());
    };
    let judge = Judge { context, rules: &tenant.approval, key, trusted: &trusted, now: context.now() };
    let verdict = match *change {
        Change::Create(new) => judge.apply(None, new).await,
        Change::Update { old, new } => match judge.refuse_new_owner(old, new) {
            Some(refusal) => Ok(Verdict::refused(refusal)),
            None => judge.apply(Some(old), new).await,
        },
        Change::Delete(old) => judge.delete(old, user).await,
    };
    verdict.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot check approvals");
        match (change, tenant.approval.mode) {
            // The controllers decide whether it is pending; storing it is harmless.
            (Change::Create(_) | Change::Update { .. }, ApprovalMode::Hold) => warn(vec![format!(
                "{}: cannot determine at the moment whether this needs approval; see its status",
                Reason::AwaitingApproval
            )]),
            _ => Verdict::refused(approvals_unreadable()),
        }
    })
}

/// A request to the API server failed.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Request(#[from] WriteError),
    #[error(transparent)]
    List(#[from] ListError),
}

/// The refusal if approvals cannot be read.
pub(super) fn approvals_unreadable() -> Refusal {
    Refusal::new(Reason::Internal, "approvals cannot be read at the moment: try again")
}

struct Judge<'a> {
    context: &'a ReviewContext,
    rules: &'a Rules,
    key: &'a SigningKey,
    trusted: &'a TrustedKeys,
    now: Timestamp,
}

impl Judge<'_> {
    async fn apply<K: Governed>(&self, old: Option<&K>, new: &K) -> Result<Verdict, RequestError> {
        let break_glass = |resource: &K| resource.annotations().get(BREAK_GLASS).cloned();
        let break_glass_reason =
            break_glass(new).filter(|reason| old.and_then(break_glass).as_ref() != Some(reason));
        if break_glass_reason.is_none() && old.is_some_and(|old| old.spec() == new.spec()) {
            return Ok(Verdict::default());
        }
        let hash = SpecHash::of(new.spec());
        let active = self.active_spec(old, &hash).await?;
        if matches!(active, ActiveSpec::Current(_)) {
            return Ok(Verdict::default());
        }
        let facts = match old {
            Some(old) if active.depends_on_facts::<K>(new.spec()) => old.facts_in_status(),
            _ => Default::default(),
        };
        let changes = active.classify::<K>(new.spec(), &facts);
        let subject = subject_after(old, new);
        let request = ChangeRequest::verified(new, &subject, &hash, &self.trusted.webhook);
        let input = AuthorizationInput {
            subject: &subject,
            action: ApprovalAction::Apply,
            hash: &hash,
            // The controllers decide on a takeover: the webhook does not read Kafka.
            takeover_hash: None,
            changes: &changes,
            attribution: Attribution::of_change(request.as_ref()),
            decisions: &[],
            rules: self.rules,
            now: self.now,
        };
        // Only with `Deny` can it be approved in advance.
        let authorization = match self.rules.mode {
            ApprovalMode::Hold => authorize(&input),
            ApprovalMode::Deny => self.authorize_with_decisions(input).await?,
        };
        Ok(match authorization {
            Authorization::Granted(Grant::BreakGlass(break_glass)) => warn(vec![format!(
                "{BREAK_GLASS}: this takes effect without approval and is recorded: {}",
                break_glass.reason
            )]),
            Authorization::Granted(_) => Verdict::default(),
            Authorization::Pending(pending) if self.rules.mode == ApprovalMode::Deny => {
                Verdict::refused(refusal::<K>(&subject.object, &hash, ApprovalAction::Apply, &pending))
            }
            Authorization::Pending(pending) => {
                warn(pending_warnings(&subject.object, &pending, break_glass_reason.is_some()))
            }
        })
    }

    /// Refuses an additional owner of a resource whose deletion needs approval: the garbage collector would delete the
    /// resource if the owner does not exist.
    fn refuse_new_owner<K: Governed>(&self, old: &K, new: &K) -> Option<Refusal> {
        let added = new.owner_references().iter().find(|owner| {
            !old.owner_references().iter().any(|other| other.uid == owner.uid && other.kind == owner.kind)
        })?;
        let needs_approval =
            !self.rules.matching(&Kind::of::<K>(), &BTreeSet::from([GovernedChange::Delete])).is_empty();
        let destroys = K::destroys_data(old.spec()) || K::destroys_data(new.spec());
        (needs_approval && destroys).then(|| {
            Refusal::at(
                Reason::ApprovalNotAllowed,
                "metadata.ownerReferences",
                format!(
                    "the resource and its data would be deleted with the new owner, {} {}, which needs approval: leave the \
                     owners as they are, or {}",
                    added.kind,
                    added.name,
                    K::KEEP_DATA
                ),
            )
        })
    }

    async fn delete<K: Governed>(&self, old: &K, user: &User) -> Result<Verdict, RequestError> {
        let (subject, hash) = (Revisioned::of(old), SpecHash::of(old.spec()));
        let active = self.active_spec(Some(old), &hash).await?;
        if !K::destroys_data(active.limit_deletion(old).spec()) {
            return Ok(Verdict::default());
        }
        let request = is_attributable(&user.username, self.rules)
            .then(|| ChangeRequest::for_deletion(&subject, &hash, &user.username, self.now));
        let input = AuthorizationInput {
            subject: &subject,
            action: ApprovalAction::Delete,
            hash: &hash,
            takeover_hash: None,
            changes: &BTreeSet::from([GovernedChange::Delete]),
            attribution: Attribution::of_deletion(request.as_ref()),
            decisions: &[],
            rules: self.rules,
            now: self.now,
        };
        Ok(match self.authorize_with_decisions(input).await? {
            Authorization::Granted(Grant::Approved(_)) if request.is_some() => {
                self.attribute_deletion(old, &subject, &hash, user).await?;
                Verdict::default()
            }
            Authorization::Granted(_) => Verdict::default(),
            Authorization::Pending(pending) => {
                Verdict::refused(refusal::<K>(&subject.object, &hash, ApprovalAction::Delete, &pending))
            }
        })
    }

    /// Writes the user who deletes into the resource, sealed, because the controllers cannot know the user. The API server
    /// reviews the deletion of the changed resource again.
    async fn attribute_deletion<K: Governed>(
        &self,
        old: &K,
        subject: &Revisioned,
        hash: &SpecHash,
        user: &User,
    ) -> Result<(), RequestError> {
        let is_attributed = DeletionRequest::verified(old, subject, hash, &self.trusted.webhook)
            .is_some_and(|request| request.claims.user == user.username);
        if is_attributed || self.context.is_dry_run {
            return Ok(());
        }
        let request = DeletionRequest::seal(subject, hash, &user.username, self.now, self.key);
        let annotation = request.to_annotation();
        Ok(self.context.kubernetes.annotate(old, DELETION_REQUEST, &annotation).await?)
    }

    /// Authorizes with the stored decisions, which are read only if the change needs approval.
    async fn authorize_with_decisions(
        &self,
        input: AuthorizationInput<'_>,
    ) -> Result<Authorization, RequestError> {
        if let granted @ Authorization::Granted(_) = authorize(&input) {
            return Ok(granted);
        }
        let namespace = &input.subject.object.namespace;
        let stored = self.context.kubernetes.list_in::<ChangeApproval>(namespace).await?;
        let decisions: Vec<VerifiedDecision> = stored
            .iter()
            .filter_map(|approval| VerifiedDecision::verify(approval, input.subject, &self.trusted.webhook))
            .collect();
        Ok(authorize(&AuthorizationInput { decisions: &decisions, ..input }))
    }

    /// Determines the active spec of a resource whose new spec has this hash.
    async fn active_spec<K: Governed>(
        &self,
        old: Option<&K>,
        hash: &SpecHash,
    ) -> Result<ActiveSpec<K::Spec>, RequestError> {
        let Some(old) = old else { return Ok(ActiveSpec::None) };
        let record = ActiveRecord::verified(old, &self.trusted.controllers);
        let revision = match &record {
            Some(record) if record.is_of(hash) => None,
            Some(record) if record.is_of(&SpecHash::of(old.spec())) => Some(revision_data(old.spec())),
            Some(record) => match &record.as_status().revision {
                Some(revision) => self.context.kubernetes.get_approved_revision(old, revision).await?,
                None => None,
            },
            None => None,
        };
        let kubernetes = &self.context.kubernetes;
        let has_revisions = record.is_none() && !kubernetes.list_approved_revisions(old).await?.is_empty();
        let evidence = Evidence { record, revision: revision.as_ref(), has_revisions, ..Evidence::default() };
        Ok(ActiveSpec::determine(old, hash, evidence))
    }
}

/// A resource after a change. The API server (1.33) counts the generation and assigns a uid before it calls validating
/// webhooks; where one has not, the generation is counted from what is stored.
fn subject_after<K: Governed>(old: Option<&K>, new: &K) -> Revisioned {
    match old {
        Some(old) => {
            let counted = old.meta().generation.unwrap_or_default() + i64::from(old.spec() != new.spec());
            let generation = new.meta().generation.unwrap_or_default().max(counted);
            Revisioned { generation, ..Revisioned::of(old) }
        }
        None => Revisioned { generation: 1, ..Revisioned::of(new) },
    }
}

fn warn(warnings: Vec<String>) -> Verdict {
    Verdict { refusals: Vec::new(), warnings }
}

/// The API server truncates long warnings, so each sentence is one.
fn pending_warnings(object: &ObjectRef, pending: &PendingApproval, breaks_glass: bool) -> Vec<String> {
    let ObjectRef { kind, namespace, name } = object;
    let mut warnings = vec![format!(
        "{}: {} must be approved; the active spec stays in force until then",
        Reason::AwaitingApproval,
        change_names(&pending.changes)
    )];
    warnings.extend(pending.obstacles().iter().map(|obstacle| format!("Missing approvals: {obstacle}")));
    warnings.push(format!("Another user can approve it with: eventctl approve {kind} {name} -n {namespace}"));
    if breaks_glass {
        warnings.push(format!(
            "{BREAK_GLASS}: The requester is not in a break-glass group; approval is still required"
        ));
    }
    warnings
}

fn refusal<K: Governed>(
    object: &ObjectRef,
    hash: &SpecHash,
    action: ApprovalAction,
    pending: &PendingApproval,
) -> Refusal {
    let ObjectRef { kind, namespace, name } = object;
    let (field, what) = match action {
        ApprovalAction::Apply => {
            ("spec", format!("{} of {kind} {name} must be approved first", change_names(&pending.changes)))
        }
        ApprovalAction::Delete => (
            K::DELETION_FIELD,
            format!(
                "deleting {kind} {name} {}, which must be approved first; or {}",
                K::DELETION_EFFECT,
                K::KEEP_DATA
            ),
        ),
    };
    let obstacle = match &pending.rejected {
        Some(rejected) => {
            let comment =
                rejected.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
            format!("It was rejected by {}{comment}", rejected.by)
        }
        None => format!("Missing approvals: {}", pending.obstacles().join("; ")),
    };
    let manifest = approval_manifest(object, action, hash, None);
    let refusal = Refusal::at(
        Reason::AwaitingApproval,
        field,
        format!(
            "{what}. {obstacle}. The content is {hash}: ask another user to approve it (kubectl create -n {namespace} -f -), \
             then try again:\n{manifest}"
        ),
    );
    refusal.with_spec_hash(hash.to_string())
}
